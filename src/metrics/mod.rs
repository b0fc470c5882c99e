//! What the device measures of itself, in Prometheus' text format. See `docs/metrics.md`.
//!
//! A scrape is a function of facts: what follows from the event log, what `status` shows, and what the daemon knows of itself.
//! Counters come from the log, so they continue after a restart and after a boot.
//!
//! | file | noun |
//! |---|---|
//! | [`family`](Family) | a metric: name, type, labels; the table of all |
//! | [`facts`](Facts) | what a scrape is a function of |
//! | [`scrape`] | the facts as samples |
//!
//! Samples become text in [`bistable_format::exposition`].
mod facts;
mod family;
mod scrape;

pub use bistable_format::exposition::Format;
pub use facts::{Facts, Live, Storage};
pub use family::{FAMILIES, Family, Type};
#[cfg(test)]
pub(crate) use scrape::CHECK_CLASSES;
pub use scrape::scrape;

/// What the names of all metrics begin with.
pub const PREFIX: &str = "bistable_";
