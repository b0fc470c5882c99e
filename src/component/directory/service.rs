//! The service that runs from the folder.
use super::Directory;
use crate::{
    Error,
    component::driver::{ComponentStep, SERVICE_MAX, Updater, World},
    ports::UnitState,
    steps::health,
};
use bistable_boot::{Failure, Reason};
use bistable_format::{health::Profile, selftest::Plan};

impl Directory {
    pub(super) fn stop(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        let stopped = updater.world.services.stop(&self.unit, SERVICE_MAX);
        stopped.map_err(|e| Error::NotNow(format!("service {} can't be stopped: {e}", self.unit)))
    }

    pub(super) fn start(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        let started = updater.world.services.start(&self.unit, SERVICE_MAX);
        started.map_err(|e| Error::NotNow(format!("service {} can't be started: {e}", self.unit)))
    }

    /// Start the service, wait, and check its health. Gives why it isn't healthy.
    pub(super) fn proven(
        &self,
        updater: &mut Updater<'_>,
        profile: &Profile,
    ) -> Result<Option<Failure>, Error> {
        let unit = self.unit.as_str();
        let unhealthy = |why: String| Some(Failure::new(Reason::Health, &why));
        let started = updater.judged(
            ComponentStep::Start,
            |updater| Ok(updater.world.services.start(unit, SERVICE_MAX)),
            |started| started.as_ref().err().map(ToString::to_string),
        )?;
        let service = |updater: &mut Updater<'_>| {
            updater
                .world
                .services
                .service(unit, SERVICE_MAX)
                .map_err(|e| Error::NotNow(format!("service {unit} can't be asked: {e}")))
        };
        if let Err(why) = started {
            // A service that runs into its end is the version's; a service manager that doesn't answer is not.
            return match service(updater)?.state {
                UnitState::Active => Err(Error::NotNow(format!("service {unit} can't be started: {why}"))),
                UnitState::Other(state) => Ok(unhealthy(format!("{unit} is {state}"))),
                UnitState::Missing => Err(Error::NotNow(format!("there is no service {unit}"))),
            };
        }
        let wait = updater.subject.start_wait;
        let why = updater.judged(
            ComponentStep::Health,
            |updater| {
                updater.world.clock.wait(wait);
                let World { gpio, buses, host, clock, .. } = &mut updater.world;
                let plan = Plan::default();
                let verdict = health::check(profile, &plan, &mut **gpio, &mut **buses, &mut **host, *clock);
                if let Some(why) = verdict.unhealthy() {
                    return Ok(Some(why.to_owned()));
                }
                let after = service(updater)?;
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
}
