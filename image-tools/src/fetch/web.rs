//! One question to a server.
use super::error::FetchError;
use super::pause::{Asked, pause};
use crate::clock::{Clock, back_off};
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, BodyReader};
use url::Url;

/// Certificate authorities that the system's owner trusts: of Debian, and of most others.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Tries of a question that passes.
const TRIES: u32 = 4;
/// A connection, and the beginning of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The time that a server may stay silent within an answer.
const STALL: Duration = Duration::from_secs(60);

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    /// Where.
    pub(super) url: &'a Url,
    /// Header lines.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The header `Authorization`: goes to this server only, wherever it redirects.
    pub(super) secret: Option<&'a str>,
    /// What would help if access is refused.
    pub(super) hint: &'static str,
}

/// An answer with a status that says something about what was asked for.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: BodyReader<'static>,
}

impl Reply {
    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks servers.
#[derive(Debug)]
pub(crate) struct Web {
    agent: Agent,
    /// For servers on this machine: no proxy can reach them.
    direct: Agent,
    /// How long it may wait in all when a server asks for it.
    patience: Duration,
    clock: Arc<dyn Clock>,
}

impl Web {
    /// Waits at most `patience` for a server that asks to be left alone.
    pub(crate) fn new(patience: Duration, clock: Arc<dyn Clock>) -> Web {
        let roots = system_roots();
        let agent = |proxy: bool| -> Agent {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                // Here they are followed by hand: the library knows nothing of secrets.
                .max_redirects(0)
                .user_agent(concat!("bistable-image/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(ANSWER))
                .timeout_connect(Some(ANSWER))
                .timeout_send_request(Some(ANSWER))
                .timeout_recv_response(Some(ANSWER))
                .timeout_per_read(Some(STALL))
                .timeout_per_write(Some(STALL));
            let config = if proxy { config } else { config.proxy(None) };
            match &roots {
                Some(roots) => {
                    config.tls_config(TlsConfig::builder().root_certs(roots.clone()).build()).build().into()
                }
                None => config.build().into(),
            }
        };
        Web { agent: agent(true), direct: agent(false), patience, clock }
    }

    /// Ask until there is an answer, at most a few times.
    pub(super) fn get(&self, ask: &Ask<'_>) -> Result<Reply, FetchError> {
        self.until_it_passes(|| self.judge(ask, self.once(ask)?))
    }

    /// Send a message until it is taken, at most a few times. No redirect is followed: what it says is for that server only. Its address
    /// may be a secret, and no error shows more of it than the server.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(crate) fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<(), FetchError> {
        self.until_it_passes(|| self.post_once(url, headers, body))
    }

    fn post_once(&self, url: &Url, headers: &[(&'static str, String)], body: &str) -> Result<(), FetchError> {
        let server = || url.origin().ascii_serialization();
        let mut request = self.agent_for(url).post(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.send(body).map_err(|e| failed(&e, server()))?;
        let header = |name| response.headers().get(name)?.to_str().ok();
        let asked = Asked { retry_after: header("retry-after"), ..Asked::default() };
        let status = response.status().as_u16();
        if let Some(pause) = pause(status, asked, self.clock.now()) {
            return Err(FetchError::Limited { host: server(), pause, hint: "" });
        }
        match status {
            200..=299 => Ok(()),
            500.. => Err(FetchError::Server { at: server(), status }),
            _ => Err(FetchError::Protocol { at: server(), problem: format!("the server answers {status}") }),
        }
    }

    fn agent_for(&self, url: &Url) -> &Agent {
        if is_this_machine(url) { &self.direct } else { &self.agent }
    }

    /// Again after what passes.
    fn until_it_passes<T>(&self, once: impl Fn() -> Result<T, FetchError>) -> Result<T, FetchError> {
        let (mut tries, mut waited) = (1, Duration::ZERO);
        loop {
            let failed = match once() {
                Ok(done) => return Ok(done),
                Err(e) => e,
            };
            let time = match &failed {
                FetchError::Limited { pause, .. } if waited + *pause <= self.patience => *pause,
                FetchError::Unreachable { .. } | FetchError::Server { .. } if tries < TRIES => {
                    tries += 1;
                    back_off(3 + tries)
                }
                _ => return Err(failed),
            };
            waited += time;
            self.clock.wait(time);
        }
    }

    /// What a status says.
    fn judge(&self, ask: &Ask<'_>, reply: Reply) -> Result<Reply, FetchError> {
        let at = || shown(ask.url);
        let asked = Asked {
            retry_after: reply.header("retry-after"),
            remaining: reply.header("x-ratelimit-remaining"),
            reset: reply.header("x-ratelimit-reset"),
        };
        if let Some(pause) = pause(reply.status, asked, self.clock.now()) {
            let host = ask.url.host_str().unwrap_or_default().into();
            let hint = if ask.secret.is_none() { ask.hint } else { "" };
            return Err(FetchError::Limited { host, pause, hint });
        }
        match reply.status {
            200 | 206 | 304 | 416 => Ok(reply),
            // A registry says there how to authenticate.
            401 if reply.header("www-authenticate").is_some() => Ok(reply),
            status @ (401 | 403) => Err(FetchError::Refused { at: at(), status, hint: ask.hint }),
            404 | 410 => Err(FetchError::NotThere { at: at(), hint: ask.hint }),
            status @ 500.. => Err(FetchError::Server { at: at(), status }),
            status => Err(FetchError::Protocol { at: at(), problem: format!("the server answers {status}") }),
        }
    }

    /// Ask once, and follow redirects.
    fn once(&self, ask: &Ask<'_>) -> Result<Reply, FetchError> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent_for(&url).get(url.as_str());
            for (name, value) in &ask.headers {
                request = request.header(*name, value);
            }
            if let Some(secret) = ask.secret.filter(|_| url.origin() == ask.url.origin()) {
                if url.scheme() != "https" && !is_this_machine(&url) {
                    return Err(FetchError::Plain { host: url.host_str().unwrap_or_default().into() });
                }
                request = request.header(header::AUTHORIZATION, secret);
            }
            let response = request.call().map_err(|e| failed(&e, shown(&url)))?;
            let status = response.status().as_u16();
            let (parts, body) = response.into_parts();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Reply { status, headers: parts.headers, body: body.into_reader() });
            }
            let location = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            url = after_redirect(&url, location)?;
        }
        Err(FetchError::Protocol { at: shown(ask.url), problem: "too many redirects".into() })
    }
}

/// Where a redirect leads, if it may be followed.
fn after_redirect(from: &Url, location: Option<&str>) -> Result<Url, FetchError> {
    let wrong = |problem: &str| FetchError::Protocol { at: shown(from), problem: problem.into() };
    let next = location.and_then(|to| from.join(to).ok()).ok_or_else(|| wrong("a redirect to nowhere"))?;
    match (from.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        ("https", "http") => Err(wrong("a redirect from https to http, which is not followed")),
        _ => Err(wrong("a redirect to something else than a web server")),
    }
}

/// Whether a server is on this machine: what is sent to it passes no network.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An address for a message: without what can be secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that have neither.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    bistable_format::text::printable(url.as_str(), &[])
}

/// Read a small answer whole.
pub(super) fn read(url: &Url, body: &mut dyn Read, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    body.take(limit + 1).read_to_end(&mut bytes).map_err(|e| cut(url, &e))?;
    if bytes.len() as u64 > limit {
        return Err(FetchError::TooLarge { at: shown(url), limit });
    }
    Ok(bytes)
}

/// A body that ended before its end.
pub(super) fn cut(url: &Url, error: &io::Error) -> FetchError {
    FetchError::Unreachable { at: shown(url), problem: format!("the answer was cut off: {error}") }
}

fn failed(error: &ureq::Error, at: String) -> FetchError {
    match error {
        ureq::Error::HostNotFound => FetchError::Unreachable { at, problem: "there is no such host".into() },
        ureq::Error::Timeout(which) => {
            FetchError::Unreachable { at, problem: format!("no answer in time ({which})") }
        }
        ureq::Error::Io(e) => FetchError::Unreachable { at, problem: e.to_string() },
        e @ (ureq::Error::ConnectionFailed | ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => {
            FetchError::Unreachable { at, problem: e.to_string() }
        }
        e => FetchError::Protocol { at, problem: e.to_string() },
    }
}

/// The system's certificate authorities, or those of the file that SSL_CERT_FILE names; without them, those that are built in.
fn system_roots() -> Option<RootCerts> {
    let path = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| SYSTEM_ROOTS.into());
    let pem = fs::read(path).ok()?;
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
    fn redirects_never_lead_out_of_encryption() {
        let to = |from: &str, location| {
            after_redirect(&Url::parse(from).unwrap(), location).map(|u| u.to_string())
        };
        assert_eq!(to("http://h/a", Some("https://h/b")).unwrap(), "https://h/b");
        assert_eq!(to("https://h/a", Some("//g/b")).unwrap(), "https://g/b");
        assert_eq!(to("http://h/a/x", Some("b")).unwrap(), "http://h/a/b");
        for (from, location) in [
            ("https://h/a", Some("http://h/a")),
            ("https://h/a", Some("ftp://h/a")),
            ("https://h/a", Some("file:///etc/passwd")),
            ("http://h/a", None),
        ] {
            assert!(matches!(to(from, location), Err(FetchError::Protocol { .. })), "{location:?}");
        }
    }

    #[test]
    fn addresses_in_messages_have_no_secrets() {
        let url = Url::parse("https://ada:secret@h/a/b?token=secret#secret").unwrap();
        assert_eq!(shown(&url), "https://h/a/b");
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for (text, wanted) in [
            ("http://localhost:5000/", true),
            ("http://127.0.0.1/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]:5000/", true),
            ("http://127.0.0.1.example.com/", false),
            ("http://10.0.0.1/", false),
            ("http://localhost.example.com/", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(text).unwrap()), wanted, "{text}");
        }
    }
}
