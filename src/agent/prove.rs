//! The trial: health, commit, and the ways in which it may have been cut short.
use super::{Agent, AgentEvent, Rest, is_reboot, run::StepError};
use crate::{
    Error,
    component::SERVICE_MAX,
    config::ConfigError,
    ports::Fault,
    steps::{StepName, commit, health, selftest},
};
use bistable_boot::{Event, Failure, Now, Reason, Saved, Slot, Target};
use bistable_format::{
    health::{Profile, SelfTests},
    selftest::Plan,
};

impl Agent<'_> {
    /// Decide the trial. Gives what failed, if it did.
    pub(super) fn trial(&mut self) -> Result<Option<Error>, Error> {
        let Now::Trial { target, .. } = self.now().clone() else { return Ok(None) };
        match self.step(StepName::Health, |agent, _| agent.prove(&target)) {
            Ok(()) => {
                self.on(Event::Healthy)?;
                Ok(None)
            }
            Err(e) if matches!(self.now(), Now::Trial { .. }) => Err(e),
            decided => Ok(decided.err()),
        }
    }

    fn prove(&mut self, target: &Target) -> Result<(), StepError> {
        let asked = self.bound_is_shown(target.slot).and_then(|()| self.whole_check(target.slot));
        let (profile, plan, units) = asked.map_err(|e| match e {
            // A card that fails for a moment says nothing about the release: what watches over this program starts it
            // again, or the machine, and the attempts are counted.
            Error::Fault(_) => StepError::Passing(e),
            // This device's configuration, or its partition `persistent`, not the release: it goes back (I10) and rejects nothing (I16).
            Error::UntrustedCheck { .. } | Error::Component(_) => {
                StepError::failed(self.device.record.untested(&target.release, &e.to_string()), e)
            }
            // The release can't say what healthy means: fail closed.
            e => StepError::failed(Failure::new(Reason::Health, &e.to_string()), e),
        })?;
        let before = self.restarts(&units)?;
        let verdict = self.check_health(&profile, &plan);
        let says_nothing = verdict.says_nothing();
        if let health::Verdict::Unhealthy { reason, .. } = verdict {
            let failure = match says_nothing {
                true => self.device.record.untested(&target.release, &reason),
                false => Failure::new(Reason::Health, &reason),
            };
            return Err(StepError::failed(failure, Error::Health(reason)));
        }
        let after = self.restarts(&units)?;
        let restarted =
            units.iter().zip(before.iter().zip(&after)).find(|(_, (before, after))| after > before);
        match restarted {
            None => Ok(()),
            Some((unit, _)) => {
                let reason = format!("{unit} ended and was restarted during the health check");
                Err(StepError::failed(Failure::new(Reason::Health, &reason), Error::Health(reason)))
            }
        }
    }

    /// What makes the release in a slot healthy, with what it brings along, whose services come with it.
    fn whole_check(&mut self, slot: Slot) -> Result<(Profile, Plan, Vec<String>), Error> {
        let plan = self.whole_plan(slot)?.on_trial();
        let profile = self.device.health_profile(slot)?;
        let (profile, units) = self.bound_health(slot, profile)?;
        Ok((profile, plan, units))
    }

    /// How often each service was restarted in this boot.
    fn restarts(&mut self, units: &[String]) -> Result<Vec<u32>, Error> {
        let services = &mut self.device.board.services;
        let one = |unit: &String| match services.service(unit, SERVICE_MAX) {
            Ok(service) => Ok(service.restarts),
            Err(e) => Err(Error::NotNow(format!("service {unit} can't be asked: {e}"))),
        };
        units.iter().map(one).collect()
    }

    /// Run the health check that the running release brings, or the owner's. Changes nothing.
    ///
    /// # Errors
    /// When there is no profile or plan that can be trusted.
    pub fn health(&mut self, pins: health::Pins) -> Result<health::Verdict, Error> {
        let slot = self.device.board.boot.booted();
        let (profile, mut plan, _) = self.whole_check(slot)?;
        let driven = selftest::drives(&plan);
        match pins {
            health::Pins::LeftOut => plan = selftest::without_pins(plan),
            health::Pins::Used if profile.self_tests == SelfTests::Again && !driven.is_empty() => {
                let driven = driven.join(", ");
                self.remark(&format!(
                    "its self-tests drive {driven}: `bistable health --no-pins` leaves them out"
                ));
            }
            health::Pins::Used => {}
        }
        Ok(self.check_health(&profile, &plan))
    }

    fn check_health(&mut self, profile: &Profile, plan: &Plan) -> health::Verdict {
        let board = &mut self.device.board;
        let mut verdict = health::check(
            profile,
            plan,
            &mut *board.gpio,
            &mut *board.buses,
            &mut *board.host,
            &*board.clock,
        );
        let refused = self.device.settings.checks.iter().filter_map(health::CheckReport::refused);
        verdict.report_mut().checks.extend(refused);
        self.observer.on_event(AgentEvent::Health(&verdict));
        verdict
    }

    /// Make the slot on trial the default. Gives why that can't be done, if the trial ends for it.
    pub(super) fn commit_slot(&mut self) -> Result<Option<Error>, Error> {
        let Now::Saved(Saved::Committing { target, .. }) = self.now().clone() else { return Ok(None) };
        let written = self.step(StepName::Commit, |agent, _| {
            commit::run(&mut *agent.device.board.boot, &target).map_err(|e| match e {
                // A flag that can't be written says nothing about the release (I16), and going back needs no write. The
                // preflight in the old slot finds out whether another trial has a chance. One that is only in use stays to
                // be written, and a boot that doesn't get to it counts as an attempt.
                Error::Fault(Fault::Unfit(problem)) => {
                    let why = format!("the boot flag can't be written: {problem}");
                    StepError::failed(agent.device.record.untested(&target.release, &why), Error::NotNow(why))
                }
                e => StepError::Passing(e),
            })
        });
        match written {
            Ok(()) => {}
            Err(e) if matches!(self.now(), Now::Saved(Saved::Committing { .. })) => return Err(e),
            decided => return Ok(decided.err()),
        }
        self.on(Event::Committed)?;
        self.observer.on_event(AgentEvent::Committed(&target));
        self.clean_up_bound()?;
        Ok(None)
    }

    /// A person wants the trial finished, or the running slot made the default although nothing is in flight (the
    /// firmware may have walked to it because the default slot doesn't boot any more). Health decides.
    ///
    /// # Errors
    /// [`Error::NothingToDo`]; see also [`resume`](Self::resume).
    pub fn commit(&mut self) -> Result<Rest, Error> {
        let booted = self.device.board.boot.booted();
        // Whether the flag can be read is seen where it matters: a trial may be finished in any case.
        if matches!(self.now(), Now::Trial { .. } | Now::Saved(Saved::Committing { .. })) {
            return self.resume();
        }
        if !self.now().is_idle() || self.device.board.boot.default_slot()? == booted {
            return Err(Error::NothingToDo("no release is on trial: nothing to commit".into()));
        }
        self.device.board.boot.read()?.check()?;
        let image = self.device.running().cloned().ok_or_else(|| {
            Error::NotNow(format!("slot {booted} runs a release that the journal does not know"))
        })?;
        self.on(Event::Return(image.in_slot(booted)))?;
        self.arm()?;
        // It is running already: the trial needs no reboot.
        self.device.locate()?;
        self.say_state();
        self.resume()
    }

    /// What a boot does by itself while the configuration can't be used. A trial ends, because what healthy means is unknown
    /// (I10), and the release is not rejected (I16). Outside of a trial the running system has proved itself: it stays, an update in
    /// flight stays where it is, and a decision that was saved is carried out.
    ///
    /// # Errors
    /// As for [`boot`](Self::boot); `why` itself when a trial ended.
    pub fn boot_unconfigured(&mut self, why: ConfigError) -> Result<Rest, Error> {
        let (Now::Trial { target, .. } | Now::Saved(Saved::Committing { target, .. })) = self.now().clone()
        else {
            log::warn!(reason:% = why; "configuration_not_used");
            let text = format!("{why}; `bistable config check` says when it is right");
            return self.boot(|_| Some(text.clone()));
        };
        // Without the paths, which would leave no room for the problem.
        let problem = why.problems.first().map_or("", |p| p.text.as_str());
        let failure = self.device.record.untested(&target.release, &format!("configuration: {problem}"));
        self.on(Event::Failed(failure))?;
        match self.resume() {
            Err(e) if !is_reboot(&e) => Err(e),
            _ => Err(why.into()),
        }
    }
}
