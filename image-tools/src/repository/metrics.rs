//! What a repository measures of itself, in Prometheus' text format. See `src/docs/metrics.md`.
//!
//! Everything follows from the channels' newest files and a listing of the blobs, whoever asks and wherever: no catalog is read,
//! so that it costs the same however many releases there were.
use super::channel::{ChannelError, ChannelLog, names};
use super::prune::blob_bytes;
use super::roots::Roots;
use super::store::{Store, StoreError};
use super::usage::Usage;
use bistable_format::Channel;
use bistable_format::exposition::{Family, Format, Sample, Type, write};

/// All metrics of a repository, in the order in which they are written.
pub const FAMILIES: [Family; 5] = [
    Family {
        name: "bistable_repository_bytes",
        kind: Type::Gauge,
        labels: &[],
        help: "Bytes of all releases together, what they share counted once",
    },
    Family {
        name: "bistable_repository_used_ratio",
        kind: Type::Gauge,
        labels: &["of"],
        help: "Part of --max-size, and of the file system, that is in use",
    },
    Family {
        name: "bistable_repository_offers",
        kind: Type::Gauge,
        labels: &["channel"],
        help: "Releases on offer",
    },
    Family {
        name: "bistable_repository_channel_expires_timestamp_seconds",
        kind: Type::Gauge,
        labels: &["channel"],
        help: "When devices stop believing the channel",
    },
    Family {
        name: "bistable_image_promotion_seconds",
        kind: Type::Gauge,
        labels: &["channel"],
        help: "From the first offer of the release promoted last to its promotion, without the age that the channel's gate demands",
    },
];

/// Why a repository can't be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// What is known of a repository.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The newest of each channel, by name.
    pub channels: Vec<Channel>,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// How full its place is.
    pub usage: Usage,
}

impl Facts {
    /// Read them.
    ///
    /// # Errors
    /// See [`MetricsError`].
    pub fn read(store: &Store, roots: &Roots, most: Option<u64>) -> Result<Facts, MetricsError> {
        let newest = |name: String| Ok(ChannelLog::new(store, roots, name.as_str()).newest()?.channel);
        let channels =
            names(store)?.into_iter().map(newest).collect::<Result<Vec<Channel>, MetricsError>>()?;
        let bytes = blob_bytes(store)?;
        Ok(Facts { channels, bytes, usage: Usage::of(store, bytes, most) })
    }

    /// How long the last promotion into a channel took; `None` if there was none, or no other channel offers the release.
    fn promotion_seconds(&self, into: &Channel) -> Option<u64> {
        let promoted = into.offers.iter().find(|offer| offer.since == into.promoted_at)?;
        let others = self.channels.iter().filter(|other| other.name != into.name);
        let first = others.filter_map(|other| Some(other.offer(&promoted.identity)?.since)).min()?;
        Some(into.promoted_at.checked_sub(first)?.saturating_sub(into.gates.min_age))
    }

    /// As text.
    pub fn text(&self) -> String {
        let each = |value: &dyn Fn(&Channel) -> Option<u64>| -> Vec<Sample> {
            let sample =
                |channel: &Channel| Some(Sample::labeled([channel.name.clone()], number(value(channel)?)));
            self.channels.iter().filter_map(sample).collect()
        };
        let used = [("max_size", self.usage.of_max_size), ("disk", self.usage.of_disk)];
        let samples = [
            vec![Sample::one(number(self.bytes))],
            used.into_iter().filter_map(|(of, used)| Some(Sample::labeled([of], used?))).collect(),
            each(&|channel| Some(channel.offers.iter().count() as u64)),
            each(&|channel| Some(channel.expires_at())),
            each(&|channel| self.promotion_seconds(channel)),
        ];
        write(Format::Prometheus, FAMILIES.iter().zip(samples))
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(number: u64) -> f64 {
    number as f64
}
