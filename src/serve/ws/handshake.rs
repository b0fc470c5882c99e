//! The handshake: a request that asks for a conversation, and the answer that begins it.
use super::super::problem::{Kind, Problem};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What is appended to a client's key: RFC 6455 has it. It shows that the answer is a WebSocket server's, and protects nothing.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The version of the protocol.
const VERSION: &str = "13";
/// Bytes of a client's key.
const KEY: usize = 16;

/// Whether a request asks for a conversation at all.
pub(in crate::serve) fn is_asked_for(headers: &HeaderMap) -> bool {
    names(headers, header::CONNECTION, "upgrade") && names(headers, header::UPGRADE, "websocket")
}

/// The answer to a handshake.
///
/// # Errors
/// When it is none, or was caused by another site's page.
pub(super) fn answer(head: &Parts) -> Result<Response, Problem> {
    let headers = &head.headers;
    let upgrade = |detail: &str| Err(Problem::new(Kind::Upgrade, detail));
    if !is_asked_for(headers) || head.method != Method::GET {
        return upgrade(
            "this path speaks WebSocket: send GET with `Connection: Upgrade` and `Upgrade: websocket`",
        );
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return upgrade("the version of the protocol must be 13");
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    if STANDARD.decode(key).map(|key| key.len()) != Ok(KEY) {
        return Err(Problem::new(Kind::Malformed, "Sec-WebSocket-Key must be 16 bytes as base64"));
    }
    same_origin(headers)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept(key)?),
    ];
    response.headers_mut().extend(fields);
    Ok(response)
}

/// What shows the client that its key was read.
fn accept(key: &str) -> Result<HeaderValue, Problem> {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    HeaderValue::try_from(STANDARD.encode(sum))
        .map_err(|e| Problem::new(Kind::Internal, format!("the handshake can't be answered: {e}")))
}

/// A browser lets any site's page open a conversation with any host, and says whose page it was. The web page's process has compared that
/// with the names of this device already and does not pass it on; this is for whoever puts a proxy of their own in front of a socket.
fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
    let host = only(headers, header::HOST);
    let authority = origin.map(|origin| origin.split_once("://").map_or(origin, |(_, authority)| authority));
    match (authority, host) {
        (None, _) => Ok(()),
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Problem::new(Kind::CrossSite, "the page of another site asks for this conversation")),
    }
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a list in a header has a word.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const GOOD: [(&str, &str); 5] = [
        ("host", "hub.local:8080"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn of(headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let answered = answer(&head).map_err(|problem| problem.status().as_u16())?;
        assert_eq!(answered.status(), 101);
        Ok(answered.headers()["sec-websocket-accept"].to_str().unwrap().to_owned())
    }

    #[test]
    fn key_of_the_standard_has_the_answer_of_the_standard() {
        assert_eq!(of(&GOOD), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into()));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, value, status) in [
            ("connection", "keep-alive", 426),
            ("upgrade", "h2c", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "c2hvcnQ=", 400),
            ("sec-websocket-key", "not base64 at all!!!!!!!", 400),
        ] {
            let with = GOOD.map(|(known, good)| (known, if known == name { value } else { good }));
            assert_eq!(of(&with), Err(status), "{name}: {value}");
            let without: Vec<_> = GOOD.into_iter().filter(|(known, _)| *known != name).collect();
            assert!(of(&without).is_err(), "without {name}");
            let twice: Vec<_> = GOOD.into_iter().chain([(name, "x")]).collect();
            assert!(of(&twice).is_err() || matches!(name, "connection" | "upgrade"), "{name} twice");
        }
    }

    #[test]
    fn page_of_another_site_gets_no_conversation() {
        let from = |origin| of(&GOOD.into_iter().chain([("origin", origin)]).collect::<Vec<_>>());
        for origin in ["http://hub.local:8080", "https://HUB.local:8080"] {
            assert!(from(origin).is_ok(), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "http://hub.local",
            "http://hub.local:8080.evil.example",
            "file://",
        ] {
            assert_eq!(from(origin), Err(403), "{origin}");
        }
    }
}
