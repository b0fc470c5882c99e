//! What devices would refuse once they follow the repository's next root: channels and releases that the root in force accepts and the
//! next one doesn't. A device never goes back to an older root, so it would refuse them until they are signed again.
//!
//! What the root in force refuses already is not counted: no root makes it worse, and the next one may be what repairs it.
use super::channel::{self, ChannelError, ChannelLog, OldRoot};
use super::delta_file;
use super::edit::named;
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::attestation::Attestation;
use bistable_format::channel::OfferError;
use bistable_format::{
    Channel, Digest, Envelope, Key, KeyId, Offer, Role, RoleKeys, Root, TrustError, repository as names,
};
use semver::Version;
use std::collections::BTreeMap;

/// Something that devices take with the root in force, and would refuse with the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranded {
    /// A channel's newest file: devices would take nothing of the channel.
    Channel {
        /// The channel.
        name: String,
        /// Its number.
        sequence: u64,
        /// The keys that signed it, as far as the root in force names them for the channel.
        signed_by: Vec<Key>,
        /// Keys of the next root whose signatures it lacks: as many as are needed. Empty if the next root names none.
        lacks: Vec<Key>,
        /// Why it would be refused.
        source: TrustError,
    },
    /// A release on offer.
    Release {
        /// What it is a version of, as people name it.
        what: String,
        /// Its version.
        version: Version,
        /// The channels that offer it.
        channels: Vec<String>,
        /// Keys of the next root whose signatures it lacks: as many as are needed.
        lacks: Vec<Key>,
        /// Why it would be refused.
        source: OfferError,
    },
    /// A release on offer that lacks an attestation which only the next root demands.
    Attestation {
        /// The release, as people name it.
        release: String,
        /// Its version.
        version: Version,
        /// The channel.
        channel: String,
        /// What must be attested.
        kind: String,
        /// By whom.
        key: Key,
    },
}

/// All that a next root would take from devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// What they would refuse.
    pub stranded: Vec<Stranded>,
    /// Files of deltas to releases on offer that they would pass over: they fetch the whole release instead.
    pub deltas: Vec<String>,
}

/// Compare the root in force with the next one on all that channels offer.
///
/// # Errors
/// When the store fails.
pub fn loss(store: &Store, roots: &Roots, next: &Root) -> Result<Loss, StoreError> {
    let now = &roots.newest().root;
    let (mut loss, mut unsigned) = (Loss::default(), Vec::new());
    let mut offered: BTreeMap<(String, Version, Digest), (Offer, Vec<String>)> = BTreeMap::new();
    for name in channel::names(store)? {
        let log = ChannelLog::new(store, roots, name.as_str());
        let file = match log.newest_or_old(OldRoot::Accept) {
            Ok(file) => file,
            Err(ChannelError::Store(e)) => return Err(e),
            // No device takes it as it is; `fsck` says why.
            Err(_) => continue,
        };
        let path = names::channel(&name, file.channel.sequence);
        let bytes = store.get(&path, Envelope::MAX_BYTES)?.unwrap_or_default();
        if Channel::open(&bytes, now).is_ok()
            && let Err(source) = Channel::open(&bytes, next)
        {
            let signers = signers(&bytes, Role::Channel);
            unsigned.push(Stranded::Channel {
                name: name.clone(),
                sequence: file.channel.sequence,
                signed_by: of(now, now.channel_keys(&name), |id| signers.contains(id)),
                lacks: lacking(next, next.channel_keys(&name), &signers),
                source,
            });
        }
        for offer in &file.channel.offers {
            attestations(store, &mut loss, (now, next), &name, offer)?;
            let subject = (offer.constraints.what(), offer.constraints.version.clone(), offer.release);
            let (_, channels) = offered.entry(subject).or_insert_with(|| (offer.clone(), Vec::new()));
            channels.push(name.clone());
        }
    }
    for ((what, version, blob), (offer, channels)) in offered {
        deltas(store, roots, &mut loss, next, &offer.identity)?;
        let bytes = store.get(&names::blob(&blob), Envelope::MAX_BYTES)?.unwrap_or_default();
        if offer.open(&bytes, now).is_ok()
            && let Err(source) = offer.open(&bytes, next)
        {
            let lacks = lacking(next, next.role(Role::Release), &signers(&bytes, Role::Release));
            loss.stranded.push(Stranded::Release { what, version, channels, lacks, source });
        }
    }
    // Last, so that whoever does as they are listed signs what publishing made of a channel.
    loss.stranded.append(&mut unsigned);
    Ok(loss)
}

/// What the next root demands of an offer, and the root in force doesn't.
fn attestations(
    store: &Store,
    loss: &mut Loss,
    (now, next): (&Root, &Root),
    channel: &str,
    offer: &Offer,
) -> Result<(), StoreError> {
    for (demand, key) in next.demands_of(channel) {
        if now.demands_of(channel).any(|(old, _)| (&old.kind, old.key) == (&demand.kind, demand.key)) {
            continue;
        }
        let path = names::attestation(&offer.identity, &demand.kind, &demand.key);
        let bytes = store.get(&path, Envelope::MAX_BYTES)?.unwrap_or_default();
        let is_attested = Attestation::open(&bytes, key, &next.repository())
            .is_ok_and(|said| said.release == offer.identity && said.kind == demand.kind);
        if !is_attested {
            loss.stranded.push(Stranded::Attestation {
                release: named(offer),
                version: offer.constraints.version.clone(),
                channel: channel.into(),
                kind: demand.kind.clone(),
                key: key.clone(),
            });
        }
    }
    Ok(())
}

/// Deltas to a release that only the root in force vouches for.
fn deltas(
    store: &Store,
    roots: &Roots,
    loss: &mut Loss,
    next: &Root,
    target: &Digest,
) -> Result<(), StoreError> {
    for delta in delta_file::of(store, roots, target)?.good {
        let bytes = store.get(&delta.path, Envelope::MAX_BYTES)?.unwrap_or_default();
        if next.verify(Role::Delta, &bytes).is_err() && !loss.deltas.contains(&delta.path) {
            loss.deltas.push(delta.path);
        }
    }
    Ok(())
}

/// Who signed an envelope. That the signatures fit was verified with the root in force, or it isn't counted.
fn signers(bytes: &[u8], role: Role) -> Vec<KeyId> {
    Envelope::parse(bytes, role).map_or_else(|_| Vec::new(), |e| e.signatures().map(|(id, _)| id).collect())
}

/// Those of a role's keys that are meant.
fn of(root: &Root, named: Option<&RoleKeys>, is_meant: impl Fn(&KeyId) -> bool) -> Vec<Key> {
    let ids = named.map(|named| named.keys.as_slice()).unwrap_or_default();
    ids.iter().filter(|id| is_meant(id)).filter_map(|id| root.key(id).cloned()).collect()
}

/// As many of a role's keys as have to sign, too.
fn lacking(root: &Root, named: Option<&RoleKeys>, signers: &[KeyId]) -> Vec<Key> {
    let have = of(root, named, |id| signers.contains(id)).len();
    let need = named.map_or(0, |named| usize::from(named.threshold));
    let mut others = of(root, named, |id| !signers.contains(id));
    others.truncate(need.saturating_sub(have));
    others
}
