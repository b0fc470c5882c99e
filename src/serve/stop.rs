//! How the server is told to end, from any thread.
use std::sync::Arc;
use tokio::sync::watch;

/// Ends the server. A clone ends the same one.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

/// The server's side of a [`Stopper`].
#[derive(Clone, Debug)]
pub struct Stopped(watch::Receiver<bool>);

impl Stopper {
    /// A stopper, and the server's side of it.
    pub fn new() -> (Stopper, Stopped) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(Arc::new(sender)), Stopped(receiver))
    }

    /// End the server. Returns at once; safe to call twice.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopped {
    /// Until the server is told to end.
    pub(super) async fn wait(&mut self) {
        // An error says that no stopper is left.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
