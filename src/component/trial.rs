//! The new version, live: the service runs from it, and its health decides.
use super::{
    ComponentEvent, ComponentStep, Updater, World,
    updater::{SERVICE_MAX, version_name},
};
use crate::{Error, ports::UnitState, steps::health};
use bistable_boot::{
    Failure, Reason,
    component::{Event, Held, State},
};
use bistable_format::{health::Profile, selftest::Plan};

impl Updater<'_> {
    /// Try the new version once. It is counted before it begins: whatever ends it, it is not tried without end (I11).
    pub(super) fn trial(&mut self) -> Result<(), Error> {
        let boot = self.boot();
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
        let profile = self.profile(target)?;
        self.step(ComponentStep::Stop, Self::stop)?;
        self.switch(Some(&version_name(target)))?;
        self.proven(&profile)
    }

    /// Start the service, wait, and check its health. Gives why it isn't healthy.
    pub(super) fn proven(&mut self, profile: &Profile) -> Result<Option<Failure>, Error> {
        let unit = self.subject.unit.as_str();
        let unhealthy = |why: String| Some(Failure::new(Reason::Health, &why));
        let started = self.judged(
            ComponentStep::Start,
            |this| Ok(this.world.services.start(unit, SERVICE_MAX)),
            |started| started.as_ref().err().map(ToString::to_string),
        )?;
        let service = |this: &mut Self| {
            this.world
                .services
                .service(unit, SERVICE_MAX)
                .map_err(|e| Error::NotNow(format!("service {unit} can't be asked: {e}")))
        };
        if let Err(why) = started {
            // A service that runs into its end is the version's; a service manager that doesn't answer is not.
            return match service(self)?.state {
                UnitState::Active => Err(Error::NotNow(format!("service {unit} can't be started: {why}"))),
                UnitState::Other(state) => Ok(unhealthy(format!("{unit} is {state}"))),
                UnitState::Missing => Err(Error::NotNow(format!("there is no service {unit}"))),
            };
        }
        let wait = self.subject.start_wait;
        let why = self.judged(
            ComponentStep::Health,
            |this| {
                this.world.clock.wait(wait);
                let World { gpio, buses, host, clock, .. } = &mut this.world;
                let plan = Plan::default();
                let verdict = health::check(profile, &plan, &mut **gpio, &mut **buses, &mut **host, *clock);
                if let Some(why) = verdict.unhealthy() {
                    return Ok(Some(why.to_owned()));
                }
                let after = service(this)?;
                Ok(match (&after.state, after.restarts) {
                    (UnitState::Active, 0) => None,
                    (UnitState::Active, times) => {
                        Some(format!("{unit} ended and was restarted, {times} times"))
                    }
                    (UnitState::Other(state), _) => Some(format!("{unit} is {state}")),
                    (UnitState::Missing, _) => Some(format!("{unit} is missing")),
                })
            },
            Option::clone,
        )?;
        Ok(why.and_then(unhealthy))
    }

    /// What healthy means for a version: what the owner says, else its own release.
    pub(super) fn profile(&mut self, held: &Held) -> Result<Profile, Error> {
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
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let State::Committing { target, .. } = self.component().state else { return Ok(()) };
        let (subject, version) = (self.subject, version_name(&target));
        self.step(ComponentStep::Commit, |this| {
            Ok(this.world.store.set_current(&subject.name, Some(&version))?)
        })?;
        // After a power cut in this state the boot showed it already; after anything else the trial did.
        if self.world.store.shown(&subject.name)?.as_deref() != Some(version.as_str()) {
            self.restart()?;
        }
        self.on(Event::Committed)?;
        self.observer.on_event(ComponentEvent::Committed(&target.version));
        self.step(ComponentStep::CleanUp, |this| {
            this.clean_up();
            Ok(())
        })
    }

    /// Remove the versions that the record doesn't name.
    pub(super) fn clean_up(&mut self) {
        let name = self.subject.name.as_str();
        let component = self.component();
        let needed: Vec<String> = component.needs().map(version_name).collect();
        let stored = self.world.store.versions(name).unwrap_or_default();
        for version in stored.iter().filter(|version| !needed.contains(&version.name)) {
            // The next clean-up finds it again.
            if let Err(e) = self.world.store.remove(name, &version.name) {
                self.observer.on_event(ComponentEvent::Remark(&format!(
                    "version {} can't be removed: {e}",
                    version.name
                )));
            }
        }
    }
}
