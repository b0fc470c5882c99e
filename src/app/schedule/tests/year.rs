//! A year of a device in seconds: random rules, boots, clocks, networks, windows and people; and what never happens.
use super::{
    super::{Act, BACK_OFF_MAX, BACK_OFF_MIN, CATCH_UP_MAX, ComponentCase, Next, Rules, Zone, next},
    MODES,
    component_world::Truth,
    minutes::Year,
    world::{FIRST, World},
};
use crate::config::{Mode, Window};
use bistable_boot::component::State;
use bistable_kit::dice::Dice;
use std::{collections::BTreeMap, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

/// How often what happened, so that no rule holds because nothing ever came near it.
type Counts = BTreeMap<&'static str, u64>;

struct Check<'a> {
    world: World,
    open: &'a [bool],
    counts: Counts,
    short: u64,
}

fn rules(dice: &mut Dice) -> (Rules, Vec<Window>) {
    let windows: Vec<Window> = (0..dice.roll(4))
        .map(|_| {
            let days = dice.pick(&["", "Mon-Fri ", "Sat,Sun ", "Sun ", "Sat-Mon ", "Wed "]);
            let (from, minutes) = (dice.roll(1440), dice.pick(&[10, 59, 120, 300, 1439]));
            let to = (from + minutes) % 1440;
            let text = format!("{days}{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
            Window::parse(&text).unwrap()
        })
        .collect();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let rules = Rules {
        mode: if dice.roll(3) == 0 { dice.pick(&MODES) } else { Mode::Auto },
        follows: true,
        interval: Duration::from_secs(dice.pick(&[1800, 3600, 6 * 3600, 86_400, 7 * 86_400])),
        windows: windows.clone().into(),
        zone: Zone::named(dice.pick(&ZONES)),
        windows_need_clock: dice.roll(4) > 0,
        max_rollbacks: 3,
        force_after: (dice.roll(2) == 0).then(|| hours(1 + dice.roll(100))),
        security_force_after: (dice.roll(2) == 0).then(|| hours(1 + dice.roll(20))),
    };
    (rules, windows)
}

impl Check<'_> {
    fn run(&mut self) {
        let mut steps = 0;
        while !self.world.is_over() {
            steps += 1;
            assert!(steps < 2_000_000, "the device does not rest: {:?}", self.world);
            self.no_silence();
            let world = &mut self.world;
            match next(&world.moment(), &world.device, &world.rules, &world.facts) {
                Next::Do { act } => {
                    match &act {
                        Act::Switch => self.switch(),
                        Act::StageComponent { component } => self.stage_component(component),
                        Act::SwitchComponent { component } => self.switch_component(component),
                        Act::Look | Act::Report | Act::Resume => self.look(&act),
                    }
                    self.world.act(&act);
                }
                Next::Sleep { until, why } => {
                    self.no_component_waits_in_vain();
                    let world = &mut self.world;
                    assert!(until > world.uptime(), "{why}");
                    *self.counts.entry(code(&why)).or_default() += 1;
                    let until = world.booted_at + u64::try_from(until.as_millis()).unwrap();
                    world.sleep(until);
                }
            }
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    // What a server may ask for at most.
    fn most_asked(&self) -> Duration {
        self.world.rules.interval.max(BACK_OFF_MAX)
    }

    // Never two looks closer together than allowed.
    fn look(&mut self, act: &Act) {
        let World { rules, last_look, boot, .. } = &self.world;
        let (interval, fifth) = (rules.interval, rules.interval.min(CATCH_UP_MAX) / 5);
        if *act == Act::Look {
            assert_ne!(rules.mode, Mode::Check);
        }
        let Some(last) = *last_look else { return };
        let gap = Duration::from_millis(self.world.now - last.at);
        let asked = last.tried.not_before.unwrap_or_default().min(self.most_asked());
        let least = if last.tried.failures > 0 { BACK_OFF_MIN } else { interval / 10 }.max(asked);
        if last.boot != *boot {
            assert!(
                self.world.uptime() >= fifth.min(Duration::from_secs(60)),
                "in the first minute: {:?}",
                self.world
            );
            if *act != Act::Resume && last.recorded && self.world.is_synchronized() && self.world.error == 0 {
                assert!(gap + 2 * SECOND >= least, "{gap:?} < {least:?} over a boot: {:?}", self.world);
                self.count("look after a boot that knows of the last one");
            }
        } else if *act != Act::Resume || last.tried.failures > 0 {
            assert!(gap >= least, "{gap:?} < {least:?}: {:?}", self.world);
            // A look off its points may bring the next one forward, and that one's successor by as much as it was held back.
            let from_begin = Duration::from_millis(self.world.now - last.began);
            if last.tried.failures == 0 && from_begin + 2 * SECOND < interval * 7 / 10 {
                self.short += 1;
                let allowed = self.world.disturbances;
                assert!(
                    self.short <= allowed,
                    "{} looks off their points, {allowed} disturbances",
                    self.short
                );
            }
        }
        self.count(if last.tried.failures > 0 { "look after failures" } else { "look" });
    }

    // Always one within its time, while the device is on and nothing but the schedule decides.
    fn no_silence(&self) {
        let World { rules, last_look, boot, facts, .. } = &self.world;
        if facts.trial_pending {
            return;
        }
        let interval = rules.interval * 6 / 5 + 62 * SECOND;
        let (since, most) = match last_look.filter(|last| last.boot == *boot) {
            Some(last) => {
                let asked = last.tried.not_before.unwrap_or_default().min(self.most_asked());
                let own = if last.tried.failures > 0 { rules.interval.min(BACK_OFF_MAX) } else { interval };
                (last.at.max(self.world.free_since), own.max(asked))
            }
            None => (self.world.free_since, interval.max(CATCH_UP_MAX).max(self.most_asked())),
        };
        let silent = Duration::from_millis(self.world.now.saturating_sub(since));
        // A switch that is refused takes half a minute, and what is done for components some seconds, in which no look is made.
        assert!(silent <= most + 90 * SECOND, "silent for {silent:?}, at most {most:?}: {:?}", self.world);
    }

    fn case(&self, component: &str) -> (&ComponentCase, &Truth) {
        let at =
            self.world.facts.components.iter().position(|case| case.component.name == component).unwrap();
        (&self.world.facts.components[at], &self.world.truths[at])
    }

    // Never what the mode doesn't want, nothing that was refused, and nothing right after a boot.
    fn stage_component(&mut self, component: &str) {
        let (case, _) = self.case(component);
        assert!(!self.world.facts.trial_pending);
        let is_begun = matches!(case.component.state, State::Installing(_));
        let offered = case.offered.as_ref();
        assert!(
            is_begun || case.mode != Mode::Check && offered.is_some_and(|offered| offered.refused.is_none()),
            "{case:?}"
        );
        let looked = self.world.last_look.filter(|last| last.boot == self.world.boot);
        assert!(looked.is_some(), "before a look: {:?}", self.world);
        if let Some(failed) = case.stage_failed {
            let age = self.world.uptime() - failed.when.uptime.unwrap();
            assert!(age >= BACK_OFF_MIN.max(failed.not_before.unwrap_or_default()), "{case:?}");
        }
        self.count("stage a component");
    }

    // Never a switch outside a window, before the boot that the mode waits for, or under an inhibitor; but what was begun is finished.
    fn switch_component(&mut self, component: &str) {
        let (case, truth) = self.case(component);
        let World { rules, facts, now, boot, .. } = &self.world;
        assert!(!facts.trial_pending);
        if case.component.state.is_undecided() {
            return self.count("finish what was begun for a component");
        }
        assert!(self.world.held.iter().all(|end| *end <= *now), "under an inhibitor: {:?}", self.world);
        let is_armed = matches!(case.component.state, State::Armed { .. });
        let what = match case.mode {
            Mode::Check => panic!("nothing is done by itself: {case:?}"),
            Mode::Stage => {
                assert!(is_armed, "a person decides: {case:?}");
                "continue a component's trial"
            }
            Mode::Reboot => {
                let staged_in = truth.staged.map(|(_, boot)| boot);
                assert!(
                    is_armed || staged_in.is_some_and(|staged| staged < *boot),
                    "before a boot: {case:?}"
                );
                "switch a component after a boot"
            }
            Mode::Auto if rules.windows.is_empty() => "switch a component without windows",
            Mode::Auto if self.is_open() => "switch a component in a window",
            Mode::Auto => {
                let target = case.component.state.target().unwrap();
                let is_urgent = case
                    .offered
                    .as_ref()
                    .is_some_and(|o| o.urgent && o.release == target.release.to_string());
                let Some((after, since)) = rules.forced_after(is_urgent).zip(case.staged) else {
                    panic!("a switch outside a window: {:?}", self.world);
                };
                let moment = self.world.moment();
                let jumped = since.uptime.is_none()
                    && since.wall.zip(moment.wall).is_some_and(|(then, now)| now >= then + after.as_secs());
                let age = Duration::from_millis(now - truth.staged.unwrap().0);
                assert!(age >= after || jumped, "forced after {age:?}: {case:?}");
                "forced switch of a component"
            }
        };
        self.count(what);
    }

    // Whether the windows are open, as the device knows the time.
    fn is_open(&self) -> bool {
        let moment = self.world.moment();
        let need_clock = self.world.rules.windows_need_clock;
        let wall = if need_clock { moment.wall } else { moment.wall.or(moment.unverified) };
        wall.is_some_and(|wall| self.open[usize::try_from((wall - FIRST) / 60).unwrap()])
    }

    // The device never sleeps while something may be done for a component.
    fn no_component_waits_in_vain(&self) {
        let World { rules, facts, now, boot, device, .. } = &self.world;
        let is_free = !facts.trial_pending && !device.now.awaits_boot(device.booted);
        let is_held = self.world.held.iter().any(|end| end > now) || !facts.rollbacks.is_empty();
        let is_looked = self.world.last_look.is_some_and(|last| last.boot == *boot);
        for case in facts.components.iter().filter(|_| is_free) {
            let wants = case.mode != Mode::Check
                && matches!(case.component.state, State::Idle | State::Failed(_))
                && case.offered.as_ref().is_some_and(|o| o.refused.is_none() && o.is_open(&case.component))
                && case.stage_failed.is_none();
            assert!(!(wants && is_looked), "not staged: {case:?}");
            let may_switch = match case.mode {
                Mode::Check | Mode::Stage => false,
                Mode::Reboot => case.is_staged_before,
                Mode::Auto => rules.windows.is_empty() || self.is_open(),
            };
            let is_staged = matches!(case.component.state, State::Staged(_)) && case.switch_refused.is_none();
            assert!(!(is_staged && may_switch && !is_held), "not switched: {case:?}: {:?}", self.world);
            assert!(
                !case.component.state.is_undecided() || case.switch_refused.is_some(),
                "not finished: {case:?}"
            );
        }
    }

    // Never a switch outside a window (but for `force_after`), under an inhibitor, or after three rollbacks in an hour.
    fn switch(&mut self) {
        let World { rules, facts, now, .. } = &self.world;
        assert_eq!(rules.mode, Mode::Auto);
        assert!(!facts.trial_pending);
        assert!(self.world.held.iter().all(|end| *end <= *now), "under an inhibitor: {:?}", self.world);
        let knows = self.world.is_synchronized() && self.world.error == 0;
        let young = |(at, recorded): &&(u64, bool)| {
            Duration::from_millis(now - at) + SECOND < HOUR
                && (*recorded && knows || *at >= self.world.booted_at)
        };
        let rollbacks = self.world.rollbacks.iter().filter(young).count();
        assert!(rollbacks < 3, "{rollbacks} rollbacks within an hour: {:?}", self.world);
        let of_day = |(at, recorded): &&(u64, bool)| {
            let age = Duration::from_millis(now - at) + SECOND;
            age < 24 * HOUR && (*recorded && knows || *at >= self.world.booted_at)
        };
        let trials = self.world.trials.iter().filter(of_day).count();
        assert!(trials < 6, "{trials} trials within a day: {:?}", self.world);
        let moment = self.world.moment();
        let what = if rules.windows.is_empty() {
            "switch without windows"
        } else if self.is_open() {
            "switch in a window"
        } else {
            let Some((after, since)) = rules.forced_after(facts.is_urgent).zip(facts.staged) else {
                panic!("a switch outside a window: {:?}", self.world);
            };
            // By the true time, or by a clock that has jumped since a former boot.
            let jumped = since.uptime.is_none()
                && since.wall.zip(moment.wall).is_some_and(|(then, now)| now >= then + after.as_secs());
            let age = Duration::from_millis(now - self.world.staged_at);
            assert!(age >= after || jumped, "forced after {age:?}: {:?}", self.world);
            "forced switch"
        };
        self.count(what);
    }
}

fn code(why: &super::super::Why) -> &'static str {
    use super::super::{Pace, Why};
    match why {
        Why::Check(Pace::Interval) => "sleep until the interval is over",
        Why::Check(Pace::AfterBoot) => "sleep after a boot",
        Why::Check(Pace::BackOff { .. }) => "sleep after failures",
        Why::Check(Pace::RetryAfter) => "sleep as a server asked",
        Why::Install(_) => "sleep half installed",
        Why::Person { .. } => "sleep until a person comes",
        Why::NextBoot => "sleep until the next boot",
        Why::Boot { .. } => "sleep while the boot decides",
        Why::NotTried { .. } => "sleep although the boot loader refused",
        Why::Inhibited { .. } => "sleep under an inhibitor",
        Why::Rollbacks { .. } => "sleep after rollbacks",
        Why::Trials { .. } => "sleep after trials",
        Why::SwitchRefused { .. } => "sleep after a refusal",
        Why::Window { .. } => "sleep until a window opens",
        Why::Clock => "sleep without a clock",
        Why::ComponentStaged { .. } => "sleep until a person comes for a component",
        Why::ComponentNextBoot { .. } => "sleep until the next boot for a component",
        Why::Component { .. } => "sleep until a component may be updated",
        Why::NoSource | Why::Zone { .. } | Why::ComponentHalted { .. } => "not in these years",
    }
}

#[test]
fn year_of_a_device_holds_its_rules() {
    let years = ZONES.map(|zone| Year::of(zone, "2026-01-01T00:00:00Z"));
    let mut counts = Counts::new();
    for seed in 0..16 {
        let (rules, windows) = rules(&mut Dice(seed ^ 0xa5a5));
        let year = years.iter().find(|year| year.zone == rules.zone.name()).unwrap();
        let open = year.open(&windows);
        let mut check =
            Check { world: World::new(seed, rules), open: &open, counts: Counts::new(), short: 0 };
        check.run();
        let World { held_back, probes, .. } = check.world;
        check.counts.insert("request that a breaker held back", held_back);
        check.counts.insert("request that a breaker let through to see", probes);
        for (what, count) in check.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    let all = [
        "look",
        "look after failures",
        "look after a boot that knows of the last one",
        "switch without windows",
        "switch in a window",
        "forced switch",
        "sleep until the interval is over",
        "sleep after a boot",
        "sleep after failures",
        "sleep as a server asked",
        "sleep half installed",
        "sleep until a person comes",
        "sleep until the next boot",
        "sleep while the boot decides",
        "sleep although the boot loader refused",
        "sleep under an inhibitor",
        "sleep after rollbacks",
        "sleep after trials",
        "request that a breaker held back",
        "request that a breaker let through to see",
        "sleep after a refusal",
        "sleep until a window opens",
        "sleep without a clock",
        "stage a component",
        "finish what was begun for a component",
        "continue a component's trial",
        "switch a component after a boot",
        "switch a component without windows",
        "switch a component in a window",
        "forced switch of a component",
        "sleep until a person comes for a component",
        "sleep until the next boot for a component",
        "sleep until a component may be updated",
    ];
    for what in all {
        assert!(counts.get(what).copied().unwrap_or_default() >= 20, "{what} is rare: {counts:#?}");
    }
    assert_eq!(counts.len(), all.len(), "{counts:#?}");
}
