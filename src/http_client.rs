//! What all HTTP clients of this program have in common: whom they trust, and that they follow no proxy and no redirect.
use crate::{
    date::from_http,
    dial::Quickest,
    ports::{Answer, HostError, Request},
};
use std::{
    fs,
    io::{self, Read},
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent, Body,
    config::{Config, ConfigBuilder},
    http::{HeaderMap, Response, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
    typestate::AgentScope,
    unversioned::transport::DefaultConnector,
};

/// Certificate authorities that the system's owner trusts: of Debian, and of most others.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Bytes of a body that [`exchange`] reads.
pub(crate) const BODY_MAX: u64 = 64 << 10;

/// With or without encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

impl Scheme {
    /// What an address begins with; `None` when it isn't one of the two.
    pub fn of(text: &str) -> Option<Scheme> {
        let (scheme, _) = text.split_once("://")?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }
}

/// What every client begins with.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    // The library would read a redirect's body to its end, if it has one.
    Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None)
}

/// With encryption, those are trusted whom the system's owner trusts.
pub(crate) fn trusting(config: ConfigBuilder<AgentScope>, scheme: Scheme) -> ConfigBuilder<AgentScope> {
    match (scheme == Scheme::Https).then(system_roots).flatten() {
        Some(roots) => config.tls_config(TlsConfig::builder().root_certs(roots).build()),
        None => config,
    }
}

/// The client itself: it connects to the address of a host that answers first.
pub(crate) fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default(), Quickest::default())
}

/// Send something to a web server by POST. Redirects are answers like any other.
#[cfg(target_os = "linux")]
pub(crate) fn post(request: &Request, timeout: Duration) -> Result<Answer, HostError> {
    exchange(timeout, Scheme::of(&request.url).unwrap_or(Scheme::Http), |agent| {
        let post = agent.post(&request.url);
        let post = request.headers.into_iter().fold(post, |post, (name, value)| post.header(name, value));
        post.send(&request.body)
    })
}

/// What a receiver answers that is not asked for anything.
#[cfg(feature = "daemon")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The status.
    pub(crate) status: u16,
    /// How long it asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Send a text to a web server by POST or PUT. Redirects are answers like any other, and the body of an answer is not read.
#[cfg(feature = "daemon")]
pub(crate) fn deliver(
    method: &str,
    url: &str,
    headers: &[(&'static str, String)],
    text: &str,
    timeout: Duration,
) -> Result<Delivered, HostError> {
    let scheme = Scheme::of(url)
        .ok_or_else(|| HostError::Failed("it is not an http:// or https:// address".into()))?;
    asked(timeout, scheme, |agent| {
        let request = if method == "PUT" { agent.put(url) } else { agent.post(url) };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        request.send(text)
    })
    .map(|response| Delivered {
        status: response.status().as_u16(),
        retry_after: retry_after(response.headers()),
    })
}

/// How long a server asks to be left alone (RFC 9110, 10.2.3). A date is compared with the one that the server itself gives: the
/// clock of this device may not be set.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: header::HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_digit()) {
        return asked.parse().ok().map(Duration::from_secs);
    }
    let (until, now) = (from_http(asked)?, from_http(text(header::DATE)?)?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// One question and its answer: no proxy, no redirects; all of it within the timeout.
pub(crate) fn exchange(
    timeout: Duration,
    scheme: Scheme,
    ask: impl FnOnce(&Agent) -> Result<Response<Body>, ureq::Error>,
) -> Result<Answer, HostError> {
    let response = asked(timeout, scheme, ask)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let read = response.into_body().into_reader().take(BODY_MAX).read_to_end(&mut body);
    read.map_err(|e| failed(ureq::Error::from(e), timeout))?;
    Ok(Answer { status, body })
}

fn asked(
    timeout: Duration,
    scheme: Scheme,
    ask: impl FnOnce(&Agent) -> Result<Response<Body>, ureq::Error>,
) -> Result<Response<Body>, HostError> {
    // The library takes no time at all for no limit.
    if timeout.is_zero() {
        return Err(HostError::Timeout(timeout));
    }
    let config = config().timeout_global(Some(timeout)).user_agent("bistable");
    ask(&agent(trusting(config, scheme).build())).map_err(|e| failed(e, timeout))
}

fn failed(e: ureq::Error, timeout: Duration) -> HostError {
    match e {
        ureq::Error::Timeout(_) => HostError::Timeout(timeout),
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => HostError::Timeout(timeout),
        ureq::Error::Io(e) => HostError::Failed(e.to_string()),
        e => HostError::Failed(e.to_string()),
    }
}

/// The system's certificate authorities; without them, those that are built in.
fn system_roots() -> Option<RootCerts> {
    let pem = fs::read(SYSTEM_ROOTS).ok()?;
    let roots: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!roots.is_empty()).then(|| RootCerts::Specific(Arc::new(roots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_that_a_server_asks_for_is_in_seconds_or_ends_at_a_date_by_its_own_clock() {
        const NOW: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
        for (value, date, seconds) in [
            ("120", "", Some(120)),
            (" 0 ", NOW, Some(0)),
            ("18446744073709551615", "", Some(u64::MAX)),
            ("18446744073709551616", "", None),
            ("-1", "", None),
            ("+1", "", None),
            ("1.5", "", None),
            ("", NOW, None),
            ("x", NOW, None),
            ("Wed, 21 Oct 2026 07:29:30 GMT", NOW, Some(90)),
            ("Wed, 21 Oct 2026 07:27:00 GMT", NOW, Some(0)),
            ("Wed, 21 Oct 2026 07:29:30 GMT", "", None),
        ] {
            let mut headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            if !date.is_empty() {
                headers.insert(header::DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
