//! The memory in a folder of the user's, one small file per place and per repository.
use super::{Held, Lock, Record, TrustStore};
use crate::output::{self, Access, Existing, OutputError};
use crate::repository::mark::hex;
use crate::repository::store::create_folders;
use bistable_format::{Digest, Envelope};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The schema of the files. Rises when a field changes its meaning or goes.
const SCHEMA: u32 = 1;
/// The first schema that is not known.
const SCHEMA_AFTER: u32 = SCHEMA + 1;
/// Most bytes of a file.
const FILE_BYTES: usize = 1 << 20;

/// Why the memory can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustStoreError {
    /// Neither a setting nor a home folder.
    #[error(
        "there is no folder to remember repositories in: set BISTABLE_STATE_DIR to one that is kept between calls"
    )]
    NoFolder,
    /// A file can't be read or locked.
    #[error("can't {action} {path}, where this computer remembers repositories", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is damaged.
    #[error(
        "{path}, where this computer remembers a repository, is damaged ({why}): compare the repository with a mirror or a backup, \
         then remove {path} and run the verb again with its first root: --root FILE", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A pin names a repository of which nothing is remembered.
    #[error(
        "{path}, where this computer remembers a repository, was removed: compare the repository with a mirror or a backup, then run \
         the verb again with its first root: --root FILE", path = path.display()
    )]
    NoRecord {
        /// The record.
        path: PathBuf,
    },
    /// A file of a later version of this program.
    #[error(
        "{path}, where this computer remembers a repository, has schema {found}, but this bistable-image knows schema {SCHEMA}: \
         use the newer bistable-image that wrote it", path = path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// A file can't be written.
    #[error("nothing was signed, because this computer can't remember it")]
    Write(#[from] OutputError),
}

/// What every file says.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// What a pin says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    schema: u32,
    place: String,
    #[serde(with = "hex")]
    repository: Digest,
}

/// What a record's file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    schema: u32,
    #[serde(with = "hex")]
    repository: Digest,
    record: Record,
}

/// The memory in a folder.
#[derive(Clone, Debug)]
pub struct StateFolder {
    folder: PathBuf,
}

impl Held for File {}

impl StateFolder {
    /// In this folder, which is created when something is remembered.
    pub fn new(folder: impl Into<PathBuf>) -> StateFolder {
        StateFolder { folder: folder.into() }
    }

    /// In `$BISTABLE_STATE_DIR`, else `$XDG_STATE_HOME/bistable-image`, else `~/.local/state/bistable-image`.
    ///
    /// # Errors
    /// [`TrustStoreError::NoFolder`] if none of these is set.
    pub fn from_env() -> Result<StateFolder, TrustStoreError> {
        let named =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
        let absolute = |name| named(name).filter(|path| path.is_absolute());
        let folder = named("BISTABLE_STATE_DIR")
            .or_else(|| Some(absolute("XDG_STATE_HOME")?.join("bistable-image")))
            .or_else(|| Some(absolute("HOME")?.join(".local/state/bistable-image")));
        folder.map(StateFolder::new).ok_or(TrustStoreError::NoFolder)
    }

    fn pin_path(&self, place: &str) -> PathBuf {
        self.folder.join("places").join(format!("{}.json", Digest::of(place.as_bytes())))
    }

    fn of(&self, repository: &Digest, name: &str) -> PathBuf {
        self.folder.join("repositories").join(repository.to_string()).join(name)
    }

    /// Change a record, which no other process changes meanwhile.
    fn change(
        &self,
        repository: &Digest,
        change: impl FnOnce(Option<Record>) -> Option<Record>,
    ) -> Result<(), TrustStoreError> {
        // No channel's lock has this name.
        let _lock = lock(&self.of(repository, "lock"))?;
        let before = self.record(repository)?;
        match change(before.clone()) {
            Some(record) if before.as_ref() != Some(&record) => {
                let file = RecordFile { schema: SCHEMA, repository: *repository, record };
                write_json(&self.of(repository, "record.json"), &file)
            }
            _ => Ok(()),
        }
    }
}

impl TrustStore for StateFolder {
    fn pinned(&self, place: &str) -> Result<Option<Digest>, TrustStoreError> {
        let path = self.pin_path(place);
        let Some(pin) = read_json::<PinFile>(&path)? else { return Ok(None) };
        if (pin.schema, pin.place.as_str()) != (SCHEMA, place) {
            return Err(damaged(&path, "it is not of this place or version"));
        }
        // A place is pinned after its repository was recorded.
        if self.record(&pin.repository)?.is_none() {
            return Err(TrustStoreError::NoRecord { path: self.of(&pin.repository, "record.json") });
        }
        Ok(Some(pin.repository))
    }

    fn pin(&self, place: &str, repository: &Digest) -> Result<(), TrustStoreError> {
        let pin = PinFile { schema: SCHEMA, place: place.into(), repository: *repository };
        write_json(&self.pin_path(place), &pin)
    }

    fn record(&self, repository: &Digest) -> Result<Option<Record>, TrustStoreError> {
        let path = self.of(repository, "record.json");
        let Some(file) = read_json::<RecordFile>(&path)? else { return Ok(None) };
        if (file.schema, file.repository) != (SCHEMA, *repository) {
            return Err(damaged(&path, "it is not of this repository or version"));
        }
        Ok(Some(file.record))
    }

    fn merge(&self, repository: &Digest, seen: &Record) -> Result<(), TrustStoreError> {
        self.change(repository, |record| match record {
            Some(mut record) => {
                record.merge(seen);
                Some(record)
            }
            None => Some(seen.clone()),
        })
    }

    fn forget_channels(&self, repository: &Digest) -> Result<(), TrustStoreError> {
        let folder = self.of(repository, "");
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(io_error("read", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(io_error("read", &folder))?.path();
            if path.extension().is_some_and(|e| e == "pending") {
                remove(&path)?;
            }
        }
        self.change(repository, |record| record.map(|record| Record::new(record.root)))
    }

    fn pending(&self, repository: &Digest, channel: &str) -> Result<Option<Vec<u8>>, TrustStoreError> {
        read(&self.of(repository, &format!("{channel}.pending")), Envelope::MAX_BYTES)
    }

    fn set_pending(
        &self,
        repository: &Digest,
        channel: &str,
        bytes: Option<&[u8]>,
    ) -> Result<(), TrustStoreError> {
        let path = self.of(repository, &format!("{channel}.pending"));
        match bytes {
            Some(bytes) => write(&path, bytes),
            None => remove(&path),
        }
    }

    fn try_lock(&self, repository: &Digest, channel: &str) -> Result<Lock<'_>, TrustStoreError> {
        let path = self.of(repository, &format!("{channel}.lock"));
        let file = lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock::Held(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(Lock::Busy(path.display().to_string())),
            Err(TryLockError::Error(e)) => Err(io_error("lock", &path)(e)),
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrustStoreError {
    move |source| TrustStoreError::Io { action, path: path.into(), source }
}

fn damaged(path: &Path, why: &(impl ToString + ?Sized)) -> TrustStoreError {
    TrustStoreError::Damaged { path: path.into(), why: why.to_string() }
}

fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, TrustStoreError> {
    match output::read_limited(path, limit) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(damaged(path, &e)),
        read => read.map(Some).map_err(io_error("read", path)),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrustStoreError> {
    let Some(bytes) = read(path, FILE_BYTES)? else { return Ok(None) };
    // A later schema may have other fields, so it is looked at first.
    if let Ok(Schema { schema: found @ SCHEMA_AFTER.. }) = serde_json::from_slice(&bytes) {
        return Err(TrustStoreError::Newer { path: path.into(), found });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(path, &e))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrustStoreError> {
    folder_of(path)?;
    Ok(output::write(path, bytes, Existing::Replace, Access::Secret)?)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrustStoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| damaged(path, &e))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// A removal that a crash undoes does no harm: the file is compared with the record when it is read.
fn remove(path: &Path) -> Result<(), TrustStoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(io_error("remove", path)),
    }
}

fn folder_of(path: &Path) -> Result<(), TrustStoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    create_folders(folder).map_err(io_error("create", folder))
}

/// Wait for the lock of a record, which is held while one small file is replaced. The kernel lets a lock go when its process ends,
/// however it ends.
fn lock(path: &Path) -> Result<File, TrustStoreError> {
    let file = lock_file(path)?;
    file.lock().map_err(io_error("lock", path))?;
    Ok(file)
}

fn lock_file(path: &Path) -> Result<File, TrustStoreError> {
    folder_of(path)?;
    File::options().create(true).append(true).open(path).map_err(io_error("create", path))
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;
    use crate::repository::mark::Mark;

    fn record(number: u64) -> Record {
        Record::new(Mark { number, digest: Digest::of(b"root") })
    }

    #[test]
    fn state_folder_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let mut next = 0;
        contract::all(&mut || {
            next += 1;
            let path = folder.path().join(format!("{next}/a/b"));
            Box::new(move || Box::new(StateFolder::new(&path)))
        });
    }

    #[test]
    fn damaged_memory_is_an_error_and_never_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::new(folder.path());
        let repository = Digest::of(b"repository");
        state.merge(&repository, &record(1)).unwrap();
        state.pin("/srv/repo", &repository).unwrap();
        let (pin, of) = (state.pin_path("/srv/repo"), state.of(&repository, "record.json"));
        for path in [&pin, &of] {
            let whole = fs::read(path).unwrap();
            let text = String::from_utf8(whole.clone()).unwrap();
            let other = text.replace(&repository.to_string(), &Digest::of(b"x").to_string());
            for bad in [
                b"".as_slice(),
                &whole[..whole.len() / 2],
                b"{}",
                other.as_bytes(),
                &vec![b' '; FILE_BYTES + 1],
            ] {
                write(path, bad).unwrap();
                let pinned = state.pinned("/srv/repo");
                assert!(
                    matches!(pinned, Err(TrustStoreError::Damaged { .. } | TrustStoreError::NoRecord { .. })),
                    "{}: {pinned:?}",
                    path.display()
                );
                let merged = (path == &of).then(|| state.merge(&repository, &record(2)));
                assert!(!matches!(merged, Some(Ok(()))), "a damaged record is not replaced");
            }
            write(path, &whole).unwrap();
        }
        assert_eq!(state.pinned("/srv/repo").unwrap(), Some(repository));
        for path in [&pin, &of] {
            let whole = fs::read_to_string(path).unwrap();
            write(path, whole.replace("\"schema\": 1", "\"schema\": 2, \"new\": true").as_bytes()).unwrap();
            let newer = state.pinned("/srv/repo").unwrap_err();
            assert!(matches!(newer, TrustStoreError::Newer { found: 2, .. }), "{newer}");
            assert!(!newer.to_string().contains("remove"), "{newer}");
            write(path, whole.as_bytes()).unwrap();
        }
        fs::remove_file(&of).unwrap();
        assert!(matches!(state.pinned("/srv/repo"), Err(TrustStoreError::NoRecord { .. })));
    }

    #[test]
    fn memory_that_cannot_be_written_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, b"").unwrap();
        let state = StateFolder::new(file.join("state"));
        let refused = state.merge(&Digest::of(b"repository"), &record(1)).unwrap_err();
        assert!(refused.to_string().contains("file/state"), "{refused}");
    }
}
