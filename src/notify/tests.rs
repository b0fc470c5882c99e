//! Couriers and hooks in a world in memory.
use super::*;
use crate::{
    config::{Program, Template},
    events::{Entry, Kind, test_entry},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    time::Duration,
};

const FAILED: Answer = Answer::Failed { retry_after: None };
const HOUR: Duration = Duration::from_secs(3600);

/// The world.
#[derive(Default)]
struct World {
    log: Vec<Entry>,
    targets: Vec<Target>,
    uptime: Duration,
    /// What receivers answer, in order; then they take everything.
    answers: VecDeque<Answer>,
    posted: Vec<(String, Message)>,
    put: Vec<(String, String)>,
    cursors: Cursors,
    writes: usize,
    hooks: BTreeMap<&'static str, Vec<Program>>,
    ran: Vec<(String, String)>,
    ends: BTreeMap<&'static str, Result<Ran, String>>,
    reports: Vec<(Kind, Value)>,
    gateway: Option<(String, Duration)>,
    secrets: BTreeMap<&'static str, &'static str>,
}

impl World {
    fn happens(&mut self, kinds: &[&str]) {
        for kind in kinds {
            self.log.push(test_entry(self.log.len() as u64 + 1, kind));
        }
    }

    /// The numbers of the events that were sent to an address.
    fn sent(&self, url: &str) -> Vec<u64> {
        let body = |(_, message): &(String, Message)| serde_json::from_str::<Value>(&message.body).unwrap();
        self.posted.iter().filter(|(to, _)| to == url).map(|one| body(one)["seq"].as_u64().unwrap()).collect()
    }
}

impl Outside for World {
    fn now(&mut self) -> Now {
        Now { uptime: self.uptime, wall: Some(1_796_000_000 + self.uptime.as_secs()) }
    }
    fn time(&mut self) -> u64 {
        1_796_000_000 + self.uptime.as_secs()
    }
    fn device(&mut self) -> String {
        "hub-7".into()
    }
    fn targets(&mut self) -> io::Result<Vec<Target>> {
        Ok(self.targets.clone())
    }
    fn hooks(&mut self, kind: &str) -> Vec<Program> {
        self.hooks.get(kind).cloned().unwrap_or_default()
    }
    fn hook_timeout(&mut self) -> Duration {
        Duration::from_secs(60)
    }
    fn events(&mut self, after: u64, most: usize) -> io::Result<(Vec<Entry>, u64)> {
        let newest = self.log.last().map_or(0, |entry| entry.seq);
        let found: Vec<Entry> =
            self.log.iter().filter(|entry| entry.seq > after).take(most).cloned().collect();
        let searched =
            if found.len() == most { found.last().map_or(newest, |entry| entry.seq) } else { newest };
        Ok((found, searched))
    }
    fn cursors(&mut self) -> Cursors {
        self.cursors.clone()
    }
    fn keep(&mut self, cursors: &Cursors) -> io::Result<()> {
        self.cursors = cursors.clone();
        self.writes += 1;
        Ok(())
    }
    fn post(&mut self, url: &str, message: &Message) -> Answer {
        self.posted.push((url.into(), message.clone()));
        self.answers.pop_front().unwrap_or(Answer::Taken)
    }
    fn put(&mut self, url: &str, text: &str) -> Answer {
        self.put.push((url.into(), text.into()));
        self.answers.pop_front().unwrap_or(Answer::Taken)
    }
    fn push(&mut self) -> Option<(String, Duration)> {
        self.gateway.clone()
    }
    fn metrics(&mut self) -> Option<String> {
        Some("bistable_x 1\n".into())
    }
    fn run(&mut self, program: &Path, input: &str, _: Duration) -> Result<Ran, String> {
        let name = program.display().to_string();
        let end = self.ends.get(name.as_str()).cloned();
        self.ran.push((name, input.into()));
        end.unwrap_or(Ok(Ran { code: Some(0), said: String::new() }))
    }
    fn report(&mut self, kind: Kind, _: &'static str, data: Value) {
        self.reports.push((kind, data));
    }
    fn secret(&mut self, path: &Path) -> Result<String, String> {
        let secret = self.secrets.get(path.to_str().unwrap());
        secret.map(ToString::to_string).ok_or_else(|| "there is none".into())
    }
}

fn target(name: &str, types: &[&str]) -> Target {
    Target {
        name: name.into(),
        url: format!("http://{name}"),
        types: types.iter().map(ToString::to_string).collect(),
        secrets: Vec::new(),
        template: Template::Json,
        retry: RetryPolicy { back_off_max: HOUR, give_up_after: HOUR * 72 },
    }
}

#[test]
fn target_that_is_added_gets_what_happens_from_then_on_and_only_what_it_wants() {
    let mut world = World { targets: vec![target("a", &["update.*"])], ..World::default() };
    world.happens(&["update.staged", "update.armed"]);
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    assert_eq!(world.sent("http://a"), [0; 0]);
    world.happens(&["update.trial", "job.started", "update.committed"]);
    deliveries.turn(&mut world);
    assert_eq!(world.sent("http://a"), [3, 5]);
    // After a restart it continues where it was; a new one starts then.
    world.targets.push(target("b", &[]));
    world.happens(&["update.available"]);
    let mut again = Deliveries::default();
    again.turn(&mut world);
    world.happens(&["update.up_to_date"]);
    again.turn(&mut world);
    assert_eq!((world.sent("http://a"), world.sent("http://b")), (vec![3, 5, 6, 7], vec![7]));
    assert!(world.reports.is_empty());
}

#[test]
fn nothing_is_written_between_events_nor_while_a_target_keeps_failing() {
    let mut world = World { targets: vec![target("a", &[])], ..World::default() };
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    world.happens(&["update.staged"]);
    deliveries.turn(&mut world);
    let writes = world.writes;
    for _ in 0..100 {
        world.uptime += HOUR;
        assert!(deliveries.turn(&mut world) >= HOUR, "nothing to do, so no hurry");
    }
    assert_eq!(world.writes, writes);
    world.happens(&["update.armed"]);
    world.answers = vec![FAILED; 20].into();
    for _ in 0..20 {
        deliveries.turn(&mut world);
        world.uptime += HOUR;
    }
    assert_eq!(world.writes, writes + 1, "since when it fails is written once");
}

#[test]
fn target_that_fails_holds_up_no_other_and_gets_each_event_in_its_order() {
    let mut world = World { targets: vec![target("a", &[]), target("b", &[])], ..World::default() };
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    world.happens(&["x", "y"]);
    world.answers = vec![Answer::Failed { retry_after: Some(Duration::from_secs(500)) }].into();
    let sleep = deliveries.turn(&mut world);
    assert_eq!((world.sent("http://a"), world.sent("http://b")), (vec![1], vec![1, 2]));
    assert!(sleep >= Duration::from_secs(500), "{sleep:?}");
    world.uptime += Duration::from_secs(499);
    deliveries.turn(&mut world);
    assert_eq!(world.sent("http://a"), [1], "it asked to be left alone");
    world.uptime += Duration::from_secs(1);
    deliveries.turn(&mut world);
    assert_eq!(world.sent("http://a"), [1, 1, 2]);
    // The same event has the same id, so that a receiver can tell.
    let ids: Vec<&str> =
        world.posted.iter().filter(|(to, _)| to == "http://a").map(|(_, m)| &*m.headers[0].1).collect();
    assert_eq!(ids, ["b-1", "b-1", "b-2"]);
}

#[test]
fn what_waits_for_three_days_is_given_up_and_reported_and_what_comes_later_is_sent() {
    let mut world = World { targets: vec![target("a", &[])], ..World::default() };
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    world.happens(&["x", "y", "z"]);
    world.answers = vec![FAILED; 200].into();
    for _ in 0..80 {
        deliveries.turn(&mut world);
        world.uptime += HOUR;
    }
    assert_eq!(world.reports, [(Kind::WebhookGivenUp, json!({ "target": "a", "events": 3 }))]);
    world.answers.clear();
    world.happens(&["later"]);
    deliveries.turn(&mut world);
    assert_eq!(world.sent("http://a").last(), Some(&4));
}

#[test]
fn no_message_goes_without_the_signature_that_its_owner_wants() {
    let signed = Target { secrets: vec!["/etc/old".into(), "/etc/new".into()], ..target("a", &[]) };
    let mut world = World { targets: vec![signed], ..World::default() };
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    world.happens(&["x"]);
    world.secrets.insert("/etc/old", "o");
    deliveries.turn(&mut world);
    assert!(world.posted.is_empty());
    world.secrets.insert("/etc/new", "n");
    world.uptime += HOUR;
    deliveries.turn(&mut world);
    let headers = &world.posted[0].1.headers;
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"]);
    assert_eq!(headers[2].1.split(' ').count(), 2);
}

#[test]
fn many_events_are_sent_in_turns_so_that_no_target_waits_for_another() {
    let mut world = World { targets: vec![target("a", &[]), target("b", &[])], ..World::default() };
    let mut deliveries = Deliveries::default();
    deliveries.turn(&mut world);
    world.happens(&["x"; 200]);
    assert_eq!(deliveries.turn(&mut world), Duration::ZERO);
    assert!(world.sent("http://a").len() < 40 && !world.sent("http://b").is_empty());
    while deliveries.turn(&mut world).is_zero() {}
    assert_eq!(world.sent("http://a"), (1..=200).collect::<Vec<_>>());
    assert_eq!(world.sent("http://b"), (1..=200).collect::<Vec<_>>());
}

fn hook(name: &str, refused: Option<&str>) -> Program {
    Program { name: name.into(), program: name.into(), refused: refused.map(Into::into) }
}

#[test]
fn hooks_run_in_their_order_for_their_type_and_get_the_event() {
    let mut world = World::default();
    world.hooks.insert("update.staged", vec![hook("10-a", None), hook("20-b", None)]);
    let mut hooks = Hooks::default();
    hooks.turn(&mut world);
    world.happens(&["update.staged", "update.armed"]);
    hooks.turn(&mut world);
    let names: Vec<&str> = world.ran.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["10-a", "20-b"]);
    assert_eq!(serde_json::from_str::<Entry>(&world.ran[0].1).unwrap(), world.log[0]);
    // Each event at most once, also across a restart.
    Hooks::default().turn(&mut world);
    hooks.turn(&mut world);
    assert_eq!((world.ran.len(), world.writes), (2, 1));
}

#[test]
fn hook_that_fails_is_reported_and_the_others_run() {
    let mut world = World::default();
    let all = ["fails", "hangs", "killed", "fine"].map(|name| hook(name, None));
    world.hooks.insert("update.staged", [vec![hook("loose", Some("chmod go-w loose"))], all.into()].concat());
    world.ends.insert("fails", Ok(Ran { code: Some(3), said: "no".into() }));
    world.ends.insert("hangs", Err("no answer within 60000 ms".into()));
    world.ends.insert("killed", Ok(Ran { code: None, said: String::new() }));
    let mut hooks = Hooks::default();
    hooks.turn(&mut world);
    world.happens(&["update.staged"]);
    hooks.turn(&mut world);
    let names: Vec<&str> = world.ran.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fails", "hangs", "killed", "fine"], "what is not trusted is not run");
    let failed: Vec<&str> = world.reports.iter().map(|(_, data)| data["hook"].as_str().unwrap()).collect();
    assert_eq!(failed, ["loose", "fails", "hangs", "killed"]);
    assert!(world.reports.iter().all(|(kind, data)| *kind == Kind::HookFailed && data["seq"] == 1));
}

#[test]
fn hook_that_fails_at_its_own_failure_is_not_reported_again() {
    let mut world = World::default();
    world.hooks.insert("hook.failed", vec![hook("10-a", None)]);
    world.ends.insert("10-a", Ok(Ran { code: Some(1), said: String::new() }));
    let mut hooks = Hooks::default();
    hooks.turn(&mut world);
    world.happens(&["hook.failed"]);
    hooks.turn(&mut world);
    assert_eq!((world.ran.len(), world.reports.len()), (1, 0));
}

#[test]
fn without_hooks_and_targets_nothing_is_written_and_nothing_is_due() {
    let mut world = World::default();
    let (mut deliveries, mut hooks, mut push) = (Deliveries::default(), Hooks::default(), Push::default());
    for _ in 0..10 {
        world.happens(&["update.staged"]);
        let sleeps = [deliveries.turn(&mut world), hooks.turn(&mut world), push.turn(&mut world)];
        assert!(sleeps.iter().all(|sleep| *sleep >= HOUR), "{sleeps:?}");
    }
    assert_eq!(world.writes, 0);
}

#[test]
fn gateway_gets_the_metrics_in_its_interval_and_is_spared_while_it_fails() {
    let interval = Duration::from_secs(60);
    let mut world = World { gateway: Some(("http://gw".into(), interval)), ..World::default() };
    let mut push = Push::default();
    assert_eq!(push.turn(&mut world), interval);
    assert_eq!(
        world.put,
        [("http://gw/metrics/job/bistable/instance/hub-7".into(), "bistable_x 1\n".into())]
    );
    assert_eq!(push.turn(&mut world), interval);
    assert_eq!(world.put.len(), 1);
    world.answers = vec![FAILED; 1000].into();
    let begun = world.uptime;
    while world.uptime < begun + HOUR * 24 {
        let sleep = push.turn(&mut world);
        assert!(sleep >= Duration::from_secs(1));
        world.uptime += sleep;
    }
    assert!(world.put.len() < 120, "{}", world.put.len());
}
