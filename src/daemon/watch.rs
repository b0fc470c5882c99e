//! Files whose change makes the daemon look again: the configuration, and the event log, into which others write what they did.
use super::Handle;
use crate::{board::Watches, clock::SystemClock, ports::Clock};
use nix::sys::inotify::AddWatchFlags;
use std::{io, path::PathBuf, sync::Arc, thread, time::Duration};

/// Many changes come at once, as an editor or an installation makes them: they are one.
const SETTLE: Duration = Duration::from_millis(500);
/// The thread waits, and does little else.
const STACK: usize = 64 << 10;

/// Watch folders from now on, in a thread of its own.
///
/// # Errors
/// The system's, when it has no watches or threads left.
pub(crate) fn start(handle: &Arc<Handle>, folders: &[PathBuf]) -> io::Result<()> {
    let mut watches = Watches::new(folders, changes())?;
    let handle = Arc::clone(handle);
    let watcher = thread::Builder::new().name("watch".into()).stack_size(STACK);
    watcher.spawn(move || {
        // It fails when the descriptor is closed, which nothing does.
        while let Ok(changed) = watches.wait() {
            if changed {
                SystemClock.wait(SETTLE);
                handle.nudge();
            }
        }
    })?;
    Ok(())
}

/// What happens in a folder that may change what is configured: only what is complete.
fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
}
