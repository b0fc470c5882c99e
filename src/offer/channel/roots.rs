//! The keys: a newer root, if there is one.
use super::Remember;
use crate::{Device, Error, error::CheckError, source::Source};
use bistable_boot::Floors;
use bistable_format::{Envelope, Role, RoleKeys, Root, repository};

/// How many roots are followed at a time; the rest at the next check.
const STEPS: u32 = 64;

/// The keys that count now, and the floors as they are under them.
pub(super) struct Followed {
    pub(super) root: Root,
    pub(super) floors: Floors,
}

/// Follow the chain of roots from the one that is trusted, each signed by the keys of the one before and its own. What was
/// followed is stored and becomes the floor, even if what comes after it is wrong: it was verified, and an attacker who holds keys
/// that it takes away must not keep it from the device by a broken file.
pub(super) fn follow(
    device: &mut Device,
    source: &mut dyn Source,
    remember: Remember,
) -> Result<Followed, Error> {
    // While a boot has shown something that no decision followed, nothing else is saved. What is found is as good for this
    // check, and is followed again at the next one.
    let saves = remember == Remember::Yes && device.is_as_saved();
    // Below the floor is only what newer roots don't follow: if the stored chain was lost, the repository has them still.
    let (trusted, floor) = (device.anchor()?, device.record.floors.root_version);
    let mut floors = device.record.floors;
    if trusted.version > floors.root_version {
        // The power went between a newer root and its floors.
        floors = under(device.root_before()?.as_ref(), &trusted, floors);
        if saves {
            settle(device, floors)?;
        }
    }
    let mut newer: Vec<(Root, Vec<u8>)> = Vec::new();
    let ended = climb(&trusted, device.settings.allow_demo_keys, source, &mut newer);
    let Some(root) = newer.last().map(|(root, _)| root.clone()) else {
        ended?;
        device.not_below(&trusted, floor)?;
        return Ok(Followed { root: trusted, floors });
    };
    if root.version < floor {
        ended?;
        return device.not_below(&root, floor).map(|()| Followed { root, floors });
    }
    let before = if trusted.version < floor {
        newer.iter().map(|(root, _)| root).find(|r| r.version == floor)
    } else {
        Some(&trusted)
    };
    floors = under(before, &root, floors);
    let bytes: Vec<Vec<u8>> = newer.into_iter().map(|(_, bytes)| bytes).collect();
    let chain = device.chain_with(&bytes)?;
    if saves {
        // First what is trusted, then that nothing older is: in between, the old floor fits both.
        device.store_chain(&chain)?;
        log::info!(version = root.version; "root_followed");
        settle(device, floors)?;
    }
    ended.map(|()| Followed { root, floors })
}

/// Go up from one root to the next, as far as there are any.
fn climb(
    trusted: &Root,
    allow_demo_keys: bool,
    source: &mut dyn Source,
    newer: &mut Vec<(Root, Vec<u8>)>,
) -> Result<(), Error> {
    for _ in 0..STEPS {
        let root = newer.last().map_or(trusted, |(root, _)| root);
        let Some(version) = root.version.checked_add(1) else { break };
        let path = repository::root(version);
        let Some(bytes) = source.get(&path, Envelope::MAX_BYTES).map_err(CheckError::Source)? else {
            break;
        };
        let untrusted = |problem| CheckError::Untrusted { at: format!("{}/{path}", source.name()), problem };
        let next = root.successor(&bytes).map_err(untrusted)?;
        if !allow_demo_keys {
            next.refuse_demo().map_err(untrusted)?;
        }
        newer.push((next, bytes));
    }
    Ok(())
}

/// The floors under a newer root. If a channel's key was taken away, whoever had it may have signed the highest number and
/// the latest time there is: that is no reason not to believe the others.
fn under(before: Option<&Root>, root: &Root, floors: Floors) -> Floors {
    let floors = Floors { root_version: root.version, ..floors };
    if before.is_some_and(|before| trusts_still(before.role(Role::Channel), root.role(Role::Channel))) {
        return floors;
    }
    Floors { channel_sequence: 0, issued_at: 0, ..floors }
}

/// Whether whoever could sign before still can: then there is no reason to forget what they signed.
fn trusts_still(before: Option<&RoleKeys>, now: Option<&RoleKeys>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            now.threshold <= before.threshold && before.keys.iter().all(|key| now.keys.contains(key))
        }
        (before, now) => before == now,
    }
}

/// Save the floors of a root that is stored, and only then let go of the root before it: until they are saved it says
/// whose numbers the old ones were.
fn settle(device: &mut Device, floors: Floors) -> Result<(), Error> {
    let mut next = device.record.clone();
    if floors.channel_sequence != next.floors.channel_sequence {
        next.forget_channel();
    }
    next.floors = floors;
    device.save(next)?;
    device.mend_root().map(drop)
}
