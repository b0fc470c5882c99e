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

/// A program's session and its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    session: i32,
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
        Family { session, mark: format!("{MARK}={mark}") }
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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        match Stat::parse(&stat) {
            // Killed, and waiting for its parent.
            Some(Stat { state: 'Z' | 'X', .. }) | None => false,
            Some(Stat { session, .. }) if session == self.session => true,
            Some(_) => {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.split(|b| *b == 0).any(|variable| variable == self.mark.as_bytes())
            }
        }
    }
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
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The program's name may hold anything, parentheses too.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // The parent and the group are between the two.
        Some(Stat { state, session: fields.nth(2)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_behind_any_name() {
        let stat = |state, session| Some(Stat { state, session });
        assert_eq!(Stat::parse("12 (sleep) S 1 12 7 0 -1 4194560"), stat('S', 7));
        assert_eq!(Stat::parse("12 (a) R 1 2 3) x) Z 1 12 9 0"), stat('Z', 9));
        for bad in ["", "12 (sleep", "12 (sleep) S 1 12", "12 (sleep) S 1 12 x 0"] {
            assert_eq!(Stat::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_process_that_is_not_of_the_family_is_not_found() {
        let own = i32::try_from(process::id()).unwrap();
        assert!(processes().any(|pid| pid == own));
        assert!(!Family::new(i32::MAX, "0-0").has(own));
    }
}
