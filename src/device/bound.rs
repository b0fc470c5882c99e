//! The components that the images in the slots bring along. Which version of one runs follows from the release of the slot that was
//! booted, and is saved nowhere: a trial and the way back need no write for it (I3).
use super::{Device, stored::read_release};
use crate::Error;
use bistable_boot::{ReleaseId, Slot, component::ComponentRecord};
use bistable_format::Bound;
use semver::Version;

/// An image with the components that it binds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The image, human-readable: `hub 1.4.0`.
    pub image: String,
    /// What it binds; of each component one version.
    pub bound: Vec<Bound>,
}

impl Binding {
    /// What it says of a component.
    pub fn of(&self, component: &str) -> Option<&Bound> {
        self.bound.iter().find(|bound| bound.component == component)
    }
}

impl Device {
    /// What the release in a slot binds. A slot of which the journal knows no release binds nothing.
    ///
    /// # Errors
    /// As for [`release_of`](Self::release_of).
    pub fn binding(&self, slot: Slot) -> Result<Binding, Error> {
        if self.record.slots[slot].is_none() {
            return Ok(Binding::default());
        }
        let release = self.release_of(slot)?;
        let image = format!("{} {}", release.what(), release.version);
        Ok(Binding { image, bound: release.bound.to_vec() })
    }

    /// What the release of the booted slot binds.
    ///
    /// # Errors
    /// As for [`binding`](Self::binding).
    pub fn binding_here(&self) -> Result<Binding, Error> {
        self.binding(self.board.boot.booted())
    }

    /// The same; nothing while the release can't be used: then what was installed by itself is shown, as far as there is anything.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(crate) fn binding_or_none(&self) -> Result<Binding, Error> {
        match self.binding_here() {
            Err(e) if e.stopping().is_some() => Err(e),
            Err(e) => {
                log::warn!(reason:% = e; "bound_components_unknown");
                Ok(Binding::default())
            }
            known => known,
        }
    }

    /// Every version that the release of either slot binds, or the one that a slot is being written from: none of them may be removed.
    ///
    /// # Errors
    /// When a release that may bind something can't be read or isn't trusted: then nothing is known to be without use.
    pub fn bound_by_slots(&self) -> Result<Vec<Bound>, Error> {
        let trust = self.release_trust()?;
        let mut all = Vec::new();
        for slot in Slot::ALL {
            if self.record.slots[slot].is_some() {
                all.extend(self.release_of(slot)?.bound);
                continue;
            }
            let begun =
                read_release(&*self.state, slot).and_then(|signed| trust(&signed).map_err(Error::Root));
            match begun {
                Ok(release) => all.extend(release.bound),
                Err(e) if e.stopping().is_some() => return Err(e),
                // Nothing was ever installed there, or what was begun has not come that far.
                Err(e) => log::debug!(slot:%, reason:% = e; "slot_binds_nothing"),
            }
        }
        Ok(all)
    }

    /// The versions of the components that were installed by themselves, and of those that something else installs.
    pub fn independent(&self, record: &ComponentRecord) -> Vec<(String, Version)> {
        let mut all = self.settings.installed();
        for component in &record.components {
            if let Some(current) = &component.current {
                replace(&mut all, &component.name, &current.version);
            }
        }
        all
    }

    /// What is beside the slots for an image that brings this along. Without a record that can be used, what is configured counts.
    ///
    /// # Errors
    /// When the machine goes down.
    pub fn beside(&self, bound: &[Bound]) -> Result<Vec<(String, Version)>, Error> {
        let record = match self.stored_components() {
            Err(e) if e.stopping().is_some() => return Err(e),
            Err(e) => {
                log::debug!(reason:% = e; "components_not_read");
                ComponentRecord::default()
            }
            Ok(stored) => stored.record,
        };
        Ok(with_bound(self.independent(&record), bound))
    }
}

/// The versions of components with those that an image binds, which count instead of others.
pub(crate) fn with_bound(mut components: Vec<(String, Version)>, bound: &[Bound]) -> Vec<(String, Version)> {
    for bound in bound {
        replace(&mut components, &bound.component, &bound.version);
    }
    components
}

fn replace(all: &mut Vec<(String, Version)>, name: &str, version: &Version) {
    all.retain(|(known, _)| known != name);
    all.push((name.into(), version.clone()));
}

/// The release of a bound version.
pub(crate) fn bound_release(bound: &Bound) -> ReleaseId {
    ReleaseId(bound.identity.0)
}

/// The name of a bound version's folder.
pub(crate) fn bound_name(bound: &Bound) -> String {
    bound_release(bound).to_string()
}
