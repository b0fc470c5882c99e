//! Promote: offer in another channel what is offered in one.
use super::catalog::{self, CatalogError, Entry};
use super::channel::{ChannelError, ChannelLog};
use super::edit::{self, EditError, Promotion, Selector};
use super::lease::{Lease, LeaseError};
use super::manifest::{self, ManifestError, Stored};
use super::roots::Roots;
use super::store::{Store, StoreError};
use super::writer::{Change, Committed, Committer};
use bistable_format::attestation::Attestation;
use bistable_format::channel::OfferError;
use bistable_format::rollout::{Rollout, RolloutState};
use bistable_format::version::is_newer;
use bistable_format::{Channel, Digest, Envelope, KeyId, Offer, TrustError, repository as names};

/// Why a release can't be promoted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromoteError {
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Not as it is.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Of the release.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// Of the catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A prune is at it.
    #[error(transparent)]
    Hold(#[from] LeaseError),
    /// The root trusts demo keys, and the channel is the one for products.
    #[error("channel production takes no release while the root trusts demo keys")]
    Demo(#[source] TrustError),
    /// No device would take it.
    #[error(
        "{release} would be refused by every device; if its key is not in the newest root any more, sign its bundle with one that is (`bistable-image sign`) and publish that, or else build a new version"
    )]
    Untrusted {
        /// The release.
        release: String,
        /// Why.
        source: Box<OfferError>,
    },
    /// A channel into itself.
    #[error("channel {0} can't be promoted into itself")]
    Itself(String),
    /// Nothing newer.
    #[error(
        "channel {from} offers nothing newer than channel {into} does, but for what is halted: nothing to promote"
    )]
    NothingNewer {
        /// Where from.
        from: String,
        /// Where to.
        into: String,
    },
}

/// What is promoted, and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Where from.
    pub from: &'a str,
    /// Where to.
    pub into: &'a str,
    /// Which one; of those that are meant and have no version, the newest that isn't there yet.
    pub which: Selector,
    /// Who gets it, and when.
    pub rollout: Rollout,
}

/// Promote. All gates are looked at again whenever another writer commits first.
///
/// # Errors
/// See [`PromoteError`].
pub fn promote(
    store: &Store,
    roots: &Roots,
    committer: &Committer<'_>,
    request: &Request<'_>,
) -> Result<(Offer, Option<Committed>), PromoteError> {
    if request.from == request.into {
        return Err(PromoteError::Itself(request.from.into()));
    }
    let into = ChannelLog::new(store, roots, request.into);
    let root = &roots.newest().root;
    if request.into == "production" {
        root.refuse_demo().map_err(PromoteError::Demo)?;
    }
    let mut promoted: Option<(Offer, Stored, Lease)> = None;
    let committed = committer.writer(&into).commit(|draft| -> Result<Change, PromoteError> {
        let from = committer.writer(&ChannelLog::new(store, roots, request.from)).newest()?.channel;
        let offer = match request.which.names_one() {
            true => request.which.find(&from)?.clone(),
            false => newest_missing(&from, draft, &request.which)?,
        };
        // What is on offer must be there: the second of two promotions of the same release reads it once.
        let (stored, hold) = match promoted.take() {
            Some((last, stored, hold)) if last.identity == offer.identity => (stored, hold),
            _ => {
                let stored = manifest::read(store, roots, &offer.release)?;
                // Devices know the newest root only.
                offer.open(&stored.signed, root).map_err(|source| PromoteError::Untrusted {
                    release: edit::named(&offer),
                    source: Box::new(source),
                })?;
                let hold = Lease::take(store, committer.clock, stored.parts().iter().map(|p| p.digest))?;
                stored.require_whole(store)?;
                (stored, hold)
            }
        };
        edit::carries(draft, &stored.release)?;
        let attested = attested(store, &root.repository(), draft, &offer.identity)?;
        let now = committer.clock.now();
        let how = Promotion { attested: &attested, rollout: &request.rollout, now };
        edit::promote(&from, draft, &offer.identity, how)?;
        draft.catalog = catalog::add(store, &draft.catalog, &[entry(&stored, &offer, now)])?;
        let about = format!("{} from {}", edit::named(&offer), request.from);
        promoted = Some((offer, stored, hold));
        Ok(Change::Made { verb: "promote".into(), about })
    })?;
    match promoted {
        Some((offer, ..)) => Ok((offer, committed)),
        None => Err(PromoteError::NothingNewer { from: request.from.into(), into: request.into.into() }),
    }
}

/// A release as a catalog keeps it.
fn entry(stored: &Stored, offer: &Offer, at: u64) -> Entry {
    let release = &stored.release;
    Entry {
        product: release.product().into(),
        component: release.component.clone(),
        version: release.version.clone(),
        release: offer.release,
        identity: stored.identity,
        security_version: release.security_version,
        boards: release.boards.clone(),
        at,
        description: Entry::shorten(&release.description),
        author: release.author.clone(),
        bytes: stored.bytes(),
    }
}

/// The newest that the one offers, not halted, and the other never took, of those that are meant.
fn newest_missing(from: &Channel, into: &Channel, which: &Selector) -> Result<Offer, PromoteError> {
    let is_meant = |o: &&Offer| which.is_of(o.constraints.subject());
    if !from.offers.is_empty() && !from.offers.iter().any(|o| is_meant(&o)) {
        return Err(which.not_offered(from).into());
    }
    let is_missing = |o: &&Offer| {
        o.rollout.pace != RolloutState::Halted
            && into.offer(&o.identity).is_none()
            && into.withdrawal(&o.identity).is_none()
            && !into.offers.iter().any(|there| {
                there.constraints.subject() == o.constraints.subject()
                    && !is_newer(&o.constraints.version, &there.constraints.version)
            })
    };
    let mut missing: Vec<&Offer> = from.offers.iter().filter(is_meant).filter(is_missing).collect();
    missing.sort_by(|a, b| b.constraints.version.cmp_precedence(&a.constraints.version));
    let nothing = || PromoteError::NothingNewer { from: from.name.clone(), into: into.name.clone() };
    let newest = *missing.first().ok_or_else(nothing)?;
    if let Some(other) = missing.iter().find(|o| o.constraints.subject() != newest.constraints.subject()) {
        return Err(EditError::Ambiguous {
            channel: from.name.clone(),
            what: format!("release ({}, {})", newest.constraints.what(), other.constraints.what()),
        }
        .into());
    }
    Ok(newest.clone())
}

/// What was attested of a release by the keys that the channel names; each verified.
fn attested(
    store: &Store,
    repository: &Digest,
    into: &Channel,
    release: &Digest,
) -> Result<Vec<(String, KeyId)>, StoreError> {
    let mut words = Vec::new();
    for (kind, key) in &into.gates.attestations {
        let path = names::attestation(release, kind, &key.id());
        if let Some(bytes) = store.get(&path, Envelope::MAX_BYTES)?
            && let Ok(word) = Attestation::open(&bytes, key, repository)
            && word.release == *release
            && word.kind == *kind
        {
            words.push((word.kind, key.id()));
        }
    }
    Ok(words)
}
