//! How much room a repository takes, and how full its place is.
use super::prune::{PRODUCTION_GOES, STAGING_GOES};
use super::store::Store;
use serde::Serialize;

/// How full a repository's place is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Usage {
    /// Part of the most bytes that are allowed, from 0; null without such a limit.
    pub of_max_size: Option<f64>,
    /// Part of its file system that is in use, by whatever, from 0 to 1; null in a bucket.
    pub of_disk: Option<f64>,
}

/// How bad that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Severity {
    /// There is room.
    Info,
    /// Above 80 %: releases that were only in staging go.
    Warning,
    /// Above 90 %.
    Critical,
}

impl Usage {
    /// Of a repository with this many bytes, of which this many are allowed.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn of(store: &Store, bytes: u64, most: Option<u64>) -> Usage {
        let of_max_size = most.filter(|most| *most > 0).map(|most| bytes as f64 / most as f64);
        Usage { of_max_size, of_disk: store.disk_used() }
    }

    /// The larger of the two; 0 if neither is known.
    pub fn highest(&self) -> f64 {
        self.of_max_size.unwrap_or(0.0).max(self.of_disk.unwrap_or(0.0))
    }

    /// How bad it is.
    #[expect(clippy::cast_precision_loss, reason = "two percentages")]
    pub fn severity(&self) -> Severity {
        let percent = self.highest() * 100.0;
        match percent {
            _ if percent > PRODUCTION_GOES as f64 => Severity::Critical,
            _ if percent > STAGING_GOES as f64 => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_eighty_percent_is_a_warning_and_more_than_ninety_is_critical() {
        for (of_max_size, of_disk, severity) in [
            (None, None, Severity::Info),
            (Some(0.8), Some(0.1), Severity::Info),
            (Some(0.81), None, Severity::Warning),
            (Some(0.1), Some(0.9), Severity::Warning),
            (None, Some(0.91), Severity::Critical),
            (Some(3.0), Some(0.1), Severity::Critical),
        ] {
            assert_eq!(Usage { of_max_size, of_disk }.severity(), severity, "{of_max_size:?} {of_disk:?}");
        }
    }
}
