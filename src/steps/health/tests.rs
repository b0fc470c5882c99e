use super::*;
use crate::{
    board::sim::{
        buses::SimBuses,
        clock::SimClock,
        gpio::{Claims, SimGpio},
        host::SimHost,
        world::World,
    },
    ports::{Answer, Exit, Fault, HostError, Never, Stop, UnitState, WallClock},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LOOPBACK: &str = "[[test]]\nname = 'relay'\nkind = 'loopback'\nout = 17\nin = 27\n";

/// What a unit is, from which second on; each answer takes its time, whatever the timeout says, if it overruns.
#[derive(Default)]
struct Script {
    clock: SimClock,
    units: BTreeMap<String, Vec<(f64, UnitState)>>,
    delays: BTreeMap<String, Duration>,
    overrun: Duration,
    /// Programs succeed just after their time-out.
    programs_are_late: bool,
    asked: Vec<(String, Duration)>,
}

impl Script {
    fn unit(mut self, name: &str, states: &[(f64, &str)]) -> Script {
        let state = |s: &str| match s {
            "active" => UnitState::Active,
            "missing" => UnitState::Missing,
            other => UnitState::Other(other.into()),
        };
        self.units.insert(format!("{name}.service"), states.iter().map(|(t, s)| (*t, state(s))).collect());
        self
    }
    fn delay(mut self, name: &str, ms: u64) -> Script {
        self.delays.insert(format!("{name}.service"), Duration::from_millis(ms));
        self
    }
}

impl Host for Script {
    fn run(&mut self, _: &[String], timeout: Duration) -> Result<Exit, HostError> {
        if !self.programs_are_late {
            return Err(HostError::Failed("no such program".into()));
        }
        self.clock.wait(timeout + Duration::from_millis(1));
        Ok(Exit { code: Some(0), said: String::new() })
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        assert!(!timeout.is_zero(), "{unit} was asked without any time");
        let now = self.clock.time();
        self.asked.push((unit.into(), now));
        let delay = self.delays.get(unit).copied().unwrap_or_default();
        if delay > timeout {
            self.clock.wait(timeout + self.overrun);
            return Err(HostError::Timeout(timeout));
        }
        self.clock.wait(delay);
        let states = self.units.get(unit).map(Vec::as_slice).unwrap_or_default();
        let now = self.clock.time().as_secs_f64();
        Ok(states.iter().rev().find(|(t, _)| *t <= now).map_or(UnitState::Missing, |(_, s)| s.clone()))
    }
    fn http_get(&mut self, _: &str, _: Duration) -> Result<Answer, HostError> {
        Err(HostError::Failed("connection refused".into()))
    }
    fn boot_id(&self) -> bistable_boot::BootId {
        bistable_boot::BootId([0; 16])
    }
    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        Ok(WallClock::Free)
    }
    fn http_post(&mut self, _: &crate::ports::Request, _: Duration) -> Result<Answer, HostError> {
        unreachable!()
    }
    fn unix_time(&mut self) -> Result<u64, HostError> {
        unreachable!()
    }
    fn known_time(&mut self) -> Option<crate::ports::KnownTime> {
        unreachable!()
    }
    fn keep_time(&mut self, _: crate::ports::KnownTime) {
        unreachable!()
    }
    fn saved_time(&mut self) -> Option<u64> {
        unreachable!()
    }
    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        unreachable!()
    }
    fn serial(&mut self) -> Result<String, HostError> {
        unreachable!()
    }
    fn free_bytes(&mut self) -> Result<u64, HostError> {
        Err(HostError::Failed("not mounted".into()))
    }
    fn reboot(&mut self) -> Result<Never, Fault> {
        Err(Fault::Stopping(Stop::Reboot))
    }
}

/// Units `names`, those with a `?` wanted only.
fn profile(deadline_s: u32, settle_s: u32, names: &[&str]) -> Profile {
    let mut text = format!("deadline_s = {deadline_s}\nsettle_s = {settle_s}\n");
    for name in names {
        let (name, need) = name.strip_suffix('?').map_or((*name, "required"), |n| (n, "wanted"));
        text +=
            &format!("[[check]]\nname = '{name}'\nkind = 'unit'\nunit = '{name}.service'\nneed = '{need}'\n");
    }
    Profile::parse(&text).unwrap()
}

fn decide(profile: &Profile, host: &mut Script) -> Verdict {
    let clock = host.clock.clone();
    let mut gpio = SimGpio::new(World::default().gpio, clock.clone());
    check(profile, &Plan::default(), &mut gpio, &mut SimBuses::default(), host, &clock)
}

fn seconds(verdict: &Verdict) -> f64 {
    verdict.report().took.as_secs_f64()
}

#[test]
fn healthy_exactly_when_settled() {
    let mut host = Script::default().unit("app", &[(0.0, "activating"), (6.5, "active")]);
    let verdict = decide(&profile(60, 10, &["app"]), &mut host);
    assert_eq!(verdict.unhealthy(), None);
    // Asked at 0, 1, 3 and 7 s, where it is good for the first time.
    assert_eq!(seconds(&verdict), 17.0);
    let report = &verdict.report().checks[0];
    assert_eq!(report.good_since, Some(Duration::from_secs(7)));
    assert_eq!((report.last_bad.as_deref(), report.said.as_str()), (Some("activating"), "active"));
    let at: Vec<u64> = host.asked.iter().map(|(_, t)| t.as_secs()).collect();
    assert_eq!(at, [0, 1, 3, 7, 12, 17]);
}

#[test]
fn a_flap_starts_the_settle_time_again() {
    let flap = [(0.0, "active"), (6.5, "failed"), (7.5, "active")];
    let verdict = decide(&profile(60, 10, &["app"]), &mut Script::default().unit("app", &flap));
    assert_eq!(verdict.unhealthy(), None);
    // Asked at 0, 1, 3 s; at 7 s it is bad, at 12 s good again.
    assert_eq!(seconds(&verdict), 22.0);
    let verdict = decide(&profile(15, 10, &["app"]), &mut Script::default().unit("app", &flap));
    let reason = verdict.unhealthy().unwrap();
    assert!(reason.starts_with("good for ") && reason.ends_with("app was bad: failed"), "{reason}");
}

#[test]
fn the_deadline_is_exact() {
    // Asked at 0, 1 and 3 s, so settled at 13 s: that round must begin before the deadline.
    let host = || Script::default().unit("app", &[(0.0, "activating"), (3.0, "active")]);
    assert_eq!(seconds(&decide(&profile(14, 10, &["app"]), &mut host())), 13.0);
    let late = decide(&profile(13, 10, &["app"]), &mut host());
    assert_eq!(late.unhealthy(), Some("good for 10 s only at the deadline of 13 s; app was bad: activating"));
    assert_eq!(seconds(&late), 13.0);
    // An answer that comes at the very deadline counts.
    let slow = |ms| Script::default().unit("app", &[(0.0, "active")]).delay("app", ms);
    assert_eq!(decide(&profile(3, 0, &["app"]), &mut slow(3000)).unhealthy(), None);
    let late = decide(&profile(3, 0, &["app"]), &mut slow(3001));
    assert_eq!(late.unhealthy(), Some("app not good within 3 s: no answer within 3000 ms"));
}

#[test]
fn an_answer_counts_from_when_it_was_asked_for() {
    // Asked at 0, 4 and 9 s, answered 3 s later: the answer at 12 s says how it was at 9 s. So once more, at once.
    let mut host = Script::default().unit("app", &[(0.0, "active")]).delay("app", 3000);
    let verdict = decide(&profile(60, 9, &["app"]), &mut host);
    assert_eq!((verdict.unhealthy(), seconds(&verdict)), (None, 15.0));
}

#[test]
fn without_checks_it_settles_only() {
    let verdict = decide(&profile(60, 10, &[]), &mut Script::default());
    assert_eq!((verdict.unhealthy(), seconds(&verdict)), (None, 10.0));
}

#[test]
fn wanted_checks_are_reported_only() {
    let mut host = Script::default().unit("app", &[(0.0, "active")]).delay("slow", 999_999);
    let verdict = decide(&profile(15, 7, &["slow?", "gone?", "app"]), &mut host);
    assert_eq!((verdict.unhealthy(), seconds(&verdict)), (None, 7.0));
    let standings: Vec<_> = verdict.report().checks.iter().map(|c| (c.standing, c.said.as_str())).collect();
    assert_eq!(standings[1], (Standing::Bad, "no such unit"));
    assert_eq!(standings[2], (Standing::Good, "active"));
    assert!(standings[0].0 == Standing::Bad && standings[0].1.starts_with("no answer within"));
}

#[test]
fn a_check_that_hangs_is_bounded() {
    let mut host = Script::default().unit("app", &[(0.0, "active")]).delay("hang", 999_999);
    let verdict = decide(&profile(12, 2, &["hang", "app"]), &mut host);
    // 5 s for the first try, 1 s pause, 5 s again, then what is left.
    assert_eq!(verdict.unhealthy(), Some("hang not good within 12 s: no answer within 5000 ms"));
    assert_eq!(seconds(&verdict), 12.0);
}

#[test]
fn an_answer_after_its_timeout_is_bad() {
    let text = "deadline_s = 20\nsettle_s = 0\n[[check]]\nname = 'db'\nkind = 'command'\nrun = ['/x']\n";
    let mut host = Script { programs_are_late: true, ..Script::default() };
    let verdict = decide(&Profile::parse(text).unwrap(), &mut host);
    assert!(verdict.unhealthy().unwrap().starts_with("db not good within 20 s: took "));
}

/// One round in a world with a reader of everything.
fn in_world(world: &str, profile: &str, plan: &str) -> (Verdict, Claims) {
    let world = World::parse(world).unwrap();
    let clock = SimClock::new(Duration::from_secs(77));
    let mut gpio = SimGpio::new(world.gpio.clone(), clock.clone());
    let claims = gpio.claims();
    let reboot = Box::new(|| Err(Fault::Stopping(Stop::Reboot)));
    let mut host = SimHost::new(world.facts_for(None), clock.clone(), bistable_boot::BootId([0; 16]), reboot);
    let profile = Profile::parse(profile).unwrap();
    let mut buses = world.buses(clock.clone());
    (check(&profile, &Plan::parse(plan).unwrap(), &mut gpio, &mut buses, &mut host, &clock), claims)
}

#[test]
fn self_tests_come_first_and_decide() {
    let (verdict, claims) = in_world("", "", LOOPBACK);
    assert!(verdict.unhealthy().unwrap().starts_with("relay failed: GPIO27 is floating"));
    assert!(claims.all_safe() && verdict.report().took < Duration::from_secs(1));
    assert_eq!(in_world("", "self_tests = false", LOOPBACK).0.unhealthy(), None);
    let wired = "[gpio]\nwires = [[17, 27]]";
    assert_eq!(in_world(wired, "", LOOPBACK).0.unhealthy(), None);
    let wanted = LOOPBACK.to_owned() + "need = 'wanted'\n";
    assert_eq!(in_world("", "", &wanted).0.unhealthy(), None);
    // Not even self-tests may take longer than the deadline.
    let hang = "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/x']\ntimeout_ms = 300000\n";
    let (verdict, _) = in_world("[commands.'/x']\ndelay_ms = 300000", "deadline_s = 9\nsettle_s = 1", hang);
    assert_eq!(verdict.unhealthy(), Some("modem failed: still running after 9000 ms: /x"));
    assert_eq!(verdict.report().took, Duration::from_secs(9));
}

#[test]
fn each_kind_of_check() {
    let http = "[[check]]\nname = 'c'\nkind = 'http'\nurl = 'http://[::1]/h'\ncontains = 'ok'\n";
    let command = "[[check]]\nname = 'c'\nkind = 'command'\nrun = ['/x']\n";
    let unit = "[[check]]\nname = 'c'\nkind = 'unit'\nunit = 'a.service'\n";
    #[rustfmt::skip]
    let table = [
        (http, "[http.'http://[::1]/h']\nbody = 'all ok'", None),
        (http, "[http.'http://[::1]/h']\nbody = 'ill'", Some("HTTP status 200, but \"ok\" is not in the body")),
        (http, "[http.'http://[::1]/h']\nstatus = 503\nbody = 'ok'", Some("HTTP status 503, wanted 200")),
        (http, "[http.'http://[::1]/h']\ndelay_ms = 6000", Some("no answer within 5000 ms")),
        (http, "", Some("connection refused")),
        (command, "[commands.'/x']", None),
        (command, "[commands.'/x']\nexit = 7\nsays = 'corrupt'", Some("exit code 7: corrupt")),
        (command, "", Some("no such program")),
        (unit, "[units]\n'a.service' = 'active'", None),
        (unit, "[units]\n'a.service' = 'failed'", Some("failed")),
        (unit, "", Some("no such unit")),
    ];
    for (check, world, bad) in table {
        let profile = format!("deadline_s = 30\nsettle_s = 3\n{check}");
        let (verdict, _) = in_world(world, &profile, "");
        let wanted = bad.map(|b| format!("c not good within 30 s: {b}"));
        assert_eq!(verdict.unhealthy(), wanted.as_deref(), "{world}");
        serde_json::to_string(verdict.report()).unwrap();
    }
}

fn unit_states() -> impl Strategy<Value = Vec<(f64, &'static str)>> {
    let state = prop_oneof![Just("active"), Just("failed")];
    prop::collection::vec((0.0..40.0f64, state), 0..6).prop_map(|mut v| {
        v.sort_by(|a, b| a.0.total_cmp(&b.0));
        v
    })
}

proptest! {
    /// The bound of the module's text, and what "healthy" promises, for any behavior of any number of checks.
    #[test]
    fn never_later_than_promised_and_never_healthy_too_soon(
        deadline in 2u32..40,
        settle in 0u32..20,
        units in prop::collection::vec((unit_states(), 0u64..8000, any::<bool>()), 0..4),
        overrun_ms in prop_oneof![Just(0u64), 1u64..20_000],
    ) {
        prop_assume!(settle < deadline);
        let overrun = Duration::from_millis(overrun_ms);
        let mut host = Script { overrun, ..Script::default() };
        let mut names = Vec::new();
        for (at, (states, delay, required)) in units.iter().enumerate() {
            host = host.unit(&format!("u{at}"), states).delay(&format!("u{at}"), *delay);
            names.push(format!("u{at}{}", if *required { "" } else { "?" }));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let verdict = decide(&profile(deadline, settle, &names), &mut host);
        let (deadline, settle) = (Duration::from_secs(deadline.into()), Duration::from_secs(settle.into()));
        let report = verdict.report();
        prop_assert!(report.took <= deadline + overrun, "took {:?}", report.took);
        prop_assert!(host.asked.iter().all(|(_, at)| *at < deadline));
        prop_assert!(verdict.unhealthy().is_none_or(|r| r.len() <= Verdict::REASON_MAX));
        if verdict.unhealthy().is_none() {
            prop_assert!(report.took <= deadline && report.took >= settle);
            for check in report.checks.iter().filter(|c| c.need == Need::Required) {
                let since = check.good_since.unwrap();
                prop_assert!(since + settle <= report.took, "{} is good since {since:?} only", check.name);
            }
        } else {
            prop_assert!(report.took >= deadline, "gave up at {:?}", report.took);
        }
    }
}

/// A profile of a unit and a program.
fn committed() -> Profile {
    let check = |name: &str, rest: &str| format!("[[check]]\nname = '{name}'\n{rest}\n");
    let text = "self_tests = true\n".to_owned()
        + &check("app", "kind = 'unit'\nunit = 'a.service'\ntimeout_ms = 1000")
        + &check("slow", "kind = 'unit'\nunit = 's.service'\nneed = 'wanted'\ntimeout_ms = 5000")
        + &check("db", "kind = 'command'\nrun = ['/bin/db']\nneed = 'wanted'");
    Profile::parse(&text).unwrap()
}

#[test]
fn round_asks_each_check_once_in_its_interval_and_programs_seldom() {
    let mut host = Script::default().unit("a", &[(0.0, "active")]).unit("s", &[(0.0, "active")]);
    let clock = host.clock.clone();
    let mut rounds = Rounds::new(committed());
    assert_eq!((rounds.verdict(), rounds.due()), (None, Some(Duration::ZERO)));
    let interval = Duration::from_secs(30);
    for seconds in (0..600).step_by(10) {
        rounds.ask(Duration::from_secs(seconds), interval, &mut host, &clock);
        assert_eq!(rounds.verdict(), Some(Ok(())), "wanted checks decide nothing");
    }
    let tries = |name: &str| rounds.reports().iter().find(|report| report.name == name).unwrap().tries;
    assert_eq!((tries("app"), tries("slow"), tries("db")), (20, 20, 2));
}

#[test]
fn round_is_bad_with_one_bad_answer_and_good_again_with_the_next_good_one() {
    let mut host = Script::default().unit("a", &[(0.0, "active"), (40.0, "failed"), (70.0, "active")]);
    let clock = host.clock.clone();
    let mut rounds = Rounds::new(committed());
    let mut seen = Vec::new();
    for _ in 0..4 {
        let now = clock.time();
        rounds.ask(now, Duration::from_secs(30), &mut host, &clock);
        seen.push(rounds.verdict().unwrap().is_ok());
        clock.wait(Duration::from_secs(30));
    }
    assert_eq!(seen, [true, true, false, true]);
}

#[test]
fn round_ends_in_time_whatever_its_checks_do() {
    let many: String = (0..64)
        .map(|n| {
            format!("[[check]]\nname = 'c{n}'\nkind = 'unit'\nunit = 'u{n}.service'\ntimeout_ms = 20000\n")
        })
        .collect();
    let mut host = (0..64).fold(Script::default(), |host, n| host.delay(&format!("u{n}"), 60_000));
    let clock = host.clock.clone();
    let mut rounds = Rounds::new(Profile::parse(&many).unwrap());
    let took = rounds.ask(Duration::ZERO, Duration::from_secs(30), &mut host, &clock);
    assert!(took <= ROUND_MAX, "{took:?}");
    assert!(matches!(rounds.verdict(), Some(Err(_))));
    // What there was no time for is still due.
    assert_eq!(rounds.due(), Some(Duration::ZERO));
}
