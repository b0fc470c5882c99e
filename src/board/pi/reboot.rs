//! The reboot: in good order where systemd runs, and by the kernel's own call otherwise or when that takes too long.
//!
//! 1. What the firmware shall hear is put where systemd looks for it, or taken away from there.
//! 2. Process 1 is asked to reboot. It stops everything, this process too, and at last hands the argument to the kernel.
//! 3. If it hasn't after [`PATIENCE`], or there is no systemd: sync, and reboot(2) with the argument.
use super::Sysroot;
use crate::{
    board::calls,
    durable,
    ports::{Clock, Fault, Never, Stop},
    teardown::signals,
};
use nix::sys::reboot::{RebootMode, reboot};
use std::{ffi::CStr, fs, io, time::Duration};

/// How long services get to stop: as long as systemd gives each of them by default (`DefaultTimeoutStopSec`).
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);

/// The folder that is there if, and only if, systemd runs as process 1 (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// Where `systemctl reboot --reboot-argument=` leaves the argument, and systemd-shutdown finds it.
const PARAMETER: &str = "/run/systemd/reboot-param";

/// What the next boot is asked to be. Power loss and crashes forget it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// As the boot flag says.
    #[default]
    Default,
    /// A trial: the firmware boots the other slot, once.
    Tryboot,
}

impl Next {
    /// The kernel's reboot argument: partition 0, which is "as usual", and the flag (Raspberry Pi documentation,
    /// "Fail-safe OS updates").
    fn argument(self) -> Option<&'static CStr> {
        match self {
            Next::Default => None,
            Next::Tryboot => Some(c"0 tryboot"),
        }
    }
}

/// What reboots a machine.
pub(super) trait Power {
    /// Ask process 1 for an orderly reboot.
    fn ask(&mut self) -> io::Result<()>;
    /// Whether this process was told to end.
    fn is_told_to_end(&mut self) -> bool;
    /// Reboot at once. Returns only if it can't.
    fn force(&mut self, argument: Option<&CStr>) -> io::Result<()>;
}

/// Reboot. Ends as [`Fault::Stopping`] when it works. If it fails, nothing is left of the request: any later reboot would
/// carry it to the firmware, and start a slot that no trial watches.
pub(super) fn run(
    sysroot: &Sysroot,
    next: Next,
    clock: &dyn Clock,
    power: &mut dyn Power,
) -> Result<Never, Fault> {
    match attempt(sysroot, next, clock, power) {
        Err(e) if e.stopping().is_none() => {
            if let Err(left) = take_back(sysroot) {
                log::warn!(reason:% = left; "reboot_argument_left");
            }
            Err(e)
        }
        ended => ended,
    }
}

fn attempt(sysroot: &Sysroot, next: Next, clock: &dyn Clock, power: &mut dyn Power) -> Result<Never, Fault> {
    if sysroot.join(SYSTEMD).is_dir() {
        match next.argument() {
            Some(argument) => leave_argument(sysroot, argument)?,
            // What an earlier caller left there would reach the firmware, too.
            None => take_back(sysroot)?,
        }
        match power.ask() {
            Ok(()) => {
                let until = clock.now().saturating_add(PATIENCE);
                while clock.now() < until {
                    if power.is_told_to_end() {
                        return Err(Fault::Stopping(Stop::Reboot));
                    }
                    clock.wait(POLL);
                }
                log::warn!(seconds = PATIENCE.as_secs(); "reboot_forced");
            }
            Err(e) => log::warn!(reason:% = e; "reboot_forced"),
        }
    }
    power.force(next.argument()).map_err(Fault::io("rebooting"))?;
    Err(Fault::Stopping(Stop::Reboot))
}

fn leave_argument(sysroot: &Sysroot, argument: &CStr) -> Result<(), Fault> {
    let path = sysroot.join(PARAMETER);
    durable::write(&path, &[argument.to_bytes(), b"\n"].concat())
        .map_err(Fault::io(path.display().to_string()))
}

/// Take back what was asked of the next reboot, by this process or by an earlier one.
pub(super) fn take_back(sysroot: &Sysroot) -> Result<(), Fault> {
    let path = sysroot.join(PARAMETER);
    match fs::remove_file(&path) {
        // systemd reads an argument from a regular file only.
        Err(e) if e.kind() != io::ErrorKind::NotFound && !path.is_dir() => {
            Err(Fault::io(path.display().to_string())(e))
        }
        _ => Ok(()),
    }
}

/// This machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThisMachine;

impl Power for ThisMachine {
    fn ask(&mut self) -> io::Result<()> {
        // There is an answer to be printed when systemd ends this process with the others.
        signals::expect_end();
        // systemd(1): SIGRTMIN+5 starts reboot.target. The number that SIGRTMIN has is that of systemd's C library, not
        // of ours: glibc keeps two of the kernel's for itself, musl three. One off would be poweroff or kexec.
        let maps = fs::read_to_string("/proc/1/maps")?;
        let first = if maps.contains("ld-musl") || maps.contains("libc.musl") { 35 } else { 34 };
        calls::signal_init(first + 5)
    }

    fn is_told_to_end(&mut self) -> bool {
        signals::is_told_to_end()
    }

    fn force(&mut self, argument: Option<&CStr>) -> io::Result<()> {
        nix::unistd::sync();
        let forced = match argument {
            Some(argument) => calls::restart_with(argument),
            None => reboot(RebootMode::RB_AUTOBOOT).map(|never| match never {}).map_err(io::Error::from),
        };
        // A daemon runs on.
        forced.inspect_err(|_| signals::expect_no_end())
    }
}

/// Files that stand for a system aren't rebooted. With a file [`PLAYS_ALONG`] among them, a reboot counts as done: tests
/// then put there what the next boot would find.
#[derive(Clone, Debug)]
pub(super) struct NoMachine(pub(super) Sysroot);

const PLAYS_ALONG: &str = "/run/reboots";

impl NoMachine {
    fn plays_along(&self) -> bool {
        self.0.join(PLAYS_ALONG).exists()
    }
}

impl Power for NoMachine {
    fn ask(&mut self) -> io::Result<()> {
        self.force(None)
    }
    fn is_told_to_end(&mut self) -> bool {
        self.plays_along()
    }
    fn force(&mut self, _: Option<&CStr>) -> io::Result<()> {
        if self.plays_along() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "these files are not the running system's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::sim::clock::SimClock;

    /// What is done to a machine, in which nothing reboots really.
    struct Script {
        /// Whether process 1 can be asked.
        asks: bool,
        /// When this process is told to end, in looks.
        told_after: Option<u32>,
        looks: u32,
        /// Whether force works.
        forces: bool,
        done: Vec<String>,
    }

    impl Power for Script {
        fn ask(&mut self) -> io::Result<()> {
            self.done.push("ask".into());
            if self.asks { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        }
        fn is_told_to_end(&mut self) -> bool {
            self.looks += 1;
            self.told_after.is_some_and(|n| self.looks > n)
        }
        fn force(&mut self, argument: Option<&CStr>) -> io::Result<()> {
            self.done.push(format!("force {}", argument.map_or("-".into(), CStr::to_string_lossy)));
            if self.forces { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
        }
    }

    #[test]
    fn in_good_order_then_by_force() {
        let stop = "the machine reboots";
        let no = "rebooting: permission denied";
        #[rustfmt::skip]
        let table = [
            // systemd, asks, told, forces, next: done, said, seconds, parameter
            (true, true, Some(3), true, Next::Tryboot, "ask", stop, 0, Some("0 tryboot\n")),
            (true, true, Some(0), true, Next::Default, "ask", stop, 0, None),
            (true, true, None, true, Next::Tryboot, "ask,force 0 tryboot", stop, 90, Some("0 tryboot\n")),
            (true, true, None, true, Next::Default, "ask,force -", stop, 90, None),
            (true, false, None, true, Next::Tryboot, "ask,force 0 tryboot", stop, 0, Some("0 tryboot\n")),
            (true, true, None, false, Next::Tryboot, "ask,force 0 tryboot", no, 90, None),
            (true, false, None, false, Next::Tryboot, "ask,force 0 tryboot", no, 0, None),
            (true, false, None, false, Next::Default, "ask,force -", no, 0, None),
            (false, true, None, true, Next::Tryboot, "force 0 tryboot", stop, 0, Some("stale")),
            (false, true, None, false, Next::Default, "force -", no, 0, None),
        ];
        for (systemd, asks, told_after, forces, next, done, said, seconds, left) in table {
            let dir = tempfile::tempdir().unwrap();
            let sysroot = Sysroot::new(dir.path());
            fs::create_dir_all(sysroot.join("/run/systemd")).unwrap();
            if systemd {
                fs::create_dir_all(sysroot.join(SYSTEMD)).unwrap();
            }
            #[expect(clippy::disallowed_methods, reason = "a test's file need not outlive a power cut")]
            fs::write(sysroot.join(PARAMETER), "stale").unwrap();
            let mut power = Script { asks, told_after, looks: 0, forces, done: Vec::new() };
            let clock = SimClock::default();
            let ended = run(&sysroot, next, &clock, &mut power).unwrap_err();
            assert_eq!((power.done.join(",").as_str(), ended.to_string().as_str()), (done, said));
            assert_eq!(clock.time().as_secs(), seconds, "{done}");
            assert_eq!(fs::read_to_string(sysroot.join(PARAMETER)).ok().as_deref(), left);
        }
    }

    #[test]
    fn an_argument_that_cannot_be_left_stops_the_reboot() {
        let dir = tempfile::tempdir().unwrap();
        let sysroot = Sysroot::new(dir.path());
        fs::create_dir_all(sysroot.join(SYSTEMD)).unwrap();
        fs::create_dir_all(sysroot.join(PARAMETER).join("x")).unwrap();
        let mut power = Script { asks: true, told_after: None, looks: 0, forces: true, done: Vec::new() };
        let ended = run(&sysroot, Next::Tryboot, &SimClock::default(), &mut power);
        assert!(matches!(ended, Err(Fault::Io { .. })), "the trial would be a boot of the old slot");
        assert_eq!(power.done, [""; 0]);
    }

    #[test]
    fn what_systemd_cannot_read_does_not_stop_a_reboot_without_argument() {
        let dir = tempfile::tempdir().unwrap();
        let sysroot = Sysroot::new(dir.path());
        fs::create_dir_all(sysroot.join(SYSTEMD)).unwrap();
        fs::create_dir_all(sysroot.join(PARAMETER).join("x")).unwrap();
        let mut power = Script { asks: true, told_after: Some(0), looks: 0, forces: true, done: Vec::new() };
        let ended = run(&sysroot, Next::Default, &SimClock::default(), &mut power);
        assert!(matches!(ended, Err(Fault::Stopping(Stop::Reboot))));
    }

    #[test]
    fn what_stands_for_a_system_is_not_rebooted() {
        let sysroot = Sysroot::new("/nonexistent");
        let ended =
            run(&sysroot, Next::Tryboot, &SimClock::default(), &mut NoMachine(sysroot.clone())).unwrap_err();
        assert_eq!(ended.to_string(), "rebooting: these files are not the running system's");
    }
}
