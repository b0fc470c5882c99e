//! The web page's process: a TCP listener, with TLS or on this machine only, that passes requests on to the daemon's socket.
//!
//! It is not privileged and decides nothing: each request is passed on with its token, and the daemon verifies that.
//! What it does itself is what a browser needs: it checks under which name and from which page a request comes, it makes HTML of
//! what the daemon answers, and it makes requests of what forms send.
//!
//! | file | noun |
//! |---|---|
//! | `guard` | which requests a browser may be made to send |
//! | `attempts` | how often an address may show a wrong token |
//! | `site` | what each path answers |
//! | `answers` | answers for a person: the page, a refusal, the way back |
//! | `forms` | the buttons of a page without JavaScript |
//! | `multipart` | a file that a form sends, as a stream |
//! | `upstream` | the daemon's socket |
//! | `tunnel` | a conversation over WebSocket, passed on |
//! | `certificate` | certificate and key |
//! | `listener` | connections, and when they end |
mod answers;
mod attempts;
mod certificate;
mod forms;
mod guard;
mod listener;
mod multipart;
mod site;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;

pub use certificate::{Certificate, CertificateError};
pub use upstream::post;

use super::{Limits, Stopped};
use std::{io, net::TcpListener, path::PathBuf};

/// What the web page's process needs.
#[derive(Debug)]
pub struct Web {
    /// Where it listens.
    pub listener: TcpListener,
    /// With what; without it, in clear.
    pub certificate: Option<Certificate>,
    /// The daemon's socket.
    pub upstream: PathBuf,
    /// Names by which it is reached, in lower case.
    pub names: Vec<String>,
}

impl Web {
    /// Serve on this thread until [`Stopper::stop`](super::Stopper::stop) is called, or the last stopper is dropped.
    ///
    /// # Errors
    /// When there can be no event loop, or the listener can't be used.
    pub fn serve(self, stopped: Stopped) -> io::Result<()> {
        self.serve_within(stopped, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub fn serve_within(self, stopped: Stopped, limits: Limits) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let served = runtime.block_on(listener::run(self, stopped, limits));
        runtime.shutdown_background();
        served
    }
}
