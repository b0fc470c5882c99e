//! From an offer to a version that is complete and durable.
use super::{Archive, ComponentError, ComponentStep, Updater, World, updater::version_name};
use crate::{Error, steps::selftest};
use bistable_boot::{
    Failure, Reason, ReleaseId,
    component::{Event, Held, State},
};
use bistable_format::{Release, release};

impl Updater<'_> {
    /// Take an offer and make it a version that is complete and durable. Continues an installation of the same release, from its
    /// beginning.
    ///
    /// # Errors
    /// When the offer, the device or the partition is to blame: the version that runs stays, and is the current one.
    pub fn install(&mut self, content: &mut dyn Archive) -> Result<(), Error> {
        self.settle()?;
        let procedure = self.procedure;
        let release = content.release().clone();
        if release.component.as_deref() != Some(&self.subject.name) {
            let (name, found) = (self.subject.name.clone(), found(&release));
            return Err(ComponentError::OtherRelease { name, found }.into());
        }
        self.step(ComponentStep::Preflight, |this| procedure.preflight(this, &release))?;
        let (target, configuration) = self.configured(held(content), &release)?;
        // An update that was begun makes way for another one before it is armed.
        if let State::Installing(before) | State::Staged(before) = self.component().state
            && before != target
        {
            self.on(Event::Failed(Failure::new(Reason::Environment, "another release was offered")))?;
        }
        match self.component().state {
            State::Staged(_) => return Ok(()),
            State::Installing(_) => {}
            _ => self.on(Event::Offer(target.clone()))?,
        }
        let staged = match self.is_kept_for_an_image(&target)? {
            // The other slot's way back depends on it: it is not unpacked again.
            true => self.step(ComponentStep::Sync, |this| Ok(this.world.store.sync()?)),
            false => procedure.stage(self, content, &target).inspect_err(|_| {
                // What is half there only takes room: the next attempt begins again.
                let _ = procedure.remove(self, &version_name(&target));
            }),
        };
        let staged = match &configuration {
            Some((declaration, values)) => {
                staged.and_then(|()| self.stage_configuration(&target, declaration, values))
            }
            None => staged,
        };
        if let Err(e) = staged {
            if matches!(e, Error::Cancelled) {
                return self.cancelled();
            }
            if is_unfit(&e) {
                self.on(Event::Failed(Failure::new(Reason::Install, &e.to_string())))?;
            }
            return Err(e);
        }
        self.on(Event::Installed)
    }

    /// Make a version complete and durable that an image brings along. The component's state has no part in it.
    ///
    /// # Errors
    /// When the release, or the partition, is to blame. What is half there is removed.
    pub fn stage_bound(&mut self, content: &mut dyn Archive) -> Result<(), Error> {
        let (target, procedure) = (held(content), self.procedure);
        procedure.stage(self, content, &target).inspect_err(|_| {
            let _ = procedure.remove(self, &version_name(&target));
        })
    }

    /// Whether a version is there, complete, because the image in a slot brings it along.
    fn is_kept_for_an_image(&mut self, target: &Held) -> Result<bool, Error> {
        let version = version_name(target);
        if !self.is_bound(&version) {
            return Ok(false);
        }
        Ok(self.world.store.has(&self.subject.name, &version)? && self.release_of(target).is_ok())
    }

    /// The self-tests of the new version's release, on the system as it runs.
    pub(crate) fn self_test(&mut self) -> Result<(), Error> {
        let State::Staged(target) = self.component().state else { return Ok(()) };
        let plan = self.release_of(&target)?.self_test_plan().map_err(|e| ComponentError::StoredRelease {
            name: self.subject.name.clone(),
            problem: e.to_string(),
        })?;
        let report = self.judged(
            ComponentStep::SelfTest,
            |this| {
                let World { gpio, buses, host, clock, .. } = &mut this.world;
                Ok(selftest::run(&plan, &mut **gpio, &mut **buses, &mut **host, *clock))
            },
            |report| report.refusal().map(|_| report.summary()),
        )?;
        match report.refusal() {
            None => {
                self.unless_cancelled()?;
                self.on(Event::SelfTestsPassed)
            }
            Some(_) => {
                let summary = report.summary();
                self.on(Event::Failed(Failure::new(Reason::SelfTest, &summary)))?;
                Err(Error::SelfTest(summary))
            }
        }
    }
}

/// What an offer is about.
pub(crate) fn held(content: &dyn Archive) -> Held {
    let release = content.release();
    Held {
        release: ReleaseId(release::identity(content.signed()).0),
        version: release.version.clone(),
        security_version: release.security_version,
        configuration: None,
    }
}

pub(crate) fn found(release: &Release) -> String {
    match &release.component {
        Some(component) => format!("{component} {}", release.version),
        None => format!("an image, {}", release.version),
    }
}

/// Whether this very release can never be installed. Only then the update is given up; it is not rejected (I16).
fn is_unfit(e: &Error) -> bool {
    matches!(e, Error::Component(e) if matches!(**e, ComponentError::Archive { .. } | ComponentError::VersionFile { .. } | ComponentError::Image { .. }))
}
