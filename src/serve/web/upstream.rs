//! The daemon's socket: each request goes there on a connection of its own, with what came along that the daemon needs, and
//! nothing else.
use super::super::{
    problem::{Kind, Problem},
    routes::WS,
    ws,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, Limited};
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};

/// Headers of a request that the daemon needs.
const REQUEST: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
];
/// And those without a constant.
const REQUEST_TOO: [&str; 2] = ["last-event-id", "idempotency-key"];
/// Headers of a handshake, beside those.
const HANDSHAKE: [HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
/// Headers of a response that the client needs.
const RESPONSE: [HeaderName; 8] = [
    header::UPGRADE,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::LOCATION,
    header::ALLOW,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::CACHE_CONTROL,
];
/// Headers of the answer to a handshake, beside those.
const BEGUN: [HeaderName; 2] = [header::CONNECTION, header::SEC_WEBSOCKET_ACCEPT];
/// How long the daemon may take to answer a program.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a body that is sent along with its head. The daemon may refuse a request by its head and close its socket; a body that
/// is written later than that would cost its answer.
const WHOLE: usize = 64 << 10;
/// Bytes of an answer that a page is made of.
const ANSWER: usize = 4 << 20;

/// The daemon's socket.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) socket: PathBuf,
    /// Until a connection stands, and until a form has come.
    pub(super) patience: Duration,
}

impl Upstream {
    /// Pass a request on, and its answer back, both while they come. The answer to a handshake has the daemon's side of the
    /// conversation in it, as [`OnUpgrade`].
    pub(super) async fn pass(
        &self,
        method: Method,
        target: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Problem> {
        let absent = |e: &dyn std::fmt::Display| {
            log::warn!(reason:% = e; "web_daemon_absent");
            Problem::new(
                Kind::NoDaemon,
                "the daemon does not answer: `systemctl status bistable.service` says why",
            )
        };
        let body = if is_short(headers) { self.whole("body", body, WHOLE).await?.into() } else { body };
        let connected = timeout(self.patience, UnixStream::connect(&self.socket)).await;
        let stream = connected.map_err(|e| absent(&e))?.map_err(|e| absent(&e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| absent(&e))?;
        // It ends with the answer's body, or when that is dropped; with a conversation, when that begins.
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target
            .parse()
            .map_err(|_| Problem::new(Kind::Malformed, "the request's target is not a path"))?;
        let sent = request.headers_mut();
        sent.insert(header::HOST, HeaderValue::from_static("localhost"));
        let handshake = if ws::is_asked_for(headers) && target == WS { &HANDSHAKE[..] } else { &[] };
        let named = REQUEST.into_iter().chain(REQUEST_TOO.map(HeaderName::from_static));
        for name in named.chain(handshake.iter().cloned()) {
            for value in headers.get_all(&name) {
                sent.append(name.clone(), value.clone());
            }
        }
        let answered = sender.send_request(request).await.map_err(|e| absent(&e))?;
        let (mut head, body) = answered.into_parts();
        let is_begun = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let mut response = Response::new(if is_begun { Body::empty() } else { Body::new(body) });
        *response.status_mut() = head.status;
        if let Some(daemon) = head.extensions.remove::<OnUpgrade>().filter(|_| is_begun) {
            response.extensions_mut().insert(daemon);
        }
        let begun = if is_begun { &BEGUN[..] } else { &[] };
        for name in RESPONSE.iter().chain(begun) {
            for value in head.headers.get_all(name) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        Ok(response)
    }

    /// A short body, once all of it is there; `what` it is, for messages.
    pub(super) async fn whole(&self, what: &str, body: Body, most: usize) -> Result<Bytes, Problem> {
        match timeout(self.patience, to_bytes(body, most)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(Problem::new(Kind::TooLarge, format!("the {what} has more than {most} bytes"))),
            Err(_) => Err(Problem::new(Kind::SlowBody, format!("the {what} was not complete in time"))),
        }
    }

    /// A read whose answer is for a page; the response itself if it is no 200.
    pub(super) async fn read(
        &self,
        target: &str,
        headers: &HeaderMap,
    ) -> Result<Result<Value, Response<Body>>, Problem> {
        let mut only = HeaderMap::new();
        for token in headers.get_all(header::AUTHORIZATION) {
            only.append(header::AUTHORIZATION, token.clone());
        }
        let response = self.pass(Method::GET, target, &only, Body::empty()).await?;
        if !response.status().is_success() {
            return Ok(Err(response));
        }
        value(response).await.map(Ok)
    }
}

fn is_short(headers: &HeaderMap) -> bool {
    let bytes = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    bytes.and_then(|bytes| bytes.parse::<usize>().ok()).is_some_and(|bytes| bytes <= WHOLE)
}

/// Ask the daemon for something over its socket, without a body, and wait for what it says: status and JSON.
///
/// # Errors
/// When it doesn't answer.
pub fn post(socket: &Path, path: &str) -> io::Result<(u16, Value)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let upstream = Upstream { socket: socket.into(), patience: PATIENCE };
    let exchange = async {
        let response = upstream.pass(Method::POST, path, &HeaderMap::new(), Body::empty()).await?;
        let status = response.status().as_u16();
        value(response).await.map(|answer| (status, answer))
    };
    match runtime.block_on(async { timeout(PATIENCE, exchange).await }) {
        Ok(answered) => answered.map_err(|problem: Problem| io::Error::other(problem.words().1.to_owned())),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The JSON of a response.
pub(super) async fn value(response: Response<Body>) -> Result<Value, Problem> {
    let broken = || Problem::new(Kind::NoDaemon, "the daemon's answer can't be read");
    let whole = Limited::new(response.into_body(), ANSWER).collect().await.map_err(|_| broken())?;
    serde_json::from_slice(&whole.to_bytes()).map_err(|_| broken())
}
