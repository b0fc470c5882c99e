//! Releases that are good, and old: they are offered no more.
use super::need::{Need, need};
use super::offer::satisfiable;
use super::{EditError, Selector, named, not_offered, whole};
use bistable_format::name::Subject;
use bistable_format::{Channel, Digest, Offer};
use std::collections::BTreeMap;

/// What images bring along: the identities of components' releases, by that of the image.
pub type Brought = BTreeMap<Digest, Vec<Digest>>;

/// The images on offer that bring a component's release along.
pub fn bringing<'a>(
    channel: &'a Channel,
    brought: &'a Brought,
    component: &'a Digest,
) -> impl Iterator<Item = &'a Offer> {
    let brings = |image: &&Offer| brought.get(&image.identity).is_some_and(|all| all.contains(component));
    channel.offers.iter().filter(brings)
}

/// No longer offer a release. Devices that run it are offered something newer already; it isn't withdrawn, and may come back.
///
/// # Errors
/// [`EditError::Needed`] if a device could miss it, [`EditError::NotOffered`]; the channel is as it was then.
pub fn retire(
    channel: &mut Channel,
    identity: &Digest,
    brought: &Brought,
    now: u64,
) -> Result<(), EditError> {
    let offer = channel.offer(identity).ok_or_else(|| not_offered(channel, identity))?.clone();
    let bound = || bringing(channel, brought, identity).next().map(|image| Need::Bound { by: named(image) });
    if let Some(why) = need(channel, &offer, now, 1).or_else(bound) {
        return Err(EditError::Needed { channel: channel.name.clone(), release: named(&offer), why });
    }
    whole(channel, |draft| {
        let could = |channel: &Channel| -> Vec<Digest> {
            channel.offers.iter().filter(|o| satisfiable(channel, o).is_ok()).map(|o| o.identity).collect()
        };
        let before = could(draft);
        draft.offers.retain(|o| o.identity != *identity);
        let after = could(draft);
        match draft.offers.iter().find(|o| before.contains(&o.identity) && !after.contains(&o.identity)) {
            None => Ok(()),
            Some(by) => Err(EditError::Needed {
                channel: draft.name.clone(),
                release: named(&offer),
                why: Need::Required { by: named(by) },
            }),
        }
    })
}

/// What was retired, and what stays although it is older than what is kept, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// No longer on offer, oldest first.
    pub gone: Vec<Offer>,
    /// Still on offer.
    pub stay: Vec<(Offer, Need)>,
}

/// Retire all of what is meant but the newest of each image and component, oldest first, as far as no device misses them.
///
/// # Errors
/// [`EditError::NotOffered`] if nothing that is meant is on offer; the channel is as it was then.
pub fn retire_all_but(
    channel: &mut Channel,
    which: &Selector,
    keep: usize,
    brought: &Brought,
    now: u64,
) -> Result<Retired, EditError> {
    let mut by_subject: BTreeMap<Subject<'_>, Vec<&Offer>> = BTreeMap::new();
    for offer in channel.offers.iter().filter(|o| which.is_of(o.constraints.subject())) {
        by_subject.entry(offer.constraints.subject()).or_default().push(offer);
    }
    if by_subject.is_empty() {
        return Err(which.not_offered(channel));
    }
    let mut old: Vec<Offer> = Vec::new();
    for offers in by_subject.values_mut() {
        offers.sort_by(|a, b| a.constraints.version.cmp_precedence(&b.constraints.version));
        let many = offers.len().saturating_sub(keep);
        old.extend(offers.iter().take(many).map(|offer| (*offer).clone()));
    }
    let mut retired = Retired::default();
    for offer in old {
        match retire(channel, &offer.identity, brought, now) {
            Ok(()) => retired.gone.push(offer),
            Err(EditError::Needed { why, .. }) => retired.stay.push((offer, why)),
            Err(e) => return Err(e),
        }
    }
    Ok(retired)
}
