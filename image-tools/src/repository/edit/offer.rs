//! Publish and promote.
use super::need::need;
use super::{EditError, ROOM, named, not_offered, whole, withdrawn};
use bistable_format::{
    Channel, Digest, KeyId, Offer, Release,
    channel::{Gates, Passage},
    limits,
    name::Subject,
    rollout::{Rollout, RolloutState},
    version::{is_newer, meets},
};

/// Put a release on offer that this channel never had, or that was signed again since.
///
/// # Errors
/// See [`EditError`]; the channel is as it was then.
pub fn publish(channel: &mut Channel, offer: Offer, now: u64) -> Result<(), EditError> {
    whole(channel, |draft| {
        if signed_again(draft, &offer) {
            return Ok(());
        }
        admit(draft, &offer)?;
        secure(draft, &offer)?;
        if draft.gates != Gates::default() {
            return Err(EditError::Gated { channel: draft.name.clone() });
        }
        satisfiable(draft, &offer)?;
        add(draft, offer, now)
    })
}

/// What was attested of a release, and by whom; each was verified.
pub type Attested<'a> = &'a [(String, KeyId)];

/// How a release is promoted.
#[derive(Clone, Copy, Debug)]
pub struct Promotion<'a> {
    /// What was attested.
    pub attested: Attested<'a>,
    /// Who gets it, and when.
    pub rollout: &'a Rollout,
    /// Seconds since 1970.
    pub now: u64,
}

/// Offer in another channel what is offered in one: the same release, bytes and all. One that was signed again since it was
/// promoted passes no gate a second time.
///
/// # Errors
/// The first gate that is closed, and the rest of [`EditError`]; the channel is as it was then.
pub fn promote(
    from: &Channel,
    into: &mut Channel,
    identity: &Digest,
    how: Promotion<'_>,
) -> Result<(), EditError> {
    let Promotion { attested, rollout, now } = how;
    if let Some(bad) = from.withdrawal(identity) {
        return Err(withdrawn(&from.name, bad));
    }
    let source = from.offer(identity).ok_or_else(|| not_offered(from, identity))?;
    if source.rollout.pace == RolloutState::Halted {
        return Err(EditError::Halted { channel: from.name.clone(), release: named(source) });
    }
    let offer = Offer { since: now, rollout: rollout.clone(), ..source.clone() };
    whole(into, |draft| {
        // The gates let it in before.
        if signed_again(draft, &offer) {
            return Ok(());
        }
        admit(draft, &offer)?;
        secure(draft, &offer)?;
        no_barrier_before(from, draft, source)?;
        gates(from, draft, source, attested, now)?;
        satisfiable(draft, &offer)?;
        add(draft, offer, now)?;
        draft.promoted_at = now;
        Ok(())
    })
}

/// Whoever takes a release from here may not skip what they could not skip there.
fn no_barrier_before(from: &Channel, into: &Channel, source: &Offer) -> Result<(), EditError> {
    let alike = |o: &Offer| {
        o.constraints.subject() == source.constraints.subject()
            && o.constraints.boards.iter().any(|b| source.constraints.boards.contains(b))
    };
    let is_past = |barrier: &Offer| {
        into.offers
            .iter()
            .any(|o| alike(o) && !is_newer(&barrier.constraints.version, &o.constraints.version))
    };
    let before = from.offers.iter().filter(|o| {
        o.passage == Passage::Barrier
            && alike(o)
            && is_newer(&source.constraints.version, &o.constraints.version)
            && into.withdrawal(&o.identity).is_none()
            && !is_past(o)
    });
    match before.min_by(|a, b| a.constraints.version.cmp_precedence(&b.constraints.version)) {
        Some(barrier) => Err(EditError::Barrier {
            channel: from.name.clone(),
            into: into.name.clone(),
            release: named(source),
            barrier: named(barrier),
        }),
        None => Ok(()),
    }
}

/// The gates, in the order in which they open by themselves or need a person.
fn gates(
    from: &Channel,
    into: &Channel,
    source: &Offer,
    attested: Attested<'_>,
    now: u64,
) -> Result<(), EditError> {
    let gates = &into.gates;
    let age = now.saturating_sub(source.since);
    if age < gates.min_age {
        return Err(EditError::TooYoung {
            release: named(source),
            channel: from.name.clone(),
            into: into.name.clone(),
            age,
            needed: gates.min_age,
        });
    }
    let ago = now.saturating_sub(into.promoted_at);
    if into.promoted_at > 0 && ago < gates.min_interval {
        return Err(EditError::TooSoon { channel: into.name.clone(), ago, needed: gates.min_interval });
    }
    let missing = gates
        .attestations
        .iter()
        .find(|(kind, key)| !attested.iter().any(|(k, by)| k == kind && *by == key.id()));
    match missing {
        Some((kind, key)) => Err(EditError::NotAttested {
            channel: into.name.clone(),
            release: named(source),
            kind: kind.clone(),
            key: format!("{:.4} ({})", key.id(), key.label),
        }),
        None => Ok(()),
    }
}

/// Whether the release is on offer, signed by other keys: then the offer names the new signatures, and stays as it is. The old
/// ones' keys may be in no root any more.
fn signed_again(channel: &mut Channel, offer: &Offer) -> bool {
    let is_older = |o: &&mut Offer| o.identity == offer.identity && o.release != offer.release;
    let Some(older) = channel.offers.iter_mut().find(is_older) else { return false };
    (older.release, older.release_bytes) = (offer.release, offer.release_bytes);
    true
}

/// Whether a release may be offered at all.
fn admit(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    if let Some(bad) = channel.withdrawal(&offer.identity) {
        return Err(withdrawn(&channel.name, bad));
    }
    if channel.offer(&offer.identity).is_some() {
        return Err(EditError::AlreadyOffered { channel: channel.name.clone(), release: named(offer) });
    }
    let (mine, board) = (&offer.constraints, |b: &String| offer.constraints.boards.contains(b));
    let same = |o: &Offer| {
        o.constraints.subject() == mine.subject()
            && o.constraints.version == mine.version
            && o.constraints.boards.iter().any(board)
    };
    match channel.offers.iter().any(same) {
        true => Err(EditError::OtherContent { channel: channel.name.clone(), release: named(offer) }),
        false => Ok(()),
    }
}

/// The security version never falls from an older release to a newer one for the same board.
fn secure(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    let (new, mut older) = (&offer.constraints, channel.offers.iter().filter(|o| is_older(o, offer)));
    match older.find(|o| o.constraints.security_version > new.security_version) {
        None => Ok(()),
        Some(older) => Err(EditError::SecurityVersion {
            channel: channel.name.clone(),
            release: named(offer),
            found: new.security_version,
            older: named(older),
            needed: older.constraints.security_version,
        }),
    }
}

fn is_older(there: &Offer, offer: &Offer) -> bool {
    let (there, new) = (&there.constraints, &offer.constraints);
    there.subject() == new.subject()
        && there.boards.iter().any(|b| new.boards.contains(b))
        && is_newer(&new.version, &there.version)
}

/// Whether the security version of a release that closes a hole is above all that the channel offers of the same.
///
/// # Errors
/// [`EditError::NotRaised`].
pub fn raises_security(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    let same = channel
        .offers
        .iter()
        .filter(|o| o.constraints.subject() == offer.constraints.subject() && o.identity != offer.identity);
    match same.map(|o| o.constraints.security_version).max() {
        Some(highest) if offer.constraints.security_version <= highest => Err(EditError::NotRaised {
            channel: channel.name.clone(),
            release: named(offer),
            found: offer.constraints.security_version,
            highest,
        }),
        _ => Ok(()),
    }
}

/// Whether the channel has what a release needs: a version to run before it, and, of the product's image and components, and of
/// other products, as far as the channel offers them, one that fits. What else a device has is unknown here.
pub(super) fn satisfiable(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    let failed = |problem: String| {
        Err(EditError::Unsatisfiable { channel: channel.name.clone(), release: named(offer), problem })
    };
    let all = |is_one: &dyn Fn(Subject<'_>) -> bool| -> Vec<&Offer> {
        channel.offers.iter().filter(|o| is_one(o.constraints.subject())).collect()
    };
    let product = offer.constraints.product.as_str();
    let of = |name: &str| all(&|subject| subject == (product, Some(name)) || subject == (name, None));
    if let Some(required) = &offer.constraints.requires.running {
        let mine = all(&|subject| subject == offer.constraints.subject());
        // The first release comes onto cards, whatever they have been made with.
        if !mine.is_empty() && !mine.iter().any(|o| meets(required, &o.constraints.version)) {
            return failed(format!(
                "it requires a running version {required}, and the channel has {}",
                list(&mine)
            ));
        }
    }
    for (name, required) in &offer.constraints.requires.components {
        let theirs = of(name);
        if !theirs.is_empty() && !theirs.iter().any(|o| meets(required, &o.constraints.version)) {
            return failed(format!("it requires {name} {required}, and the channel has {}", list(&theirs)));
        }
    }
    for (name, range) in &offer.constraints.requires.conflicts {
        let theirs = of(name);
        if !theirs.is_empty() && theirs.iter().all(|o| meets(range, &o.constraints.version)) {
            return failed(format!(
                "it does not go with {name} {range}, and the channel has only {}",
                list(&theirs)
            ));
        }
    }
    Ok(())
}

/// Whether the channel offers what an image brings along: devices find a component by its identity among the offers.
///
/// # Errors
/// [`EditError::BoundMissing`].
pub fn carries(channel: &Channel, release: &Release) -> Result<(), EditError> {
    match release.bound.iter().find(|bound| channel.offer(&bound.identity).is_none()) {
        None => Ok(()),
        Some(bound) => Err(EditError::BoundMissing {
            channel: channel.name.clone(),
            release: release.named(),
            bound: format!("{}/{} {}", release.product(), bound.component, bound.version),
        }),
    }
}

fn list(offers: &[&Offer]) -> String {
    let mut versions: Vec<_> = offers.iter().map(|o| &o.constraints.version).collect();
    versions.sort();
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Newer releases, offered to everyone, that an offer needs before it makes room: the newest stays, and the one before, which
/// devices go back to.
const KEPT_FOR_ROOM: usize = 2;

/// Add an offer. The releases that a channel offers at a time are limited in number and bytes: the oldest that is not needed goes. It
/// stays in the catalog.
fn add(channel: &mut Channel, offer: Offer, now: u64) -> Result<(), EditError> {
    let coming = offer.identity;
    channel.offers.push(offer);
    while channel.offers.len() > limits::OFFERS || channel.payload_bytes() > ROOM {
        let goes = |o: &&Offer| o.identity != coming && need(channel, o, now, KEPT_FOR_ROOM).is_none();
        let oldest = channel.offers.iter().filter(goes).min_by(|a, b| {
            a.since
                .cmp(&b.since)
                .then(a.constraints.version.cmp(&b.constraints.version))
                .then(a.identity.cmp(&b.identity))
        });
        let Some(oldest) = oldest.map(|o| o.identity) else {
            return Err(EditError::Full { channel: channel.name.clone(), offers: channel.offers.len() - 1 });
        };
        channel.offers.retain(|o| o.identity != oldest);
    }
    Ok(())
}
