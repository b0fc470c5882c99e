//! SIGTERM, SIGINT and SIGHUP at any moment: pins are safe, children ended and temporary files removed before the program
//! is gone, and it ends as killed by that signal.
use crate::{
    fixture::WORLD,
    pi::Pi,
    sysroot::{PI4, Sys},
};
use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use std::{
    fs,
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Wait for something that comes, for half a minute at most.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// The program in the background. No signal is ignored, whatever the test was started from.
struct Running(Child);

impl Running {
    fn start(command: &Command) -> Running {
        Running::with("--default-signal=TERM,INT,HUP", command)
    }

    fn with(signals: &str, command: &Command) -> Running {
        let mut env = Command::new("env");
        env.arg(signals).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => env.env(name, value),
                None => env.env_remove(name),
            };
        }
        env.current_dir(command.get_current_dir().unwrap());
        Running(env.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }

    #[track_caller]
    fn ends(mut self) -> ExitStatus {
        let mut ended = None;
        until("the program ends", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    #[track_caller]
    fn ends_by(self, signal: Signal) {
        self.send(signal);
        assert_eq!(self.ends().signal(), Some(signal as i32), "{signal}");
    }
}

/// How many processes have this word in their command line.
fn with_word(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
    lines.filter(|line| line.split(|b| *b == 0).any(|argument| argument == word.as_bytes())).count()
}

/// A Pi on which the only self-test starts three that sleep: one in the program's group, one in another group and one in
/// another session.
fn sleeping(word: &str) -> Sys {
    let sys = Sys::new(PI4);
    let script = format!("setsid sleep {word} & set -m; sleep {word} & sleep {word}");
    sys.text(
        "etc/bistable/self-test.toml",
        &format!(
            "[[test]]\nname = 'motor'\nkind = 'command'\nrun = ['/bin/sh', '-c', '{script}']\ntimeout_ms = 60000\n"
        ),
    );
    sys
}

#[test]
fn a_signal_ends_the_children_wherever_they_went() {
    for signal in ENDING {
        let word = format!("3{}{:06}.25", signal as i32, std::process::id());
        let sys = sleeping(&word);
        let running = Running::start(&sys.command("self-test"));
        until("all three sleep", || with_word(&word) == 3);
        running.ends_by(signal);
        // They were killed before the program ended; the kernel may still be taking them down.
        until("no child is left", || with_word(&word) == 0);
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let word = format!("40{:06}.25", std::process::id());
    let sys = sleeping(&word);
    let running = Running::with("--ignore-signal=HUP", &sys.command("self-test"));
    until("all three sleep", || with_word(&word) == 3);
    running.send(Signal::SIGHUP);
    running.ends_by(Signal::SIGTERM);
    until("no child is left", || with_word(&word) == 0);
}

/// A simulated Pi whose self-tests take long enough to be stopped in the middle.
fn slow() -> Pi {
    let pi = Pi::new();
    pi.world(&format!("pace = 1000\n{WORLD}"));
    pi
}

fn pins(pi: &Pi) -> String {
    fs::read_to_string(pi.path("card.img.sim/pins.json")).unwrap_or_default()
}

fn self_test(pi: &Pi) -> Running {
    let mut command = pi.command();
    command.arg("self-test");
    Running::start(&command)
}

#[test]
fn a_signal_puts_driven_pins_into_their_safe_state() {
    for signal in ENDING {
        let pi = slow();
        let running = self_test(&pi);
        until("a pin is driven", || pins(&pi).contains("output"));
        running.ends_by(signal);
        assert_eq!(pins(&pi), "", "{signal}");
        pi.is_unharmed();
    }
}

#[test]
fn a_signal_ends_the_wait_for_pulses_and_its_pull_resistor() {
    let pi = slow();
    let plan =
        "[[test]]\nname = 'fan'\nkind = 'pulse'\npin = 24\nmin_hz = 1\nmax_hz = 99\nwindow_ms = 1000\n";
    pi.file("card.img.sim/root/etc/bistable/self-test.toml", plan.as_bytes());
    let running = self_test(&pi);
    until("pulses are counted", || pins(&pi).contains("pulled up"));
    running.ends_by(Signal::SIGTERM);
    assert_eq!(pins(&pi), "");
}

/// The control for the tests above: this is how the pins look if nothing releases them.
#[test]
fn nothing_is_released_by_sigkill_and_a_reset_releases_it() {
    let pi = slow();
    let running = self_test(&pi);
    until("a pin is driven", || pins(&pi).contains("output"));
    running.ends_by(Signal::SIGKILL);
    assert!(pins(&pi).contains("output"));
    pi.run("sim power cycle").must(0, &[]);
    assert_eq!(pins(&pi), "");
}

/// Opening a pipe without a reader would block, and a signal with it.
#[test]
fn a_pipe_in_the_place_of_a_temporary_file_does_not_block_the_program() {
    let pi = Pi::new();
    pi.run("sim power on").must(0, &[]);
    let temporary = pi.path("card.img.sim/machine.json.new");
    mkfifo(&temporary, Mode::S_IRWXU).unwrap();
    let mut command = pi.command();
    command.args(["sim", "power", "off"]);
    assert_eq!(Running::start(&command).ends().code(), Some(0));
    assert!(!temporary.exists());
}

#[test]
fn a_signal_ends_the_wait_for_a_server() {
    let pi = Pi::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = pi.command();
    command.args(["check", "--source", &format!("http://{}/", server.local_addr().unwrap())]);
    let running = Running::start(&command);
    // It asks, and gets no answer.
    let _connection = server.accept().unwrap();
    running.ends_by(Signal::SIGINT);
    pi.is_unharmed();
}
