//! Files that are there whole or not at all: the crate's durable-write helper.
use crate::clock::unix_now;
use crate::interrupt::Temporary;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What a file with a secret key begins with.
pub(crate) const SECRET_HEAD: &str = "BISTABLE SECRET KEY 1";
/// The first line of a secret key with a passphrase.
pub(crate) const LOCKED_HEAD: &str = "BISTABLE ENCRYPTED SECRET KEY 1";

/// What to do when the output is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    #[default]
    Refuse,
    /// Replace it, once the new one is complete.
    Replace,
}

/// Who may read the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody that the umask allows.
    Public,
    /// Its owner only.
    Secret,
}

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// It is there already.
    #[error("{path} exists already; give another name or --force", path = path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// It is there already, and is a thing that is never replaced.
    #[error("{path} exists already, and keys are never overwritten; give another name", path = path.display())]
    KeyExists {
        /// The key file.
        path: PathBuf,
    },
    /// It names a folder.
    #[error("{path} names a folder: give the name of a file in it", path = path.display())]
    NoName {
        /// The output.
        path: PathBuf,
    },
    /// It is a device or a pipe, or would be a file among devices.
    #[error("{path} is not a file, and none may be made there: write to a file elsewhere; `bistable-image flash` writes it onto a card", path = path.display())]
    NotAFile {
        /// The output.
        path: PathBuf,
    },
    /// Its folder isn't there.
    #[error("there is no folder {folder} for {name}: make it first, or write elsewhere", folder = folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// What is to be written.
        name: String,
    },
    /// It is one of the inputs.
    #[error("{path} is also an input: it would be lost; give another name", path = path.display())]
    Input {
        /// The file.
        path: PathBuf,
    },
    /// It lies in a folder that is read.
    #[error("{path} lies in {input}, which is read: it would become a part of itself; write it elsewhere", path = path.display(), input = input.display())]
    InInput {
        /// The output.
        path: PathBuf,
        /// The folder.
        input: PathBuf,
    },
    /// The file system has no files of that size.
    #[error("{path} would be larger than a file can be here", path = path.display())]
    TooLarge {
        /// The output.
        path: PathBuf,
    },
    /// No space left.
    #[error("the disk is full: {path} can't be written; free some space there or write it elsewhere", path = path.display())]
    Full {
        /// The output.
        path: PathBuf,
    },
    /// The system refused something else.
    #[error("can't {action} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OutputError {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutputError {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                OutputError::Full { path: path.into() }
            }
            io::ErrorKind::FileTooLarge => OutputError::TooLarge { path: path.into() },
            _ => OutputError::Io { action, path: path.into(), source },
        }
    }
}

/// An output in the making: a temporary file in the target's folder, which becomes the target by
/// [`commit`](Self::commit) and disappears without it.
///
/// A signal removes the temporary file. The next program that makes the same output removes the file of one that was killed: a program
/// that lives holds a lock on its file.
#[derive(Debug)]
pub(crate) struct NewFile {
    temporary: Temporary<NamedTempFile>,
    path: PathBuf,
    existing: Existing,
}

impl NewFile {
    /// Begin. Fails at once if the target is there and must not be replaced.
    pub(crate) fn create(path: &Path, existing: Existing, access: Access) -> Result<NewFile, OutputError> {
        let Some(name) = path.file_name().filter(|_| !ends_in_slash(path) && !path.is_dir()) else {
            return Err(OutputError::NoName { path: path.into() });
        };
        let name = name.to_string_lossy();
        require_folder(folder(path), &name)?;
        if existing == Existing::Refuse && path.symlink_metadata().is_ok() {
            return Err(OutputError::Exists { path: path.into() });
        }
        // Before anything is read there: a pipe may never give it.
        if path.metadata().is_ok_and(|there| !there.is_file()) || is_among_devices(path) {
            return Err(OutputError::NotAFile { path: path.into() });
        }
        if is_secret(path) {
            return Err(OutputError::KeyExists { path: path.into() });
        }
        let (begin, end) = (format!(".{name}."), ".part");
        remove_leftovers(folder(path), &begin, end);
        let mode = match access {
            Access::Public => 0o666,
            Access::Secret => 0o600,
        };
        let temporary = tempfile::Builder::new()
            .prefix(&begin)
            .suffix(end)
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder(path))
            .map_err(OutputError::io("create", path))?;
        // A file system without locks: then what is left stays.
        let _ = temporary.as_file().try_lock();
        Ok(NewFile { temporary: Temporary::file(temporary), path: path.into(), existing })
    }

    /// What is being written.
    pub(crate) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Make it durable under its name.
    pub(crate) fn commit(self) -> Result<(), OutputError> {
        let NewFile { temporary, path, existing } = self;
        temporary.as_file().sync_all().map_err(OutputError::io("write", &path))?;
        let (temporary, remembered) = temporary.into_parts();
        let renamed = match existing {
            Existing::Replace => temporary.persist(&path),
            Existing::Refuse => temporary.persist_noclobber(&path),
        };
        drop(remembered);
        if let Err(e) = renamed {
            return Err(match e.error.kind() {
                io::ErrorKind::AlreadyExists => OutputError::Exists { path },
                _ => OutputError::io("create", &path)(e.error),
            });
        }
        let folder = folder(&path);
        File::open(folder).and_then(|f| f.sync_all()).map_err(OutputError::io("flush the folder", folder))
    }
}

/// Refuse to replace an input by the output, and to write it, or temporary files beside it, into a folder that is read.
pub(crate) fn not_an_input<'a>(
    out: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), OutputError> {
    let there = out.canonicalize().ok();
    let folder = folder(out).canonicalize().ok();
    for input in inputs.into_iter().filter_map(|input| Some((input, input.canonicalize().ok()?))) {
        let (input, real) = input;
        if there.as_ref() == Some(&real) {
            return Err(OutputError::Input { path: out.into() });
        }
        if real.is_dir() && folder.as_ref().is_some_and(|folder| folder.starts_with(&real)) {
            return Err(OutputError::InInput { path: out.into(), input: input.into() });
        }
    }
    Ok(())
}

/// Where temporary files of an output go: the folder that TMPDIR names, or else the output's, which has room for large files.
pub(crate) fn temporary_folder(out: &Path) -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    named.map_or_else(|| folder(out).into(), PathBuf::from)
}

/// Write a small file durably.
pub(crate) fn write(
    path: &Path,
    bytes: &[u8],
    existing: Existing,
    access: Access,
) -> Result<(), OutputError> {
    let new = NewFile::create(path, existing, access)?;
    new.file().write_all(bytes).map_err(OutputError::io("write", path))?;
    new.commit()
}

/// Refuse a folder that isn't there: `what` is to be written into it.
pub(crate) fn require_folder(folder: &Path, what: &str) -> Result<(), OutputError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(OutputError::NoFolder { folder: folder.into(), name: what.into() })
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Read a file of at most `limit` bytes: what is larger is not what it should be, and isn't loaded.
pub(crate) fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_open(File::open(path)?, limit)
}

/// The same of a file that is open already.
pub(crate) fn read_open(file: File, limit: usize) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Whether a file there would lie among devices, in memory: `/dev/sdx` for a card that isn't plugged in.
fn is_among_devices(path: &Path) -> bool {
    let folder = folder(path).canonicalize();
    folder.is_ok_and(|folder| folder.starts_with("/dev") && !folder.starts_with("/dev/shm"))
}

/// Seconds within which a temporary file may not be locked yet.
const YOUNG: u64 = 60;

/// Remove what killed programs left of the same output.
fn remove_leftovers(folder: &Path, begin: &str, end: &str) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(begin) && name.ends_with(end));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        let made = file.metadata().and_then(|there| there.modified()).ok();
        let made = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
        let is_old = made.is_some_and(|made| made.as_secs() + YOUNG < unix_now());
        if is_old && file.try_lock().is_ok() {
            // Another program may have been faster.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether a secret key lies there: such a file is never replaced.
fn is_secret(path: &Path) -> bool {
    read_limited(path, 1024).is_ok_and(|bytes| begins_as_secret(&bytes))
}

/// Whether these are the first bytes of a secret key, with a passphrase or without.
pub(crate) fn begins_as_secret(bytes: &[u8]) -> bool {
    [SECRET_HEAD, LOCKED_HEAD].iter().any(|head| bytes.starts_with(head.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_there_before_the_commit_and_nothing_is_left_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let new = NewFile::create(&path, Existing::Refuse, Access::Public).unwrap();
        new.file().write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(new);
        assert!(names(folder.path()).is_empty());
        write(&path, b"whole", Existing::Refuse, Access::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn neither_a_secret_key_nor_an_input_is_ever_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("release.key");
        let secret = b"BISTABLE SECRET KEY 1\nlabel: release\n";
        write(&key, secret, Existing::Refuse, Access::Secret).unwrap();
        let replaced = NewFile::create(&key, Existing::Replace, Access::Public);
        assert!(matches!(replaced, Err(OutputError::KeyExists { .. })));
        let other = folder.path().join("./release.key");
        assert!(matches!(not_an_input(&other, [key.as_path()]), Err(OutputError::Input { .. })));
        assert!(not_an_input(&folder.path().join("new"), [key.as_path()]).is_ok());
    }

    #[test]
    fn an_existing_file_is_refused_or_replaced_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"old", Existing::Refuse, Access::Public).unwrap();
        let refused = write(&path, b"new", Existing::Refuse, Access::Public);
        assert!(matches!(refused, Err(OutputError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, b"new", Existing::Replace, Access::Public).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn output_needs_a_name_and_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let new = |path: &Path| NewFile::create(path, Existing::Replace, Access::Public).map(|_| ());
        for path in
            [folder.path().into(), folder.path().join("x/"), folder.path().join(".."), "".into(), "/".into()]
        {
            let found: Result<(), OutputError> = new(&path);
            assert!(matches!(found, Err(OutputError::NoName { .. })), "{}: {found:?}", path.display());
        }
        let missing = new(&folder.path().join("missing/x")).unwrap_err();
        let text = format!("there is no folder {} for x: ", folder.path().join("missing").display());
        assert!(missing.to_string().starts_with(&text), "{missing}");
        assert!(names(folder.path()).is_empty());
    }

    /// It appears after the check and before the commit.
    #[test]
    fn a_file_that_appears_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let new = NewFile::create(&path, Existing::Refuse, Access::Public).unwrap();
        write(&path, b"theirs", Existing::Refuse, Access::Public).unwrap();
        assert!(matches!(new.commit(), Err(OutputError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn what_a_killed_program_left_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let age = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            file
        };
        age(".x.killed.part");
        age(".y.other.part");
        let locked = age(".x.running.part");
        locked.try_lock().unwrap();
        File::create(folder.path().join(".x.young.part")).unwrap();
        drop(NewFile::create(&path, Existing::Refuse, Access::Public).unwrap());
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".x.running.part", ".x.young.part", ".y.other.part"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced_by_one() {
        for path in ["/dev/null", "/dev/bistable-no-such-card", "/dev/stdout"] {
            let refused = NewFile::create(Path::new(path), Existing::Replace, Access::Public);
            assert!(matches!(refused, Err(OutputError::NotAFile { .. })), "{path}: {refused:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("card");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let refused = NewFile::create(&link, Existing::Replace, Access::Public);
        assert!(matches!(refused, Err(OutputError::NotAFile { .. })), "{refused:?}");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(OutputError::io("write", Path::new("x"))(full), OutputError::Full { .. }));
    }
}
