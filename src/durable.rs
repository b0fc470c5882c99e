//! Replacing a file so that a power cut leaves the old or the new one.
use crate::teardown;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Replace `path` with `bytes`: new file, flushed, renamed over the old one, folder flushed. The new file does not outlive
/// a failure, nor an early end of the program (I15).
///
/// # Errors
/// The system's; the old file is then still there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o666)
}

/// The same for a file that only its owner may read.
///
/// # Errors
/// As for [`write`].
pub(crate) fn write_for_owner(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, 0o600)
}

fn write_with(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let (mut file, temporary) = teardown::begin(|| create(&new, mode), |_| remover(&new))?;
    let replaced = replace(&mut file, bytes, &new, path);
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    drop(temporary);
    replaced?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn remover(new: &Path) -> teardown::Undo {
    let new = new.to_owned();
    Box::new(move || {
        let _ = fs::remove_file(new);
    })
}

/// Create a file where a killed program may have left one. What is there is removed and never opened: opening a pipe could
/// block forever, under the lock that the end of this program takes, and a link would lead elsewhere.
fn create(new: &Path, mode: u32) -> io::Result<File> {
    match fs::remove_file(new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    // Since it is created, no link is followed (open(2), O_EXCL).
    OpenOptions::new().write(true).create_new(true).mode(mode).open(new)
}

fn replace(file: &mut File, bytes: &[u8], new: &Path, path: &Path) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()?;
    #[expect(clippy::disallowed_methods, reason = "this is the durable-write helper")]
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        super::write(&path, b"one").unwrap();
        super::write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    /// A pipe without a reader would block the program under the lock that its end takes.
    #[test]
    fn a_pipe_or_a_link_in_the_temporary_files_place_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new, other) = (dir.path().join("a"), dir.path().join("a.new"), dir.path().join("b"));
        nix::unistd::mkfifo(&new, nix::sys::stat::Mode::S_IRWXU).unwrap();
        super::write(&path, b"one").unwrap();
        std::os::unix::fs::symlink(&other, &new).unwrap();
        super::write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(!other.exists() && !new.exists());
    }

    #[test]
    fn an_early_end_removes_the_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a.new");
        let _file = super::create(&new, 0o600).unwrap();
        super::remover(&new)();
        assert!(!new.exists());
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        // A folder can't be replaced by a file.
        let path = dir.path().join("a");
        std::fs::create_dir(&path).unwrap();
        super::write(&path, b"one").unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
