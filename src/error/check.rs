//! Why an offer's metadata isn't believed.
use crate::{date::utc_date, ports::HostError, source::SourceError};
use bistable_boot::{Equivocation, PayloadDigest};
use bistable_format::{TrustError, channel::OfferError, freshness::Stale};

/// Why a repository's metadata isn't believed. None of it says anything about a release.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The way there.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Not signed as it must be.
    #[error("{at}: {problem}")]
    Untrusted {
        /// Where it was found.
        at: String,
        /// Why it isn't trusted.
        problem: TrustError,
    },
    /// Signed, but not to be believed now.
    #[error("{at}: {problem}")]
    Stale {
        /// Where it was found.
        at: String,
        /// Why it isn't believed.
        problem: Stale,
    },
    /// Two files of one channel with the same number are signed.
    #[error(
        "{at}: number {} of channel {channel} was signed twice (equivocation): this device accepted {accepted:.12}, found \
         {:.12}; refusing it until a higher number is published; find out who signed both",
        .found.sequence, .found.refused
    )]
    Equivocation {
        /// Where it was found: which mirror.
        at: String,
        /// The channel.
        channel: String,
        /// The number, and the payload that is refused.
        found: Equivocation,
        /// The payload that was accepted.
        accepted: PayloadDigest,
    },
    /// The newest root that can be had has expired: an attacker may be holding back its successor.
    #[error(
        "root {version} of {at} expired on {}: no update is taken before its successor is there; whoever holds the root keys \
         has to publish it, with `bistable-image root rotate`", utc_date(*.expires_at)
    )]
    RootExpired {
        /// The repository.
        at: String,
        /// The root's version.
        version: u32,
        /// When it expired, in seconds since 1970.
        expires_at: u64,
    },
    /// The root demands an attestation that isn't there, or isn't good.
    #[error(transparent)]
    Demand(#[from] DemandError),
    /// A release isn't what the channel says of it.
    #[error("{at}: {problem}")]
    Offer {
        /// Where it was found.
        at: String,
        /// What is wrong.
        problem: OfferError,
    },
    /// None of the offers that fit can be opened.
    #[error(
        "release {version} can't be used{}: {problem}",
        if *.others == 0 { String::new() } else { format!(", nor the next {} that fit", .others) }
    )]
    Unusable {
        /// The newest of them.
        version: String,
        /// What is wrong with it.
        problem: String,
        /// How many others were tried.
        others: usize,
        /// Whether a signature or a digest of any of them is wrong; otherwise the repository is incomplete.
        forged: bool,
    },
    /// Only a release that is older than the update in flight can be had.
    #[error(
        "release {in_flight} is being installed, and of what the channel offers only the older {offered} can be had: an older \
         release replaces it only if it is named, with `bistable update {offered}`; `bistable revert` gives {in_flight} up"
    )]
    Older {
        /// The version that can be had.
        offered: String,
        /// The version in flight.
        in_flight: String,
    },
    /// There is no such channel.
    #[error("{at} has no channel {channel}: is it a repository, and is `source.channel` right?")]
    NoChannel {
        /// The repository.
        at: String,
        /// The channel.
        channel: String,
    },
    /// No repository is configured.
    #[error(
        "no repository is configured: set `source.urls` in /etc/bistable/config.d, or name one with --source"
    )]
    NoSource,
    /// The device doesn't know what it has to.
    #[error(
        "this device's place in rollouts can't be found out ({0}): set `update.id` in /etc/bistable/config.d"
    )]
    NoId(HostError),
}

impl CheckError {
    /// Whether a signature, a digest or a replay is what's wrong.
    pub fn is_untrusted(&self) -> bool {
        match self {
            CheckError::Untrusted { problem, .. } => !problem.needs_update(),
            // Whoever publishes it may still renew it.
            CheckError::Stale { problem, .. } => !matches!(problem, Stale::Expired { .. }),
            CheckError::Offer { problem: OfferError::Untrusted(problem), .. } => !problem.needs_update(),
            CheckError::Offer { .. } => true,
            CheckError::Demand(problem) => !matches!(problem, DemandError::Missing { .. }),
            CheckError::Equivocation { .. } => true,
            CheckError::Unusable { forged, .. } => *forged,
            CheckError::Source(_)
            | CheckError::RootExpired { .. }
            | CheckError::Older { .. }
            | CheckError::NoChannel { .. }
            | CheckError::NoSource
            | CheckError::NoId(_) => false,
        }
    }

    /// Whether this version of the program is too old for what it found.
    pub fn needs_update(&self) -> bool {
        match self {
            CheckError::Untrusted { problem, .. }
            | CheckError::Offer { problem: OfferError::Untrusted(problem), .. } => problem.needs_update(),
            _ => false,
        }
    }

    /// Whether the same may work later: once something is renewed or published.
    pub fn is_passing(&self) -> bool {
        match self {
            CheckError::Source(e) => e.is_transport(),
            CheckError::Stale { problem, .. } => matches!(problem, Stale::Expired { .. }),
            CheckError::Unusable { forged, .. } => !forged,
            CheckError::RootExpired { .. }
            | CheckError::Demand(DemandError::Missing { .. })
            | CheckError::Older { .. } => true,
            _ => false,
        }
    }

    /// Whether two files of one number were signed.
    pub fn is_equivocation(&self) -> bool {
        matches!(self, CheckError::Equivocation { .. })
    }
}

/// An attestation that a root demands isn't there, or isn't good.
#[derive(Debug, thiserror::Error)]
pub enum DemandError {
    /// It isn't there: perhaps not yet.
    #[error("{at} is missing: the root demands that key {label} attests {kind}")]
    Missing {
        /// Where it should be.
        at: String,
        /// What is demanded.
        kind: String,
        /// The key's label.
        label: String,
    },
    /// It isn't signed by that key, or doesn't decode.
    #[error("{at}: {problem}")]
    Untrusted {
        /// Where it was found.
        at: String,
        /// Why it isn't trusted.
        problem: TrustError,
    },
    /// It is of another release, or says something else.
    #[error("{at} is another release's, or says something else than its name")]
    Other {
        /// Where it was found.
        at: String,
    },
}
