//! Where the bytes go: a port, so that cards which lie can be tried.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A disk that is being written. Places and lengths are in bytes.
pub(super) trait Medium {
    /// Fill the buffer from there.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    /// Write all of it there.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Return once all that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
    /// Forget what is known about the disk's content: what is read from now on comes from the disk.
    fn forget(&self) -> io::Result<()>;
}

impl Medium for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn forget(&self) -> io::Result<()> {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        Ok(posix_fadvise(self, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
    }

    /// No disk is found there: see [`World`](super::World).
    #[cfg(not(target_os = "linux"))]
    fn forget(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
