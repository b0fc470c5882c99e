//! The kind `directory`: an application's folder that a service runs from.
//!
//! | file | noun |
//! |---|---|
//! | `preflight` | what has to be right before anything is fetched |
//! | `unpack` | from an archive to a folder that is complete and durable |
//! | `service` | the service that runs from it: started, and whether it is healthy |
//! | `links` | what a boot does: the durable name, and the links in `/run` |
mod links;
mod preflight;
mod service;
mod unpack;

pub use links::write_links;

use super::driver::{Archive, ComponentStep, Procedure, Updater, name_of, version_name};
use crate::Error;
use bistable_boot::{Failure, component::Held};
use bistable_format::{Release, health::Profile};
use std::path::PathBuf;

/// A folder that a service runs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The service.
    pub unit: String,
    /// Where people and programs find the folder.
    pub path: PathBuf,
    /// The file in it that says its version.
    pub version_file: PathBuf,
}

impl Procedure for Directory {
    fn preflight(&self, updater: &mut Updater<'_>, release: &Release) -> Result<(), Error> {
        self.check(updater, release)
    }

    fn stage(
        &self,
        updater: &mut Updater<'_>,
        content: &mut dyn Archive,
        target: &Held,
    ) -> Result<(), Error> {
        let bytes = content.release().content.bytes();
        let began = updater.begin(ComponentStep::Unpack, bytes);
        let unpacked = self.unpack(updater, content, target);
        updater.end(ComponentStep::Unpack, began, &unpacked, |()| None);
        unpacked?;
        let (name, version) = (updater.subject.name.as_str(), version_name(target));
        updater.step(ComponentStep::Sync, |updater| {
            // Data first, then the name (I13).
            updater.world.store.sync()?;
            Ok(updater.world.store.complete(name, &version)?)
        })
    }

    fn remove(&self, updater: &mut Updater<'_>, version: &str) -> Result<(), Error> {
        Ok(updater.world.store.remove(&updater.subject.name, version)?)
    }

    fn stored(&self, updater: &mut Updater<'_>) -> Result<Vec<String>, Error> {
        let stored = updater.world.store.versions(&updater.subject.name)?;
        Ok(stored.into_iter().map(|version| version.name).collect())
    }

    fn is_shown(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<bool, Error> {
        Ok(updater.world.store.shown(&updater.subject.name)? == version.map(name_of))
    }

    fn leave(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        updater.step(ComponentStep::Stop, |updater| self.stop(updater))
    }

    fn switch(&self, updater: &mut Updater<'_>, to: Option<&Held>) -> Result<(), Error> {
        let (name, version) = (updater.subject.name.as_str(), to.map(name_of));
        updater
            .step(ComponentStep::Switch, |updater| Ok(updater.world.store.show(name, version.as_deref())?))
    }

    fn resume(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        if updater.component().runs().is_none() {
            return Ok(());
        }
        updater.step(ComponentStep::Start, |updater| self.start(updater))
    }

    fn prove(
        &self,
        updater: &mut Updater<'_>,
        _version: &Held,
        profile: &Profile,
    ) -> Result<Option<Failure>, Error> {
        self.proven(updater, profile)
    }

    fn set_current(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<(), Error> {
        let version = version.map(name_of);
        Ok(updater.world.store.set_current(&updater.subject.name, version.as_deref())?)
    }
}
