//! Deployments onto a device in memory.
use super::*;
use bistable_format::{Content, Head, content::Containers};
use semver::Version;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// The release that is deployed.
fn identity() -> Digest {
    Digest::of(b"1.1.0")
}

fn ours() -> String {
    identity().to_string()
}

/// What a device says of itself: state, slot that runs, release in it, update in flight or past, number of the journal.
fn device(state: &str, runs: &str, update: Option<Update>, seq: u64) -> Device {
    let slot = |booted, id: &str| Slot {
        version: Some("1.0.0".into()),
        release: Some(Id { full: id.into() }),
        booted,
    };
    Device {
        product: Some("hub".into()),
        board: "pi4".into(),
        state: state.into(),
        booted: "A".into(),
        pending: Some(false),
        slots: Slots { a: slot(true, runs), b: slot(false, "other") },
        update,
        journal: Some(Journal { seq }),
        waits: None,
        advice: String::new(),
    }
}

fn update(id: &str, outcome: Option<&str>, failed: Option<(&str, &str)>) -> Option<Update> {
    let step = |(step, reason): (&str, &str)| Step {
        step: step.into(),
        mark: "failed".into(),
        reason: Some(reason.into()),
    };
    Some(Update {
        version: "1.1.0".into(),
        release: Id { full: id.into() },
        outcome: outcome.map(Into::into),
        attempts: 1,
        steps: failed.map(step).into_iter().collect(),
    })
}

#[test]
fn a_verdict_follows_from_what_the_device_says_of_itself() {
    let gave_up = |outcome: &str, step: &str, reason: &str| {
        Some(Verdict::GaveUp(GaveUp { outcome: outcome.into(), step: step.into(), reason: reason.into() }))
    };
    let none = || None::<Update>;
    let health = Some(("health", "app.service is failed"));
    let waiting = Device {
        waits: Some("mode is manual".into()),
        ..device("staged", "old", update(&ours(), None, None), 9)
    };
    let pending = Device {
        pending: Some(true),
        ..device("idle", &ours(), update(&ours(), Some("committed"), None), 9)
    };
    let table = [
        // As it was: nothing arrived.
        (device("idle", "old", none(), 5), device("idle", "old", none(), 5), Some(Verdict::NotTaken)),
        (
            device("idle", "old", none(), 5),
            device("installing", "old", update(&ours(), None, None), 6),
            Some(Verdict::NotTaken),
        ),
        // Under way.
        (device("idle", "old", none(), 5), device("armed", "old", update(&ours(), None, None), 8), None),
        (device("idle", "old", none(), 5), device("on trial", &ours(), update(&ours(), None, None), 9), None),
        (
            device("idle", "old", none(), 5),
            device("committing", &ours(), update(&ours(), None, None), 9),
            None,
        ),
        (device("idle", "old", none(), 5), device("reverting", "old", update(&ours(), None, None), 9), None),
        // The end.
        (
            device("idle", "old", none(), 5),
            device("idle", &ours(), update(&ours(), Some("committed"), None), 9),
            Some(Verdict::Committed),
        ),
        (device("idle", "old", none(), 5), pending, None),
        (
            device("idle", "old", none(), 5),
            device("idle", "old", update(&ours(), Some("reverted"), health), 9),
            gave_up("reverted", "health", "app.service is failed"),
        ),
        (
            device("idle", "old", none(), 5),
            device("idle", "old", update(&ours(), Some("abandoned"), None), 9),
            gave_up("abandoned", "update", "the device gives no reason"),
        ),
        (device("idle", "old", none(), 5), waiting, Some(Verdict::Waits("mode is manual".into()))),
        // The end of an earlier try of the same release is none of this one, until the journal was saved again.
        (
            device("idle", "old", update(&ours(), Some("reverted"), health), 5),
            device("idle", "old", update(&ours(), Some("reverted"), health), 5),
            Some(Verdict::NotTaken),
        ),
        (
            device("idle", "old", update(&ours(), Some("reverted"), health), 5),
            device("idle", "old", update(&ours(), Some("reverted"), health), 12),
            gave_up("reverted", "health", "app.service is failed"),
        ),
        // Another update is under way.
        (device("idle", "old", none(), 5), device("on trial", "third", update("third", None, None), 9), None),
    ];
    for (row, (before, now, expected)) in table.into_iter().enumerate() {
        let follow = Follow::new(ours(), &before);
        assert_eq!(follow.verdict(&now), expected, "row {row}: {now:?}");
    }
}

/// A device that gives these answers, one a call; the last one again and again.
struct Scripted(RefCell<VecDeque<Ended>>);

impl Scripted {
    fn new(answers: impl IntoIterator<Item = Ended>) -> Scripted {
        Scripted(RefCell::new(answers.into_iter().collect()))
    }
}

impl Remote for Scripted {
    fn run(
        &self,
        _: &[&str],
        input: Option<&mut dyn Read>,
        _: &mut (dyn FnMut(&str) + Send),
    ) -> io::Result<Ended> {
        if let Some(input) = input {
            io::copy(input, &mut io::sink())?;
        }
        let mut answers = self.0.borrow_mut();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        next.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A clock that only waiting moves.
#[derive(Debug, Default)]
struct Waited(AtomicU64);

impl Clock for Waited {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wait(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }
}

fn said(device: &Device) -> Ended {
    let slot = |slot: &Slot| {
        let id = slot.release.as_ref().map(|id| serde_json::json!({"full": id.full, "short": ""}));
        serde_json::json!({"version": slot.version, "release": id, "booted": slot.booted})
    };
    let update = device.update.as_ref().map(|update| {
        serde_json::json!({
            "version": update.version, "release": {"full": update.release.full}, "outcome": update.outcome,
            "attempts": update.attempts, "steps": [],
        })
    });
    let text = serde_json::json!({
        "product": device.product, "board": device.board, "state": device.state, "booted": device.booted,
        "pending": device.pending, "slots": {"a": slot(&device.slots.a), "b": slot(&device.slots.b)},
        "update": update, "journal": {"seq": device.journal.unwrap().seq, "copies": [1, 2]},
        "waits": device.waits, "advice": "", "something": "new",
    });
    Ended { code: Some(0), stdout: text.to_string(), stderr: String::new() }
}

fn ends(code: i32, stderr: &str) -> Ended {
    Ended { code: Some(code), stdout: String::new(), stderr: stderr.into() }
}

fn refuses(exit: u8, code: &str) -> Ended {
    let stdout = serde_json::json!({"schema": 1, "error": "no", "code": code, "exit": exit}).to_string();
    Ended { code: Some(exit.into()), stdout, stderr: "error: no".into() }
}

/// Deploy release 1.1.0 to a device that answers so.
fn deployed(answers: impl IntoIterator<Item = Ended>) -> Result<Deployed, DeployError> {
    deployed_of(None, answers)
}

/// The same, of a component.
fn deployed_of(
    component: Option<&str>,
    answers: impl IntoIterator<Item = Ended>,
) -> Result<Deployed, DeployError> {
    let content = Content::Containers(Containers { services: vec![], layers: vec![], blobs: vec![] });
    let head = Head::new(Digest::of(b"root"), "hub");
    let boards = vec!["pi4".into(), "pi5".into()];
    let release = Release {
        component: component.map(Into::into),
        ..Release::new(head, Version::new(1, 1, 0), boards, content)
    };
    let options = DeployOptions {
        host: "pi".into(),
        sudo: false,
        timeout: Duration::from_secs(300),
        retry_rejected: false,
    };
    let parcel = Parcel { release, identity: identity(), bytes: 4 };
    deploy(
        &Scripted::new(answers),
        &parcel,
        &mut &b"data"[..],
        &options,
        &Waited::default(),
        &crate::progress::Silent,
    )
}

#[test]
fn a_device_is_followed_through_its_reboot_to_the_verdict() {
    let idle = said(&device("idle", "old", None, 5));
    let trial = said(&device("on trial", &ours(), update(&ours(), None, None), 8));
    let done = said(&device("idle", &ours(), update(&ours(), Some("committed"), None), 9));
    let away = ends(255, "ssh: connect to host pi port 22: Connection refused");
    // The answer to the update is lost with the connection, and a part of the system isn't there yet.
    let booting = refuses(75, "busy");
    let found = deployed([idle, away.clone(), away.clone(), away, booting, trial, done]).unwrap();
    assert_eq!(
        (found.verdict, found.trials, found.running.as_deref()),
        (Verdict::Committed, 1, Some("1.0.0"))
    );
}

/// Its update needs no reboot, so its end is the verdict: a connection that breaks leaves that open.
#[test]
fn a_component_is_committed_when_its_update_ends() {
    let idle = || said(&device("idle", "old", None, 5));
    let done = Ended { code: Some(0), stdout: "{}".into(), stderr: String::new() };
    let found = deployed_of(Some("core"), [idle(), done, ends(1, "asked too often")]).unwrap();
    assert_eq!((found.verdict, found.running.as_deref()), (Verdict::Committed, Some("1.1.0")));
    let broken = deployed_of(Some("core"), [idle(), ends(255, "Broken pipe")]).unwrap_err();
    assert!(matches!(broken, DeployError::Unreachable { .. }), "{broken:?}");
    let unhealthy = deployed_of(Some("core"), [idle(), refuses(8, "health")]).unwrap_err();
    assert_eq!(crate::Error::from(unhealthy).exit() as u8, 8);
}

#[test]
fn a_device_that_comes_back_without_the_release_did_not_take_it() {
    let idle = said(&device("idle", "old", None, 5));
    let found =
        deployed([idle.clone(), ends(255, "client_loop: send disconnect: Broken pipe"), idle]).unwrap();
    assert_eq!(found.verdict, Verdict::NotTaken);
}

#[test]
fn a_release_that_is_on_its_way_is_followed_and_not_sent_again() {
    let trial = said(&device("on trial", &ours(), update(&ours(), None, None), 8));
    let done = said(&device("idle", &ours(), update(&ours(), Some("committed"), None), 9));
    // A second sending would take one of these answers, and fail on the last one.
    let found = deployed([trial.clone(), trial, done]).unwrap();
    assert_eq!(found.verdict, Verdict::Committed);
}

#[test]
fn what_keeps_a_release_off_a_device_is_said_with_its_exit_code() {
    let idle = || said(&device("idle", "old", None, 5));
    let other = |change: fn(&mut Device)| {
        let mut device = device("idle", "old", None, 5);
        change(&mut device);
        said(&device)
    };
    let runs = said(&device("idle", &ours(), None, 5));
    let lost =
        Ended { code: Some(0), stdout: r#"{"state":"lost","board":"pi4"}"#.into(), stderr: String::new() };
    let silent = said(&device("armed", "old", update(&ours(), None, None), 8));
    let table: Vec<(Vec<Ended>, u8, &str)> = vec![
        (
            vec![ends(255, "ssh: Could not resolve hostname pi: Name or service not known")],
            75,
            "Could not resolve",
        ),
        (vec![ends(127, "sh: bistable: not found")], 1, "no program `bistable`"),
        (vec![ends(1, "sudo: a password is required")], 1, "add --sudo"),
        (vec![ends(0, "hello")], 1, "no answer of `bistable`"),
        (vec![other(|device| device.product = Some("lamp".into()))], 6, "pi is a lamp"),
        (vec![other(|device| device.board = "pi3".into())], 6, "for pi4, pi5"),
        (vec![lost], 1, "bistable repair"),
        (vec![runs], 3, "runs 1.1.0 already"),
        (vec![idle(), refuses(5, "untrusted")], 5, "pi: no"),
        (vec![idle(), refuses(7, "self-test")], 7, "pi: no"),
        (vec![idle(), refuses(75, "busy")], 75, "pi: no"),
        (vec![idle(), silent.clone(), silent], 75, "no verdict of pi within 300 s: armed, slot A runs"),
    ];
    for (answers, exit, text) in table {
        let error = deployed(answers).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(crate::Error::from(error).exit() as u8, exit, "{text}");
    }
}

#[test]
fn of_what_a_device_says_a_person_gets_stages_and_words() {
    let begin = r#"{"event":"begin","schema":1,"stage":"write system","done":0,"total":10}"#;
    assert_eq!(readable(begin).as_deref(), Some("write system"));
    assert_eq!(readable(&begin.replace("begin", "end")), None);
    let event = r#"{"schema":1,"seq":3,"type":"update.state","data":{"state":"armed","slot":"B"}}"#;
    assert_eq!(readable(event).as_deref(), Some("armed"));
    assert_eq!(readable(&event.replace("update.state", "update.slow")), None);
    assert_eq!(readable("booting slot B once").as_deref(), Some("booting slot B once"));
    assert_eq!(readable("error: it failed"), None);
}
