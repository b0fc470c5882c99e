//! A release: the signed description of an image.
use crate::{
    DecodeError, Digest, Envelope, Role, Root, TrustError, chunklist, envelope, from_postcard, health,
    limits, selftest,
    terms::{Requires, Terms},
    text::is_printable,
    to_postcard,
};
use alloc::{format, string::String, vec::Vec};
use ed25519_dalek::SigningKey;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Which of a slot's two partitions a volume is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VolumeKind {
    /// FAT with kernel and firmware files.
    Boot,
    /// Root file system.
    System,
}

impl VolumeKind {
    /// Both, in the order in which a bundle has them.
    pub const ALL: [VolumeKind; 2] = [VolumeKind::Boot, VolumeKind::System];
}

impl core::fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            VolumeKind::Boot => "boot",
            VolumeKind::System => "system",
        })
    }
}

/// One partition image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Bytes of the raw image: whole sectors, at least one.
    pub bytes: u64,
    /// SHA-256 of the raw image.
    pub digest: Digest,
    /// Bytes of the encoded chunk list.
    pub list_bytes: u32,
    /// SHA-256 of the encoded chunk list.
    pub list: Digest,
    /// Bytes of the data: all chunks' encodings, one after another.
    pub data_bytes: u64,
    /// SHA-256 of the data.
    pub data: Digest,
}

/// A slot's volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// For the slot's boot partition.
    pub boot: Volume,
    /// For the slot's system partition.
    pub system: Volume,
}

impl Volumes {
    /// One of them.
    pub fn get(&self, kind: VolumeKind) -> &Volume {
        match kind {
            VolumeKind::Boot => &self.boot,
            VolumeKind::System => &self.system,
        }
    }

    /// Both, in the order in which a bundle has them.
    pub fn iter(&self) -> impl Iterator<Item = (VolumeKind, &Volume)> {
        VolumeKind::ALL.into_iter().map(|k| (k, self.get(k)))
    }
}

/// The signed description of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What it is for. A device takes only its own product's releases.
    pub product: String,
    /// Semantic version: a device takes only newer ones, pre-releases before their release.
    pub version: Version,
    /// Rises when an old release must never come back; devices keep the highest committed one as a floor.
    pub security_version: u32,
    /// Boards that it runs on, for example `pi4`.
    pub boards: Vec<String>,
    /// What a device must have before.
    pub requires: Requires,
    /// The image.
    pub volumes: Volumes,
    /// For people.
    pub description: String,
    /// For people.
    pub author: String,
    /// Seconds since 1970, for people: nothing is decided by it.
    pub build_time: u64,
    /// Self-test plan, as TOML: see [`selftest`]. Empty means no tests.
    pub self_tests: String,
    /// Health profile, as TOML: see [`health`]. Empty means the defaults.
    pub health: String,
}

impl Release {
    /// Verify, then decode: the only way from a file to a release.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], root: &Root) -> Result<Release, TrustError> {
        Ok(Release::decode(root.verify(Role::Release, bytes)?)?)
    }

    /// Decode a verified payload and check that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Release, DecodeError> {
        let release: Release = from_postcard("release", payload, limits::ENVELOPE_PAYLOAD)?;
        release.check()?;
        Ok(release)
    }

    /// The payload to be signed.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        self.check()?;
        to_postcard("release", self, limits::ENVELOPE_PAYLOAD)
    }

    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, TrustError> {
        Ok(envelope::seal(Role::Release, &self.encode()?, keys)?)
    }

    /// All of it that decides onto which device it may go.
    pub fn terms(&self) -> Terms {
        Terms::from(self)
    }

    /// The self-test plan. Was checked when the release was decoded.
    ///
    /// # Errors
    /// When the text is no plan.
    pub fn self_test_plan(&self) -> Result<selftest::Plan, DecodeError> {
        selftest::Plan::parse(&self.self_tests)
    }

    /// The health profile. Was checked when the release was decoded.
    ///
    /// # Errors
    /// When the text is no profile.
    pub fn health_profile(&self) -> Result<health::Profile, DecodeError> {
        health::Profile::parse(&self.health)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        self.terms().check()?;
        if self.description.len() > limits::DESCRIPTION {
            return invalid("release: description", format!("longer than {} bytes", limits::DESCRIPTION));
        }
        if !is_printable(&self.description, &['\n', '\t']) {
            return invalid("release: description", "has control characters or invisible ones".into());
        }
        if self.author.len() > limits::NAME {
            return invalid("release: author", format!("longer than {} bytes", limits::NAME));
        }
        if !is_printable(&self.author, &[]) {
            return invalid("release: author", "has control characters or invisible ones".into());
        }
        for (kind, v) in self.volumes.iter() {
            let what = match kind {
                VolumeKind::Boot => "release: boot volume",
                VolumeKind::System => "release: system volume",
            };
            if v.data_bytes > limits::VOLUME_DATA {
                return invalid(what, format!("{} bytes of data are too many", v.data_bytes));
            }
            let list_bytes = usize::try_from(v.list_bytes).unwrap_or(usize::MAX);
            if !(chunklist::MIN_BYTES..=limits::CHUNK_LIST).contains(&list_bytes) {
                return invalid(what, format!("a chunk list of {} bytes", v.list_bytes));
            }
        }
        self.self_test_plan()?;
        self.health_profile()?;
        Ok(())
    }
}

/// The name of a release: the digest of its payload. Not that of the whole envelope, because signatures can be added
/// and taken away without the release becoming another one: a device that rejected it must know it again.
///
/// For bytes that are no signed release, which nobody trusts, it is the digest of the bytes.
pub fn identity(signed: &[u8]) -> Digest {
    Digest::of(Envelope::parse(signed, Role::Release).map_or(signed, |e| e.payload))
}

/// Names go into messages, file names and host names: `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or digit.
///
/// # Errors
/// [`DecodeError::Invalid`], which says what is allowed.
pub fn check_name(what: &'static str, name: &str) -> Result<(), DecodeError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && name.len() <= limits::NAME && name.chars().all(fine) {
        return Ok(());
    }
    Err(DecodeError::Invalid {
        what,
        problem: format!(
            "\"{}\" is no name: use 1 to {} of a-z 0-9 . _ -",
            name.escape_debug(),
            limits::NAME
        ),
    })
}
