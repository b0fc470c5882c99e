//! A connection that became something else than HTTP has its place until that ends, too.
use std::convert::Infallible;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Keeps the place of a connection as long as it lives. Each request of the connection carries one.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Stay {
    _place: Sender<Infallible>,
}

impl Stay {
    /// One, and what waits for the last clone of it.
    pub(in crate::serve) fn new() -> (Stay, Receiver<Infallible>) {
        let (place, left) = channel(1);
        (Stay { _place: place }, left)
    }
}

/// Until the last one has left.
pub(in crate::serve) async fn until_left(mut left: Receiver<Infallible>) {
    // Nothing is ever sent.
    while left.recv().await.is_some() {}
}
