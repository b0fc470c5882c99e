//! A device and what happens to it in a year: boots, clocks, networks, people. The truth is kept beside what the device knows.
use super::{
    super::{Act, Facts, Inhibitor, LastTry, Moment, Rules, Standing, When},
    MODES, component_world, target,
};
use crate::{
    config::Mode,
    source::{Breaker, Gate, OPEN_FOR},
};
use bistable_boot::{BootId, MAX_ATTEMPTS, Now, Saved, Slot, Tries};
use bistable_kit::dice::Dice;
use std::time::Duration;

/// 2026-01-01.
pub(super) const FIRST: u64 = 1_767_225_600;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// What the last look truly was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) began: u64,
    pub(super) at: u64,
    pub(super) boot: u64,
    /// Whether the device recorded the true time of it.
    pub(super) recorded: bool,
    pub(super) tried: LastTry,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) rules: Rules,
    pub(super) device: Standing,
    pub(super) facts: Facts,
    /// The true time, in milliseconds from the first of January.
    pub(super) now: u64,
    pub(super) boot: u64,
    pub(super) booted_at: u64,
    /// How far the synchronized clock is off, in seconds: it jumps.
    pub(super) error: i64,
    synchronized_at: Option<u64>,
    network: bool,
    /// When the trial that runs ends.
    verdict_at: Option<u64>,
    event_at: u64,
    pub(super) last_look: Option<Look>,
    pub(super) staged_at: u64,
    /// True times of rollbacks, and whether the device recorded them.
    pub(super) rollbacks: Vec<(u64, bool)>,
    /// True times of trials, and whether the device recorded them.
    pub(super) trials: Vec<(u64, bool)>,
    /// The breaker of the device's source: it holds until the next boot.
    pub(super) breaker: Breaker,
    /// How often that held a request back, and let one through to see.
    pub(super) held_back: u64,
    pub(super) probes: u64,
    /// True ends of inhibitors.
    pub(super) held: Vec<u64>,
    /// Since when nothing but the schedule decides whether a look is made.
    pub(super) free_since: u64,
    /// What may take one look off its point.
    pub(super) disturbances: u64,
    /// What is true of each component.
    pub(super) truths: Vec<component_world::Truth>,
}

impl World {
    pub(super) fn new(seed: u64, rules: Rules) -> World {
        let device = Standing {
            now: Now::Saved(Saved::Idle),
            booted: Slot::A,
            id: format!("device-{seed}"),
            boot: BootId::numbered(0),
        };
        let mut world = World {
            dice: Dice(seed),
            rules,
            device,
            facts: Facts::default(),
            // Clocks that jump stay within the year.
            now: 6 * DAY,
            boot: seed << 20,
            booted_at: 0,
            error: 0,
            synchronized_at: None,
            network: true,
            verdict_at: None,
            event_at: 0,
            last_look: None,
            staged_at: 0,
            rollbacks: Vec::new(),
            trials: Vec::new(),
            breaker: Breaker::default(),
            held_back: 0,
            probes: 0,
            held: Vec::new(),
            free_since: 0,
            disturbances: 0,
            truths: vec![component_world::Truth::default(); 2],
        };
        for name in ["core", "lamp"] {
            let mode = if world.dice.roll(2) == 0 { world.dice.pick(&MODES) } else { Mode::Auto };
            world.facts.components.push(component_world::case(name, mode));
        }
        world.reboot(SECOND);
        world
    }

    pub(super) fn is_over(&self) -> bool {
        self.now >= 358 * DAY
    }

    pub(super) fn uptime(&self) -> Duration {
        Duration::from_millis(self.now - self.booted_at)
    }

    pub(super) fn is_synchronized(&self) -> bool {
        self.synchronized_at.is_some_and(|at| at <= self.now)
    }

    pub(super) fn moment(&self) -> Moment {
        let clock = |error: i64| (FIRST + self.now / SECOND).checked_add_signed(error);
        // Without the network, a clock shows the time that was saved some days ago.
        Moment {
            uptime: self.uptime(),
            wall: clock(self.error).filter(|_| self.is_synchronized()),
            unverified: clock(if self.is_synchronized() { self.error } else { -3 * 86_400 }),
        }
    }

    pub(super) fn when(&self) -> When {
        When { wall: self.moment().wall, uptime: Some(self.uptime()) }
    }

    fn knows_the_time(&self) -> bool {
        self.is_synchronized() && self.error == 0
    }

    /// The power goes, for a time.
    pub(super) fn reboot(&mut self, off: u64) {
        self.now += off;
        self.boot += 1;
        self.booted_at = self.now;
        self.free_since = self.now;
        // The boot, and the clock that is synchronized later.
        self.disturbances += 2;
        self.device.boot = BootId::numbered(self.boot);
        self.device.booted = Slot::A;
        self.facts.inhibitors.clear();
        self.reboot_components();
        self.held.clear();
        self.breaker = Breaker::default();
        let whens = self.facts.staged.iter_mut().chain(&mut self.facts.rollbacks);
        for when in whens.chain(&mut self.facts.trials) {
            when.uptime = None;
        }
        for tried in self.facts.last_look.iter_mut().chain(&mut self.facts.switch_refused) {
            tried.when.uptime = None;
        }
        let wait = [Some(0), Some(0), Some(30 * SECOND), Some(30 * SECOND), Some(3 * HOUR), None];
        self.synchronized_at = self.dice.pick(&wait).map(|wait| self.now + wait);
        self.event_at = self.now + self.dice.roll(12 * HOUR);
        self.verdict_at = None;
        self.facts.trial_pending = false;
        if matches!(self.device.now, Now::Trial { .. }) {
            // A trial without a verdict.
            self.save(Saved::Armed { target: target(), tries: Tries::after(1) });
        }
    }

    fn save(&mut self, saved: Saved) {
        self.device.now = Now::Saved(saved);
        self.free_since = self.now;
    }

    fn stage(&mut self) {
        self.save(Saved::Staged(target()));
        self.facts.staged = Some(self.when());
        self.facts.is_urgent = self.dice.roll(3) == 0;
        self.staged_at = self.now;
        self.facts.switch_refused = None;
    }

    /// Sleep until then, or until something happens.
    pub(super) fn sleep(&mut self, until: u64) {
        let sync = self.synchronized_at.filter(|at| *at > self.now);
        let wakes = [Some(until), Some(self.event_at), self.verdict_at, sync];
        self.now = wakes.into_iter().flatten().min().unwrap_or(until).max(self.now);
        if self.verdict_at.is_some_and(|at| at <= self.now) {
            self.verdict();
        } else if self.event_at <= self.now {
            self.event();
        }
    }

    fn verdict(&mut self) {
        self.verdict_at = None;
        self.facts.trial_pending = false;
        self.facts.staged = None;
        self.save(Saved::Idle);
        self.device.booted = Slot::A;
        if self.dice.roll(3) > 0 {
            self.reboot(20 * SECOND);
            self.rollbacks.push((self.now, self.knows_the_time()));
            let when = self.when();
            self.facts.rollbacks.push(when);
            // An operator is sure that the next one is good.
            if self.dice.roll(2) == 0 {
                self.stage();
            }
        }
    }

    fn event(&mut self) {
        self.event_at = self.now + self.dice.roll(12 * HOUR);
        match self.dice.roll(9) {
            0 => {
                let off = self.dice.roll(5 * 60 * SECOND) + SECOND;
                self.reboot(off);
            }
            1 if self.dice.roll(4) == 0 => {
                let off = self.dice.roll(48 * HOUR) + HOUR;
                self.reboot(off);
            }
            2 => {
                self.error = if self.error == 0 {
                    self.dice.pick(&[-400_000, -40_000, -5, 5, 40_000, 400_000])
                } else {
                    0
                };
                self.disturbances += 1;
            }
            3 => self.network = !self.network,
            4 => {
                let left = self.dice.roll(24 * HOUR);
                self.held.push(self.now + left);
                let ends = self.uptime() + Duration::from_millis(left);
                self.facts.inhibitors.push(Inhibitor { owner: "a".into(), reason: "b".into(), ends });
            }
            5 if self.device.now.is_idle() => self.stage(),
            6 if matches!(self.device.now, Now::Saved(Saved::Staged(_))) && self.dice.roll(4) == 0 => {
                let refused = self.dice.pick(&[0, 1, MAX_ATTEMPTS]);
                self.save(Saved::Armed { target: target(), tries: Tries { refused, ..Tries::default() } });
            }
            8 => self.person_switches(),
            7 if self.device.now.is_refused() => self.save(Saved::Idle),
            _ => {}
        }
    }

    /// Do what the schedule says.
    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Switch => return self.switch(),
            Act::StageComponent { component } => return self.stage_component(component),
            Act::SwitchComponent { component } => return self.switch_component(component),
            Act::Look | Act::Report | Act::Resume => {}
        }
        let began = self.now;
        self.now += self.dice.roll(300 * SECOND) + SECOND;
        let gate = self.breaker.ask(self.uptime());
        if let Gate::Open(left) = gate {
            return self.held_back(began, left);
        }
        self.probes += u64::from(gate == Gate::Probe);
        let failed = !self.network || self.dice.roll(20) == 0;
        if failed {
            self.breaker.failed(self.uptime());
        } else {
            self.breaker.answered();
        }
        let before = self.facts.last_look.map_or(0, |l| l.failures);
        let not_before = match self.dice.roll(if failed { 4 } else { 40 }) {
            0 => Some(Duration::from_millis(self.dice.roll(48 * HOUR))),
            _ => None,
        };
        let failures = if failed { before.saturating_add(1) } else { 0 };
        let tried = LastTry { when: self.when(), failures, not_before };
        self.disturbances += u64::from(failed || not_before.is_some() || *act == Act::Resume);
        self.last_look =
            Some(Look { began, at: self.now, boot: self.boot, recorded: self.knows_the_time(), tried });
        self.facts.last_look = Some(tried);
        if !failed && *act != Act::Resume {
            self.offer_components();
        }
        if self.dice.roll(30) == 0 && *act == Act::Look {
            self.save(Saved::Installing(target()));
            self.reboot(10 * SECOND);
        } else if !failed && (*act == Act::Resume || *act == Act::Look && self.dice.roll(3) == 0) {
            self.stage();
        }
    }

    // Nothing is asked: the device looks again when the breaker lets it.
    fn held_back(&mut self, began: u64, left: Duration) {
        assert!(left <= OPEN_FOR, "{self:?}");
        self.held_back += 1;
        let failures = self.facts.last_look.map_or(0, |l| l.failures).saturating_add(1);
        let tried = LastTry { when: self.when(), failures, not_before: Some(left) };
        self.disturbances += 1;
        self.last_look =
            Some(Look { began, at: self.now, boot: self.boot, recorded: self.knows_the_time(), tried });
        self.facts.last_look = Some(tried);
    }

    fn switch(&mut self) {
        self.now += self.dice.roll(30 * SECOND) + SECOND;
        if self.dice.roll(3) == 0 {
            let failures = self.facts.switch_refused.map_or(0, |l| l.failures) + 1;
            let not_before = (self.dice.roll(4) == 0).then(|| Duration::from_millis(self.dice.roll(HOUR)));
            self.facts.switch_refused = Some(LastTry { when: self.when(), failures, not_before });
            return;
        }
        self.reboot(20 * SECOND);
        self.device.now = Now::Trial { target: target(), attempts: 1 };
        self.device.booted = Slot::B;
        self.facts.trial_pending = true;
        self.trials.push((self.now, self.knows_the_time()));
        let when = self.when();
        self.facts.trials.push(when);
        self.verdict_at = Some(self.now + 100 * SECOND);
    }
}
