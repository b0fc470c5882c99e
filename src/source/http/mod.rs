//! A web server. Everything that it may do wrong has a limit: connecting, answering, redirecting, sending.
//!
//! | file | noun |
//! |---|---|
//! | `address` | where a file is |
//! | `client` | one question, and where its redirects lead |
//! | `cache` | small files, with their validators |
//! | `limits` | what a server may take |
//! | `answer` | what the server says about its bytes |
//! | `rate` | how slow it may be |
//! | `error_map` | the client library's errors as ours |
mod address;
mod answer;
mod cache;
mod client;
mod error_map;
mod limits;
mod rate;

pub use address::Address;
pub use limits::Limits;
pub use rate::Rate;

use super::{Others, Source, SourceError, Span};
use crate::ports::Clock;
use answer::{
    ContentRange, content_length, content_range, content_total, etag, has_content_encoding, is_web_page,
    refusal, strong_etag,
};
use cache::Cached;
use client::Client;
use rate::Meter;
use std::io::Read;
use ureq::{Agent, BodyReader, config::Config, http::HeaderMap};

/// Fewest bytes that a server may send of a range before its end: one that sent it byte by byte would never be too slow.
const PART_MIN: u64 = 64 << 10;
/// Files whose validators are remembered.
const KNOWN: usize = 16;

/// A web server's folder, or one file of it: that has the empty path.
pub struct Http {
    base: Address,
    limits: Limits,
    clock: Box<dyn Clock>,
    client: Client,
    kept: Cached,
    known: Vec<Known>,
    /// Where the reader is.
    path: String,
    span: Span,
    open: Option<Open>,
    /// Something went wrong since the range was begun.
    broken: bool,
    wasted: u64,
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
    /// What is at and below this address. Nothing is asked yet. `clock` measures how fast bytes come: a clock that keeps
    /// running while a server stalls.
    pub fn new(base: Address, limits: Limits, clock: Box<dyn Clock>) -> Http {
        Http {
            base,
            client: Client::new(limits.clone()),
            limits,
            clock,
            kept: Cached::default(),
            known: Vec::new(),
            path: String::new(),
            span: Span::WHOLE,
            open: None,
            broken: false,
            wasted: 0,
        }
    }

    /// The same through the caller's agent, which needs no network: for fuzzing.
    #[doc(hidden)]
    pub fn through(
        base: Address,
        limits: Limits,
        clock: Box<dyn Clock>,
        agent: impl FnOnce(Config) -> Agent,
    ) -> Http {
        Http { client: Client::through(limits.clone(), agent), ..Http::new(base, limits, clock) }
    }

    /// Forget what was known of a file.
    fn forget(&mut self, path: &str) {
        self.known.retain(|k| k.path != path);
    }

    /// Compare with what was known of the file, and remember.
    fn recognize(
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
        let response = self.client.get(&address, &headers, most)?;
        let length = content_length(response.headers());
        // Before anything is remembered of the file.
        if matches!(response.status().as_u16(), 200 | 206) && is_web_page(response.headers()) {
            return Err(SourceError::WebPage { at: address.to_string() });
        }
        let (at, end, part) = match response.status().as_u16() {
            206 if span != Span::WHOLE => {
                let range = content_range(response.headers())
                    .ok_or_else(|| wrong("a part of the file without saying which".into()))?;
                check_part(range, span, length).map_err(wrong)?;
                self.recognize(&address, path, response.headers(), range.total)?;
                if let (Some(total), Some(to)) = (range.total, span.to)
                    && to > total
                {
                    return Err(SourceError::Short { at: address.to_string(), bytes: total, wanted: to });
                }
                (range.from, Some(range.to), true)
            }
            200 => {
                self.recognize(&address, path, response.headers(), length)?;
                if let (Some(bytes), wanted) = (length, span.to.unwrap_or(span.from))
                    && wanted > bytes
                {
                    return Err(SourceError::Short { at: address.to_string(), bytes, wanted });
                }
                (0, length, false)
            }
            // An address that was presigned has expired, or its signature is wrong.
            403 if address.has_query() => return Err(SourceError::Expired { at: address.to_string() }),
            // 403, too: so a bucket answers for what isn't there, to those who may read but not list.
            403 | 404 | 410 => return Err(SourceError::NotThere { at: address.to_string() }),
            // The file ends before the range begins.
            416 => {
                return Err(SourceError::Short {
                    at: address.to_string(),
                    bytes: content_total(response.headers()),
                    wanted: span.to.unwrap_or(span.from),
                });
            }
            _ => return Err(refusal(address.to_string(), &response)),
        };
        if has_content_encoding(response.headers()) {
            return Err(wrong("the server sent Content-Encoding although identity was requested".into()));
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
            Err(e) => error_map::of(e.into(), &address(), Some(open.at)),
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
            if self.wasted.saturating_add(left) > self.limits.wasted_bytes {
                self.open = None;
                let problem = "the server sends files only whole, and too much of them was not needed".into();
                return Err(SourceError::Protocol { at: self.name(), problem });
            }
            let most = vain.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.take(&mut vain[..most])?;
            self.wasted += n as u64;
            if n == 0 {
                self.open = None;
                return Err(SourceError::Short { at: self.name(), bytes: at, wanted: self.span.from });
            }
        }
        Ok(())
    }
}

/// Whether a part of a file is one that was asked for.
fn check_part(range: ContentRange, span: Span, length: Option<u64>) -> Result<(), String> {
    let ContentRange { from, to, total } = range;
    let bytes = to - from;
    if from != span.from || span.to.is_some_and(|wanted| to > wanted) {
        return Err(format!("bytes {from} to {to} instead of those asked for"));
    }
    if length.is_some_and(|length| length != bytes) {
        return Err("a part of the file with another length than it says".into());
    }
    match span.to {
        // How much there is decides where a range without an end ends; a part of it is no end.
        None if total != Some(to) => Err("a part of the file that doesn't reach its end".into()),
        Some(wanted) if bytes < PART_MIN && to < wanted.min(total.unwrap_or(wanted)) => {
            Err(format!("only {bytes} bytes of a range"))
        }
        _ => Ok(()),
    }
}

impl Source for Http {
    fn name(&self) -> String {
        self.base.to_string().trim_end_matches('/').into()
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let address = self.base.below(path)?;
        let at = address.to_string();
        let known = self.kept.etag(path).map(str::to_owned);
        let headers: Vec<_> = known.map(|etag| ("if-none-match", etag)).into_iter().collect();
        let limit = limit as u64;
        let response = self.client.get(&address, &headers, limit)?;
        match response.status().as_u16() {
            200 => {}
            304 if !headers.is_empty() => {
                return match self.kept.bytes(path) {
                    Some(bytes) if bytes.len() as u64 > limit => Err(SourceError::TooLarge { at, limit }),
                    kept => Ok(kept.map(<[u8]>::to_vec)),
                };
            }
            // As for a range.
            403 | 404 | 410 => return Ok(None),
            _ => return Err(refusal(at, &response)),
        }
        if is_web_page(response.headers()) {
            return Err(SourceError::WebPage { at });
        }
        if content_length(response.headers()).is_some_and(|length| length > limit) {
            return Err(SourceError::TooLarge { at, limit });
        }
        if has_content_encoding(response.headers()) {
            let problem = "the server sent Content-Encoding although identity was requested".into();
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
                body.read(&mut piece).map_err(|e| error_map::of(e.into(), &at, Some(bytes.len() as u64)))?;
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
        self.kept.keep(path, etag.as_deref(), &bytes);
        Ok(Some(bytes))
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        (self.path, self.span, self.broken) = (path.into(), span, false);
        if span.to.is_some_and(|to| span.from >= to) {
            return Ok(());
        }
        // A whole file that is still coming: the wanted bytes will come, too.
        let coming = |open: &Open| {
            open.path == path
                && open.at <= span.from
                && (open.at == span.from || !open.part)
                && span.to.is_some_and(|to| open.end.is_none_or(|end| to <= end))
        };
        if !self.open.as_ref().is_some_and(coming) {
            (self.open, self.broken) = (None, true);
            self.open = Some(self.request(path, span)?);
            self.broken = false;
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        if into.is_empty() || self.span.to.is_some_and(|to| self.span.from >= to) {
            return Ok(0);
        }
        if self.broken {
            let problem = "it has to be begun again".into();
            return Err(SourceError::Cut { at: self.name(), byte: self.span.from, problem });
        }
        let read = self.next(into);
        self.broken = read.is_err();
        read
    }

    /// What was kept may be what is wrong: the server would only say that it is still so.
    fn report_corrupt(&mut self) -> Others {
        self.kept = Cached::default();
        self.open = None;
        Others::None
    }
}

impl Http {
    /// The range's next bytes, from as many answers as that takes.
    fn next(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
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
