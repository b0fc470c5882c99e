//! What the host that builds a release and the device that installs it agree on.
//!
//! No I/O and no unsafe; builds for a bare-metal target. Every decoder is total: any bytes give a value or an error,
//! lengths are limited before anything is allocated, and no byte may follow the value.
//!
//! | file | noun |
//! |---|---|
//! | [`envelope`] | the signed container of everything that is trusted |
//! | [`head`] | the first fields of every payload: which agents can use it |
//! | [`extensions`] | what later versions add to a structure |
//! | [`open`] | values whose kind a later version may know |
//! | [`key`] | a public key |
//! | [`trust`](TrustError) | why signed metadata is not trusted |
//! | [`root`] | which keys may sign what |
//! | [`release`] | the description of an image or a component: what is signed |
//! | [`content`] | what a release consists of |
//! | [`artifact`] | a volume, archive or layer |
//! | [`archive`] | what may be in the tar of a component's folder, and in which order |
//! | [`bound`] | a component that an image brings along |
//! | [`delta`] | how one release is made from another |
//! | [`chain`] | the roots that a device has followed, as it stores them |
//! | [`configuration`] | what an operator can set of a component |
//! | [`constraints`] | what of a release decides onto which device it may go |
//! | [`channel`] | which releases are on offer |
//! | [`freshness`] | whether a channel may be believed now |
//! | [`rollout`] | which devices get a release, and when |
//! | [`choice`] | which release a device takes, and why not the others |
//! | [`resolve`] | which versions of an image and of components fit together, and what comes first |
//! | [`attestation`] | a signed statement about a release |
//! | [`repository`] | where all that lies in a repository |
//! | [`chunklist`] | how a volume is cut, encoded and verified |
//! | [`bundle`] | one file with a release and its data: a tar of an OCI image layout, to the byte |
//! | [`compat`] | whether a release may go onto a device, and each reason why not |
//! | [`selftest`] | the plan of hardware-interface self-tests |
//! | [`health`] | the profile of the boot health check |
//! | [`wiring`] | whether a plan can pass on the boards of a release |
//! | [`limits`] | how large anything may be |
//! | [`name`] | which names there can be |
//! | [`version`] | how versions compare |
//! | [`tag`] | versions as tags of other people name them |
//! | [`text`] | which characters may reach a terminal |
//! | [`exposition`] | metrics as text, of both programs |
//! | [`failure`] | how both programs report one |
//! | [`answer`] | the one object of `--json`, of both programs |
//! | [`progress`] | one line of `--progress json`, and when it is due |
//! | `json` | how both programs write JSON; behind the feature of that name |
//! | `compose` | the services of a Compose file, and its text with another image; behind the feature of that name |
//! | `webhook` | signature and text of a message to a webhook; behind the feature of that name |
//! | [`help`] | how both programs show their verbs, examples and exit codes |
#![no_std]
extern crate alloc;

use alloc::vec::Vec;

pub mod answer;
pub mod archive;
pub mod artifact;
pub mod attestation;
pub mod bound;
pub mod bundle;
pub mod chain;
pub mod channel;
pub mod choice;
pub mod chunklist;
pub mod compat;
#[cfg(feature = "compose")]
pub mod compose;
pub mod configuration;
pub mod constraints;
pub mod content;
pub mod delta;
mod digest;
pub mod envelope;
pub mod exposition;
pub mod extensions;
pub mod failure;
pub mod freshness;
pub mod head;
pub mod health;
pub mod help;
#[cfg(feature = "json")]
pub mod json;
pub mod key;
pub mod limits;
pub mod name;
pub mod open;
pub mod progress;
pub mod release;
pub mod repository;
pub mod resolve;
pub mod rollout;
pub mod root;
pub mod selftest;
pub mod tag;
pub mod text;
mod trust;
pub mod version;
#[cfg(feature = "webhook")]
pub mod webhook;
pub mod wiring;

pub use artifact::Artifact;
pub use bound::Bound;
pub use chain::{ChainError, RootChain, Stray};
pub use channel::{Channel, Offer};
pub use chunklist::{Chunk, ChunkList, Encoding};
pub use constraints::{Constraints, Requires, Urgency};
pub use content::{ArtifactId, Content, VolumeKind, Volumes};
pub use delta::Delta;
pub use digest::{Digest, Hasher};
pub use envelope::{Envelope, EnvelopeError, Role};
pub use extensions::Extensions;
pub use head::Head;
pub use key::{Key, KeyId, KeyKind};
pub use release::Release;
pub use root::{RoleKeys, Root, SignedRoot};
pub use trust::TrustError;

/// Bytes that don't decode to what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than such a thing may have.
    #[error("{what} has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The thing.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// Truncated or otherwise not of the format.
    #[error("{0} is truncated or damaged")]
    Malformed(&'static str),
    /// Bytes follow the value.
    #[error("{0} is followed by bytes that do not belong to it")]
    Trailing(&'static str),
    /// A kind that this version doesn't know, or in a form that it doesn't know.
    #[error("{what} of kind {kind} is not known to this version: update Bistable first")]
    Kind {
        /// Of what.
        what: &'static str,
        /// The number.
        kind: u16,
    },
    /// An extension that must be understood and isn't.
    #[error("{what} has extension {id}, which this version does not understand: update Bistable first")]
    Extension {
        /// The structure.
        what: &'static str,
        /// The extension.
        id: u16,
    },
    /// A chunk list describes other bytes than the signed release.
    #[error(
        "the chunk list describes other chunks than the release: its digests are not the ones that were signed"
    )]
    OtherChunks,
    /// Decodes, but a field has a value that makes no sense.
    #[error("{what}: {problem}")]
    Invalid {
        /// The thing and field.
        what: &'static str,
        /// What is wrong with it.
        problem: alloc::string::String,
    },
}

/// Decode a postcard value of a limited length with nothing after it.
pub(crate) fn from_postcard<'a, T: serde::Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { what, bytes: bytes.len(), limit });
    }
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(DecodeError::Trailing(what)),
        Err(_) => Err(DecodeError::Malformed(what)),
    }
}

/// Encode as postcard what a decoder with the same limit will take back.
pub(crate) fn to_postcard<T: serde::Serialize>(
    what: &'static str,
    value: &T,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    let bytes = postcard::to_allocvec(value).map_err(|_| DecodeError::Malformed(what))?;
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { what, bytes: bytes.len(), limit });
    }
    Ok(bytes)
}

/// For serde's `deserialize_with`: at most `LIMIT` values. Small encodings can stand for large values, so that the
/// limit on the encoded bytes alone doesn't bound the memory.
pub(crate) fn limited<'de, D, T, const LIMIT: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    struct Limited<T, const LIMIT: usize>(core::marker::PhantomData<T>);

    impl<'de, T: serde::Deserialize<'de>, const LIMIT: usize> serde::de::Visitor<'de> for Limited<T, LIMIT> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "at most {LIMIT} values")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = seq.next_element()? {
                if values.len() == LIMIT {
                    return Err(serde::de::Error::invalid_length(LIMIT + 1, &self));
                }
                values.push(value);
            }
            Ok(values)
        }
    }
    from.deserialize_seq(Limited::<T, LIMIT>(core::marker::PhantomData))
}
