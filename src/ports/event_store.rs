use bistable_boot::BootId;
use std::{io, path::PathBuf, time::Duration};

/// The folder that the event log lies in: few files, which only grow until they are replaced or removed as a whole.
pub trait EventStore {
    /// All files, with their bytes.
    ///
    /// # Errors
    /// When the folder can't be read.
    fn files(&mut self) -> io::Result<Vec<(String, u64)>>;

    /// A file's content.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Write bytes at a file's end, which is at `at`; makes the file if there is none. Durable only after
    /// [`sync`](Self::sync); after an error any part of them may be there.
    ///
    /// # Errors
    /// When the file system is full, read-only or fails.
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Make a file's content durable, and its name.
    ///
    /// # Errors
    /// As for [`append`](Self::append): nothing is known then about what was appended since the last call.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Replace a file, durably: a power cut leaves the old or the new content.
    ///
    /// # Errors
    /// As for [`append`](Self::append); the old content is then still there.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Remove a file.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Where it is among the files of this machine, if it is: a reader that waits for events can watch that.
    fn folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// The moment of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What the wall clock shows, in seconds since 1970.
    pub unix: u64,
    /// Whether the wall clock goes by another clock, so that it can be believed.
    pub synchronized: bool,
    /// The boot that runs.
    pub boot: BootId,
    /// Time since some moment of this boot.
    pub uptime: Duration,
}

/// Says when something happens.
pub trait Stamps {
    /// The moment that is now.
    fn now(&mut self) -> Stamp;
}

/// What the event log is plugged into.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct EventPorts {
    /// The folder on the partition that outlives updates, or why there is none.
    pub persistent: io::Result<Box<dyn EventStore>>,
    /// The same folder for reading, if a writer asked for it and the file system is read-only.
    pub read_only: Option<Box<dyn EventStore>>,
    /// A folder that lasts until the next boot.
    pub volatile: io::Result<Box<dyn EventStore>>,
    /// When things happen.
    pub stamps: Box<dyn Stamps>,
}
