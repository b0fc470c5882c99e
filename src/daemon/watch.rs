//! Files whose change makes the daemon look again: the configuration, and the event log, into which others write what they did.
use super::Front;
use crate::{clock::SystemClock, ports::Clock};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// Many changes come at once, as an editor or an installation makes them: they are one.
const SETTLE: Duration = Duration::from_millis(500);
/// The thread waits, and does little else.
const STACK: usize = 64 << 10;

/// Watch folders from now on, in a thread of its own. One that isn't there is not watched: the daemon notices what changed
/// below it when it looks again by itself.
///
/// # Errors
/// The system's, when it has no watches or threads left.
pub(crate) fn start(front: &Arc<Front>, folders: &[PathBuf]) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
    let changes = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE;
    let mut watched = 0;
    for folder in folders {
        match inotify.add_watch(folder.as_path(), changes) {
            Ok(_) => watched += 1,
            Err(e) => log::debug!(path:% = Path::display(folder), reason:% = e; "not_watched"),
        }
    }
    if watched == 0 {
        return Ok(());
    }
    let front = Arc::clone(front);
    let watcher = thread::Builder::new().name("watch".into()).stack_size(STACK);
    watcher.spawn(move || {
        // It fails when the descriptor is closed, and nobody does that.
        while inotify.read_events().is_ok() {
            SystemClock.wait(SETTLE);
            front.nudge();
        }
    })?;
    Ok(())
}
