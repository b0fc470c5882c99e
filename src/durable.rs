//! Replacing a file so that a power cut leaves the old or the new one.
use crate::teardown;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Replace `path` with `bytes`: new file, flushed, renamed over the old one, folder flushed. The new file does not outlive
/// a failure, nor an early end of the program (I15).
///
/// # Errors
/// The system's; the old file is then still there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let undo = |_: &File| -> teardown::Undo {
        let new = new.clone();
        Box::new(move || {
            let _ = fs::remove_file(new);
        })
    };
    let (mut file, temporary) = teardown::begin(|| File::create(&new), undo)?;
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
