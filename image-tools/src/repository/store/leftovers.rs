//! What a program that is killed while it writes leaves in a directory. `object_store` writes to `NAME#1` (2, 3, …), gives that the
//! name `NAME` at the end, and doesn't show it before (`LocalFileSystem`, `staged_upload_path`).
use super::Leftover;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The name that such a file would have got; none for any other file.
pub(super) fn final_name(path: &str) -> Option<&str> {
    let (name, number) = path.rsplit_once('#')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (digits && super::check_path(name).is_ok()).then_some(name)
}

/// All of them in a directory and the folders in it.
pub(super) fn find(directory: &Path) -> io::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(directory.join(&folder)) {
            // Removed meanwhile; or the file system's own, as lost+found.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            // What is behind a link doesn't belong to the repository.
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(path) = path.to_str().filter(|path| final_name(path).is_some()) else { continue };
            let file = match entry.metadata() {
                // It has got its name.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let at = file.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            found.push(Leftover { path: path.into(), bytes: file.len(), at });
        }
    }
    found.sort();
    Ok(found)
}

/// Remove one; one that isn't there is removed already.
pub(super) fn remove(directory: &Path, path: &str) -> io::Result<()> {
    match fs::remove_file(directory.join(path)) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_got_no_name_are_leftovers() {
        assert_eq!(final_name("blobs/sha256/0af#1"), Some("blobs/sha256/0af"));
        for other in ["blobs/sha256/0af", "a#", "a#x", "#1", "../a#1", "a b#1", "a#1#2"] {
            assert_eq!(final_name(other), None, "{other}");
        }
    }
}
