//! The root that the simulated Pi's running system carries: from the folder that stands for its files, else from the system volume
//! of the slot that runs, as far as it is an ext4 file system.
use crate::ports::{HostError, Volume};
use bistable_boot::SECTOR;
use bistable_format::{Envelope, Root};
use ext4_view::{Ext4, Ext4Read};
use std::{error::Error, fs, io::ErrorKind, path::PathBuf, sync::Arc};

/// Where a simulated system's root may be.
#[allow(missing_debug_implementations, reason = "a volume is a trait object")]
pub struct SystemRootFile {
    /// In the folder: it wins, as a file that was laid over the image would.
    pub file: PathBuf,
    /// The running slot's system volume, if the card has it.
    pub system: Option<Arc<dyn Volume>>,
}

pub(super) struct Reader(pub(super) Arc<dyn Volume>);

impl Ext4Read for Reader {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        // Volumes are read in whole sectors.
        let sector = SECTOR as u64;
        let end = at.checked_add(into.len() as u64).ok_or("beyond the end")?;
        let first = at / sector * sector;
        let mut bytes = vec![0; usize::try_from(end.next_multiple_of(sector) - first)?];
        self.0.read(first, &mut bytes)?;
        let skip = usize::try_from(at - first)?;
        into.copy_from_slice(bytes.get(skip..skip + into.len()).ok_or("beyond the end")?);
        Ok(())
    }
}

impl SystemRootFile {
    /// The signed root; `None` if there is none.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, HostError> {
        match fs::read(&self.file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(self.in_volume()),
            Err(e) => Err(HostError::Failed(format!("{}: {e}", self.file.display()))),
        }
    }

    fn in_volume(&self) -> Option<Vec<u8>> {
        let system = Ext4::load(Box::new(Reader(self.system.clone()?))).ok()?;
        let bytes = system.metadata(Root::SYSTEM_PATH).ok()?.len();
        (bytes <= Envelope::MAX_BYTES as u64).then(|| system.read(Root::SYSTEM_PATH).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Access, CardFile, FileVolume, Meter};
    use bistable_image::volume::{SystemOptions, VolumeId, open_system};
    use std::path::Path;

    /// A system volume that is built from a tree with such a root in it, or without one.
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    fn system(folder: &Path, root: Option<&[u8]>) -> Arc<dyn Volume> {
        let (tree, made) = (folder.join("tree"), folder.join("system.ext4"));
        fs::create_dir_all(tree.join("usr/share/bistable")).unwrap();
        if let Some(root) = root {
            fs::write(tree.join(Root::SYSTEM_PATH.trim_start_matches('/')), root).unwrap();
        }
        let plan = open_system(&tree, &SystemOptions::new(VolumeId::from_name("test"), 0)).unwrap();
        let mut out = fs::File::create(&made).unwrap();
        plan.write_to(&mut out, &|_| ()).unwrap();
        let file = Arc::new(CardFile::open(&made, Access::ReadOnly).unwrap());
        Arc::new(FileVolume::open(&file, "system_a", 0, out.metadata().unwrap().len(), Meter::default()))
    }

    fn found(folder: &Path, system: Option<Arc<dyn Volume>>) -> Option<Vec<u8>> {
        SystemRootFile { file: folder.join("root.root"), system }.read().unwrap()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    fn root_comes_from_the_running_system_unless_a_file_is_laid_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let root: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let carried = system(folder.path(), Some(&root));
        assert_eq!(found(folder.path(), Some(Arc::clone(&carried))), Some(root));
        fs::write(folder.path().join("root.root"), "another").unwrap();
        assert_eq!(found(folder.path(), Some(carried)).as_deref(), Some(&b"another"[..]));
    }

    #[test]
    fn system_without_a_root_or_without_a_file_system_carries_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(found(folder.path(), Some(system(folder.path(), None))), None);
        assert_eq!(found(folder.path(), None), None);
        let noise = folder.path().join("noise");
        fs::File::create(&noise).unwrap().set_len(1 << 20).unwrap();
        let file = Arc::new(CardFile::open(&noise, Access::ReadOnly).unwrap());
        let volume = FileVolume::open(&file, "system_a", 0, 1 << 20, Meter::default());
        assert_eq!(found(folder.path(), Some(Arc::new(volume))), None);
    }
}
