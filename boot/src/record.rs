//! All that the agent remembers: one value, small enough for one journal copy.
use crate::{
    BySlot, Entry, Event, Extension, Failure, Now, Outcome, Reason, Refused, ReleaseId, Saved, Target,
    extension,
};
use alloc::{string::String, vec::Vec};
use core::fmt::{self, Write as _};
use semver::Version;
use serde::{Deserialize, Serialize};

/// How many past updates are remembered; the oldest goes first.
pub const HISTORY_LEN: usize = 8;
/// How many rejected releases are remembered; the oldest goes first.
pub const REJECTED_LEN: usize = 8;
/// How many withdrawn releases are remembered; the oldest goes first.
pub const WITHDRAWN_LEN: usize = 8;
/// Longest product name and longest version, in bytes: the same limit that signed releases have. With it, and with
/// the lengths above, every record fits its journal copy.
pub const NAME_BYTES: usize = 64;

/// A complete image in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The release it was made from.
    pub release: ReleaseId,
    /// That release's version.
    pub version: Version,
    /// That release's security version.
    pub security_version: u32,
    /// The highest format of durable structures that the agent in that release reads.
    pub durable: u16,
}

impl Image {
    /// What an update to this image, which a slot holds, is about.
    pub fn in_slot(self, slot: crate::Slot) -> Target {
        let Image { release, version, security_version, durable } = self;
        Target { slot, release, version, security_version, durable }
    }
}

impl From<&Target> for Image {
    fn from(t: &Target) -> Self {
        Image {
            release: t.release,
            version: t.version.clone(),
            security_version: t.security_version,
            durable: t.durable,
        }
    }
}

/// Numbers that only rise: what was accepted once can't be undercut by older, still validly signed, data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// Version of the root metadata.
    pub root_version: u32,
    /// Sequence of the newest channel file seen.
    pub channel_sequence: u64,
    /// Security version of the newest committed release.
    pub security_version: u32,
    /// Newest `issued_at` seen, in seconds since 1970: the time is at least this.
    pub issued_at: u64,
}

/// SHA-256 of a channel file's signed payload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PayloadDigest(pub [u8; 32]);

impl fmt::Display for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ReleaseId(self.0), f)
    }
}

impl fmt::Debug for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadDigest({self:.12})")
    }
}

/// Two files of one channel with the same number were signed. Kept until an operator acknowledges it, or another channel or
/// another channel key makes it meaningless: a higher number, which a thief of the key can sign, must not hide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    /// The number of both.
    pub sequence: u64,
    /// The payload that was refused.
    pub refused: PayloadDigest,
}

/// A release that must not be installed again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The release.
    pub release: ReleaseId,
    /// Its version, for people.
    pub version: Version,
    /// Why.
    pub failure: Failure,
}

/// Where the image of the update in flight comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From a bundle.
    #[default]
    Bundle,
    /// The slot still held it from when it was the default: an operator wants it back. Should that fail, it is neither
    /// rejected nor erased, because it proved itself once and may be the only way back there is.
    Slot,
}

/// The agent's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts saves: the valid copy with the higher number is the newer. It is in a copy's head, where any agent finds it.
    #[serde(skip)]
    pub seq: u64,
    /// The product that this device is; a release for another one is refused.
    pub product: String,
    /// What is in flight, as it was decided.
    pub state: Saved,
    /// Trials of the update in flight, kept through commit and revert for the history.
    pub attempts: u8,
    /// Where the update in flight comes from.
    pub origin: Origin,
    /// What each slot holds, if it is complete.
    pub slots: BySlot<Option<Image>>,
    /// What must not be undercut.
    pub floors: Floors,
    /// The channel that [`Floors::channel_sequence`] is of; empty as long as none was seen. At most [`NAME_BYTES`].
    pub channel: String,
    /// The payload of that channel file. `None` as long as none was accepted.
    pub channel_payload: Option<PayloadDigest>,
    /// What that channel was caught at.
    pub equivocation: Option<Equivocation>,
    /// Releases of this product that this channel withdrew, oldest first, at most [`WITHDRAWN_LEN`]: a bundle of one of them is
    /// installed only if an operator insists.
    pub withdrawn: Vec<ReleaseId>,
    /// Oldest first, at most [`REJECTED_LEN`].
    pub rejected: Vec<Rejected>,
    /// Oldest first, at most [`HISTORY_LEN`].
    pub history: Vec<Entry>,
    /// What a newer agent added, kept as it is. At most [`EXTENSIONS_BYTES`](crate::EXTENSIONS_BYTES) in all.
    pub extensions: Vec<Extension>,
}

impl Record {
    /// A new device: `image` in slot A, nothing in B. Product and version of more than [`NAME_BYTES`] are refused
    /// when the record is saved.
    pub fn provision(product: &str, image: Image, root_version: u32) -> Self {
        let floors = Floors { root_version, security_version: image.security_version, ..Floors::default() };
        let entry = Entry {
            version: image.version.clone(),
            release: image.release,
            slot: crate::Slot::A,
            outcome: Outcome::Provisioned,
            attempts: 0,
        };
        Record {
            seq: 1,
            product: product.into(),
            state: Saved::Idle,
            attempts: 0,
            origin: Origin::Bundle,
            slots: BySlot { a: Some(image), b: None },
            floors,
            channel: String::new(),
            channel_payload: None,
            equivocation: None,
            withdrawn: Vec::new(),
            rejected: Vec::new(),
            history: alloc::vec![entry],
            extensions: Vec::new(),
        }
    }

    /// Apply a decision, made where the device is `now`: that is a place which follows from this record. `Ok(true)` when
    /// it changed something: then the record has to be saved before anything is done about it, and `now` is as saved.
    ///
    /// # Errors
    /// [`Refused`] when the event makes no sense in the state, or when a target's version is longer than
    /// [`NAME_BYTES`], or when the slot to return to does not hold that release; nothing is changed.
    pub fn on(&mut self, now: &mut Now, event: Event) -> Result<bool, Refused> {
        self.acceptable(now, &event)?;
        let next = Now::Saved(now.clone().on(event.clone())?);
        if next == *now {
            return Ok(false);
        }
        let before = core::mem::replace(now, next);
        if let Some(attempts) = now.attempts().or(before.attempts()) {
            self.attempts = attempts;
        }
        if let Now::Saved(next) = now {
            self.state = next.clone();
        }
        let Now::Saved(before) = before else { return Ok(true) };
        match (before, event) {
            // From here on the slot's old content is gone.
            (Saved::Idle, Event::Offer(t)) => {
                self.slots[t.slot] = None;
                self.attempts = 0;
                self.origin = Origin::Bundle;
                // Whoever offers a rejected release wants it tried again.
                self.pardon(&t.release);
            }
            (Saved::Idle, Event::Return(_)) => {
                self.attempts = 0;
                self.origin = Origin::Slot;
            }
            (Saved::Installing(t), Event::Installed) => self.slots[t.slot] = Some(Image::from(&t)),
            (Saved::Installing(t) | Saved::Staged(t), Event::Failed(why)) => self.give_up(&t, why),
            (Saved::Committing { target, .. }, Event::Committed) => self.committed(&target),
            (Saved::Reverting { target: t, failure: why, .. }, Event::Reverted) => {
                if self.origin == Origin::Bundle {
                    self.slots[t.slot] = None;
                    // One that the boot loader never tried makes way for another offer, and is not rejected (I16).
                    if why.reason.rejects() {
                        self.reject(t.release, &t.version, &why);
                    }
                }
                self.remember(&t, Outcome::Reverted(why));
            }
            _ => {}
        }
        Ok(true)
    }

    /// Whether the device may hold a place at its fleet's lock, which it has to give back when it is at rest.
    pub fn may_hold_place(&self) -> bool {
        self.extensions.iter().any(|e| e.id == extension::LOCK_PLACE)
    }

    /// The same, changed: it is saved before a place is asked for, and after one was given back.
    pub fn set_place(&mut self, may_hold: bool) {
        self.extensions.retain(|e| e.id != extension::LOCK_PLACE);
        if may_hold {
            self.extensions.push(Extension { id: extension::LOCK_PLACE, bytes: Vec::new() });
        }
    }

    /// A channel's newest file was accepted: nothing older counts from now on, and no other file of its number.
    pub fn accept_channel(&mut self, sequence: u64, payload: PayloadDigest) {
        if sequence < self.floors.channel_sequence {
            return;
        }
        self.floors.channel_sequence = sequence;
        self.channel_payload = Some(payload);
    }

    /// What that file withdraws of this product, oldest first. A release that only an earlier file names stays withdrawn.
    pub fn accept_withdrawn(&mut self, releases: impl IntoIterator<Item = ReleaseId>) {
        for release in releases {
            self.withdrawn.retain(|known| *known != release);
            push_bounded(&mut self.withdrawn, release, WITHDRAWN_LEN);
        }
    }

    /// What was seen of a channel says nothing any more: the device follows another one, or another key signs it.
    pub fn forget_channel(&mut self) {
        self.floors.channel_sequence = 0;
        self.channel_payload = None;
        self.equivocation = None;
        self.withdrawn.clear();
    }

    /// The end of a trial that this device kept from being judged or committed, with its configuration or its boot flag: no
    /// verdict on the release (I16).
    ///
    /// It is installed again by itself only while preflight finds nothing wrong, and preflight refuses while the slot that
    /// runs has that problem. But the problem may be the new image's own, and unknown in the old one. So the third
    /// trial of a release that ends like this is its last (I11).
    pub fn untested(&self, release: &ReleaseId, why: &str) -> Failure {
        let is_untested =
            |outcome: &Outcome| matches!(outcome, Outcome::Reverted(f) if f.reason == Reason::Environment);
        let before = self.history.iter().filter(|e| e.release == *release && is_untested(&e.outcome)).count();
        let is_last = before + 1 >= usize::from(crate::MAX_ATTEMPTS);
        Failure::new(if is_last { Reason::OutOfAttempts } else { Reason::Environment }, why)
    }

    /// Why a release may not be installed by itself, if it was rejected.
    pub fn rejection(&self, release: &ReleaseId) -> Option<&Rejected> {
        self.rejected.iter().find(|r| r.release == *release)
    }

    /// Forget that a release was rejected. Takes effect with the next save.
    pub fn pardon(&mut self, release: &ReleaseId) {
        self.rejected.retain(|r| r.release != *release);
    }

    /// Whether product and versions keep to [`NAME_BYTES`], and the lists to their lengths: what makes it fit.
    pub(crate) fn is_bounded(&self) -> bool {
        let images = [&self.slots.a, &self.slots.b].into_iter().flatten().map(|i| &i.version);
        let rejected = self.rejected.iter().map(|r| &r.version);
        let past = self.history.iter().map(|e| &e.version);
        let target = self.state.target().map(|t| &t.version);
        self.product.len() <= NAME_BYTES
            && self.channel.len() <= NAME_BYTES
            && self.withdrawn.len() <= WITHDRAWN_LEN
            && self.rejected.len() <= REJECTED_LEN
            && self.history.len() <= HISTORY_LEN
            && extension::are_bounded(&self.extensions)
            && self.history.iter().all(|e| e.outcome.is_bounded())
            && images.chain(rejected).chain(past).chain(target).all(|v| version_bytes(v) <= NAME_BYTES)
    }

    /// What the table of states can't know about a target.
    fn acceptable(&self, now: &Now, event: &Event) -> Result<(), Refused> {
        let refused = |event| Err(Refused { state: now.name(), event });
        match event {
            Event::Offer(t) | Event::Return(t) if version_bytes(&t.version) > NAME_BYTES => {
                refused("a version of more than 64 bytes")
            }
            Event::Return(t) if self.slots[t.slot] != Some(Image::from(t)) => {
                refused("a return to a slot that does not hold that release")
            }
            _ => Ok(()),
        }
    }

    fn give_up(&mut self, t: &Target, why: Failure) {
        if why.reason.rejects() && self.origin == Origin::Bundle {
            self.reject(t.release, &t.version, &why);
        }
        self.remember(t, Outcome::Abandoned(why));
    }

    fn committed(&mut self, t: &Target) {
        let floor = &mut self.floors.security_version;
        *floor = t.security_version.max(*floor);
        // An operator went back on purpose: the release that was left must not come back by itself.
        let left = self.slots[!t.slot].clone().filter(|left| left.version.cmp_precedence(&t.version).is_gt());
        if let Some(left) = left {
            let why = Failure::new(Reason::Operator, "left for an older release");
            self.reject(left.release, &left.version, &why);
        }
        self.pardon(&t.release);
        self.remember(t, Outcome::Committed);
    }

    fn reject(&mut self, release: ReleaseId, version: &Version, failure: &Failure) {
        self.pardon(&release);
        push_bounded(
            &mut self.rejected,
            Rejected { release, version: version.clone(), failure: failure.clone() },
            REJECTED_LEN,
        );
    }

    fn remember(&mut self, t: &Target, outcome: Outcome) {
        let entry = Entry {
            version: t.version.clone(),
            release: t.release,
            slot: t.slot,
            outcome,
            attempts: self.attempts,
        };
        push_bounded(&mut self.history, entry, HISTORY_LEN);
        self.attempts = 0;
    }
}

/// Length of a version's text, without making it.
pub(crate) fn version_bytes(version: &Version) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0 += s.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting never fails; a version that couldn't be printed would be too long for us.
    if write!(count, "{version}").is_ok() { count.0 } else { usize::MAX }
}

pub(crate) fn push_bounded<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() >= most {
        list.drain(..=list.len() - most);
    }
    list.push(item);
}
