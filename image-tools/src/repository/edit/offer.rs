//! Publish and promote.
use super::EditError;
use bistable_format::{
    Channel, Digest, KeyId, Offer,
    channel::Passage,
    compat::{is_newer, meets},
    limits,
    rollout::Rollout,
};

/// Put a release on offer that this channel never had.
///
/// # Errors
/// See [`EditError`]; the channel is as it was then.
pub fn publish(channel: &mut Channel, offer: Offer, now: u64) -> Result<(), EditError> {
    admit(channel, &offer)?;
    satisfiable(channel, &offer)?;
    make_room(channel, &offer, now)?;
    channel.offers.push(offer);
    Ok(())
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

/// Offer in another channel what is offered in one: the same release, bytes and all.
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
        return Err(EditError::Withdrawn {
            channel: from.name.clone(),
            product: bad.product.clone(),
            version: bad.version.clone(),
            reason: bad.reason.clone(),
        });
    }
    let Some(source) = from.offer(identity) else {
        let what = format!("release {identity:.12}");
        return Err(EditError::NotOffered { channel: from.name.clone(), what, offered: super::names(from) });
    };
    let offer = Offer { since: now, rollout: rollout.clone(), ..source.clone() };
    admit(into, &offer)?;
    let gates = &into.gates;
    let age = now.saturating_sub(source.since);
    if age < gates.min_age {
        return Err(EditError::TooYoung {
            product: offer.terms.product,
            version: offer.terms.version,
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
    for (kind, key) in &gates.attestations {
        if !attested.iter().any(|(k, by)| k == kind && *by == key.id()) {
            return Err(EditError::NotAttested {
                channel: into.name.clone(),
                kind: kind.clone(),
                key: format!("{:.4} ({})", key.id(), key.label),
            });
        }
    }
    satisfiable(into, &offer)?;
    make_room(into, &offer, now)?;
    into.offers.push(offer);
    into.promoted_at = now;
    Ok(())
}

/// Whether a release may be offered at all.
fn admit(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    let (product, version) = (offer.terms.product.clone(), offer.terms.version.clone());
    if let Some(bad) = channel.withdrawal(&offer.identity) {
        let reason = bad.reason.clone();
        return Err(EditError::Withdrawn { channel: channel.name.clone(), product, version, reason });
    }
    let same = channel.offers.iter().find(|o| {
        o.terms.product == product
            && o.terms.version == version
            && o.terms.boards.iter().any(|b| offer.terms.boards.contains(b))
    });
    match same {
        Some(o) if o.identity == offer.identity => {
            Err(EditError::AlreadyOffered { channel: channel.name.clone(), product, version })
        }
        Some(_) => Err(EditError::OtherContent { channel: channel.name.clone(), product, version }),
        None => Ok(()),
    }
}

/// Whether the channel has what a release needs: a version to run before it, and, for components that are products of
/// this channel themselves, one that fits. What else a device has, nobody knows here.
fn satisfiable(channel: &Channel, offer: &Offer) -> Result<(), EditError> {
    let failed = |problem: String| {
        Err(EditError::Unsatisfiable {
            channel: channel.name.clone(),
            product: offer.terms.product.clone(),
            version: offer.terms.version.clone(),
            problem,
        })
    };
    let of = |product: &str| -> Vec<&Offer> {
        channel.offers.iter().filter(|o| o.terms.product == *product).collect()
    };
    if let Some(required) = &offer.terms.requires.running {
        let mine = of(&offer.terms.product);
        // The first release of a product comes onto cards, whatever they have been made with.
        if !mine.is_empty() && !mine.iter().any(|o| meets(required, &o.terms.version)) {
            return failed(format!(
                "it requires a running version {required}, and the channel has {}",
                list(&mine)
            ));
        }
    }
    for (name, required) in &offer.terms.requires.components {
        let theirs = of(name);
        if !theirs.is_empty() && !theirs.iter().any(|o| meets(required, &o.terms.version)) {
            return failed(format!("it requires {name} {required}, and the channel has {}", list(&theirs)));
        }
    }
    for (name, range) in &offer.terms.requires.conflicts {
        let theirs = of(name);
        if !theirs.is_empty() && theirs.iter().all(|o| meets(range, &o.terms.version)) {
            return failed(format!(
                "it does not go with {name} {range}, and the channel has only {}",
                list(&theirs)
            ));
        }
    }
    Ok(())
}

fn list(offers: &[&Offer]) -> String {
    let mut versions: Vec<_> = offers.iter().map(|o| &o.terms.version).collect();
    versions.sort();
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A channel offers only so many releases at a time: the oldest that nobody needs goes. It stays in the catalogue.
fn make_room(channel: &mut Channel, coming: &Offer, now: u64) -> Result<(), EditError> {
    if channel.offers.len() < limits::OFFERS {
        return Ok(());
    }
    let needed = |offer: &Offer| {
        let newer = |o: &Offer| {
            o.terms.product == offer.terms.product
                && is_newer(&o.terms.version, &offer.terms.version)
                && offer.terms.boards.iter().all(|b| o.terms.boards.contains(b))
        };
        // Older ones may be the only way to a newer one, or the way back from it.
        let required = |o: &Offer| {
            o.terms.product == offer.terms.product
                && o.terms.requires.running.as_ref().is_some_and(|r| meets(r, &offer.terms.version))
        };
        let replaced =
            channel.offers.iter().chain([coming]).filter(|o| newer(o) && o.rollout.is_done(now)).count();
        offer.passage == Passage::Barrier
            || channel.pins.contains(&offer.identity)
            || !offer.rollout.is_done(now)
            || replaced < 2
            || channel.offers.iter().chain([coming]).any(required)
    };
    let oldest = channel
        .offers
        .iter()
        .enumerate()
        .filter(|(_, o)| !needed(o))
        .min_by(|(_, a), (_, b)| a.since.cmp(&b.since).then(a.terms.version.cmp(&b.terms.version)))
        .map(|(at, _)| at);
    match oldest {
        Some(at) => {
            channel.offers.remove(at);
            Ok(())
        }
        None => Err(EditError::Full { channel: channel.name.clone(), offers: channel.offers.len() }),
    }
}
