//! A delta: how the bytes of one release are made from those of another, signed with the keys of releases.
//!
//! It names chunk lists and data, as a release does. A list of it is accepted only if it describes the very chunks that the
//! signed release names ([`Artifact::chunks`]): a delta can say how bytes are made, never which.
use crate::{
    Artifact, ChunkList, DecodeError, Digest, Extensions, Head, Release, Role, Root, TrustError,
    artifact::check_encoded, envelope, from_postcard, limits, name::check_name, to_postcard,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

/// How one artifact of the target is made from the base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactDelta {
    /// The artifact's name: see [`Content::artifacts`](crate::Content::artifacts).
    pub name: String,
    /// SHA-256 of the encoded chunk list.
    pub list: Digest,
    /// Bytes of the encoded chunk list.
    pub list_bytes: u32,
    /// SHA-256 of the data.
    pub data: Digest,
    /// Bytes of the data. 0 when everything is in the base.
    pub data_bytes: u64,
}

/// How a release is made from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Which agents can use it, of which repository, for which product.
    pub head: Head,
    /// The release that it makes, by its identity.
    pub target: Digest,
    /// The release that must run, by its identity.
    pub base: Digest,
    /// The artifacts that it makes. Others are fetched whole.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ARTIFACTS }>")]
    pub artifacts: Vec<ArtifactDelta>,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Delta {
    /// Verify, then decode: the only way from a file to a delta.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], root: &Root) -> Result<Delta, TrustError> {
        Ok(Delta::decode(root.verify(Role::Delta, bytes)?)?)
    }

    /// Decode a verified payload and check that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Delta, DecodeError> {
        let delta: Delta = from_postcard("delta", payload, limits::ENVELOPE_PAYLOAD)?;
        delta.check()?;
        Ok(delta)
    }

    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense or is too large.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let payload = to_postcard("delta", self, limits::ENVELOPE_PAYLOAD)?;
        Ok(envelope::seal(Role::Delta, &payload, keys)?)
    }

    /// The delta of one artifact.
    pub fn artifact(&self, name: &str) -> Option<&ArtifactDelta> {
        self.artifacts.iter().find(|a| a.name == name)
    }

    /// Whether it makes `target`, which has this identity, from `base`, which has that one.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] for a delta between other releases, for another product, or of artifacts that the target
    /// doesn't have.
    pub fn check_between(
        &self,
        target: (&Digest, &Release),
        base: (&Digest, &Release),
    ) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "delta", problem });
        if self.target != *target.0 {
            return invalid(format!("it makes release {:.12}, not {:.12}", self.target, target.0));
        }
        if self.base != *base.0 {
            return invalid(format!("it takes release {:.12}, not {:.12}", self.base, base.0));
        }
        let (ours, theirs) = (&self.head, &target.1.head);
        if (ours.repository, &ours.product) != (theirs.repository, &theirs.product) {
            return invalid(format!("it is for another product or repository than release {:.12}", target.0));
        }
        let (targets, bases) = (target.1.content.artifacts(), base.1.content.artifacts());
        for one in &self.artifacts {
            if ![&targets, &bases].iter().all(|list| list.iter().any(|(id, _)| id.to_string() == one.name)) {
                return invalid(format!("one of the two releases has no artifact {}", one.name));
            }
        }
        if target.1.component != base.1.component {
            return invalid(format!(
                "it takes a release of {} to make one of {}",
                base.1.what(),
                target.1.what()
            ));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "delta", problem });
        self.head.check_for("delta: head", true)?;
        self.extensions.check("delta")?;
        if self.target == self.base {
            return invalid("target and base are the same release".into());
        }
        if self.artifacts.is_empty() || self.artifacts.len() > limits::ARTIFACTS {
            return invalid(format!(
                "{} artifacts: 1 to {} are possible",
                self.artifacts.len(),
                limits::ARTIFACTS
            ));
        }
        for (i, one) in self.artifacts.iter().enumerate() {
            check_name("delta: artifact", &one.name)?;
            check_encoded("delta: artifact", one.list_bytes, one.data_bytes)?;
            if self.artifacts.iter().skip(i + 1).any(|other| other.name == one.name) {
                return invalid(format!("artifact {} is there twice", one.name));
            }
        }
        Ok(())
    }
}

impl ArtifactDelta {
    /// Decode the chunk list, whose digest was checked, for the artifact `target` made from `base`.
    ///
    /// # Errors
    /// When it doesn't decode or fit, reads outside the base, or describes other chunks than the release's.
    pub fn list(&self, bytes: &[u8], target: &Artifact, base: &Artifact) -> Result<ChunkList, DecodeError> {
        ChunkList::decode_delta(bytes, target, self.data_bytes, base)
    }
}
