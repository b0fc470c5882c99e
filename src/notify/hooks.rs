//! Runs the operator's programs, `/etc/bistable/hooks.d/TYPE/NN-name`, when something of that type happened.
use super::{Cursor, Cursors, Outside, Ran};
use crate::{
    config::Program,
    events::{Entry, Kind},
};
use serde_json::json;
use std::time::Duration;

/// Where they are, below the root of the configuration.
pub const HOOKS: &str = "etc/bistable/hooks.d";
/// What the cursor is called.
const NAME: &str = "hooks";
/// Events that are read at once.
const BATCH: usize = 64;
const IDLE: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(60);

/// Runs hooks.
#[derive(Debug, Default)]
pub struct Hooks {
    after: Option<u64>,
    /// What is on the disk.
    kept: Option<u64>,
}

impl Hooks {
    /// Run the hooks of all events since the last turn; how long there is nothing to do then, unless something happens.
    pub fn turn(&mut self, outside: &mut dyn Outside) -> Duration {
        loop {
            let after = match self.after {
                Some(after) => after,
                None => match self.begin(outside) {
                    Some(after) => after,
                    None => return AGAIN,
                },
            };
            let (events, searched) = match outside.events(after, BATCH) {
                Ok(found) => found,
                Err(e) => {
                    log::debug!(reason:% = e; "events_not_read");
                    return AGAIN;
                }
            };
            for entry in &events {
                let hooks = outside.hooks(&entry.kind);
                if !hooks.is_empty() {
                    // At most once: a hook that ends the daemon must not meet its event again.
                    self.after = Some(entry.seq);
                    self.keep(outside);
                    run_all(entry, &hooks, outside);
                }
            }
            self.after = Some(searched.max(after));
            if searched <= after {
                return IDLE;
            }
        }
    }

    /// Where to continue: with what happens from now on, if it was never said.
    fn begin(&mut self, outside: &mut dyn Outside) -> Option<u64> {
        self.kept = outside.cursors().targets.get(NAME).map(|cursor| cursor.after);
        self.after = match self.kept {
            Some(after) => Some(after),
            None => Some(outside.events(u64::MAX, 0).ok()?.1),
        };
        self.after
    }

    /// Kept only when a hook ran: without hooks, nothing is ever written.
    fn keep(&mut self, outside: &mut dyn Outside) {
        let Some(after) = self.after.filter(|after| self.kept != Some(*after)) else { return };
        let cursor = Cursor { after, ..Cursor::default() };
        match outside.keep(&Cursors { targets: [(NAME.to_owned(), cursor)].into() }) {
            Ok(()) => self.kept = Some(after),
            Err(e) => log::warn!(reason:% = e; "hook_cursor_not_kept"),
        }
    }
}

/// Run the hooks of an event, one after the other.
fn run_all(entry: &Entry, hooks: &[Program], outside: &mut dyn Outside) {
    for hook in hooks {
        let why = match &hook.refused {
            Some(why) => Some(format!("not run: {why}")),
            None => {
                // Only a map whose keys aren't strings fails, and there is none.
                let input = serde_json::to_string(entry).unwrap_or_default() + "\n";
                let timeout = outside.hook_timeout();
                match outside.run(&hook.program, &input, timeout) {
                    Ok(Ran { code: Some(0), said }) => {
                        log::info!(hook = hook.name, said; "hook_ran");
                        None
                    }
                    Ok(Ran { code: Some(code), said }) => Some(format!("exit code {code}: {said}")),
                    Ok(Ran { code: None, said }) => Some(format!("ended by a signal: {said}")),
                    Err(why) => Some(why),
                }
            }
        };
        let Some(why) = why else { continue };
        log::warn!(hook = hook.name, reason = why; "hook_failed");
        // A hook that fails on its own failure would fail forever.
        if entry.kind != Kind::HookFailed.traits().name {
            outside.report(
                Kind::HookFailed,
                "notify",
                json!({ "hook": hook.name, "seq": entry.seq, "reason": why }),
            );
        }
    }
}
