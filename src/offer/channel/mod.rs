//! Check: what a repository has on offer for this device, and why or why not. Nothing that comes from there is trusted:
//! keys first, then the channel's newest file, then whether that may be believed; only then are the floors raised.
//!
//! | file | noun |
//! |---|---|
//! | `roots` | the keys: a newer root, if there is one, each signed by the one before |
//! | `newest` | the channel's newest file |
//! | `equivocation` | whether another file of the same number was accepted before |
//! | `line` | what the device makes of one offer |
//! | `report` | what it makes of all of them |
//! | [`component`](ComponentFacts) | which offer of a component it takes |
//! | [`offered`](OfferedComponent) | what is on offer of a component |
//! | `unusable` | offers that fit and can't be opened |
//! | `demands` | what the root demands of offers |
//! | `time` | the time, as far as it is known |
mod component;
mod demands;
mod equivocation;
mod line;
mod newest;
mod offered;
mod report;
mod roots;
mod time;
mod unusable;

pub use component::ComponentFacts;
use equivocation::Seen;
pub use line::Line;
pub use offered::{OfferedComponent, Taken};
pub use report::Report;
use roots::Followed;
pub use unusable::Unusable;

use crate::{Device, Error, error::CheckError, source::Source};
use bistable_boot::{
    Equivocation, Image, Now, PayloadDigest, Rejected, ReleaseId, Saved, Slot, Target, layout::Partition,
};
use bistable_format::{
    Channel, Digest, Offer, Root,
    choice::{self, Chooser},
    compat::{self, Direction},
    freshness::{self, Clock},
    rollout::Member,
};
use semver::Version;

/// This many others are named when a version isn't on offer.
const OTHERS: usize = 5;

/// A channel that may be believed, and what the device is, as far as it decides.
#[derive(Clone, Debug)]
pub struct Found {
    /// The repository's name, human-readable.
    pub source: String,
    /// The root that everything was verified with.
    pub root: Root,
    /// The channel.
    pub channel: Channel,
    /// The time, in seconds since 1970, as far as the device knows.
    pub now: u64,
    id: String,
    group: Option<String>,
    product: String,
    board: String,
    running: Option<(Digest, Version)>,
    security_floor: u32,
    components: Vec<(String, Version)>,
    slot_bytes: [u64; 2],
    rejected: Vec<Rejected>,
    other: Option<Image>,
    in_flight: Option<InFlight>,
    unusable: Vec<Unusable>,
    /// What this channel was caught at.
    equivocation: Option<Equivocation>,
}

/// The update that is in flight before its trial.
#[derive(Clone, Debug)]
struct InFlight {
    target: Target,
    /// Its signed release, if that can be read; it is verified where it is used.
    signed: Option<Vec<u8>>,
}

/// Whether what was seen is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// A newer root is stored, and the floors are raised.
    Yes,
    /// Nothing is written.
    No,
}

/// Look at a repository's channel. The floors are raised when all of it was verified, and nothing else is saved.
///
/// # Errors
/// See [`CheckError`]; or when the device itself can't be read.
pub fn check(
    device: &mut Device,
    source: &mut dyn Source,
    channel: &str,
    remember: Remember,
) -> Result<Found, Error> {
    let Followed { root, floors } = roots::follow(device, source, remember)?;
    let clock = time::clock(device);
    if let Clock::Synchronized(now) = clock
        && let Some(expires_at) = root.expires_at
        && root.is_expired(now)
    {
        let (at, version) = (source.name(), root.version);
        return Err(CheckError::RootExpired { at, version, expires_at }.into());
    }
    let floor = time::floor(device, floors, channel, clock);
    let (file, at, bytes) = newest::fetch(source, channel, floor.sequence)?;
    let opened =
        Channel::open(&bytes, &root).map_err(|problem| CheckError::Untrusted { at: at.clone(), problem })?;
    let payload = equivocation::digest(&bytes);
    let seen = Seen { channel, sequence: floor.sequence, payload: device.record.channel_payload };
    if let Some((found, accepted)) = equivocation::find(seen, &opened, payload) {
        if remember == Remember::Yes {
            equivocation::remember(device, found)?;
        }
        return Err(CheckError::Equivocation { at, channel: channel.into(), found, accepted }.into());
    }
    let is_newer = file > floor.sequence;
    let now = freshness::check(&opened, channel, file, floor, clock)
        .map_err(|problem| CheckError::Stale { at, problem })?;
    // A thief of the key who signs a higher number must not hide the file that it replaced. The higher number is accepted
    // all the same: refusing it would leave the device without updates.
    let earlier = if is_newer { equivocation::earlier(source, &root, seen) } else { None };
    if remember == Remember::Yes {
        if let Some(found) = earlier {
            equivocation::remember(device, found)?;
        }
        raise(device, &opened, payload)?;
    }
    let found = found(device, source.name(), root, opened, now)?;
    Ok(Found { equivocation: earlier.or(found.equivocation), ..found })
}

impl Found {
    /// What the device makes of each offer.
    pub fn report(&self) -> Report {
        report::make(self, &self.choose())
    }

    /// The offer that the device takes, or the one of a version if it is named: that one whatever its rollout says,
    /// because a person asks for it. With it, whether it may be older than what runs.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] when there is none, [`CheckError::Unusable`] if those that fit couldn't be opened; [`Error::Incompatible`] when the named one may not go onto this device.
    pub fn pick(&self, version: Option<&Version>) -> Result<(&Offer, Direction), Error> {
        let choice = self.choose();
        let direction = choice.direction;
        let Some(version) = version else {
            return choice.taken.map(|offer| (offer, direction)).ok_or_else(|| {
                match self.nothing_usable(None) {
                    Some(e) => e.into(),
                    None => Error::NothingToDo(report::make(self, &choice).nothing()),
                }
            });
        };
        let named = choice.considered.iter().find(|c| c.offer.constraints.version == *version);
        match named.map(|c| (&c.verdict, c.offer)) {
            None => Err(Error::NothingToDo(self.not_offered(version))),
            Some((choice::Verdict::Incompatible(reasons), offer)) => Err(Error::Incompatible {
                version: offer.constraints.version.clone(),
                reasons: reasons.clone(),
            }),
            Some((choice::Verdict::Behind(first), _)) => Err(Error::NotNow(format!(
                "release {version} can't be installed yet: every device has to run {first} before"
            ))),
            // What runs, what was rejected: the installer says so.
            Some((_, offer)) => Ok((offer, direction)),
        }
    }

    /// How many offers this version can't read, if there are any, and why.
    fn unreadable(&self) -> Option<String> {
        let unreadable = self.channel.offers.unreadable();
        let first = &unreadable.first()?.why;
        Some(match unreadable.len() {
            1 => format!("1 offer can't be read: {first}"),
            n => format!("{n} offers can't be read: {first}"),
        })
    }

    /// What is said when a version is named that isn't on offer.
    fn not_offered(&self, version: &Version) -> String {
        let Found { channel: Channel { name, offers, withdrawn, .. }, source, product, .. } = self;
        if let Some(w) = withdrawn.iter().find(|w| w.subject() == (product, None) && w.version == *version) {
            return format!("release {version} was withdrawn from channel {name}: {}", w.reason);
        }
        let mut others: Vec<&Version> = offers
            .iter()
            .map(|o| &o.constraints)
            .filter(|t| t.product == *product && t.component.is_none())
            .map(|t| &t.version)
            .collect();
        others.sort_by(|a, b| b.cmp_precedence(a));
        let there = match others.as_slice() {
            [] => "nothing".into(),
            some => some.iter().take(OTHERS).map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let unreadable = self.unreadable().map_or_else(String::new, |text| format!("; {text}"));
        format!(
            "channel {name} of {source} offers no release {version} for {product}; it has {there}{unreadable}"
        )
    }

    /// Why a device wouldn't take an offer by itself now, if only its turn is what's missing.
    pub fn held(&self, offer: &Offer) -> Option<String> {
        let choice = self.choose();
        let considered = choice.considered.iter().find(|c| c.offer.identity == offer.identity)?;
        match considered.verdict {
            choice::Verdict::Waits(_) | choice::Verdict::TooManyFailures(_) => {
                Some(line::reason(self, None, considered).1.join("; "))
            }
            _ => None,
        }
    }

    /// The release in the other slot, if it may be tried again: it was not withdrawn.
    fn way_back(&self) -> Option<&Image> {
        self.other.as_ref().filter(|i| self.channel.withdrawal(&Digest(i.release.0)).is_none())
    }

    /// Whether it says more recent things than another one of the same channel.
    pub fn is_newer(&self, than: &Found) -> bool {
        let age = |found: &Found| (found.root.version, found.channel.sequence);
        age(self) > age(than)
    }

    /// Take what was rejected for as good as what wasn't: a person wants it tried again.
    pub fn forgive(&mut self) {
        self.rejected.clear();
    }

    fn choose(&self) -> choice::Choice<'_> {
        let [boot_bytes, system_bytes] = self.slot_bytes;
        let rejected: Vec<Digest> = self.rejected.iter().map(|r| Digest(r.release.0)).collect();
        let mut choice = choice::choose(
            &self.channel,
            &Chooser {
                device: compat::Device {
                    product: &self.product,
                    board: &self.board,
                    running: self.running.as_ref().map(|(_, version)| version),
                    security_floor: self.security_floor,
                    components: &self.components,
                    boot_bytes,
                    system_bytes,
                },
                running: self.running.as_ref().map(|(id, _)| *id),
                member: Member { seed: self.id.as_bytes(), group: self.group.as_deref() },
                rejected: &rejected,
                now: self.now,
            },
        );
        choice.taken = self.taken(None, &choice);
        choice
    }
}

fn found(
    device: &mut Device,
    source: String,
    root: Root,
    channel: Channel,
    now: u64,
) -> Result<Found, Error> {
    let id = device.id().map_err(CheckError::NoId)?;
    let slot: Slot = device.inactive();
    let mut bytes = |partition| Ok::<_, Error>(device.board.partitions.open(partition)?.bytes());
    let slot_bytes = [bytes(Partition::Boot(slot))?, bytes(Partition::System(slot))?];
    let in_flight = in_flight(device)?;
    let record = &device.record;
    let is_followed = record.channel == channel.name;
    Ok(Found {
        source,
        root,
        channel,
        now,
        id,
        group: device.settings.update.group.clone(),
        product: record.product.clone(),
        board: device.board.name.clone(),
        running: device.running().map(|i| (Digest(i.release.0), i.version.clone())),
        security_floor: record.floors.security_version,
        components: device.beside(&[])?,
        slot_bytes,
        rejected: record.rejected.clone(),
        other: record.slots[slot].clone(),
        in_flight,
        unusable: Vec::new(),
        equivocation: record.equivocation.filter(|_| is_followed),
    })
}

fn in_flight(device: &Device) -> Result<Option<InFlight>, Error> {
    let Now::Saved(Saved::Installing(target) | Saved::Staged(target) | Saved::Armed { target, .. }) =
        device.now()
    else {
        return Ok(None);
    };
    let signed = match device.signed_release(target.slot) {
        Err(Error::Fault(e)) if e.stopping().is_some() => return Err(e.into()),
        read => read.ok(),
    };
    Ok(Some(InFlight { target: target.clone(), signed }))
}

/// Remember that this was seen: nothing older counts from now on. Whoever looks at another channel once, by name, has the
/// numbers of the usual one forgotten only if that is the one that the device is to follow from now on.
fn raise(device: &mut Device, channel: &Channel, payload: PayloadDigest) -> Result<(), Error> {
    let mut next = device.record.clone();
    if next.channel != channel.name
        && (next.channel.is_empty() || device.settings.source.channel == channel.name)
    {
        next.channel.clone_from(&channel.name);
        next.forget_channel();
    }
    if next.channel == channel.name {
        next.accept_channel(channel.sequence, payload);
        let own = channel.withdrawn.iter().filter(|w| w.product == next.product);
        next.accept_withdrawn(own.map(|w| ReleaseId(w.identity.0)).collect::<Vec<_>>());
    }
    next.floors.issued_at = next.floors.issued_at.max(channel.issued_at);
    // While a boot has shown something that no decision followed, nothing else is saved; the next check raises them.
    if next == device.record || !device.is_as_saved() {
        return Ok(());
    }
    device.save(next)
}
