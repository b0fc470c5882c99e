//! Mistakes, and the parts of a device that make them.
use super::world::{Part, World};
use bistable::{
    Device, Error,
    agent::BoundSource,
    board::memory::MemoryStore,
    component::Archive,
    ports::{ComponentStore, Fault, ImageParts, StoredVersion},
};
use bistable_format::{Bound, Digest, archive::Sink};
use semver::Version;
use std::path::Path;

/// A mistake, put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// The boot shows what the durable names lead to, whatever the image binds.
    LinksFromCurrent,
    /// The boot shows what it showed last: the versions of the newest image that was staged.
    LinksFromNewest,
    /// What the other slot's image binds is removed after a commit.
    OtherSlotCleanedUp,
    /// What was staged is not made durable.
    NotSynced,
    /// The release that comes is taken for the one that the image names.
    IdentityNotCompared,
    /// The health of the components doesn't count.
    HealthIgnored,
    /// A bound version that is there is unpacked again, over what runs.
    RunningUnpackedAgain,
}

pub(super) const MUTANTS: [Mutant; 7] = [
    Mutant::LinksFromCurrent,
    Mutant::LinksFromNewest,
    Mutant::OtherSlotCleanedUp,
    Mutant::NotSynced,
    Mutant::IdentityNotCompared,
    Mutant::HealthIgnored,
    Mutant::RunningUnpackedAgain,
];

/// Where the releases are had.
pub(super) struct Shop<'a> {
    pub(super) world: &'a World,
    pub(super) mutant: Option<Mutant>,
}

impl BoundSource for Shop<'_> {
    fn open(&mut self, _: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
        let Some(part) = self.world.part(&bound.identity).cloned() else { return Ok(None) };
        if self.mutant != Some(Mutant::IdentityNotCompared) || bound.version != Version::new(2, 0, 0) {
            return Ok(Some(Box::new(part)));
        }
        let other =
            self.world.parts.iter().find(|other| other.is(&bound.component, "9.0.0")).unwrap().clone();
        Ok(Some(Box::new(Part { signed: part.signed, ..other })))
    }
}

/// The store as a mutant has it.
pub(super) struct MutantStore(pub(super) MemoryStore, pub(super) Option<Mutant>);

impl ComponentStore for MutantStore {
    fn components(&mut self) -> Result<Vec<String>, Fault> {
        self.0.components()
    }
    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        match self.1 {
            Some(Mutant::RunningUnpackedAgain) => Ok(Vec::new()),
            _ => self.0.versions(component),
        }
    }
    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        self.0.begin(component, version)
    }
    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.0.keep_release(component, version, signed)
    }
    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        self.0.release(component, version)
    }
    fn file(&mut self, component: &str, version: &str, name: &str) -> Result<Vec<u8>, Fault> {
        self.0.file(component, version, name)
    }
    fn values(&mut self, component: &str) -> Result<Vec<u8>, Fault> {
        self.0.values(component)
    }
    fn keep_values(&mut self, component: &str, values: &[u8]) -> Result<(), Fault> {
        self.0.keep_values(component, values)
    }
    fn sync(&mut self) -> Result<(), Fault> {
        if self.1 == Some(Mutant::NotSynced) { Ok(()) } else { self.0.sync() }
    }
    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault> {
        self.0.parts(component, version, digests)
    }
    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.0.complete(component, version)
    }
    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.0.remove(component, version)
    }
    fn current(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.0.current(component)
    }
    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.0.set_current(component, version)
    }
    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.0.shown(component)
    }
    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.0.show(component, version)
    }
    fn free_bytes(&mut self) -> Result<u64, Fault> {
        self.0.free_bytes()
    }
    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault> {
        self.0.is_reached_by(component, path)
    }
}
