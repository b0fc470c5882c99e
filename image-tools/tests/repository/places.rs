//! Places for a repository: fresh ones, of each kind there is.
use bistable_image::repository::Store;
use bistable_image::repository::store::{Memory, Missing};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// An empty place, removed at the end if it is on the disk.
pub(crate) struct Place {
    pub name: &'static str,
    pub store: Store,
    /// What `--repo` takes; none for memory.
    pub url: Option<String>,
    _folder: Option<TempDir>,
}

pub(crate) fn memory() -> Place {
    Place { name: "memory", store: Store::new(Memory::new()), url: None, _folder: None }
}

pub(crate) fn directory() -> Place {
    let folder = tempfile::tempdir().unwrap();
    // Not the folder itself: the computers' memory lies beside the repository.
    let url = folder.path().join("repository").to_str().unwrap().to_owned();
    let store = Store::open(&url, Missing::Create).unwrap();
    Place { name: "directory", store, url: Some(url), _folder: Some(folder) }
}

/// A prefix of the bucket that is unused.
pub(crate) fn s3() -> Option<Place> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let bucket = std::env::var("BISTABLE_TEST_S3").ok()?;
    let unique = tempfile::tempdir().unwrap();
    let unique = unique.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    let url = format!("{bucket}/{unique}-{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let store = Store::open(&url, Missing::Refuse).unwrap();
    Some(Place { name: "S3", store, url: Some(url), _folder: None })
}

/// All kinds.
pub(crate) fn all() -> Vec<Place> {
    [memory(), directory()].into_iter().chain(s3()).collect()
}
