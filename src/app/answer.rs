//! The result of a verb that ended well, or of one that ended with a verdict against continuing.
use super::{ComponentLogs, ComponentUpdated, Components};
#[cfg(feature = "sim")]
use super::{CutAt, Powered, Worlds};
use crate::{
    Repaired,
    config::{Listing, Problem, Remark},
    events::Entry,
    offer::channel,
    status::{History, Lost, Status},
    steps::{health, install::Stats, preflight, selftest},
};
use bistable_boot::Slot;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a verb answers.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Answer {
    /// `install`, `arm`, `reboot`, `update`, `resume`, `commit`, `revert`.
    Rested(Rested),
    /// `install --dry-run`, `update --dry-run`.
    MayInstall(MayInstall),
    /// `preflight`.
    Preflighted(Preflighted),
    /// `self-test`.
    SelfTested(SelfTested),
    /// `health`.
    Health(HealthChecked),
    /// `check`.
    Checked(Box<channel::Report>),
    /// `status`.
    Status(Box<Status>),
    /// `status` on a device whose journal is lost.
    Lost(Box<Lost>),
    /// `history`.
    History(History),
    /// `events`.
    Events(Events),
    /// `metrics`.
    Metrics(Metrics),
    /// `component`.
    Components(Components),
    /// `component logs`.
    ComponentLogs(ComponentLogs),
    /// `component update`, `component resume`, `component revert`.
    ComponentUpdated(ComponentUpdated),
    /// `repair`.
    Repaired(Repair),
    /// `inhibit`.
    #[cfg(feature = "daemon")]
    Inhibited(Inhibited),
    /// `web`, once it has ended.
    #[cfg(feature = "daemon")]
    Served(Served),
    /// `token add`.
    #[cfg(feature = "daemon")]
    TokenAdded(TokenAdded),
    /// `token list`, and `token remove` with what is left.
    #[cfg(feature = "daemon")]
    Tokens(StoredTokens),
    /// `config check`.
    ConfigChecked(ConfigChecked),
    /// `config reload`.
    #[cfg(feature = "daemon")]
    ConfigReloaded(ConfigReloaded),
    /// `config show`.
    ConfigShown(Listing),
    /// What is wrong with a configuration: a failure of any verb.
    Problems(Problems),
    /// `sim power`.
    #[cfg(feature = "sim")]
    Powered(Powered),
    /// `sim cut`.
    #[cfg(feature = "sim")]
    CutAt(CutAt),
    /// `sim world`, and each verb that changes it.
    #[cfg(feature = "sim")]
    World(Box<Worlds>),
}

/// Where the device is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rested {
    /// The state of the update.
    pub state: String,
    /// Whether the machine was rebooted, as was asked for.
    pub rebooted: bool,
    /// The slot that runs.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub slot: Option<Slot>,
    /// The version in it.
    pub running: Option<String>,
    /// Why the update waits for a person, if it does.
    #[serde(default)]
    pub waits: Option<String>,
    /// What was written and fetched, if anything was installed.
    pub installed: Option<Stats>,
    /// What was written to the card in all.
    pub card: CardWrites,
}

/// Writes to a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CardWrites {
    /// How many.
    pub writes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// A release that may be installed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MayInstall {
    /// Its version.
    pub would_install: String,
    /// The slot that it would go into.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub slot: Slot,
}

/// Whether an update may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Readiness {
    /// It may.
    Ready,
    /// It may not.
    Stop,
}

/// What the preflight found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Preflighted {
    /// Whether an update may begin.
    pub verdict: Readiness,
    /// The checks, in order.
    pub checks: Vec<preflight::Check>,
}

/// How the self-tests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SelfTestsVerdict {
    /// All that are required passed.
    Passed,
    /// One that is required didn't.
    Failed,
}

/// What the self-tests measured.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SelfTested {
    /// How they ended.
    pub verdict: SelfTestsVerdict,
    /// What was measured.
    #[serde(flatten)]
    pub report: selftest::Report,
}

/// Whether this system, as it runs now, would pass its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum HealthVerdict {
    /// It would.
    Healthy,
    /// It would not.
    Unhealthy,
}

/// What the health check saw.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HealthChecked {
    /// Whether this system would pass its trial.
    pub verdict: HealthVerdict,
    /// Why it is unhealthy.
    pub reason: Option<String>,
    /// What was seen.
    pub report: health::Report,
}

impl From<&health::Verdict> for HealthChecked {
    fn from(verdict: &health::Verdict) -> Self {
        let reason = verdict.unhealthy();
        HealthChecked {
            verdict: if reason.is_none() { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy },
            reason: reason.map(ToOwned::to_owned),
            report: verdict.report().clone(),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Events {
    /// The events that were asked for, by number.
    pub events: Vec<Entry>,
    /// Those of this boot that are in memory only, because the partition `persistent` could not be used: their numbers are their own.
    pub volatile: Vec<Entry>,
    /// Damaged lines in the files that were read.
    pub damaged: u64,
}

/// What was made again.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Repair {
    /// Always true.
    pub repaired: bool,
    /// The journal's number now.
    pub seq: u64,
    /// Whether the journal was recreated.
    pub journal: bool,
    /// Whether the anti-rollback floors were lost with it.
    pub floors_lost: bool,
    /// Whether it is known which release runs.
    pub release_known: bool,
    /// Version of the root that was written again.
    pub root: Option<u32>,
    /// The default slot that the boot flag was written again with.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub boot_flag: Option<Slot>,
    /// The channel number of the equivocation that was acknowledged.
    pub acknowledged: Option<u64>,
}

impl Repair {
    /// Of a device after a repair.
    pub(crate) fn new(seq: u64, release_known: bool, repaired: &Repaired) -> Repair {
        Repair {
            repaired: true,
            seq,
            journal: repaired.journal.is_some(),
            floors_lost: repaired.journal.is_some_and(|journal| !journal.floors_kept),
            release_known,
            root: repaired.root,
            boot_flag: repaired.flag,
            acknowledged: repaired.acknowledged.map(|found| found.sequence),
        }
    }
}

/// What the device measures of itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Metrics {
    /// Prometheus' text; `None` if it was written into a file.
    pub metrics: Option<String>,
    /// That file.
    pub file: Option<PathBuf>,
}

/// What held a switch off.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inhibited {
    /// The file that does it, as long as it is there.
    pub file: PathBuf,
    /// How the program ended, as a shell shows it; `None` without one.
    pub status: Option<i32>,
}

/// A web page that is no longer served.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Served {
    /// Where it was.
    pub address: String,
}

/// A new token. It is not stored, and never shown again.
#[cfg(feature = "daemon")]
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TokenAdded {
    /// The token.
    pub token: String,
    /// Its name.
    pub name: String,
    /// What it allows: `read`, `operate` or `admin`.
    pub scope: String,
    /// The file with its hash.
    pub file: PathBuf,
}

#[cfg(feature = "daemon")]
impl std::fmt::Debug for TokenAdded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAdded").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The tokens of a device.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoredTokens {
    /// The tokens, by name.
    pub tokens: Vec<StoredToken>,
    /// Files that are not believed, each with the reason.
    pub refused: Vec<String>,
}

/// One of them.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StoredToken {
    /// Its name.
    pub name: String,
    /// What it allows: `read`, `operate` or `admin`.
    pub scope: String,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The file with its hash.
    pub file: PathBuf,
}

/// A configuration without problems.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigChecked {
    /// How many files count.
    pub files: usize,
    /// What is legal and yet doubtful.
    pub remarks: Vec<Remark>,
}

/// `config reload`.
#[cfg(feature = "daemon")]
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigReloaded {
    /// How many files the daemon uses.
    pub files: usize,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Problems {
    /// All problems.
    pub problems: Vec<Problem>,
}
