//! A conversation between a browser and the daemon, passed on as it comes. The daemon alone understands it; here, only its end is read: a
//! close frame says that a token was refused.
use super::super::{Stopped, ws::REFUSED_TOKEN};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{future::pending, io};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split};

/// Bytes that are passed on at once.
const PIECE: usize = 8 << 10;

/// Pass on what comes until one side ends it. Gives whether the daemon refused a token.
pub(super) async fn tunnel(client: Upgraded, daemon: Upgraded, mut stopped: Stopped) -> bool {
    let (mut from_client, mut to_client) = split(TokioIo::new(client));
    let (mut from_daemon, mut to_daemon) = split(TokioIo::new(daemon));
    let up = async {
        // Whatever ends it, the daemon is to know.
        let _ = copy(&mut from_client, &mut to_daemon).await;
        let _ = to_daemon.shutdown().await;
        pending::<()>().await;
    };
    let mut last = Last::default();
    tokio::select! {
        () = stopped.wait() => {}
        () = up => {}
        ended = down(&mut from_daemon, &mut to_client, &mut last) => {
            if let Err(e) = ended {
                log::debug!(reason:% = e; "web_conversation_ended");
            }
        }
    }
    last.0 == REFUSED_TOKEN
}

async fn down(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    last: &mut Last,
) -> io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        let bytes = from.read(&mut piece).await?;
        if bytes == 0 {
            return to.shutdown().await;
        }
        last.add(&piece[..bytes]);
        to.write_all(&piece[..bytes]).await?;
        to.flush().await?;
    }
}

/// The last bytes that came.
#[derive(Debug, Default)]
struct Last([u8; REFUSED_TOKEN.len()]);

impl Last {
    fn add(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.0.len());
        self.0.rotate_left(kept);
        let from = self.0.len() - kept;
        self.0[from..].copy_from_slice(&bytes[bytes.len() - kept..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_bytes_are_the_same_however_they_came() {
        for pieces in [&["abcdef"][..], &["ab", "c", "", "def"], &["a", "b", "c", "d", "e", "f"]] {
            let mut last = Last::default();
            pieces.iter().for_each(|piece| last.add(piece.as_bytes()));
            assert_eq!(&last.0, b"cdef", "{pieces:?}");
        }
    }
}
