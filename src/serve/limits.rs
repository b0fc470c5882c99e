//! What a peer may cost.
use std::time::Duration;

/// What a peer may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One more is answered with 503 and closed.
    pub connections: usize,
    /// Of those, streams of events.
    pub feeds: usize,
    /// Calls of the desk that may block, at once.
    pub calls: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a body.
    pub body: usize,
    /// Until a head has come, until a body has come, and until a peer takes the next bytes of its answer. A connection on
    /// which nothing is asked ends after this time, too.
    pub patience: Duration,
    /// Until the desk has answered.
    pub answer: Duration,
    /// Between two looks at the event log while somebody listens.
    pub poll: Duration,
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
            answer: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            fresh: Duration::from_secs(1),
            farewell: Duration::from_secs(2),
        }
    }
}
