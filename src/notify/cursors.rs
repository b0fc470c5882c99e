//! How far each target is, on the disk.
use super::Cursor;
use crate::durable;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// A larger file was not written by us.
const FILE_MAX: u64 = 64 << 10;

/// How far each target is, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursors {
    /// Webhooks.
    pub targets: BTreeMap<String, Cursor>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct CursorFile(PathBuf);

impl CursorFile {
    /// The file of that name, in a folder that is made when something is kept.
    pub fn new(folder: &Path, name: &str) -> CursorFile {
        CursorFile(folder.join(name))
    }

    /// What it holds. A file that can't be read holds nothing: targets then begin with what happens from now on.
    pub fn read(&self) -> Cursors {
        let is_small =
            fs::symlink_metadata(&self.0).is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX);
        let read = is_small.then(|| fs::read(&self.0).ok()).flatten();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Replace it, durably.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, cursors: &Cursors) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), fs::create_dir_all)?;
        durable::write(&self.0, &serde_json::to_vec(cursors)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_a_damaged_file_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::new(&folder.path().join("notify"), "webhooks.json");
        assert_eq!(file.read(), Cursors::default());
        let cursor = Cursor { after: 7, failing_since: Some(9), retry_at: Some(11) };
        let cursors = Cursors { targets: [("a".to_owned(), cursor)].into() };
        file.write(&cursors).unwrap();
        assert_eq!(file.read(), cursors);
        for damaged in ["", "{", "{\"targets\":{\"a\":{}}}"] {
            durable::write(&file.0, damaged.as_bytes()).unwrap();
            assert_eq!(file.read(), Cursors::default(), "{damaged}");
        }
    }
}
