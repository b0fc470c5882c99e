//! What a server's answer says about the bytes that follow it.
use crate::{http_client, source::SourceError};
use ureq::http::{HeaderMap, Response, header};

/// Longest validator that is kept.
const ETAG_MAX: usize = 256;

/// A `Content-Range` of bytes (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) from: u64,
    /// One past the last.
    pub(super) to: u64,
    /// Of the whole file, if the server says it.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<ContentRange> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (from, last) = range.split_once('-')?;
        let (from, to) = (number(from)?, number(last)?.checked_add(1)?);
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let sound = unit.eq_ignore_ascii_case("bytes") && from < to && total.is_none_or(|total| to <= total);
        sound.then_some(ContentRange { from, to, total })
    }
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    ContentRange::parse(text(headers, header::CONTENT_RANGE)?)
}

/// What `Content-Range: bytes */N` of an answer 416 says; 0 if it doesn't.
pub(super) fn content_total(headers: &HeaderMap) -> u64 {
    text(headers, header::CONTENT_RANGE).and_then(|t| number(t.split_once("*/")?.1.trim())).unwrap_or(0)
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(text(headers, header::CONTENT_LENGTH)?.trim())
}

/// An answer that nothing is made of.
pub(super) fn refusal<T>(at: String, response: &Response<T>) -> SourceError {
    let (status, retry_after) = (response.status().as_u16(), http_client::retry_after(response.headers()));
    SourceError::Status { at, status, retry_after }
}

pub(super) fn location(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::LOCATION)
}

/// Whether the bytes are those of the file: nothing was asked to be packed.
pub(super) fn has_content_encoding(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|e| !e.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether it is a page for a browser: no file of a repository is one, but a network's login page comes in place of any.
pub(super) fn is_web_page(headers: &HeaderMap) -> bool {
    let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// The validator, weak or strong.
pub(super) fn etag(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::ETAG).map(str::trim).filter(|e| !e.is_empty() && e.len() <= ETAG_MAX)
}

/// The validator, if equal ones mean equal bytes: a weak one can't go into `If-Range` (RFC 9110, 13.1.5).
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<&str> {
    etag(headers).filter(|e| e.starts_with('"') && e.ends_with('"') && e.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_make_sense() {
        let range = |from, to, total| Some(ContentRange { from, to, total });
        for (text, want) in [
            ("bytes 0-0/1", range(0, 1, Some(1))),
            ("Bytes 5-9/*", range(5, 10, None)),
            ("bytes 5-4/9", None),
            ("bytes 5-9/9", None),
            ("bytes */9", None),
            ("bytes -5/9", None),
            ("bytes +1-2/9", None),
            ("lines 0-0/1", None),
            ("bytes=0-0/1", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), want, "{text}");
        }
    }

    #[test]
    fn pages_for_browsers() {
        for (value, is_page) in [
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("text/plain", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_web_page(&headers), is_page, "{value}");
        }
        assert!(!is_web_page(&HeaderMap::new()));
    }

    #[test]
    fn only_strong_validators_stand_for_bytes() {
        for (value, weak, strong) in [
            ("\"a\"", true, true),
            ("W/\"a\"", true, false),
            ("a", true, false),
            ("\"", true, false),
            ("", false, false),
        ] {
            let headers = HeaderMap::from_iter([(header::ETAG, value.parse().unwrap())]);
            assert_eq!(
                (etag(&headers).is_some(), strong_etag(&headers).is_some()),
                (weak, strong),
                "{value}"
            );
        }
    }
}
