//! Folders that are watched: whoever waits for a change in one doesn't look again and again.
use crate::ports::Wake;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// What brings a folder: it is created or moved there.
fn births() -> AddWatchFlags {
    AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR
}

/// Folders, and of those that are missing the nearest folder above that is there: a folder that is created later is watched
/// from then on.
#[derive(Debug)]
pub(crate) struct Watches {
    inotify: Inotify,
    folders: Vec<PathBuf>,
    /// What is looked for in them.
    changes: AddWatchFlags,
    /// Of the folders themselves.
    there: BTreeSet<WatchDescriptor>,
    /// Of folders above.
    above: BTreeSet<WatchDescriptor>,
}

impl Watches {
    /// Watch these folders from now on. `changes` is what matters in them.
    ///
    /// # Errors
    /// The system's, when it has no watches left.
    pub(crate) fn new(folders: &[PathBuf], changes: AddWatchFlags) -> io::Result<Watches> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let (there, above) = Default::default();
        let changes = changes | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        let mut watches = Watches { inotify, folders: folders.into(), changes, there, above };
        watches.renew();
        Ok(watches)
    }

    /// Watch what can be watched now. Gives whether a folder is watched that wasn't before.
    fn renew(&mut self) -> bool {
        let before = std::mem::take(&mut self.above);
        // The folders last: a folder may lie in another one, and a second watch of a folder replaces the first.
        for folder in &self.folders {
            while let Some((missing, watch)) = self.watch_above(folder) {
                self.above.insert(watch);
                // It may have come before the folder above it was watched.
                if !missing.is_dir() {
                    break;
                }
            }
        }
        let add = |folder: &PathBuf| match self.inotify.add_watch(folder.as_path(), self.changes) {
            Ok(watch) => Some(watch),
            Err(e) => {
                log::debug!(path:% = Path::display(folder), reason:% = e; "not_watched");
                None
            }
        };
        let there: BTreeSet<WatchDescriptor> = self.folders.iter().filter_map(add).collect();
        let came = !there.is_subset(&self.there);
        self.there = there;
        // What is not waited for any more must not wake anything. The kernel has removed those of folders that went.
        for watch in
            before.into_iter().filter(|watch| !self.above.contains(watch) && !self.there.contains(watch))
        {
            let _ = self.inotify.rm_watch(watch);
        }
        came
    }

    /// Watch the nearest folder above one that is missing. Gives what is missing in it, if anything is.
    fn watch_above<'a>(&self, folder: &'a Path) -> Option<(&'a Path, WatchDescriptor)> {
        if folder.is_dir() {
            return None;
        }
        let mut above = folder.ancestors().zip(folder.ancestors().skip(1));
        above.find_map(|(missing, above)| Some((missing, self.inotify.add_watch(above, births()).ok()?)))
    }

    /// Wait until something happens. Gives whether it is a change in one of the folders.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        let events = self.inotify.read_events()?;
        // Of too many at once, some are lost: any of them may have been ours.
        let is_lost = |event: &InotifyEvent| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        let ours = events.iter().any(|event| self.there.contains(&event.wd) || is_lost(event));
        // A folder that went is waited for, and one that came is read.
        let came = self.renew();
        Ok(ours || came)
    }
}

impl Wake for Watches {
    fn wait(&mut self) -> io::Result<()> {
        while !Watches::wait(self)? {}
        Ok(())
    }
}

/// What appends to a file, or makes, replaces or removes one.
pub(crate) fn any_write() -> AddWatchFlags {
    AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_DELETE
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of a test")]
mod tests {
    use super::*;
    use std::fs;

    fn complete() -> AddWatchFlags {
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE
    }

    #[test]
    fn folder_that_is_created_later_is_watched_from_then_on() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/bistable/config.d");
        let mut watches = Watches::new(std::slice::from_ref(&folder), complete()).unwrap();
        assert!(watches.there.is_empty());
        fs::create_dir_all(root.path().join("run/other")).unwrap();
        assert!(!watches.wait().unwrap(), "what comes beside it is not a change");
        fs::create_dir_all(&folder).unwrap();
        assert!(watches.wait().unwrap());
        fs::write(folder.join("50-x.toml"), "").unwrap();
        assert!(watches.wait().unwrap());
        // And again after it went.
        fs::remove_dir_all(&folder).unwrap();
        assert!(watches.wait().unwrap());
        assert!(watches.there.is_empty());
        fs::create_dir(&folder).unwrap();
        assert!(watches.wait().unwrap());
        assert_eq!(watches.there.len(), 1);
    }

    #[test]
    fn change_of_a_folder_is_noticed_and_one_beside_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| root.path().join(name));
        fs::create_dir(&a).unwrap();
        let mut watches = Watches::new(&[a.clone(), b], complete()).unwrap();
        fs::write(a.join("x"), "").unwrap();
        assert!(watches.wait().unwrap());
        fs::write(root.path().join("x"), "").unwrap();
        assert!(!watches.wait().unwrap());
    }
}
