//! A program and all its descendants, however far they ran from it.
//!
//! They are the processes of the program's session, and those whose environment has its mark: a descendant that began a
//! session of its own (setsid(2)) still inherited that. Only one that also cleared its environment is not found.
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use std::{
    fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

const MARK: &str = "BISTABLE_RUN";
/// Descendants can start others while they are looked for. A program that is quicker than that many rounds is left to
/// the service manager.
const ROUNDS: u32 = 16;

/// A program's session, its mark and its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    session: i32,
    /// In the kernel's ticks. No descendant is older, so the environments of older processes need not be read.
    started: u64,
    mark: String,
}

impl Family {
    /// A mark that no other program of this machine has: a variable's name and its value.
    pub(super) fn new_mark() -> (&'static str, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        (MARK, format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// That of the program which leads this session.
    pub(super) fn new(session: i32, mark: &str) -> Family {
        let started = stat(session).map_or(0, |leader| leader.started);
        Family { session, started, mark: format!("{MARK}={mark}") }
    }

    /// Kill all of it. The program itself must not be reaped yet: until then its number, which is the session's, belongs
    /// to no other process.
    pub(super) fn kill(&self) {
        // The group first, at once. That none is left is no failure.
        let _ = killpg(Pid::from_raw(self.session), Signal::SIGKILL);
        for _ in 0..ROUNDS {
            let members: Vec<i32> = processes().filter(|pid| self.has(*pid)).collect();
            if members.is_empty() {
                return;
            }
            for pid in members {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    fn has(&self, pid: i32) -> bool {
        match stat(pid) {
            // Killed, and waiting for its parent.
            Some(Stat { state: 'Z' | 'X', .. }) | None => false,
            Some(Stat { session, .. }) if session == self.session => true,
            Some(Stat { started, .. }) if started < self.started => false,
            Some(_) => {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|b| *b == 0).any(|variable| variable == self.mark.as_bytes())
            }
        }
    }
}

fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What `/proc/PID/stat` says (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    session: i32,
    started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The program's name may hold anything, parentheses too.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // The parent and the group are between the two.
        let session = fields.nth(2)?.parse().ok()?;
        // Field 22; the session is field 6.
        Some(Stat { state, session, started: fields.nth(15)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_and_start_are_found_behind_any_name() {
        let stat = |state, session| Some(Stat { state, session, started: 4711 });
        let rest = "0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 8 9";
        assert_eq!(Stat::parse(&format!("12 (sleep) S 1 12 7 {rest}")), stat('S', 7));
        assert_eq!(Stat::parse(&format!("12 (a) R 1 2 3) x) Z 1 12 9 {rest}")), stat('Z', 9));
        for bad in ["", "12 (sleep", "12 (sleep) S 1 12", "12 (sleep) S 1 12 x 0", "12 (sleep) S 1 12 7 0 -1"]
        {
            assert_eq!(Stat::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_processes_that_are_not_older_than_the_program_are_searched_for_its_mark() {
        let mut child = process::Command::new("sleep").arg("60").env(MARK, "old").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let started = stat(pid).unwrap().started;
        let family = |started| Family { session: i32::MAX, started, mark: format!("{MARK}=old") };
        // Until it has replaced its image, its environment is this test's.
        let found = (0..100_000).any(|_| family(started).has(pid));
        let of_a_later_one = family(started + 1).has(pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found && !of_a_later_one);
    }

    #[test]
    fn a_process_that_is_not_of_the_family_is_not_found() {
        let own = i32::try_from(process::id()).unwrap();
        assert!(processes().any(|pid| pid == own));
        assert!(!Family::new(i32::MAX, "0-0").has(own));
    }
}
