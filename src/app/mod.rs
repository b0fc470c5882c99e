//! What the program answers: one type for each verb's result, and one for a failure. The command line prints them, as text or
//! as JSON; `src/docs/schemas` is published from these types.
//!
//! | file | noun |
//! |---|---|
//! | `answer` | the result of a verb that ended well |
//! | `components` | what the verbs of components answer |
//! | `component` | what the requests about components do |
//! | `code` | what kind of failure it was |
//! | `document` | the one JSON object on standard output |
//! | `request` | what can be asked |
//! | `reply` | how a request ended, and what it needs beside the agent |
//! | `handle` | what each request does |
//! | `dates` | when past updates ended |
//! | `channel` | what `check`, `install` and `update` take from a channel |
//! | `bound` | where the components are had that an image brings along |
//! | `inhibitor` | what holds a switch off for a while |
//! | `job` | a request in a queue, and the newest ones |
//! | [`policy`] | what the device does without being asked |
//! | [`schedule`] | when it does that |
//! | `stream` | a bundle that comes while it is installed |
//! | `simulated` | what the verbs of the simulated Pi answer |
mod answer;
mod bound;
mod channel;
mod code;
mod component;
mod components;
mod dates;
mod document;
mod handle;
#[cfg(feature = "daemon")]
mod inhibitor;
mod job;
pub mod policy;
mod reply;
mod request;
pub mod schedule;
#[cfg(test)]
#[cfg(feature = "sim")]
mod schemas;
#[cfg(feature = "sim")]
mod simulated;
mod stream;

pub use answer::{
    Answer, CardWrites, ConfigChecked, Events, HealthChecked, HealthVerdict, MayInstall, Metrics,
    Preflighted, Problems, Readiness, Repair, Rested, SelfTested, SelfTestsVerdict,
};
#[cfg(feature = "daemon")]
pub use answer::{ConfigReloaded, Inhibited, Served, StoredToken, StoredTokens, TokenAdded};
pub use code::{Class, Code};
pub use components::{
    ComponentLogs, ComponentStatus, ComponentUpdated, Components, Configured, ConfiguredSetting, LastUpdate,
    RejectedVersion,
};
pub use document::{Answered, Document, Failure, SCHEMA, document};
pub use handle::handle;
pub(crate) use handle::rested;
#[cfg(feature = "daemon")]
pub use inhibitor::{Holding, Inhibit, LONGEST, NotInhibited};
pub use job::{Asker, JOBS, Job, JobProgress, JobState, Jobs, NotCancelled, Outcome, Via};
pub use reply::{Context, Failed, Reboot, Reply};
pub use request::{ComponentConfigure, ComponentUpdate, From, Named, Offers, Request, Wanted};
#[cfg(feature = "sim")]
pub use simulated::{CutAt, Powered, Worlds};
pub use stream::BundleStream;
