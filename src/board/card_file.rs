//! The file or the block device that a card is.
use crate::aligned::{ALIGN, Buffer};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What a card is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To work on it: no other process may meanwhile.
    Exclusive,
    /// To read it, even while another process works on it or where it can't be written.
    ReadOnly,
}

/// The file that all volumes of a card are ranges of, opened through the page cache.
#[derive(Debug)]
pub struct CardFile {
    file: File,
    path: PathBuf,
    access: Access,
    /// Writes through the page cache, ever and until the last sync. Numbers, not a flag: a reader that finds that another
    /// thread is syncing must not take that for done.
    written: AtomicU64,
    synced: AtomicU64,
}

impl CardFile {
    /// Open it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, access: Access) -> io::Result<CardFile> {
        CardFile::with(OpenOptions::new().read(true).write(access == Access::Exclusive), path, access)
    }

    /// Open it with more flags: O_EXCL for exclusive use of a block device, for example.
    ///
    /// # Errors
    /// The system's.
    #[cfg(target_os = "linux")]
    pub fn open_with(path: &Path, access: Access, flags: nix::fcntl::OFlag) -> io::Result<CardFile> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Exclusive).custom_flags(flags.bits());
        CardFile::with(&options, path, access)
    }

    fn with(options: &OpenOptions, path: &Path, access: Access) -> io::Result<CardFile> {
        let file = options.open(path)?;
        let (written, synced) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(CardFile { file, path: path.into(), access, written, synced })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was opened for.
    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// The file itself: to be locked, and to be asked for its size.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write_at(&self, from: &[u8], at: u64) -> io::Result<()> {
        let done = self.file.write_all_at(from, at);
        // Afterwards, and whatever came of it: a sync in between has not seen all of it.
        self.written.fetch_add(1, Ordering::SeqCst);
        done
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let written = self.written.load(Ordering::SeqCst);
        self.file.sync_data()?;
        self.synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::SeqCst) >= self.written.load(Ordering::SeqCst)
    }

    /// Make the next read of a range come from the medium. Dirty pages aren't dropped, so they are written first.
    /// Best effort: where it isn't possible, the read still sees what the file holds.
    pub(super) fn forget_cache(&self, at: u64, len: usize) {
        if !self.is_synced() {
            let _ = self.sync();
        }
        drop_pages(&self.file, at, len);
    }

    /// A second descriptor that goes past the page cache, and its least unit, if the file system can do that.
    #[cfg(target_os = "linux")]
    pub(super) fn open_direct(&self, start: u64) -> Option<(File, usize)> {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = nix::fcntl::OFlag::O_DIRECT.bits();
        let writes = self.access == Access::Exclusive;
        let file = OpenOptions::new().read(true).write(writes).custom_flags(flags).open(&self.path).ok()?;
        // Some file systems accept the flag and refuse the read; some take pages only. One sector matters: written
        // through a cache, the boot flag would take the page around it along.
        let unit = [512, ALIGN].into_iter().find(|unit| {
            let mut probe = Buffer::new(*unit);
            file.read_exact_at(&mut probe, start + *unit as u64).is_ok()
        })?;
        Some((file, unit))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open_direct(&self, _start: u64) -> Option<(File, usize)> {
        None
    }
}

#[cfg(target_os = "linux")]
fn drop_pages(file: &File, at: u64, len: usize) {
    use nix::{
        fcntl::{PosixFadviseAdvice, posix_fadvise},
        libc::off_t,
    };
    use std::os::unix::fs::FileTypeExt;
    // A block device keeps the page of what was read through it before, whoever asks it not to.
    if file.metadata().is_ok_and(|m| m.file_type().is_block_device()) {
        let _ = super::calls::drop_cache(file);
        return;
    }
    // 32-bit systems with glibc count to 2 GiB here, which a card is larger than. A length of 0 means all of it.
    let range = off_t::try_from(at).ok().zip(off_t::try_from(len).ok());
    let (at, len) = range.unwrap_or((0, 0));
    let _ = posix_fadvise(file, at, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

#[cfg(not(target_os = "linux"))]
fn drop_pages(_file: &File, _at: u64, _len: usize) {}

/// Bytes in a file or a block device.
///
/// # Errors
/// The system's.
pub(super) fn bytes_of(mut file: &File) -> io::Result<u64> {
    use std::io::{Seek, SeekFrom};
    // The length of a block device isn't in its metadata. All access to the file names its place.
    file.seek(SeekFrom::End(0))
}
