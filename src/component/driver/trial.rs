//! The new version, live: the service runs from it, and its health decides.
use super::{
    ComponentError, ComponentEvent, ComponentStep, Updater,
    updater::{name_of, version_name},
};
use crate::Error;
use bistable_boot::{
    Failure, Reason,
    component::{Event, Held, State},
};
use bistable_format::health::Profile;

impl Updater<'_> {
    /// Try the new version once. It is counted before it begins: whatever ends it, it is not tried without end (I11).
    pub(crate) fn trial(&mut self) -> Result<(), Error> {
        let (boot, procedure) = (self.boot(), self.procedure);
        if let State::Armed { target, .. } = self.component().state
            && !procedure.is_there(self, &target)?
        {
            let gone = ComponentError::ImageGone {
                name: self.subject.name.clone(),
                version: target.version.clone(),
            };
            return self.on(Event::Failed(Failure::new(Reason::Install, &gone.to_string())));
        }
        self.on(Event::Trying(boot))?;
        let State::Armed { target, .. } = self.component().state else { return Ok(()) };
        match self.prove(&target) {
            Ok(None) => self.on(Event::Healthy(boot)),
            Ok(Some(failure)) => self.on(Event::Failed(failure)),
            // This device kept it from being tried (I16): the old version runs on.
            Err(e) if e.stopping().is_none() => {
                self.on(Event::Canceled(boot))?;
                if let Err(e) = self.restart() {
                    self.observer.on_event(ComponentEvent::Remark(&e.to_string()));
                }
                Err(e)
            }
            Err(e) => Err(e),
        }
    }

    /// Run the service from a version, and check its health. Gives why it isn't healthy.
    ///
    /// # Errors
    /// When that can't be found out.
    fn prove(&mut self, target: &Held) -> Result<Option<Failure>, Error> {
        let (profile, procedure) = (self.profile(target)?, self.procedure);
        procedure.leave(self)?;
        procedure.switch(self, Some(target))?;
        procedure.prove(self, target, &profile)
    }

    /// What healthy means for a version: what the owner says, else its own release.
    pub(crate) fn profile(&mut self, held: &Held) -> Result<Profile, Error> {
        let profile = match &self.subject.health {
            Some(profile) => profile.clone(),
            None => {
                self.release_of(held)?.health_profile().map_err(|e| super::ComponentError::StoredRelease {
                    name: self.subject.name.clone(),
                    problem: e.to_string(),
                })?
            }
        };
        Ok(profile.expecting(&held.version))
    }

    /// Make the new version the one that the durable name leads to, and remove what nothing needs.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        let State::Committing { target, .. } = self.component().state else { return Ok(()) };
        let procedure = self.procedure;
        self.step(ComponentStep::Commit, |this| procedure.set_current(this, Some(&target)))?;
        // After a power cut in this state the boot showed it already; after anything else the trial did.
        if !procedure.is_shown(self, Some(&target))? {
            self.restart()?;
        }
        procedure.hand_over(self)?;
        self.on(Event::Committed)?;
        self.observer.on_event(ComponentEvent::Committed(&target.version));
        self.step(ComponentStep::CleanUp, |this| {
            this.clean_up();
            Ok(())
        })
    }

    /// Remove the versions that neither the record nor an image in a slot names.
    pub fn clean_up(&mut self) {
        let procedure = self.procedure;
        let component = self.component();
        let needed: Vec<String> =
            component.needs().flat_map(|held| [version_name(held), name_of(held)]).collect();
        let stored = procedure.stored(self).unwrap_or_default();
        for version in stored.iter().filter(|version| !needed.contains(version)) {
            if self.is_bound(version) {
                continue;
            }
            // The next clean-up finds it again.
            if let Err(e) = procedure.remove(self, version) {
                self.observer
                    .on_event(ComponentEvent::Remark(&format!("version {version} can't be removed: {e}")));
            }
        }
        for kept in self.component().kept {
            if let Err(e) = procedure.keep(self, &kept) {
                self.observer.on_event(ComponentEvent::Remark(&format!(
                    "version {} may be removed as unused: {e}",
                    kept.version
                )));
            }
        }
    }
}
