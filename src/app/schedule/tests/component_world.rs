//! The components of a device that is played for a year: their updates follow the table of the device, and the truth is kept beside.
use super::{super::ComponentCase, world::World};
use crate::{app::schedule::LastTry, config::Mode, events::OfferedVersion};
use bistable_boot::{
    Failure, Reason, ReleaseId,
    component::{Component, Event, Held, State},
};
use std::time::Duration;

const SECOND: u64 = 1000;

/// What is true of a component, whatever the device knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// When the version was staged that is, and in which boot.
    pub(super) staged: Option<(u64, u64)>,
    /// Releases so far.
    releases: u64,
}

/// A component without a version.
pub(super) fn case(name: &str, mode: Mode) -> ComponentCase {
    ComponentCase {
        component: Component::registered(name),
        mode,
        offered: None,
        staged: None,
        is_staged_before: false,
        stage_failed: None,
        switch_refused: None,
    }
}

fn held(number: u64) -> Held {
    let mut release = [0; 32];
    release[..8].copy_from_slice(&number.to_be_bytes());
    Held {
        release: ReleaseId(release),
        version: semver::Version::new(1, number, 0),
        security_version: 0,
        configuration: None,
    }
}

impl World {
    fn at(&self, name: &str) -> usize {
        self.facts.components.iter().position(|case| case.component.name == name).unwrap()
    }

    /// A look found what is on offer by now.
    pub(super) fn offer_components(&mut self) {
        for at in 0..self.facts.components.len() {
            if self.dice.roll(4) > 0 {
                continue;
            }
            self.truths[at].releases += 1;
            let held = held(self.truths[at].releases);
            self.facts.components[at].offered = (self.dice.roll(6) > 0).then(|| OfferedVersion {
                version: held.version.to_string(),
                release: held.release.to_string(),
                bytes: 1,
                urgent: self.dice.roll(3) == 0,
                refused: (self.dice.roll(8) == 0).then(|| "too much".into()),
            });
            self.facts.components[at].stage_failed = None;
        }
    }

    fn on(&mut self, at: usize, event: Event) {
        self.facts.components[at].component.on(event).unwrap();
    }

    fn refused(&mut self, at: usize) {
        let failures = self.facts.components[at].switch_refused.map_or(0, |last| last.failures) + 1;
        let tried = LastTry { when: self.when(), failures, not_before: None };
        self.facts.components[at].switch_refused = Some(tried);
    }

    /// Fetch and unpack what is on offer: it may fail, and the power may go.
    pub(super) fn stage_component(&mut self, name: &str) {
        let at = self.at(name);
        self.now += self.dice.roll(4 * SECOND) + SECOND;
        let target = match (&self.facts.components[at].component.state, &self.facts.components[at].offered) {
            (State::Installing(target), _) => target.clone(),
            _ => held(self.truths[at].releases),
        };
        if !matches!(self.facts.components[at].component.state, State::Installing(_)) {
            if matches!(self.facts.components[at].component.state, State::Staged(_)) {
                let why = Failure::new(Reason::Environment, "another release was offered");
                self.on(at, Event::Failed(why));
            }
            self.on(at, Event::Offer(target));
        }
        match self.dice.roll(6) {
            0 => self.reboot(10 * SECOND),
            1 => {
                let failures = self.facts.components[at].stage_failed.map_or(0, |last| last.failures) + 1;
                let asked = (self.dice.roll(3) == 0).then(|| Duration::from_secs(self.dice.roll(3600)));
                let tried = LastTry { when: self.when(), failures, not_before: asked };
                self.facts.components[at].stage_failed = Some(tried);
            }
            _ => {
                self.on(at, Event::Installed);
                let when = self.when();
                let case = &mut self.facts.components[at];
                case.stage_failed = None;
                case.switch_refused = None;
                case.is_staged_before = false;
                case.staged = Some(when);
                self.truths[at].staged = Some((self.now, self.boot));
            }
        }
    }

    /// Continue an update: it may be refused, the power may go, and the version may be sick.
    pub(super) fn switch_component(&mut self, name: &str) {
        let at = self.at(name);
        self.now += self.dice.roll(4 * SECOND) + SECOND;
        if self.dice.roll(5) == 0 {
            return self.refused(at);
        }
        let boot = self.device.boot;
        loop {
            if self.dice.roll(12) == 0 {
                return self.reboot(10 * SECOND);
            }
            let event = match &self.facts.components[at].component.state {
                State::Idle | State::Installing(_) | State::Failed(_) | State::Removing => break,
                State::Staged(_) => Event::SelfTestsPassed,
                State::Armed { begun: Some(begun), .. } if *begun == boot => match self.dice.roll(3) {
                    0 => Event::Failed(Failure::new(Reason::Health, "sick")),
                    _ => Event::Healthy(boot),
                },
                State::Armed { .. } => Event::Trying(boot),
                State::Committing { .. } => Event::Committed,
                State::Reverting { .. } => Event::Reverted,
            };
            self.on(at, event);
        }
        self.facts.components[at].switch_refused = None;
        self.facts.components[at].staged = None;
        self.truths[at].staged = None;
    }

    /// A person switches to what is staged of a component that waits for one, and the power goes in its trial.
    pub(super) fn person_switches(&mut self) {
        let waits = |case: &ComponentCase| {
            case.mode == Mode::Stage && matches!(case.component.state, State::Staged(_))
        };
        let Some(at) = self.facts.components.iter().position(waits) else { return };
        self.on(at, Event::SelfTestsPassed);
        self.on(at, Event::Trying(self.device.boot));
        self.reboot(10 * SECOND);
    }

    /// The power went: what this run knew is gone, what is saved is not.
    pub(super) fn reboot_components(&mut self) {
        for case in &mut self.facts.components {
            case.stage_failed = None;
            case.switch_refused = None;
            case.is_staged_before |= case.staged.is_some();
            if let Some(staged) = &mut case.staged {
                staged.uptime = None;
            }
        }
    }
}
