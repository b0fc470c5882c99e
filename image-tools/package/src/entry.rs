//! A file or folder of the package.

/// A file or folder of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, from the root, without a leading slash.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// What is in it; a folder has none.
    pub bytes: Option<Vec<u8>>,
}

impl Entry {
    /// A file that all may read.
    pub fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Entry {
        Entry { path: path.into(), mode: 0o644, bytes: Some(bytes.into()) }
    }

    /// A file that all may run.
    pub fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Entry {
        Entry { mode: 0o755, ..Entry::file(path, bytes) }
    }

    pub(super) fn folder(path: &str) -> Entry {
        Entry { path: path.into(), mode: 0o755, bytes: None }
    }
}
