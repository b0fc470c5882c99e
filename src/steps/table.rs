//! The steps of an update, as data: what a step is called, how long it takes, when it is stopped, and what follows when it fails.
//! The agent runs each step by one function, which goes by this table; `status` and events name steps by it.
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A step of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum StepName {
    /// Signatures, compatibility, preflight.
    Check,
    /// The inactive slot is written and read back.
    Install,
    /// The old system proves its hardware interfaces.
    SelfTest,
    /// The next reboot is to try the new slot.
    Arm,
    /// The new slot boots.
    TrialBoot,
    /// The new system proves itself.
    Health,
    /// The new slot becomes the default.
    Commit,
    /// The old slot stays the default: in the place of the commit.
    Revert,
}

/// What follows when a step fails. What may pass by itself never fails a step: the state stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The state stays, and whoever continues the update does the step again.
    Retry,
    /// The update goes back to the old slot, which boots again if it isn't running.
    Fallback,
    /// What the step did is taken back, in the slot that runs.
    Undo,
    /// Nothing has begun: the reason is reported, and an operator or the next look decides.
    StopAndReport,
}

/// When a step is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// By the agent, after this time.
    After(Duration),
    /// By what the step itself bounds.
    Own(&'static str),
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which step.
    pub id: StepName,
    /// Its name, human-readable.
    pub name: &'static str,
    /// How long it takes at most if nothing is unusual, and `timeout.expected` is not set. More is reported as `update.slow`.
    pub expected: Duration,
    /// When it is stopped.
    pub timeout: Limit,
    /// What follows when it fails.
    pub on_error: OnError,
}

const fn step(id: StepName, name: &'static str, expected: u64, timeout: Limit, on_error: OnError) -> Step {
    Step { id, name, expected: Duration::from_secs(expected), timeout, on_error }
}

/// The steps, in their order. The last two are alternatives.
pub const STEPS: [Step; 8] = {
    use Limit::{After, Own};
    use OnError::{Fallback, Retry, StopAndReport, Undo};
    use StepName as S;
    [
        step(S::Check, "check", 30, Own("each port has a limit of its own"), StopAndReport),
        // A full image over a slow line takes long; what is written stays, and the next attempt continues there.
        step(S::Install, "install", 300, After(Duration::from_secs(6 * 3600)), Undo),
        step(S::SelfTest, "self-test", 60, Own("the plan's time limits"), Undo),
        step(S::Arm, "arm", 60, Own("the limits of the boot flag and of the reboot"), Undo),
        step(S::TrialBoot, "trial boot", 120, Own("the watchdogs of firmware, kernel and systemd"), Retry),
        step(S::Health, "health", 120, Own("the profile's `deadline`"), Fallback),
        step(S::Commit, "commit", 10, Own("one sector"), Fallback),
        step(S::Revert, "revert", 240, Own("one sector, and a reboot if the old slot isn't running"), Retry),
    ]
};

impl StepName {
    /// Its row.
    pub fn row(self) -> &'static Step {
        STEPS.iter().find(|step| step.id == self).unwrap_or(&STEPS[0])
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_one_row_in_the_order_of_an_update() {
        let ids: Vec<_> = STEPS.iter().map(|step| step.id).collect();
        assert!(ids.is_sorted() && ids.len() == StepName::Revert as usize + 1, "{ids:?}");
        for step in STEPS {
            assert_eq!(step.id.row(), &step);
            assert_eq!(
                serde_json::to_value(step.id).unwrap().as_str().unwrap().replace("trial-boot", "trial boot"),
                step.name
            );
            assert!(!matches!(step.timeout, Limit::After(limit) if limit <= step.expected), "{step:?}");
        }
        // The defaults of the configuration are those of the table.
        let timeouts = crate::config::Settings::default().timeouts;
        assert_eq!(StepName::Install.row().timeout, Limit::After(timeouts.install));
        for (step, expected) in [
            (StepName::Install, timeouts.expected_install),
            (StepName::SelfTest, timeouts.expected_self_test),
            (StepName::Health, timeouts.expected_health),
        ] {
            assert_eq!(step.row().expected, expected);
        }
    }

    fn row(step: &Step) -> String {
        let timeout = match step.timeout {
            Limit::After(limit) => format!("{} h (`timeout.install`)", limit.as_secs() / 3600),
            Limit::Own(bound) => bound.into(),
        };
        let on_error = match step.on_error {
            OnError::Retry => "retry: the state stays, and the step is done again",
            OnError::Fallback => "fallback to the old slot",
            OnError::Undo => "undo, in the running slot",
            OnError::StopAndReport => "stop and report; nothing has begun",
        };
        format!("| {} | {} s | {timeout} | {on_error} |\n", step.name, step.expected.as_secs())
    }

    /// The table of the page is that of the code.
    #[test]
    fn the_page_lists_every_step() {
        const BEGIN: &str = "<!-- steps: `BLESS=1 cargo test -p bistable table` writes them -->\n";
        const END: &str = "<!-- end -->";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/updating.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (old, after) = rest.split_once(END).unwrap();
        let rows: String = STEPS.iter().map(row).collect();
        let table =
            format!("| step | expected within | stopped by | when it fails |\n|---|---|---|---|\n{rows}");
        if std::env::var_os("BLESS").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a page of the sources")]
            std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert!(old == table, "BLESS=1 writes the table of {}:\n{table}", path.display());
        }
    }
}
