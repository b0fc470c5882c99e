//! `bistable-image deploy` onto a simulated device: in the place of ssh, a script runs the real program.
use crate::pi::Pi;
use bistable_image::{
    Progress, Stage,
    deploy::{DeployError, DeployOptions, Deployed, Parcel, Ssh, Verdict, deploy},
    inspect::{Content, inspect},
    repository::Clock,
};
use std::{
    ffi::OsString,
    fs::File,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The host and a command line. An update that succeeds ends with a reboot: its answer is lost with the connection, the device can't be
/// reached once, and then its boot unit decides the trial.
const SSH: &str = r#"
line=$2
bistable() { PROGRAM --card card.img "$@"; }
cd FOLDER
case $line in
*"update -"*)
    if [ -e break ]; then
        rm break
        head -c 400000 | eval "$line" > /dev/null
        exit 255
    fi
    eval "$line" > answer
    code=$?
    if [ $code = 0 ]; then
        touch rebooting
        exit 255
    fi
    cat answer
    exit $code ;;
*)
    if [ -e rebooting ]; then
        mv rebooting booting
        echo "ssh: connect to host pi port 22: Connection refused" >&2
        exit 255
    fi
    if [ -e booting ]; then
        rm booting
        # A device that goes back reboots once more.
        bistable resume > /dev/null 2>&1 || bistable resume > /dev/null 2>&1
    fi
    eval "$line" ;;
esac
"#;

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

/// Keeps what a person would be shown.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn begin(&self, _: Stage, _: u64) {}
    fn advance(&self, _: Stage, _: u64) {}
    fn end(&self, _: Stage) {}
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

/// Deploy the good bundle. Gives what a person would be shown, too.
fn deployed(pi: &Pi, retry_rejected: bool) -> (Result<Deployed, DeployError>, Vec<String>) {
    let script = SSH.replace("PROGRAM", env!("CARGO_BIN_EXE_bistable"));
    let script = script.replace("FOLDER", pi.path(".").to_str().unwrap());
    let script = pi.file("ssh", script.as_bytes());
    let ssh = Ssh { command: vec!["sh".into(), OsString::from(script)], host: "pi".into(), sudo: false };
    let bundle = pi.good();
    let Content::Bundle(found, _) = inspect(&bundle, None).unwrap().content else { panic!("a bundle") };
    let mut input = File::open(&bundle).unwrap();
    let bytes = input.metadata().unwrap().len();
    let parcel = Parcel { release: found.release, identity: found.digest, bytes };
    let options =
        DeployOptions { host: "pi".into(), sudo: false, timeout: Duration::from_secs(600), retry_rejected };
    let notes = Notes::default();
    let done = deploy(&ssh, &parcel, &mut input, &options, &Waited::default(), &notes);
    (done, notes.0.into_inner().unwrap())
}

#[test]
fn a_healthy_release_is_followed_to_its_commit() {
    let pi = Pi::new();
    let (done, notes) = deployed(&pi, false);
    let done = done.unwrap();
    assert_eq!((done.verdict, done.running.as_deref()), (Verdict::Committed, Some("1.1.0")));
    assert_eq!(done.trials, 1);
    pi.rests("B", "1.1.0");
    pi.slot_a_is_untouched();
    for shown in ["pi: write", "pi: no connection"] {
        assert!(notes.iter().any(|note| note.starts_with(shown)), "{shown}: {notes:#?}");
    }
    let (again, _) = deployed(&pi, false);
    assert!(matches!(again, Err(DeployError::Runs { .. })), "{again:?}");
}

#[test]
fn a_release_that_the_device_goes_back_from_ends_with_its_reason() {
    let pi = Pi::new();
    pi.world("[gpio]\nwires = [[17, 27]]\n[units]\n\"app.service\" = \"failed\"\n");
    let done = deployed(&pi, false).0.unwrap();
    let Verdict::GaveUp(why) = &done.verdict else { panic!("{done:?}") };
    assert_eq!((why.outcome.as_str(), why.step.as_str()), ("reverted", "health"));
    assert!(why.reason.contains("application"), "{why:?}");
    assert_eq!(done.running.as_deref(), Some("1.0.0"));
    pi.rests("A", "1.0.0");
    // It is rejected now: the device refuses it before a reboot, and takes it if it is asked to.
    let (again, _) = deployed(&pi, false);
    assert!(
        matches!(&again, Err(DeployError::Refused { failure, .. }) if failure.code == "rejected"),
        "{again:?}"
    );
    pi.world(crate::fixture::WORLD);
    assert_eq!(deployed(&pi, true).0.unwrap().verdict, Verdict::Committed);
    pi.rests("B", "1.1.0");
}

#[test]
fn a_release_that_a_self_test_refuses_never_reboots_the_device() {
    let pi = Pi::new();
    pi.world("[units]\n\"app.service\" = \"active\"\n");
    let (done, _) = deployed(&pi, false);
    let Err(DeployError::Refused { failure, .. }) = &done else { panic!("{done:?}") };
    assert_eq!((failure.code.as_str(), failure.exit), ("self-test", 7));
    pi.rests("A", "1.0.0");
}

#[test]
fn a_connection_that_breaks_leaves_the_device_as_it_was_and_the_same_command_continues() {
    let pi = Pi::new();
    pi.file("break", b"");
    let done = deployed(&pi, false).0.unwrap();
    assert_eq!(done.verdict, Verdict::NotTaken);
    assert_eq!(pi.status()["booted"], "A");
    pi.slot_a_is_untouched();
    assert_eq!(deployed(&pi, false).0.unwrap().verdict, Verdict::Committed);
    pi.rests("B", "1.1.0");
}
