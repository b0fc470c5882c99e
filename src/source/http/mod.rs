//! A web server. Everything that it may do wrong has a limit: connecting, answering, redirecting, sending.
//!
//! | file | noun |
//! |---|---|
//! | `address` | where a file is |
//! | `answer` | what the server says about its bytes |
//! | `rate` | how slow it may be |
//! | `trouble` | what the client library says, in our words |
mod address;
mod answer;
mod rate;
mod trouble;

pub use address::{Address, Scheme};
pub use rate::Rate;

use super::{Source, SourceError, Span};
use crate::ports::Clock;
use answer::{content_length, content_range, etag, is_packed, location, strong_etag};
use rate::Meter;
use std::{io::Read, sync::Arc, time::Duration};
use ureq::{
    Agent, Body, BodyReader,
    http::{HeaderMap, Response},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Certificate authorities that the system's owner trusts: of Debian, and of most others.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Small files that are kept for the case that they haven't changed, each at most so many bytes.
const KEPT: usize = 32;
const KEPT_BYTES: usize = 64 << 10;
/// Files whose validators are remembered.
const KNOWN: usize = 16;

/// What a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time to find the host's address, and to connect.
    pub connect: Duration,
    /// Time from the request to the end of the answer's headers.
    pub answer: Duration,
    /// Time in which at least one byte has to come.
    pub stall: Duration,
    /// Bytes per time at least.
    pub rate: Rate,
    /// Redirects that are followed, one after another.
    pub redirects: u32,
    /// Bytes of headers.
    pub header_bytes: usize,
    /// Bytes that are read in vain, in all, because the server sends files only whole.
    pub vain_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            rate: Rate { bytes: 30 << 10, window: Duration::from_secs(30) },
            redirects: 5,
            header_bytes: 32 << 10,
            vain_bytes: 2 << 30,
        }
    }
}

/// A web server's folder, or one file of it: that has the empty path.
pub struct Http {
    base: Address,
    limits: Limits,
    clock: Box<dyn Clock>,
    /// Without and with encryption.
    agents: [Option<Agent>; 2],
    kept: Vec<Kept>,
    known: Vec<Known>,
    /// Where the reader is.
    path: String,
    span: Span,
    open: Option<Open>,
    vain: u64,
}

/// A small file, as it was.
struct Kept {
    path: String,
    etag: String,
    bytes: Vec<u8>,
}

/// What is known of a file of which ranges are read.
struct Known {
    path: String,
    etag: Option<String>,
    total: Option<u64>,
}

/// An answer that is being read.
struct Open {
    path: String,
    /// The place of its next byte.
    at: u64,
    /// Where it ends, if the server said so.
    end: Option<u64>,
    /// Whether it is only a part of the file.
    part: bool,
    body: BodyReader<'static>,
    meter: Meter,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Http {
    /// What is at and below this address. Nothing is asked yet. `clock` measures how fast bytes come: a clock that goes
    /// on while a server stalls.
    pub fn new(base: Address, limits: Limits, clock: Box<dyn Clock>) -> Http {
        Http {
            base,
            limits,
            clock,
            agents: [None, None],
            kept: Vec::new(),
            known: Vec::new(),
            path: String::new(),
            span: Span::WHOLE,
            open: None,
            vain: 0,
        }
    }

    /// Made when it's needed: reading the certificates takes a while.
    fn agent(&mut self, scheme: Scheme) -> Agent {
        let [plain, encrypted] = &self.agents;
        if let Some(agent) = if scheme == Scheme::Https { encrypted } else { plain } {
            return agent.clone();
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The library would read a redirect's body to its end, if it has one.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("bistable/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_response_header_size(self.limits.header_bytes)
            .max_idle_connections(2)
            .max_idle_connections_per_host(2)
            .timeout_resolve(Some(self.limits.connect))
            .timeout_connect(Some(self.limits.connect))
            .timeout_send_request(Some(self.limits.answer))
            .timeout_recv_response(Some(self.limits.answer))
            .timeout_per_read(Some(self.limits.stall.min(self.limits.rate.window)))
            .timeout_per_write(Some(self.limits.stall));
        if scheme == Scheme::Https
            && let Some(roots) = system_roots()
        {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let agent: Agent = config.build().into();
        let [plain, encrypted] = &mut self.agents;
        *(if scheme == Scheme::Https { encrypted } else { plain }) = Some(agent.clone());
        agent
    }

    /// Ask, and follow redirects. `bytes` is how far the answer may have to be read.
    fn ask(
        &mut self,
        address: &Address,
        headers: &[(&str, String)],
        bytes: u64,
    ) -> Result<Response<Body>, SourceError> {
        let mut address = address.clone();
        for _ in 0..=self.limits.redirects {
            let longest = self.limits.rate.longest(bytes);
            let mut request = self.agent(address.scheme).get(address.to_string());
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let response = request.config().timeout_recv_body(Some(longest)).build().call();
            let response = response.map_err(|e| trouble::of(e, &address, None))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let wrong =
                |problem: &str| SourceError::Protocol { at: address.to_string(), problem: problem.into() };
            let to = location(response.headers()).ok_or_else(|| wrong("a redirect to nowhere"))?;
            let next = address.follow(to).map_err(|e| wrong(&format!("a redirect to nowhere: {e}")))?;
            if (address.scheme, next.scheme) == (Scheme::Https, Scheme::Http) {
                return Err(wrong("a redirect from https to http, which is not followed"));
            }
            address = next;
        }
        Err(SourceError::Protocol { at: address.to_string(), problem: "too many redirects".into() })
    }

    /// Forget what was known of a file.
    fn forget(&mut self, path: &str) {
        self.known.retain(|k| k.path != path);
    }

    /// Compare with what was known of the file, and remember.
    fn recognise(
        &mut self,
        at: &Address,
        path: &str,
        headers: &HeaderMap,
        total: Option<u64>,
    ) -> Result<(), SourceError> {
        let now = Known { path: path.into(), etag: strong_etag(headers).map(Into::into), total };
        if let Some(before) = self.known.iter().find(|k| k.path == path) {
            let same = |a: Option<&str>, b: Option<&str>| a.zip(b).is_none_or(|(a, b)| a == b);
            let lengths = before.total.zip(now.total).is_none_or(|(a, b)| a == b);
            if same(before.etag.as_deref(), now.etag.as_deref()) && lengths {
                return Ok(());
            }
            self.forget(path);
            return Err(SourceError::Changed { at: at.to_string() });
        }
        if self.known.len() >= KNOWN {
            self.known.remove(0);
        }
        self.known.push(now);
        Ok(())
    }

    /// Ask for a range.
    fn request(&mut self, path: &str, span: Span) -> Result<Open, SourceError> {
        let address = self.base.below(path)?;
        let wrong = |problem: String| SourceError::Protocol { at: address.to_string(), problem };
        let mut headers = Vec::new();
        if span != Span::WHOLE {
            let last = span.to.map(|to| to.saturating_sub(1).to_string()).unwrap_or_default();
            headers.push(("range", format!("bytes={}-{last}", span.from)));
            let known = self.known.iter().find(|k| k.path == path).and_then(|k| k.etag.clone());
            headers.extend(known.map(|etag| ("if-range", etag)));
        }
        let most = span.to.unwrap_or(bistable_format::limits::VOLUME_DATA.saturating_mul(2));
        let response = self.ask(&address, &headers, most)?;
        let length = content_length(response.headers());
        let (at, end, part) = match response.status().as_u16() {
            206 if span != Span::WHOLE => {
                let range = content_range(response.headers())
                    .ok_or_else(|| wrong("a part of the file without saying which".into()))?;
                let bytes = range.to - range.from;
                if range.from != span.from || span.to.is_some_and(|to| range.to > to) {
                    return Err(wrong(format!(
                        "bytes {} to {} instead of those asked for",
                        range.from, range.to
                    )));
                }
                if length.is_some_and(|length| length != bytes) {
                    return Err(wrong("a part of the file with another length than it says".into()));
                }
                self.recognise(&address, path, response.headers(), range.total)?;
                if let (Some(total), Some(to)) = (range.total, span.to)
                    && to > total
                {
                    return Err(SourceError::Short { at: address.to_string(), bytes: total, wanted: to });
                }
                // How much there is decides where a range without an end ends; a part of it is no end.
                if span.to.is_none() && range.total != Some(range.to) {
                    return Err(wrong("a part of the file that doesn't reach its end".into()));
                }
                (range.from, Some(range.to), true)
            }
            200 => {
                self.recognise(&address, path, response.headers(), length)?;
                if let (Some(bytes), wanted) = (length, span.to.unwrap_or(span.from))
                    && wanted > bytes
                {
                    return Err(SourceError::Short { at: address.to_string(), bytes, wanted });
                }
                (0, length, false)
            }
            404 | 410 => return Err(SourceError::NotThere { at: address.to_string() }),
            // The file ends before the range begins.
            416 => {
                return Err(SourceError::Short {
                    at: address.to_string(),
                    bytes: content_total(response.headers()),
                    wanted: span.to.unwrap_or(span.from),
                });
            }
            status => return Err(SourceError::Status { at: address.to_string(), status }),
        };
        if is_packed(response.headers()) {
            return Err(wrong("the file comes packed, which was not asked for".into()));
        }
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Open { path: path.into(), at, end, part, body, meter: Meter::new(self.limits.rate) })
    }

    /// Read from the open answer, measured.
    fn take(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let before = self.clock.now();
        let read = open.body.read(into);
        let waited = self.clock.now().saturating_sub(before);
        let address =
            || self.base.below(&open.path).map_or_else(|_| self.base.to_string(), |a| a.to_string());
        let failed = match read {
            Ok(n) => match open.meter.add(waited, n as u64) {
                Ok(()) => {
                    open.at += n as u64;
                    return Ok(n);
                }
                Err((bytes, time)) => SourceError::TooSlow { at: address(), bytes, time },
            },
            Err(e) => trouble::of(e.into(), &address(), Some(open.at)),
        };
        self.open = None;
        Err(failed)
    }

    /// Pass over what comes before the wanted byte: the server sends the whole file.
    fn skip(&mut self) -> Result<(), SourceError> {
        let mut vain = [0; 16 << 10];
        while let Some(open) = &self.open
            && open.at < self.span.from
        {
            let (at, left) = (open.at, self.span.from - open.at);
            if self.vain >= self.limits.vain_bytes {
                self.open = None;
                let problem = "the server sends files only whole, and too much of them was not needed".into();
                return Err(SourceError::Protocol { at: self.name(), problem });
            }
            let most = vain.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.take(&mut vain[..most])?;
            self.vain += n as u64;
            if n == 0 {
                self.open = None;
                return Err(SourceError::Short { at: self.name(), bytes: at, wanted: self.span.from });
            }
        }
        Ok(())
    }
}

/// The system's certificate authorities; without them, those that are built in.
fn system_roots() -> Option<RootCerts> {
    let pem = std::fs::read(SYSTEM_ROOTS).ok()?;
    let roots: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!roots.is_empty()).then(|| RootCerts::Specific(Arc::new(roots)))
}

/// What `Content-Range: bytes */N` says, or 0.
fn content_total(headers: &HeaderMap) -> u64 {
    let text = headers.get("content-range").and_then(|v| v.to_str().ok());
    text.and_then(|t| t.split_once("*/")?.1.trim().parse().ok()).unwrap_or(0)
}

impl Source for Http {
    fn name(&self) -> String {
        self.base.to_string()
    }

    fn small(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let address = self.base.below(path)?;
        let at = address.to_string();
        let mut headers = Vec::new();
        if let Some(kept) = self.kept.iter().find(|k| k.path == path) {
            headers.push(("if-none-match", kept.etag.clone()));
        }
        let asked_if_changed = !headers.is_empty();
        let limit = limit as u64;
        let response = self.ask(&address, &headers, limit)?;
        match response.status().as_u16() {
            200 => {}
            304 if asked_if_changed => {
                let kept = self.kept.iter().find(|k| k.path == path).map(|k| k.bytes.clone());
                return match kept {
                    Some(bytes) if bytes.len() as u64 > limit => Err(SourceError::TooLarge { at, limit }),
                    kept => Ok(kept),
                };
            }
            404 | 410 => return Ok(None),
            status => return Err(SourceError::Status { at, status }),
        }
        if content_length(response.headers()).is_some_and(|length| length > limit) {
            return Err(SourceError::TooLarge { at, limit });
        }
        if is_packed(response.headers()) {
            let problem = "the file comes packed, which was not asked for".into();
            return Err(SourceError::Protocol { at, problem });
        }
        let etag = etag(response.headers()).map(str::to_owned);
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut meter = Meter::new(self.limits.rate);
        let mut bytes = Vec::new();
        let mut piece = [0; 8 << 10];
        loop {
            let before = self.clock.now();
            let n =
                body.read(&mut piece).map_err(|e| trouble::of(e.into(), &at, Some(bytes.len() as u64)))?;
            let waited = self.clock.now().saturating_sub(before);
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(&piece[..n]);
            if bytes.len() as u64 > limit {
                return Err(SourceError::TooLarge { at, limit });
            }
            meter.add(waited, n as u64).map_err(|(bytes, time)| SourceError::TooSlow {
                at: at.clone(),
                bytes,
                time,
            })?;
        }
        self.kept.retain(|k| k.path != path);
        if let Some(etag) = etag.filter(|_| bytes.len() <= KEPT_BYTES) {
            if self.kept.len() >= KEPT {
                self.kept.remove(0);
            }
            self.kept.push(Kept { path: path.into(), etag, bytes: bytes.clone() });
        }
        Ok(Some(bytes))
    }

    fn begin(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        (self.path, self.span) = (path.into(), span);
        // A whole file that is still coming: the wanted bytes will come, too.
        let coming = |open: &Open| {
            open.path == path
                && open.at <= span.from
                && (open.at == span.from || !open.part)
                && span.to.is_some_and(|to| open.end.is_none_or(|end| to <= end))
        };
        if !self.open.as_ref().is_some_and(coming) {
            self.open = None;
            self.open = Some(self.request(path, span)?);
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        if into.is_empty() || self.span.to.is_some_and(|to| self.span.from >= to) {
            return Ok(0);
        }
        loop {
            self.skip()?;
            let left = self.span.to.map_or(u64::MAX, |to| to - self.span.from);
            let most = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.take(&mut into[..most])?;
            self.span.from += n as u64;
            if let Some(open) = &self.open
                && open.end == Some(open.at)
            {
                // One more read finds the end, and the connection can be used again.
                let _ = self.take(&mut [0]);
                self.open = None;
            }
            if n > 0 {
                return Ok(n);
            }
            let Some(to) = self.span.to else { return Ok(0) };
            // The answer ended early: a server may give a part of what was asked for, but not nothing.
            if let Some(open) = self.open.take() {
                return Err(SourceError::Short { at: self.name(), bytes: open.at, wanted: to });
            }
            let path = self.path.clone();
            self.open = Some(self.request(&path, self.span)?);
        }
    }
}
