//! The daemon on a simulated Pi, in a time that the test makes: a device that is left alone with its configuration.
use crate::{
    fixture::WORLD,
    follow_channel::Repo,
    pi::Pi,
    shop::{DAY, NOW},
    source_server::{Reply as Answered, Server},
};
use bistable::{
    Error,
    agent::{AgentEvent, Observer},
    app::{Asker, Failed, From, JobState, Reply, Request, Via, Wanted, schedule::Moment},
    board::{Access, Card, Meter},
    cli::Cli,
    daemon::{Daemon, DevicePort, Handle, Message, QueuedJob, Report, Survey, TICK, Turn},
    daemon_device,
    serve::{Backend, NotTaken},
};
use bistable_format::rollout::Rollout;
use clap::Parser;
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    ops::ControlFlow,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc::Receiver},
    time::Duration,
};

/// What is done when a chunk is.
type AtChunk = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

/// The device, in another time.
struct Timed<W> {
    port: W,
    passed: Rc<Cell<Duration>>,
    at_chunk: AtChunk,
}

/// Does something when a first chunk is done.
struct Hears<'a>(&'a mut dyn Observer, AtChunk);

impl Observer for Hears<'_> {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        self.0.on_event(event);
        if matches!(event, AgentEvent::Read(_))
            && let Some(act) = self.1.take()
        {
            act();
        }
    }

    fn wants_more(&self) -> ControlFlow<()> {
        self.0.wants_more()
    }
}

impl<W: DevicePort> DevicePort for Timed<W> {
    fn act(&mut self, queued: QueuedJob, observer: &mut dyn Observer) -> Result<Reply, Failed> {
        self.port.act(queued, &mut Hears(observer, Rc::clone(&self.at_chunk)))
    }

    fn report(&mut self, reports: &[Report], by: &Asker) -> Result<bool, Error> {
        self.port.report(reports, by)
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        self.port.survey()
    }

    fn moment(&mut self) -> Moment {
        let passed = self.passed.get();
        let wall = Some(NOW + passed.as_secs());
        Moment { uptime: passed, wall, unverified: wall }
    }
}

/// A run of the daemon, from a boot on.
pub(crate) struct Run {
    turn: Box<dyn FnMut(Option<Message>) -> Turn>,
    pub(crate) handle: Arc<Handle>,
    messages: Receiver<Message>,
    passed: Rc<Cell<Duration>>,
    at_chunk: AtChunk,
}

impl Run {
    pub(crate) fn on(pi: &Pi) -> Run {
        let cli = Cli::try_parse_from(["bistable", "status", "--card", pi.card.to_str().unwrap()]).unwrap();
        let (port, window) = daemon_device(&cli.at).unwrap();
        let passed = Rc::new(Cell::new(Duration::from_secs(30)));
        let at_chunk = AtChunk::default();
        let timed = Timed { port, passed: Rc::clone(&passed), at_chunk: Rc::clone(&at_chunk) };
        let (mut daemon, handle, messages) = Daemon::new(timed, Box::new(window), "test");
        let turn = Box::new(move |message: Option<Message>| {
            message.into_iter().for_each(|message| daemon.take(message));
            daemon.turn()
        });
        Run { turn, handle, messages, passed, at_chunk }
    }

    /// Turn until that much time has passed, or the machine goes down; whether it does.
    pub(crate) fn goes_down_within(&mut self, time: Duration) -> bool {
        let until = self.passed.get() + time;
        while self.passed.get() < until {
            let message = self.messages.try_recv().ok();
            match (self.turn)(message) {
                Turn::Acted => {}
                Turn::Sleep(time) => self.passed.set(self.passed.get() + time.min(TICK)),
                Turn::Down => return true,
            }
        }
        false
    }

    pub(crate) fn rests(&mut self, time: Duration) {
        assert!(!self.goes_down_within(time), "the machine went down");
    }

    /// The jobs so far: what, and with which exit code.
    pub(crate) fn jobs(&self) -> Vec<(String, u8)> {
        let jobs = self.handle.jobs().into_iter();
        jobs.filter_map(|job| Some((job.operation, job.outcome?.exit))).collect()
    }

    fn why(&self) -> String {
        self.handle.outlook().why.unwrap_or_default()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

/// A device that follows a repository, which offers it 1.1.0.
pub(crate) fn follows<'a>(pi: &'a Pi, update: &str) -> Repo<'a> {
    let repo = Repo::new(pi);
    repo.promote("1.1.0", Rollout::default());
    configured(pi, &repo.url(), update);
    repo
}

/// A device that looks at this address.
fn configured(pi: &Pi, url: &str, update: &str) {
    pi.world(&format!("time = {NOW}\n{WORLD}"));
    pi.config(&format!("[source]\nurls = [{url:?}]\n[update]\nid = \"hub-7\"\n{update}"));
}

/// A file that holds a switch off, as of that time.
pub(crate) fn held_off(pi: &Pi, reason: &str, since: u64) -> PathBuf {
    let file = pi.file("card.img.sim/root/run/bistable/inhibit.d/test", reason.as_bytes());
    let changed = std::time::UNIX_EPOCH + Duration::from_secs(since);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(changed).unwrap();
    file
}

fn state(pi: &Pi) -> String {
    pi.status()["state"].as_str().unwrap().to_owned()
}

fn job(operation: &str, exit: u8) -> (String, u8) {
    (operation.into(), exit)
}

#[test]
fn device_that_is_left_alone_gets_what_its_mode_allows() {
    for (mode, ends_in) in
        [("check", "idle"), ("stage", "staged"), ("reboot", "staged"), ("auto", "on trial")]
    {
        let pi = Pi::new();
        follows(&pi, &format!("mode = {mode:?}\n"));
        let mut run = Run::on(&pi);
        let down = run.goes_down_within(days(1));
        assert_eq!(down, mode == "auto", "{mode}");
        assert_eq!(state(&pi), ends_in, "{mode}: {:?} {}", run.jobs(), run.why());
        let jobs = run.jobs();
        let expected: &[(String, u8)] = match mode {
            "check" => &[job("check", 0)],
            "auto" => &[job("check", 0), job("install", 0), job("arm", 0), job("reboot", 0)],
            _ => &[job("check", 0), job("install", 0)],
        };
        assert_eq!(&jobs[..expected.len()], expected, "{mode}");
        // The boot's own service decides, and a daemon that is started early leaves it alone.
        if mode == "auto" {
            let mut early = Run::on(&pi);
            early.rests(HOUR);
            assert_eq!(state(&pi), "on trial");
            assert!(matches!(
                early.handle.ask(Request::Revert, Asker::new(Via::Api, Some(0)), None),
                Err(NotTaken::Trial)
            ));
            pi.run("resume").must(0, &["slot B is the default now"]);
            pi.rests("B", "1.1.0");
        }
        // Each look is an event, and so is each job.
        let events = pi.run("events --json").must(0, &[]).json();
        let types: Vec<&str> =
            events["events"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
        assert!(types.contains(&"job.started") && types.contains(&"update.available"), "{types:?}");
    }
}

#[test]
fn power_cycle_installs_nothing_in_mode_stage() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    Run::on(&pi).rests(days(1));
    for _ in 0..3 {
        pi.run("sim power cycle").must(0, &[]);
        pi.run("resume").must(0, &[]);
        Run::on(&pi).rests(HOUR * 2);
        assert_eq!(state(&pi), "staged");
    }
    pi.slot_a_is_untouched();
}

#[test]
fn nothing_switches_while_something_holds_it_off() {
    let pi = Pi::new();
    follows(&pi, "mode = \"auto\"\n");
    let file = held_off(&pi, "the backup runs\n", NOW);
    let mut run = Run::on(&pi);
    run.rests(HOUR * 6);
    assert_eq!(state(&pi), "staged", "{:?}", run.jobs());
    assert!(run.why().contains("the backup runs"), "{}", run.why());
    std::fs::remove_file(file).unwrap();
    run.handle.nudge();
    assert!(run.goes_down_within(HOUR), "{}", run.why());
}

#[test]
fn window_is_waited_for() {
    let pi = Pi::new();
    // NOW is a Friday at 08:00 UTC.
    follows(&pi, "mode = \"auto\"\nwindows = [\"Sat 02:00-03:00\"]\n");
    let mut run = Run::on(&pi);
    run.rests(Duration::from_secs(18 * 3600 - 60));
    assert_eq!(state(&pi), "staged");
    assert!(run.goes_down_within(HOUR), "{}", run.why());
}

/// Nothing tells the daemon of the file: the folder was not there when it began.
#[test]
fn what_is_held_off_just_before_a_window_opens_stays_held_off() {
    let pi = Pi::new();
    follows(&pi, "mode = \"auto\"\nwindows = [\"Sat 02:00-03:00\"]\n");
    let mut run = Run::on(&pi);
    run.rests(Duration::from_secs(18 * 3600 - 90));
    assert_eq!(state(&pi), "staged");
    held_off(&pi, "open until four\n", NOW + 18 * 3600);
    run.rests(HOUR);
    assert!(run.why().contains("open until four"), "{}", run.why());
}

#[test]
fn release_that_is_withdrawn_while_it_waits_is_given_up() {
    let pi = Pi::new();
    let repo = follows(&pi, "mode = \"stage\"\n");
    let mut run = Run::on(&pi);
    run.rests(HOUR * 2);
    assert_eq!(state(&pi), "staged");
    repo.withdraw("1.1.0", "the relay sticks");
    run.rests(days(2));
    assert_eq!(state(&pi), "idle", "{:?}", run.jobs());
    pi.is_unharmed();
}

#[test]
fn network_that_fails_costs_patience_and_nothing_else() {
    let pi = Pi::new();
    let repo = follows(&pi, "mode = \"stage\"\n");
    let moved = pi.path("moved");
    std::fs::rename(&repo.folder, &moved).unwrap();
    let mut run = Run::on(&pi);
    run.rests(days(1));
    let failed = run.jobs().len();
    assert!((4..=40).contains(&failed), "{failed} looks in a day");
    assert!(run.jobs().iter().all(|(what, exit)| what == "check" && *exit == 75), "{:?}", run.jobs());
    std::fs::rename(&moved, &repo.folder).unwrap();
    run.rests(days(1));
    assert_eq!(state(&pi), "staged");
    pi.slot_a_is_untouched();
}

/// A slot that is half written, as a bundle leaves it that was cut off.
fn half_written(pi: &Pi) {
    let whole = std::fs::read(pi.good()).unwrap();
    let short = pi.file("short.bundle", &whole[..whole.len() * 9 / 10]);
    assert_ne!(pi.run_on("install", &short).code, 0);
    assert_eq!(state(pi), "installing");
}

#[test]
fn half_written_slot_without_a_repository_waits_for_a_person() {
    let pi = Pi::new();
    half_written(&pi);
    pi.config("[update]\nid = \"hub-7\"\nmode = \"auto\"\n");
    let mut run = Run::on(&pi);
    run.rests(days(1));
    assert_eq!(run.jobs(), []);
    assert!(run.why().contains("source.urls"), "{}", run.why());
}

#[test]
fn half_written_slot_that_cannot_be_filled_is_no_reason_to_hurry() {
    let pi = Pi::new();
    half_written(&pi);
    let server = Server::new(|_| Answered::new("404 Gone", &["Content-Length: 0".into()], b""));
    configured(&pi, &server.url("/"), "");
    let mut run = Run::on(&pi);
    run.rests(days(2));
    let jobs = run.jobs().len();
    assert!((4..=40).contains(&jobs), "{jobs} attempts in two days: {:?}", run.jobs());
}

#[test]
fn server_that_asks_to_be_left_alone_is_left_alone() {
    let pi = Pi::new();
    let server = Server::new(|_| {
        Answered::new("503 Busy", &["Retry-After: 7200".into(), "Content-Length: 0".into()], b"")
    });
    configured(&pi, &server.url("/"), "");
    let mut run = Run::on(&pi);
    while run.jobs().is_empty() {
        run.rests(TICK);
    }
    assert_eq!(run.jobs(), [job("check", 75)]);
    let asked = server.requests().len();
    run.rests(HOUR * 2 - TICK * 2);
    assert_eq!(server.requests().len(), asked, "{}", run.why());
    run.rests(HOUR);
    assert!(server.requests().len() > asked, "{}", run.why());
}

#[test]
fn who_asks_gets_a_job_and_a_look_at_it_after_the_next_boot() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let by = Asker::new(Via::Api, Some(1000));
    let mut run = Run::on(&pi);
    let asked = run.handle.ask(Request::Install(Wanted::default()), by.clone(), None).unwrap();
    let taken_back = run.handle.ask(Request::Arm, by.clone(), None).unwrap();
    run.handle.cancel(&taken_back.id).unwrap();
    run.rests(Duration::from_secs(60));
    let done = run.handle.job(&asked.id).unwrap();
    assert_eq!((done.state, done.outcome.map(|outcome| outcome.exit)), (JobState::Ended, Some(0)));
    assert_eq!(run.handle.job(&taken_back.id).unwrap().state, JobState::Cancelled);
    assert_eq!(state(&pi), "staged", "it was installed, and not armed");
    let switched = run.handle.ask(Request::Update(Wanted::default()), by.clone(), None).unwrap();
    assert!(run.goes_down_within(HOUR));
    assert!(matches!(run.handle.ask(Request::Arm, by.clone(), None), Err(NotTaken::Closed)));
    pi.run("resume").must(0, &["slot B is the default now"]);
    // Another run, another boot.
    let after = Run::on(&pi);
    let found = after.handle.job(&asked.id).unwrap();
    assert_eq!((found.state, found.by, found.outcome.unwrap().exit), (JobState::Ended, by, 0));
    assert!(after.handle.job(&switched.id).is_some());
    let audit = pi.run("events --json --type audit.*").must(0, &[]).json();
    let uids: Vec<&Value> = audit["events"].as_array().unwrap().iter().map(|e| &e["data"]["uid"]).collect();
    assert!(uids.contains(&&Value::from(1000)), "{audit:#}");
}

#[test]
fn device_in_use_is_left_alone_for_a_minute() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    configured(&pi, &repo.url(), "mode = \"stage\"\n");
    let held = Card::open(&pi.card, Meter::default(), Access::Exclusive).unwrap();
    let mut run = Run::on(&pi);
    let by = Asker::new(Via::Api, None);
    let asked = run.handle.ask(Request::Check(Default::default()), by.clone(), None).unwrap();
    run.rests(Duration::from_secs(30));
    assert_eq!(run.handle.job(&asked.id).unwrap().outcome.unwrap().exit, 75);
    drop(held);
    run.rests(days(1));
    assert!(run.jobs().contains(&job("check", 3)), "{:?}", run.jobs());
}

#[test]
fn queue_is_bounded_and_bundles_need_who_asks_to_open_them() {
    let pi = Pi::new();
    let repo = Repo::new(&pi);
    configured(&pi, &repo.url(), "mode = \"check\"\n");
    let run = Run::on(&pi);
    let by = Asker::new(Via::Api, None);
    let install = || Request::Install(Wanted { from: From::Channel, ..Wanted::default() });
    for _ in 0..bistable::daemon::DEPTH {
        run.handle.ask(install(), by.clone(), None).unwrap();
    }
    assert!(matches!(run.handle.ask(install(), by.clone(), None), Err(NotTaken::Busy)));
    assert_eq!(run.handle.jobs().len(), bistable::daemon::DEPTH, "what was refused is no job");
}

#[test]
fn installation_that_runs_is_cancelled_and_given_up_not_rejected() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let by = Asker::new(Via::Api, None);
    let mut run = Run::on(&pi);
    let install = || Request::Install(Wanted::default());
    let asked = run.handle.ask(install(), by.clone(), None).unwrap();
    // A user cancels as soon as a first chunk is done.
    let (handle, id) = (Arc::clone(&run.handle), asked.id.clone());
    *run.at_chunk.borrow_mut() = Some(Box::new(move || drop(handle.cancel(&id).unwrap())));
    run.rests(Duration::from_secs(30));
    let job = run.handle.job(&asked.id).unwrap();
    assert_eq!(job.state, JobState::Cancelled, "{job:#?}");
    assert_eq!(state(&pi), "idle");
    pi.is_unharmed();
    // It may be installed again, at once.
    let again = run.handle.ask(install(), by.clone(), None).unwrap();
    run.rests(Duration::from_secs(90));
    assert_eq!(run.handle.job(&again.id).unwrap().outcome.unwrap().exit, 0);
    assert_eq!(state(&pi), "staged");
}
