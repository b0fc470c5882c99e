//! Files in memory, for tests: stricter than any real store.
use super::error::{StoreError, at};
use super::{Backend, Created, Listed};
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a file came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// By create: it must not be overwritten.
    Created,
    /// By put.
    Put,
    /// By upload: named by its content, so it may only be written again as it is.
    Uploaded,
}

#[derive(Clone, Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    made: Made,
}

/// Files in memory. Clones share them. A real store lets anybody write over a commit or a blob; this one tells.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: Arc<Mutex<BTreeMap<String, Kept>>>,
}

impl Memory {
    /// Empty.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Another one with the same files.
    #[must_use]
    pub fn fork(&self) -> Memory {
        Memory { files: Arc::new(Mutex::new(self.files().clone())) }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        // A thread that panicked did so between two changes.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &str, bytes: &[u8], made: Made) -> Result<(), StoreError> {
        let mut files = self.files();
        if let Some(old) = files.get(path)
            && (old.made != made || (made == Made::Uploaded && *old.bytes != *bytes))
        {
            return Err(StoreError::Immutable { place: at(self.place(), path) });
        }
        files.insert(path.into(), Kept { bytes: bytes.into(), made });
        Ok(())
    }
}

impl Backend for Memory {
    fn place(&self) -> &'static str {
        "memory"
    }

    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.files().get(path) {
            Some(kept) if kept.bytes.len() > limit => {
                Err(StoreError::TooLarge { place: at(self.place(), path), limit })
            }
            kept => Ok(kept.map(|k| k.bytes.to_vec())),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.files().get(path).map(|kept| kept.bytes.len() as u64))
    }

    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let place = || at(self.place(), path);
        let files = self.files();
        let bytes = &files.get(path).ok_or_else(|| StoreError::NotFound { place: place() })?.bytes;
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let part = bytes.get(index(range.start)..index(range.end));
        Ok(part
            .ok_or_else(|| StoreError::Length {
                place: place(),
                wanted: range.end,
                found: bytes.len() as u64,
            })?
            .to_vec())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let mut files = self.files();
        if files.contains_key(path) {
            return Ok(Created::Exists);
        }
        files.insert(path.into(), Kept { bytes: bytes.into(), made: Made::Created });
        Ok(Created::Created)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(path, bytes, Made::Put)
    }

    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError> {
        let mut content = Vec::new();
        let read = from.take(bytes.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|source| StoreError::Content { place: at(self.place(), path), source })?;
        let found = content.len() as u64;
        if found != bytes {
            return Err(StoreError::Length { place: at(self.place(), path), wanted: bytes, found });
        }
        self.write(path, &content, Made::Uploaded)
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let below = |path: &str| {
            folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let files = self.files();
        let listed = files.iter().filter(|(path, _)| below(path));
        Ok(listed.map(|(path, kept)| Listed { path: path.clone(), bytes: kept.bytes.len() as u64 }).collect())
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let files = self.files();
        let inside = files.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        let mut names: Vec<String> = inside.filter_map(|rest| Some(rest.split_once('/')?.0.into())).collect();
        names.dedup();
        Ok(names)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.files().remove(path);
        Ok(())
    }
}
