//! Where a repository's files are: a local directory or a bucket, behind one small synchronous interface.
//!
//! ```text
//! Store (names checked, claims) ─► Backend ─┬─ Objects   S3, …: object_store and its runtime, all of the async
//!                                           ├─ Directory around it: a local directory, which nothing leads out of
//!                                           ├─ Memory    for tests, stricter than the real ones
//!                                           └─ Faulty    around any other: lies, loses answers, dies
//! ```
//! **Create-if-absent is the only way to commit.** [`Store::create`] makes a file that didn't exist, and it is durable
//! when it returns: on a local directory the file is flushed, then hard-linked to its name, which fails if the name is taken, then
//! its folder is flushed. `object_store` does so itself since 0.14 (`LocalFileSystem::with_fsync`), so that local directories need
//! no code of our own.
//!
//! Everything else may be repeated: blobs are named by their content, hints can be rebuilt.
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

pub mod contract;
mod directory;
mod error;
mod faulty;
mod leftovers;
mod memory;
mod objects;
mod place;

pub use error::{Cause, StoreError};
pub use faulty::{Before, Faults, Faulty, Operation};
pub use memory::Memory;
pub(crate) use place::create_folders;
pub use place::{Missing, default_place};

/// Whether a create-if-absent made the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// It did: the file is there, durably, with these bytes.
    Created,
    /// The name was taken; nothing has changed.
    Exists,
}

/// Whose file has a name after a [claim](Store::claim) to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// It holds the claimed bytes.
    Ours,
    /// Another writer's bytes were there first.
    Theirs(Vec<u8>),
}

/// A file in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its whole name.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// A file of a write that was stopped before its end. No listing has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// Its whole name.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was changed last, in seconds since 1970.
    pub at: u64,
}

/// Why an entry in a repository's folder can't be a file of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// It is a symbolic link, which may lead out of the folder.
    Link,
    /// It is a pipe, a socket or a device.
    Special,
    /// It is a folder where a file should be.
    Folder,
    /// No file of a repository can have its name.
    Name,
}

impl Oddity {
    /// In words, after "is".
    pub const fn name(self) -> &'static str {
        match self {
            Oddity::Link => "a symbolic link",
            Oddity::Special => "a pipe, socket or device",
            Oddity::Folder => "a folder",
            Oddity::Name => "called as no file of a repository can be",
        }
    }

    /// Of a type that isn't followed; `None` for a file and a folder.
    fn of(kind: std::fs::FileType) -> Option<Oddity> {
        match kind {
            _ if kind.is_symlink() => Some(Oddity::Link),
            _ if kind.is_file() || kind.is_dir() => None,
            _ => Some(Oddity::Special),
        }
    }
}

/// An entry in a repository's folder that can't be a file of it. No listing has it, and none that leads elsewhere is opened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Foreign {
    /// Its whole name, as far as it is text: it may hold anything, terminal escapes included.
    pub path: String,
    /// What is odd about it.
    pub oddity: Oddity,
}

/// What a place for files must do. Names have been checked before: see [`check_path`]. Public tests for it are in
/// [`contract`].
pub trait Backend: fmt::Debug + Send + Sync {
    /// Where it is, as messages name it.
    fn place(&self) -> &str;

    /// The file's bytes; `None` if it isn't there; [`StoreError::TooLarge`], before anything is loaded, if it has more than
    /// `limit`.
    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError>;

    /// The file's size; `None` if it isn't there.
    fn size(&self, path: &str) -> Result<Option<u64>, StoreError>;

    /// Exactly these bytes of the file.
    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError>;

    /// Make a file that isn't there: of any number that try at once, one succeeds. Durable when it returns. An error says
    /// nothing about whether it was made.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError>;

    /// Whether files can be made that way at all. Buckets are asked by [`probe`](super::probe), in a race.
    fn check_create(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Write a file whole, over what was there. Readers see the old or the new.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Write a file of `bytes` bytes from a stream, in bounded memory. Not there before it is whole.
    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError>;

    /// All files below a folder (`""`: all), sorted by name.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError>;

    /// The names of the folders directly in a folder, sorted, without a look at what is in them. One that is empty may be
    /// among them.
    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError>;

    /// Remove a file; one that isn't there is removed already.
    fn delete(&self, path: &str) -> Result<(), StoreError>;

    /// Files of writes that were stopped. Buckets show none: they have rules to remove them.
    fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        Ok(Vec::new())
    }

    /// Remove one of these.
    fn remove_leftover(&self, _path: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// Entries in its folders that can't be files of a repository. A bucket has only files.
    fn foreign(&self) -> Result<Vec<Foreign>, StoreError> {
        Ok(Vec::new())
    }

    /// The part of its file system that is in use, from 0 to 1. A bucket has none.
    fn disk_used(&self) -> Option<f64> {
        None
    }
}

/// A place for a repository's files. Cheap to clone; can be used by many threads.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// Tries of a create-if-absent whose answer got lost.
const CLAIM_TRIES: u32 = 4;
/// What a streaming read asks for at a time.
const READ_BYTES: u64 = 4 << 20;

impl Store {
    /// On this backend.
    pub fn new(backend: impl Backend + 'static) -> Store {
        Store { backend: Arc::new(backend) }
    }

    /// Of a directory or URL: `DIR`, `file:///DIR`, `s3://BUCKET/PREFIX`, `gs://…`, `az://…`. A bucket's credentials and endpoint
    /// come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
    ///
    /// # Errors
    /// A place that can't be, or can't be reached that way. Buckets aren't asked before they are used.
    pub fn open(place: &str, missing: Missing) -> Result<Store, StoreError> {
        Ok(Store { backend: place::open(place, missing)? })
    }

    /// Where it is, as messages name it.
    pub fn place(&self) -> &str {
        self.backend.place()
    }

    /// The file's bytes; `None` if it isn't there.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if it has more than `limit`; whatever keeps it from being read.
    pub fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        check_path(path)?;
        self.backend.get(path, limit)
    }

    /// The file's size in bytes; `None` if it isn't there.
    ///
    /// # Errors
    /// Whatever keeps that from being known.
    pub fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        check_path(path)?;
        self.backend.size(path)
    }

    /// Exactly these bytes of the file.
    ///
    /// # Errors
    /// If it isn't there or ends before; whatever keeps it from being read.
    pub fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        check_path(path)?;
        if range.is_empty() { Ok(Vec::new()) } else { self.backend.range(path, range) }
    }

    /// Make a file that isn't there: the only way to commit. Durable when it returns.
    ///
    /// # Errors
    /// Whatever keeps it from being made. Then it may be there nonetheless: [`claim`](Self::claim) finds out.
    pub fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        check_path(path)?;
        self.backend.create(path, bytes)
    }

    /// Find out whether files can be made that way at all, before much work is done for it. Leaves nothing behind.
    ///
    /// # Errors
    /// [`StoreError::NoLinks`] of a directory where they can't, and whatever else keeps one from being made.
    pub fn check_create(&self) -> Result<(), StoreError> {
        self.backend.check_create()
    }

    /// Make a file that isn't there, and find out whose it is: an answer can get lost, and a request that is sent again then
    /// meets the file that the first one made.
    ///
    /// # Errors
    /// Whatever keeps that from being known. `limit` is for the bytes of others.
    pub fn claim(&self, path: &str, bytes: &[u8], limit: usize) -> Result<Claim, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.create(path, bytes) {
                Ok(Created::Created) => return Ok(Claim::Ours),
                Ok(Created::Exists) => None,
                Err(e) if e.may_pass() => Some(e),
                Err(e) => return Err(e),
            };
            match (self.get(path, limit), error) {
                (Ok(Some(there)), _) if there == bytes => return Ok(Claim::Ours),
                (Ok(Some(there)), _) => return Ok(Claim::Theirs(there)),
                (Ok(None), Some(e)) if tries == CLAIM_TRIES => return Err(e),
                // Taken and yet not there: removed in between, or a backend that lies.
                (Ok(None), None) if tries == CLAIM_TRIES => {
                    return Err(StoreError::Vanished { place: error::at(self.place(), path) });
                }
                (Ok(None), _) => {}
                (Err(_), Some(e)) | (Err(e), None) => return Err(e),
            }
        }
    }

    /// Write a file whole, over what was there: for hints, which can be rebuilt.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        check_path(path)?;
        self.backend.put(path, bytes)
    }

    /// Write a file that is named by its content, from a stream. Nothing is done if one of that size is there.
    ///
    /// # Errors
    /// [`StoreError::Length`] if the stream doesn't have `bytes` bytes; whatever keeps it from being written.
    pub fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<Created, StoreError> {
        if self.size(path)? == Some(bytes) {
            return Ok(Created::Exists);
        }
        self.backend.upload(path, from, bytes)?;
        Ok(Created::Created)
    }

    /// Read a file as a stream, in bounded memory; `None` if it isn't there.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub fn read(&self, path: &str) -> Result<Option<Reader>, StoreError> {
        let Some(bytes) = self.size(path)? else { return Ok(None) };
        Ok(Some(Reader {
            store: self.clone(),
            path: path.into(),
            bytes,
            next: 0,
            part: io::Cursor::default(),
        }))
    }

    /// All files below a folder (`""`: all), sorted by name. Those that other programs leave, with names that no file of a
    /// repository can have, aren't among them.
    ///
    /// # Errors
    /// Whatever keeps them from being listed.
    pub fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        if !folder.is_empty() {
            check_path(folder)?;
        }
        let mut files = self.backend.list(folder)?;
        files.retain(|file| check_path(&file.path).is_ok());
        Ok(files)
    }

    /// The names of the folders directly in a folder, sorted, without a look at what is in them. One that is empty may be
    /// among them.
    ///
    /// # Errors
    /// Whatever keeps them from being listed.
    pub fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        check_path(folder)?;
        self.backend.folders(folder)
    }

    /// Remove a file; one that isn't there is removed already.
    ///
    /// # Errors
    /// Whatever keeps it from being removed.
    pub fn delete(&self, path: &str) -> Result<(), StoreError> {
        check_path(path)?;
        self.backend.delete(path)
    }

    /// Files of writes that were stopped, or that are under way: only a directory has such.
    ///
    /// # Errors
    /// Whatever keeps them from being found.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        self.backend.leftovers()
    }

    /// Remove one of these.
    ///
    /// # Errors
    /// [`StoreError::Name`] for any other file; whatever keeps it from being removed.
    pub fn remove_leftover(&self, path: &str) -> Result<(), StoreError> {
        check_path(leftovers::final_name(path).unwrap_or_default())?;
        self.backend.remove_leftover(path)
    }

    /// Entries in a local repository's folders that can't be files of it, sorted: links, special files, impossible names.
    ///
    /// # Errors
    /// Whatever keeps them from being found.
    pub fn foreign(&self) -> Result<Vec<Foreign>, StoreError> {
        self.backend.foreign()
    }

    /// The part of its file system that is in use, from 0 to 1; `None` if it is in a bucket, or the system doesn't say.
    pub fn disk_used(&self) -> Option<f64> {
        self.backend.disk_used()
    }
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    path: String,
    bytes: u64,
    next: u64,
    part: io::Cursor<Vec<u8>>,
}

impl Reader {
    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.bytes
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.part.read(into)?;
        if read > 0 || into.is_empty() || self.next == self.bytes {
            return Ok(read);
        }
        let end = self.bytes.min(self.next + READ_BYTES);
        let part = self.store.range(&self.path, self.next..end).map_err(io::Error::other)?;
        self.next = end;
        self.part = io::Cursor::new(part);
        self.part.read(into)
    }
}

/// Refuse names that aren't plain on every file system and in every URL: folders and a file of letters, digits, `.`, `_`, `-` and
/// `+`, none of them beginning with a dot, at most 255 bytes.
///
/// # Errors
/// [`StoreError::Name`].
pub fn check_path(path: &str) -> Result<(), StoreError> {
    if path.len() <= 255 && path.split('/').all(is_plain) {
        Ok(())
    } else {
        Err(StoreError::Name { path: path.chars().take(255).collect() })
    }
}

/// Whether a file's or folder's name is plain: see [`check_path`].
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["oci-layout", "channels/staging/00000042.channel", "blobs/sha256/0af", "a/b.c_d-e+f"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/etc", "a//b", "a/", "..", "a/../b", ".hidden", "a/.b", "a b", "a\\b", "ä", "a%2f", "a#1",
            "a\0",
        ] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
        assert!(check_path(&"a".repeat(256)).is_err());
    }
}
