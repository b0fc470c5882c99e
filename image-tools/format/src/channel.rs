//! A channel: a named, signed list of releases on offer.
//!
//! Each change is a new numbered file that is created once and never changed, which names the one before it. So the
//! files are their own history, and whoever loses a race for a number knows it. What a device needs is all in the newest
//! file, whose size is bounded, however many releases there ever were: those are in the catalog, which a device never
//! reads.
use crate::{
    Constraints, DecodeError, Digest, Envelope, Extensions, Head, Key, Release, Role, Root, TrustError,
    envelope, from_postcard, limits,
    name::{Subject, check_channel_name, check_name},
    open::{self, Entry, OpenList},
    release,
    rollout::Rollout,
    text::is_printable,
    to_postcard,
    version::check_version,
};
use alloc::{format, string::String, vec::Vec};
use ed25519_dalek::SigningKey;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Longest time from issue to expiry, in seconds: a year and some.
pub const LONGEST: u64 = 400 * 86_400;

/// Whether devices may go past a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Passage {
    /// They may.
    #[default]
    Free,
    /// Each older device has to run it before it takes a newer one.
    Barrier,
}

/// A release on offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// All of the release that decides onto which device it may go.
    pub constraints: Constraints,
    /// SHA-256 of the signed release: its blob.
    pub release: Digest,
    /// Bytes of that blob.
    pub release_bytes: u32,
    /// The release's name: see [`release::identity`].
    pub identity: Digest,
    /// Since when this channel offers it, in seconds since 1970.
    pub since: u64,
    /// Whether devices may go past it.
    pub passage: Passage,
    /// Which devices get it, and when.
    pub rollout: Rollout,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Entry for Offer {
    const LIMIT: usize = limits::OFFERS;

    fn read(bytes: &[u8]) -> Result<Offer, DecodeError> {
        let offer: Offer = open::unframe("channel: offer", bytes)?;
        offer.check()?;
        Ok(offer)
    }
}

/// A release that turned out bad: no device gets it any more, and devices that run it are offered something better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Whose.
    pub product: String,
    /// The component that it is a version of; none for an image.
    pub component: Option<String>,
    /// Its version, human-readable.
    pub version: Version,
    /// The release.
    pub identity: Digest,
    /// Why, human-readable.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Entry for Withdrawal {
    const LIMIT: usize = limits::WITHDRAWN;

    fn read(bytes: &[u8]) -> Result<Withdrawal, DecodeError> {
        let withdrawal: Withdrawal = open::unframe("channel: withdrawal", bytes)?;
        withdrawal.check()?;
        Ok(withdrawal)
    }
}

impl Withdrawal {
    /// What it is a version of.
    pub fn subject(&self) -> Subject<'_> {
        (&self.product, self.component.as_deref())
    }

    fn check(&self) -> Result<(), DecodeError> {
        const WHAT: &str = "channel: withdrawal";
        check_name(WHAT, &self.product)?;
        if let Some(component) = &self.component {
            check_name(WHAT, component)?;
        }
        check_version(WHAT, &self.version)?;
        check_text(WHAT, &self.reason, limits::REASON)?;
        self.extensions.check(WHAT)
    }
}

/// What a release must have before it is promoted into this channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// Seconds in the channel that it comes from.
    pub min_age: u64,
    /// Seconds since the last promotion into this channel.
    pub min_interval: u64,
    /// What must be attested, each by this key.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ATTESTATIONS }>")]
    pub attestations: Vec<(String, Key)>,
}

/// Who made this file of the channel, and why: for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who.
    pub by: String,
    /// The verb: `publish`, `promote`, …
    pub verb: String,
    /// What it was about: a product and version, for example.
    pub about: String,
}

/// A part of the catalog of all releases that this channel ever had: a blob, sorted and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u32,
    /// Entries in it.
    pub entries: u32,
}

/// A named, signed list of releases on offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Which agents can use it, and of which repository: what is signed for one repository means nothing in another.
    pub head: Head,
    /// Its name: what is signed for one channel means nothing in another.
    pub name: String,
    /// 1, 2, 3, …: the number in the file's name.
    pub sequence: u64,
    /// SHA-256 of the file before, signatures included.
    pub previous: Option<Digest>,
    /// Seconds since 1970.
    pub issued_at: u64,
    /// Seconds after its issue for which devices believe it: the channel's own, kept from file to file.
    pub lifetime: u64,
    /// What made it.
    pub act: Act,
    /// Releases on offer, in no order that means anything.
    pub offers: OpenList<Offer>,
    /// Releases that turned out bad, oldest first.
    pub withdrawn: OpenList<Withdrawal>,
    /// Identities of releases that are never pruned.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::PINS }>")]
    pub pins: Vec<Digest>,
    /// What has to be before a release comes in.
    pub gates: Gates,
    /// When something was last promoted into it, in seconds since 1970; 0 for never.
    pub promoted_at: u64,
    /// All releases that it ever had, oldest first.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::SEGMENTS }>")]
    pub catalog: Vec<Segment>,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Channel {
    /// Verify, then decode: the only way from a file to a channel. That it is the one asked for, and the newest, is
    /// for [`freshness::check`](crate::freshness::check) to say.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], root: &Root) -> Result<Channel, TrustError> {
        let channel = Channel::decode(root.verify(Role::Channel, bytes)?)?;
        // Verified by the keys of some channel; they must be this one's.
        root.verify_channel(bytes, &channel.name)?;
        Ok(channel)
    }

    /// From this time on no device believes it, in seconds since 1970.
    pub fn expires_at(&self) -> u64 {
        self.issued_at.saturating_add(self.lifetime)
    }

    /// Decode a verified payload and check that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Channel, DecodeError> {
        let channel: Channel = from_postcard("channel", payload, limits::ENVELOPE_PAYLOAD)?;
        channel.check()?;
        Ok(channel)
    }

    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let payload = to_postcard("channel", self, limits::ENVELOPE_PAYLOAD)?;
        Ok(envelope::seal(Role::Channel, &payload, keys)?)
    }

    /// The offer of a release.
    pub fn offer(&self, identity: &Digest) -> Option<&Offer> {
        self.offers.iter().find(|o| o.identity == *identity)
    }

    /// Why a release was withdrawn, if it was.
    pub fn withdrawal(&self, identity: &Digest) -> Option<&Withdrawal> {
        self.withdrawn.iter().find(|w| w.identity == *identity)
    }

    /// Bytes of its encoding: at most [`limits::ENVELOPE_PAYLOAD`] can be sealed.
    pub fn payload_bytes(&self) -> usize {
        // What can't be encoded can't be sealed either.
        postcard::to_allocvec(self).map_or(usize::MAX, |bytes| bytes.len())
    }

    /// Whether it makes sense and is small enough: whether it can be sealed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), DecodeError> {
        let (bytes, limit) = (self.payload_bytes(), limits::ENVELOPE_PAYLOAD);
        if bytes > limit {
            return Err(DecodeError::TooLarge { what: "channel", bytes, limit });
        }
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        self.head.check_for("channel: head", false)?;
        self.extensions.check("channel")?;
        check_channel_name(&self.name)?;
        if self.sequence == 0 || (self.sequence == 1) == self.previous.is_some() {
            return invalid(
                "channel: sequence",
                format!("number {} and what it says of the one before don't fit", self.sequence),
            );
        }
        if self.lifetime == 0 || self.lifetime > LONGEST {
            return invalid(
                "channel: expiry",
                format!("it must expire 1 s to {} days after its issue", LONGEST / 86_400),
            );
        }
        check_text("channel: act", &self.act.by, limits::NAME)?;
        check_name("channel: act", &self.act.verb)?;
        check_text("channel: act", &self.act.about, limits::REASON)?;
        let too_many = [
            ("offers", self.offers.total(), limits::OFFERS),
            ("withdrawals", self.withdrawn.total(), limits::WITHDRAWN),
            ("pins", self.pins.len(), limits::PINS),
            ("segments", self.catalog.len(), limits::SEGMENTS),
            ("attestations", self.gates.attestations.len(), limits::ATTESTATIONS),
        ];
        if let Some((what, count, limit)) = too_many.into_iter().find(|(_, count, limit)| count > limit) {
            return invalid("channel", format!("{count} {what}, and {limit} are allowed"));
        }
        for (i, offer) in self.offers.iter().enumerate() {
            offer.check()?;
            if self.offers.iter().skip(i + 1).any(|o| o.identity == offer.identity) {
                return invalid("channel: offer", format!("release {:.12} is there twice", offer.identity));
            }
            if self.withdrawal(&offer.identity).is_some() {
                let text = format!("release {:.12} is offered and withdrawn", offer.identity);
                return invalid("channel: offer", text);
            }
        }
        for withdrawal in &self.withdrawn {
            withdrawal.check()?;
        }
        for (kind, key) in &self.gates.attestations {
            check_name("channel: gate", kind)?;
            check_text("channel: gate", &key.label, limits::NAME)?;
        }
        Ok(())
    }
}

/// Why a release isn't what its offer says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Other bytes.
    #[error("the release is not the one that the channel names: its digest is {found:.12}, not {wanted:.12}")]
    Digest {
        /// What there is.
        found: Digest,
        /// What the channel names.
        wanted: Digest,
    },
    /// Not signed as it must be.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// The channel says something else of it than it says itself.
    #[error(
        "the channel says something else of release {version} than the release itself: the two don't belong together"
    )]
    Constraints {
        /// The release's version.
        version: Version,
    },
}

impl Offer {
    fn check(&self) -> Result<(), DecodeError> {
        self.constraints.check()?;
        self.rollout.check()?;
        self.extensions.check("channel: offer")?;
        if usize::try_from(self.release_bytes).unwrap_or(usize::MAX) > Envelope::MAX_BYTES {
            let problem = format!("a release of {} bytes", self.release_bytes);
            return Err(DecodeError::Invalid { what: "channel: offer", problem });
        }
        Ok(())
    }

    /// Open the release that is on offer: its very bytes, signed for this root, and what the channel says of it is what
    /// it says itself.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub fn open(&self, bytes: &[u8], root: &Root) -> Result<Release, OfferError> {
        let found = Digest::of(bytes);
        if found != self.release {
            return Err(OfferError::Digest { found, wanted: self.release });
        }
        let release = Release::open(bytes, root)?;
        if release.constraints() != self.constraints || release::identity(bytes) != self.identity {
            return Err(OfferError::Constraints { version: release.version });
        }
        Ok(release)
    }
}

fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), DecodeError> {
    if text.len() <= limit && is_printable(text, &[]) {
        return Ok(());
    }
    let problem = format!("a text of more than {limit} bytes, or with control characters or invisible ones");
    Err(DecodeError::Invalid { what, problem })
}
