use super::{Fault, ImageParts};
use bistable_format::{Digest, archive::Sink};
use std::path::Path;

/// Where the links of a boot are, below `/run`.
pub const COMPONENT_LINKS: &str = "bistable/components";
/// Where those to their configurations are.
pub const CONFIGURATION_LINKS: &str = "bistable/configurations";

/// Bytes that the values of a component have at most where they are stored.
pub const STORED_MAX: u64 = 1 << 20;

/// The version that a name leads to, and the number of its configuration if it has one: of `VERSION` or `VERSION-NUMBER`. A configuration
/// lies beside its version, in a folder of that name, so that one name leads to both.
pub fn parts_of(name: &str) -> (&str, Option<u32>) {
    match name.split_once('-') {
        Some((version, number)) => (version, number.parse().ok()),
        None => (name, None),
    }
}

/// A version of a component that lies in its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredVersion {
    /// Its name: what [`ComponentStore::begin`] was given.
    pub name: String,
    /// Whether it has got that name, with [`ComponentStore::complete`].
    pub is_complete: bool,
}

/// Where the versions of components lie, on the partition that outlives updates: each in a folder of its own, and beside them one
/// link, the durable name. And the links of this boot, in memory, by which people and programs find them.
///
/// A power cut takes everything that wasn't made durable, data and names apart from each other; so a name that became durable
/// before its data leads to empty files (measured on ext4).
pub trait ComponentStore {
    /// The components of which something lies here, sorted.
    ///
    /// # Errors
    /// When that can't be read.
    fn components(&mut self) -> Result<Vec<String>, Fault>;

    /// The versions of a component, sorted; none of one that has no folder.
    ///
    /// # Errors
    /// When the folder can't be read.
    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault>;

    /// Whether a version is there, complete.
    ///
    /// # Errors
    /// As for [`versions`](Self::versions).
    fn has(&mut self, component: &str, version: &str) -> Result<bool, Fault> {
        let stored = self.versions(component)?;
        Ok(stored.iter().any(|stored| stored.is_complete && stored.name == version))
    }

    /// Begin to unpack a version beside the others. What an earlier attempt left of it goes first.
    ///
    /// # Errors
    /// When it can't be written.
    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault>;

    /// Store the signed release of a version, beside its folder.
    ///
    /// # Errors
    /// When it can't be written.
    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault>;

    /// The signed release of a version. Nothing about it is verified.
    ///
    /// # Errors
    /// When it can't be read.
    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault>;

    /// A file at the top of a version that is complete, of at most 1 MiB.
    ///
    /// # Errors
    /// When it can't be read.
    fn file(&mut self, component: &str, version: &str, name: &str) -> Result<Vec<u8>, Fault>;

    /// What an operator set for versions to come; nothing if there is nothing.
    ///
    /// # Errors
    /// When it can't be read.
    fn values(&mut self, component: &str) -> Result<Vec<u8>, Fault>;

    /// Store that, durably, or remove it if it is empty. After a power cut the old or the new one is there.
    ///
    /// # Errors
    /// When it can't be written.
    fn keep_values(&mut self, component: &str, values: &[u8]) -> Result<(), Fault>;

    /// Make durable whatever was written.
    ///
    /// # Errors
    /// When the medium fails.
    fn sync(&mut self) -> Result<(), Fault>;

    /// The files of a version that is being unpacked which have these digests as their names, readable by any thread.
    ///
    /// # Errors
    /// When there is no such version.
    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault>;

    /// Give a version that was unpacked its name, durably. What is in it has to be durable before (I13).
    ///
    /// # Errors
    /// When it can't be renamed.
    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault>;

    /// Remove a version, complete or not, and its release. None is no error.
    ///
    /// # Errors
    /// When it can't be removed.
    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault>;

    /// The version that the durable name leads to.
    ///
    /// # Errors
    /// When that can't be read.
    fn current(&mut self, component: &str) -> Result<Option<String>, Fault>;

    /// Have the durable name lead to a version, or to none. After a power cut it leads to the old or the new one; after `Ok` to the
    /// new one.
    ///
    /// # Errors
    /// When it can't be written.
    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault>;

    /// The version that the link of this boot leads to.
    ///
    /// # Errors
    /// When that can't be read.
    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault>;

    /// Have the link of this boot lead to a version, or to none, and that of its configuration to the one that goes with it. They don't
    /// outlive the boot.
    ///
    /// # Errors
    /// When it can't be written.
    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault>;

    /// Bytes that are free.
    ///
    /// # Errors
    /// When that can't be asked.
    fn free_bytes(&mut self) -> Result<u64, Fault>;

    /// Whether the path that people and programs use is the link of this boot, or leads to it.
    ///
    /// # Errors
    /// When that can't be read.
    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault>;
}
