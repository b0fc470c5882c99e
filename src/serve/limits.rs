//! What a peer may cost.
use super::problem::{Kind, Problem};
use axum::extract::Request;
use std::time::Duration;

/// What a peer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One more is answered with 503 and closed.
    pub connections: usize,
    /// Of those, streams of events.
    pub feeds: usize,
    /// Calls of the backend that may block, at once.
    pub calls: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a body.
    pub body: usize,
    /// Until a head has come, until a body has come, and until a peer takes the next bytes of its answer. A connection on
    /// which nothing is asked ends after this time, too.
    pub patience: Duration,
    /// Until the next [`upload_bytes`](Self::upload_bytes) of a bundle have come, and until the agent takes some.
    pub patience_of_upload: Duration,
    /// Bytes of a bundle that come within that time, but for the last ones.
    pub upload_bytes: usize,
    /// Until the backend has answered.
    pub answer: Duration,
    /// Between two looks at the event log while a client listens.
    pub poll: Duration,
    /// Bytes of one message over WebSocket.
    pub message: usize,
    /// Until a token has come over WebSocket, where one is needed and none was shown.
    pub sign_in: Duration,
    /// Until a client that says nothing over WebSocket is given up; after half of it, it is asked whether it lives.
    pub idle: Duration,
    /// How old an answer of `status` may be.
    pub fresh: Duration,
    /// Until connections have ended once the server is told to stop.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            feeds: 16,
            calls: 8,
            head: 32 << 10,
            body: 1 << 20,
            patience: Duration::from_secs(10),
            patience_of_upload: Duration::from_secs(30),
            upload_bytes: 32 << 10,
            answer: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            message: 16 << 10,
            sign_in: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            fresh: Duration::from_secs(1),
            farewell: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Whether a request's head is within its limit.
    pub(super) fn check_head(&self, request: &Request) -> Result<(), Problem> {
        // `GET path HTTP/1.1`, then `name: value`, each with its line's end.
        let line =
            request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
        let fields =
            request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        let bytes = line + fields.sum::<usize>() + "\r\n".len();
        if bytes > self.head {
            let detail = format!("the head has {bytes} bytes; {} are allowed", self.head);
            return Err(Problem::new(Kind::HeadTooLarge, detail));
        }
        Ok(())
    }
}
