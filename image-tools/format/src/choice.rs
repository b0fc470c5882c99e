//! The choice: which of a channel's releases a device takes, and for each why or why not.
use crate::{
    Channel, Digest, Offer,
    channel::Passage,
    compat::{self, Direction, Incompatible},
    rollout::{Admission, Member},
    version::{is_newer, meets},
};
use alloc::{string::String, vec::Vec};
use semver::Version;

/// Once this many of a channel's releases failed on a device, it takes only what is newer than all of them: perhaps not the
/// releases are broken, and each try writes a whole slot. Fewer than a device remembers, so that it can't forget the first
/// while it tries the last.
pub const FAILURES: usize = 4;

/// What there is to know about the device that chooses.
#[derive(Clone, Debug)]
pub struct Chooser<'a> {
    /// Its product, board and versions.
    pub device: compat::Device<'a>,
    /// The release that runs, if it is known.
    pub running: Option<Digest>,
    /// For rollouts.
    pub member: Member<'a>,
    /// Releases that failed on it.
    pub rejected: &'a [Digest],
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// What a device makes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may take it.
    Fits(Admission),
    /// It runs already.
    Running,
    /// It failed on this device before.
    Rejected,
    /// This many others failed on this device, up to this version, that it takes only what is newer.
    TooManyFailures(Version),
    /// An older device has to run this release before.
    Behind(Version),
    /// Not its turn.
    Waits(Admission),
    /// It may not go onto this device.
    Incompatible(Vec<Incompatible>),
}

/// An offer, and what a device makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// What the device makes of it.
    pub verdict: Verdict,
}

/// Which of a channel's releases a device takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// What is on offer of the image, or of the component, newest first.
    pub considered: Vec<Considered<'a>>,
    /// Why what runs was withdrawn, if it was: the device then takes an older release, too.
    pub withdrawn: Option<&'a str>,
    /// The one it takes.
    pub taken: Option<&'a Offer>,
    /// Towards newer versions, or away from a withdrawn one.
    pub direction: Direction,
}

/// Choose an image. Pure: everything that decides is in the arguments. Offers of components are ignored.
pub fn choose<'a>(channel: &'a Channel, chooser: &Chooser<'_>) -> Choice<'a> {
    choose_of(channel, None, chooser)
}

/// A component, for which releases are chosen as for the image.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// Its name.
    pub name: &'a str,
    /// The kinds of content that can be installed as this component: see [`Content::kind`](crate::Content::kind).
    pub kinds: &'a [u16],
}

/// Choose a release of one component. What the chooser says of running and rejected releases, and of the security floor, is the
/// component's; its device's other components have the image among them, under the product's name. Waves and barriers are as for
/// images.
pub fn choose_component<'a>(
    channel: &'a Channel,
    component: Component<'_>,
    chooser: &Chooser<'_>,
) -> Choice<'a> {
    choose_of(channel, Some(component), chooser)
}

fn choose_of<'a>(
    channel: &'a Channel,
    component: Option<Component<'_>>,
    chooser: &Chooser<'_>,
) -> Choice<'a> {
    let withdrawal = chooser.running.and_then(|running| channel.withdrawal(&running));
    let direction = if withdrawal.is_some() { Direction::Back } else { Direction::Forward };
    let subject = (chooser.device.product, component.map(|component| component.name));
    let mut offers: Vec<&Offer> =
        channel.offers.iter().filter(|o| o.constraints.subject() == subject).collect();
    // Of what differs in build metadata alone, the one that was offered last.
    offers.sort_by(|a, b| {
        b.constraints
            .version
            .cmp_precedence(&a.constraints.version)
            .then(b.since.cmp(&a.since))
            .then(b.identity.cmp(&a.identity))
    });
    let barrier = first_barrier(&offers, chooser);
    let enough = enough(&offers, chooser);
    let considered: Vec<_> = offers
        .into_iter()
        .map(|offer| {
            let verdict = match (verdict(offer, component, chooser, direction, barrier), enough) {
                (Verdict::Fits(_), Some(failed)) if !is_newer(&offer.constraints.version, failed) => {
                    Verdict::TooManyFailures(failed.clone())
                }
                (verdict, _) => verdict,
            };
            Considered { offer, verdict }
        })
        .collect();
    let taken = considered.iter().find(|c| matches!(c.verdict, Verdict::Fits(_))).map(|c| c.offer);
    Choice { considered, withdrawn: withdrawal.map(|w| w.reason.as_str()), taken, direction }
}

fn verdict(
    offer: &Offer,
    component: Option<Component<'_>>,
    chooser: &Chooser<'_>,
    direction: Direction,
    barrier: Option<&Version>,
) -> Verdict {
    if chooser.running == Some(offer.identity) {
        return Verdict::Running;
    }
    if chooser.rejected.contains(&offer.identity) {
        return Verdict::Rejected;
    }
    let (constraints, device) = (&offer.constraints, &chooser.device);
    let mut reasons = match component {
        None => compat::check(constraints, device, direction),
        Some(Component { name, kinds }) => {
            compat::check_component(constraints, (name, kinds), device, direction)
        }
    };
    // A person who goes back knows what they do; a device that leaves a bad release keeps to what a release demands.
    if let (Direction::Back, Some(required)) = (direction, &offer.constraints.requires.running)
        && chooser.device.running.is_some_and(|running| is_newer(&offer.constraints.version, running))
        && !chooser.device.running.is_some_and(|running| meets(required, running))
    {
        let running = chooser.device.running.cloned();
        reasons.push(Incompatible::Running { required: required.clone(), running });
    }
    if !reasons.is_empty() {
        return Verdict::Incompatible(reasons);
    }
    if let Some(first) = barrier
        && is_newer(&offer.constraints.version, first)
    {
        return Verdict::Behind(first.clone());
    }
    match offer.rollout.admits(&chooser.member, &offer.identity, chooser.now) {
        admission if admission.is_in() => Verdict::Fits(admission),
        admission => Verdict::Waits(admission),
    }
}

/// The newest of those that failed on the device, if these are too many.
fn enough<'a>(newest_first: &[&'a Offer], chooser: &Chooser<'_>) -> Option<&'a Version> {
    let mut failed = newest_first.iter().filter(|o| chooser.rejected.contains(&o.identity));
    let newest = failed.next()?;
    (failed.count() + 1 >= FAILURES).then_some(&newest.constraints.version)
}

/// The oldest barrier that the device hasn't passed and that is meant for its board.
fn first_barrier<'a>(offers: &[&'a Offer], chooser: &Chooser<'_>) -> Option<&'a Version> {
    let running = chooser.device.running?;
    let ahead = offers.iter().filter(|o| {
        o.passage == Passage::Barrier
            && is_newer(&o.constraints.version, running)
            && o.constraints.boards.iter().any(|b| b == chooser.device.board)
    });
    ahead.map(|o| &o.constraints.version).min_by(|a, b| a.cmp_precedence(b))
}

/// The versions of an image that a device of a version has to go through to come to another, oldest first and the last one included:
/// for people who plan. Waves and what else a device knows of itself don't count.
///
/// # Errors
/// What is in the way, as a person reads it.
pub fn path(
    offers: &[Offer],
    product: &str,
    board: &str,
    from: &Version,
    to: &Version,
) -> Result<Vec<Version>, String> {
    let mut steps: Vec<Version> = Vec::new();
    let mut at = from.clone();
    while is_newer(to, &at) {
        let fits = |o: &&Offer| {
            o.constraints.subject() == (product, None)
                && o.constraints.boards.iter().any(|b| b == board)
                && is_newer(&o.constraints.version, &at)
                && !is_newer(&o.constraints.version, to)
        };
        let ahead: Vec<&Offer> = offers.iter().filter(fits).collect();
        let barrier = ahead
            .iter()
            .filter(|o| o.passage == Passage::Barrier)
            .map(|o| &o.constraints.version)
            .min_by(|a, b| a.cmp_precedence(b));
        let next = ahead
            .iter()
            .filter(|o| barrier.is_none_or(|b| !is_newer(&o.constraints.version, b)))
            .filter(|o| o.constraints.requires.running.as_ref().is_none_or(|r| meets(r, &at)))
            .map(|o| &o.constraints.version)
            .max_by(|a, b| a.cmp_precedence(b));
        match next {
            Some(next) => {
                at = next.clone();
                steps.push(at.clone());
            }
            None => return Err(stuck(&ahead, product, board, &at, to)),
        }
    }
    Ok(steps)
}

fn stuck(ahead: &[&Offer], product: &str, board: &str, at: &Version, to: &Version) -> String {
    use alloc::format;
    let Some(wanted) = ahead.iter().find(|o| o.constraints.version.cmp_precedence(to).is_eq()) else {
        return format!("no release {to} of {product} for board {board} is on offer");
    };
    match (&wanted.constraints.requires.running, ahead.len()) {
        (Some(required), 1) => format!(
            "release {to} requires a running version {required}; {at} is not, and nothing between the two is on offer"
        ),
        (Some(required), between) => format!(
            "release {to} requires a running version {required}; from {at}, none of the {} releases before it can be \
             installed either",
            between - 1
        ),
        (None, _) => format!("a barrier before release {to} can't be installed on {at}"),
    }
}
