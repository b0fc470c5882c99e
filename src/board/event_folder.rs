//! A folder of a file system as the event log's.
use super::Access;
use crate::{durable, ports::EventStore};
use nix::fcntl::OFlag;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// No segment is larger; what is, wasn't written by us.
const FILE_MAX: u64 = 8 << 20;
const LOCK: &str = "lock";
/// Where the folder lies, in the partition or in memory.
const BELOW: &str = "bistable/events";
const BLOCK: usize = 4096;

/// The folder. A writer holds its lock, as long as this lives: it is taken after the device's.
#[derive(Debug)]
pub(super) struct EventFolder {
    path: PathBuf,
    _lock: Option<File>,
    /// The file that was appended to last, and whether its name may not be durable yet.
    open: Option<(String, File, bool)>,
}

impl EventFolder {
    /// Open the one in a partition that is mounted there: to write in it, or only to read what there may be.
    ///
    /// # Errors
    /// When nothing is mounted there, it can't be written, or another process writes.
    pub(super) fn open(folder: &Path, access: Access) -> io::Result<EventFolder> {
        let path = folder.join(BELOW);
        let mut lock = None;
        if access == Access::Exclusive {
            if !folder.is_dir() {
                let text = format!("{} is not there", folder.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            create(folder, &path)?;
            let file = options().write(true).create(true).truncate(false).open(path.join(LOCK))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(
                        io::ErrorKind::WouldBlock,
                        "another process writes the event log",
                    ));
                }
                Err(TryLockError::Error(e)) => return Err(e),
            }
            lock = Some(file);
        }
        Ok(EventFolder { path, _lock: lock, open: None })
    }
}

/// For a writer that gets this instead of the folder: the folder for reading, if its file system is read-only.
pub(super) fn read_only<T>(folder: &Path, opened: &io::Result<T>) -> Option<EventFolder> {
    let is_read_only = matches!(opened, Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem);
    is_read_only.then(|| EventFolder::open(folder, Access::ReadOnly).ok()).flatten()
}

/// Why there is none on the partition that outlives updates.
pub(super) fn not_mounted() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the partition persistent is not mounted")
}

/// No link is followed: whoever may write to the partition must not lead us elsewhere.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits());
    options
}

/// Make the folders that are missing, each durably in the one above it.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    for made in path.ancestors().take_while(|made| made.starts_with(folder)) {
        File::open(made)?.sync_all()?;
    }
    Ok(())
}

impl EventStore for EventFolder {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(&self.path) {
            // Nothing was written yet.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata())
                && metadata.is_file()
                && name != LOCK
            {
                files.push((name, metadata.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let file = options().read(true).open(self.path.join(name))?;
        let bytes = file.metadata()?.len().min(FILE_MAX);
        let mut content = Vec::new();
        match (&file).take(FILE_MAX).read_to_end(&mut content) {
            Ok(_) => Ok(content),
            // A block that can't be read is damage, and no reason to lose the others.
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::EIO as i32) => {
                let mut content = vec![0; usize::try_from(bytes).unwrap_or_default()];
                for (block, at) in content.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
                    if file.read_exact_at(block, at).is_err() {
                        block.fill(0);
                    }
                }
                Ok(content)
            }
            Err(e) => Err(e),
        }
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, ..)| open != name) {
            let file =
                options().write(true).create(true).truncate(false).mode(0o640).open(self.path.join(name))?;
            self.open = Some((name.to_owned(), file, at == 0));
        }
        match &self.open {
            Some((_, file, _)) => file.write_all_at(bytes, at),
            None => Ok(()),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        match &mut self.open {
            // The same handle, so that an error of its writes is seen.
            Some((open, file, is_new)) if open == name => {
                file.sync_data()?;
                if std::mem::take(is_new) {
                    File::open(&self.path)?.sync_all()?;
                }
                Ok(())
            }
            // A handle that only reads will do to make durable what another process wrote.
            _ => {
                options().read(true).open(self.path.join(name))?.sync_data()?;
                File::open(&self.path)?.sync_all()
            }
        }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.open = None;
        durable::write(&self.path.join(name), bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open = None;
        fs::remove_file(self.path.join(name))
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, access: Access) -> io::Result<EventFolder> {
        EventFolder::open(dir, access)
    }

    #[test]
    fn what_is_appended_is_read_and_one_process_writes() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), Access::Exclusive).unwrap();
        store.append("a", 0, b"one").unwrap();
        store.append("a", 3, b"two").unwrap();
        store.sync("a").unwrap();
        store.replace("b", b"x").unwrap();
        store.append("a", 6, b"!").unwrap();
        assert_eq!(open(dir.path(), Access::Exclusive).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut reader = open(dir.path(), Access::ReadOnly).unwrap();
        assert_eq!(reader.files().unwrap(), [("a".to_owned(), 7), ("b".to_owned(), 1)]);
        assert_eq!(reader.read("a").unwrap(), b"onetwo!");
        reader.sync("a").unwrap();
        store.remove("b").unwrap();
        drop(store);
        let mut store = open(dir.path(), Access::Exclusive).unwrap();
        assert_eq!(store.files().unwrap().len(), 1);
    }

    #[test]
    fn a_reader_makes_nothing_and_a_missing_partition_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = open(dir.path(), Access::ReadOnly).unwrap();
        assert_eq!(reader.files().unwrap(), []);
        assert!(!dir.path().join("bistable").exists());
        let missing = open(&dir.path().join("no"), Access::Exclusive).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_and_pipes_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), Access::Exclusive).unwrap();
        let inside = dir.path().join(BELOW);
        std::os::unix::fs::symlink(dir.path().join("other"), inside.join("a")).unwrap();
        nix::unistd::mkfifo(&inside.join("p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        store.append("a", 0, b"x").unwrap_err();
        store.append("p", 0, b"x").unwrap_err();
        assert!(!dir.path().join("other").exists());
        assert_eq!(store.files().unwrap(), [], "neither is a file of ours");
    }
}
