use super::Facts;
use crate::ports::Power;
use bistable_boot::{MAX_ATTEMPTS, Now, Outcome, Record, Saved, Slot};

/// What to do next: one line, with the command.
pub(super) fn advice(facts: &Facts<'_>) -> String {
    let record = facts.record;
    let booted = facts.booted;
    if facts.power == Power::Off {
        return "the power is off: restore it, and the boot flag's slot boots".into();
    }
    let default = match (&facts.default, &facts.foreign_flag) {
        (Ok(default), None) => default,
        _ => {
            return "nothing can be updated until the boot flag is written again: `bistable repair`".into();
        }
    };
    if facts.root.is_err() {
        return "without a root of trust every release is refused: `bistable repair` says what it needs"
            .into();
    }
    if let Some(why) = &facts.waits {
        return why.clone();
    }
    match facts.now {
        Now::Saved(Saved::Idle) if booted != *default => format!(
            "slot {booted} runs although {default} is the default and no update is in flight: `bistable reboot` \
             goes back to {default}, `bistable commit` keeps {booted} if it is healthy"
        ),
        Now::Saved(Saved::Idle) if record.slots[booted].is_none() => format!(
            "which release runs in slot {booted} is not known: `bistable repair --release FILE` names it; \
             `bistable update` works without"
        ),
        Now::Saved(Saved::Idle) => idle(record),
        Now::Saved(Saved::Installing(t)) => {
            format!("installing: run `bistable install` for {} again to resume", t.version)
        }
        Now::Saved(Saved::Staged(_)) => {
            "staged: the next boot tests it and tries it; `bistable arm` and `bistable reboot` do so now"
                .into()
        }
        Now::Saved(Saved::Armed { target, .. }) if booted == target.slot => {
            resume("slot", target.slot, "starts its trial")
        }
        Now::Saved(Saved::Armed { tries, .. }) if tries.are_used_up() => {
            format!("all {MAX_ATTEMPTS} trials are used up: `bistable resume` gives the release up")
        }
        Now::Saved(Saved::Armed { target, tries }) if tries.are_refused() => format!(
            "the boot loader did not try slot {} in {} reboots: see `bistable preflight`; `bistable arm` asks for it \
             again, `bistable revert` gives the release up",
            target.slot, tries.refused
        ),
        Now::Saved(Saved::Armed { target, tries }) if tries.attempts > 0 => format!(
            "trial {} of {MAX_ATTEMPTS} ended without a verdict: `bistable reboot` tries slot {} again",
            tries.attempts, target.slot
        ),
        Now::Saved(Saved::Armed { target, .. }) => format!(
            "armed: `bistable reboot` tries slot {} once; any failure boots {default} again",
            target.slot
        ),
        Now::Trial { target, .. } if booted == target.slot => {
            "on trial: `bistable resume` checks its health, then commits it or rolls back".into()
        }
        Now::Trial { .. } => {
            "the trial ended without a verdict: `bistable resume` tries again or gives up".into()
        }
        Now::Saved(Saved::Committing { target: t, .. }) => {
            resume("healthy: slot", t.slot, "becomes the default")
        }
        Now::Saved(Saved::Reverting { target: t, .. }) if booted == t.slot => {
            resume("reverting: slot", !t.slot, "is booted again")
        }
        Now::Saved(Saved::Reverting { target: t, .. }) => resume("reverting: slot", t.slot, "is cleared"),
    }
}

fn resume(what: &str, slot: Slot, then: &str) -> String {
    format!("{what} {slot} {then} with `bistable resume`")
}

fn idle(record: &Record) -> String {
    let Some(entry) = record.history.last() else {
        return "idle: `bistable update FILE` installs, tests and tries a release".into();
    };
    let version = &entry.version;
    match &entry.outcome {
        Outcome::Abandoned(why) if !why.reason.rejects() => {
            format!("`bistable install FILE` again: what is already right of {version} is kept")
        }
        Outcome::Abandoned(_) | Outcome::Reverted(_) if record.rejection(&entry.release).is_some() => {
            format!(
                "{version} is rejected: build a higher version, or try it again with `bistable update VERSION|FILE \
                 --retry-rejected`"
            )
        }
        _ => "idle: `bistable update FILE` installs, tests and tries a release".into(),
    }
}
