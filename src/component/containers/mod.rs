//! The kind `containers`: a service of a Compose project.
//!
//! A version is an image in the engine's store, under the name `bistable/NAME:<release>`, and a folder with the signed release, by which
//! it counts as complete. The durable name is the image that the project's Compose file has for the service. A trial changes only a copy of
//! that file in `/run`, and the containers of the service; these never start by themselves until the version is committed, so a power cut in
//! a trial leaves a boot that runs the old version as soon as the engine answers.
//!
//! | file | noun |
//! |---|---|
//! | `image` | the image that a release is about, and what of it can't be installed |
//! | `preflight` | what has to be right before anything is fetched |
//! | `stage` | from the parts of a release to an image that is complete and durable |
//! | `project` | the Compose file, durable and of this boot |
//! | `run` | the service's container: started, and whether it is healthy |
//! | `boot` | what a boot does when the engine answers |
mod boot;
mod image;
mod preflight;
mod project;
mod run;
mod stage;

use super::driver::{Archive, ComponentError, ComponentStep, Procedure, Updater, version_name};
use crate::{
    Error,
    ports::{HostError, ServiceOf},
};
use bistable_boot::{Failure, component::Held};
use bistable_format::{Digest, Release, health::Profile};

/// A service of a Compose project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containers {
    /// The project.
    pub project: String,
    /// Its service.
    pub service: String,
}

impl Containers {
    fn of(&self) -> ServiceOf<'_> {
        ServiceOf { project: &self.project, service: &self.service }
    }
}

/// Where the images of a component have their names.
pub(crate) fn repository(component: &str) -> String {
    format!("bistable/{component}")
}

/// The name of a version's image.
fn image_name(component: &str, version: &str) -> String {
    format!("{}:{version}", repository(component))
}

/// The container that keeps a version's image from being removed as unused.
fn keeper(component: &str, version: &str) -> String {
    format!("bistable-{component}-{version}")
}

/// The engine doesn't do what it has to: that says nothing of a release.
fn engine(e: &HostError) -> Error {
    Error::NotNow(format!("the container engine: {e}"))
}

impl Procedure for Containers {
    fn preflight(&self, updater: &mut Updater<'_>, release: &Release) -> Result<(), Error> {
        self.check(updater, release)
    }

    fn stage(
        &self,
        updater: &mut Updater<'_>,
        content: &mut dyn Archive,
        target: &Held,
    ) -> Result<(), Error> {
        self.staged(updater, content, target)
    }

    fn remove(&self, updater: &mut Updater<'_>, version: &str) -> Result<(), Error> {
        let name = updater.subject.name.as_str();
        let tagged = updater.world.engine.tagged(&repository(name)).map_err(|e| engine(&e))?;
        if let Some((_, id)) = tagged.iter().find(|(tag, _)| tag == version) {
            updater.world.engine.let_go(&keeper(name, version)).map_err(|e| engine(&e))?;
            // Two releases may have one image.
            let is_shared = tagged.iter().any(|(tag, other)| tag != version && other == id);
            let removed = match is_shared {
                true => updater.world.engine.untag(&image_name(name, version)),
                false => updater.world.engine.remove_image(id),
            };
            removed.map_err(|e| engine(&e))?;
        }
        Ok(updater.world.store.remove(name, version)?)
    }

    fn stored(&self, updater: &mut Updater<'_>) -> Result<Vec<String>, Error> {
        let name = updater.subject.name.as_str();
        let stored = updater.world.store.versions(name)?.into_iter().map(|version| version.name);
        let tagged = updater.world.engine.tagged(&repository(name)).map_err(|e| engine(&e))?;
        let mut all: Vec<String> = stored.chain(tagged.into_iter().map(|(tag, _)| tag)).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    fn is_there(&self, updater: &mut Updater<'_>, version: &Held) -> Result<bool, Error> {
        Ok(self.image_of(updater, version)?.is_some())
    }

    fn keep(&self, updater: &mut Updater<'_>, version: &Held) -> Result<(), Error> {
        let Some(id) = self.image_of(updater, version)? else { return Ok(()) };
        let keeper = keeper(&updater.subject.name, &version_name(version));
        updater.world.engine.keep(&keeper, &id).map_err(|e| engine(&e))
    }

    fn is_shown(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<bool, Error> {
        self.runs(updater, version)
    }

    /// The engine replaces the container, as late as it can.
    fn leave(&self, _updater: &mut Updater<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn switch(&self, updater: &mut Updater<'_>, to: Option<&Held>) -> Result<(), Error> {
        let version = to.map(version_name);
        updater.step(ComponentStep::Switch, |updater| {
            let name = updater.subject.name.as_str();
            self.show(&mut *updater.world.compose, name, version.as_deref())
        })
    }

    fn resume(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        if updater.component().is_stopped {
            return updater.step(ComponentStep::Stop, |updater| self.stop(updater));
        }
        updater.step(ComponentStep::Start, |updater| self.start(updater))?;
        self.hand_over(updater)
    }

    fn prove(
        &self,
        updater: &mut Updater<'_>,
        version: &Held,
        profile: &Profile,
    ) -> Result<Option<Failure>, Error> {
        self.proven(updater, version, profile)
    }

    fn set_current(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<(), Error> {
        let version = version.map(version_name);
        self.name(&mut *updater.world.compose, &updater.subject.name, version.as_deref())
    }

    fn hand_over(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        self.restart_by_itself(updater.world.engine, updater.world.compose)
    }

    fn take_back(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        self.restart_never(updater.world.engine)
    }
}

impl Containers {
    /// The image that has a version's name.
    fn image_of(&self, updater: &mut Updater<'_>, version: &Held) -> Result<Option<Digest>, Error> {
        let tagged = updater.world.engine.tagged(&repository(&updater.subject.name));
        let tagged = tagged.map_err(|e| engine(&e))?;
        let version = version_name(version);
        Ok(tagged.into_iter().find(|(tag, _)| *tag == version).map(|(_, id)| id))
    }

    /// How this error of a version's name is told.
    fn gone(name: &str, version: &Held) -> ComponentError {
        ComponentError::ImageGone { name: name.into(), version: version.version.clone() }
    }
}
