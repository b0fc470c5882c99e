//! An attestation: a signed statement about a release, such as `tests-passed`. A channel may demand some before it
//! takes a release, and a root before devices take one from a channel. Which keys may say what is said there.
use crate::{
    DecodeError, Digest, Envelope, Extensions, Head, Key, KeyId, Role, TrustError, envelope, from_postcard,
    limits, name::check_name, text::is_printable, to_postcard,
};
use alloc::{string::String, vec::Vec};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// A statement about a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Which agents can use it, of which repository, for which product.
    pub head: Head,
    /// The release, by its identity.
    pub release: Digest,
    /// What is said of it: `tests-passed`, for example.
    pub kind: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Human-readable: where the tests ran, for example.
    pub note: String,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Attestation {
    /// Encode and sign.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn seal(&self, key: &SigningKey) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let payload = to_postcard("attestation", self, limits::ENVELOPE_PAYLOAD)?;
        Ok(envelope::seal(Role::Attestation, &payload, &[key])?)
    }

    /// Open what this key signed, in the repository of this identity.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], key: &Key, repository: &Digest) -> Result<Attestation, TrustError> {
        let role = Role::Attestation;
        let envelope = Envelope::parse(bytes, role)?;
        let id: KeyId = key.id();
        let public = VerifyingKey::from_bytes(&key.public);
        let fits = |signature| public.as_ref().is_ok_and(|k| envelope.verifies(k, &signature));
        let mut own = envelope.signatures().filter(|(signer, _)| *signer == id).peekable();
        if own.peek().is_none() {
            return Err(match envelope.signatures().next() {
                Some((other, _)) => TrustError::UnknownKey { role, key: other },
                None => TrustError::Unsigned(role),
            });
        }
        // Anybody can add a signature under this id: one that fits is enough.
        if !own.any(|(_, signature)| fits(signature)) {
            return Err(TrustError::BadSignature { role, key: id });
        }
        let head = Head::understood(&envelope)?;
        if head.repository != *repository {
            return Err(TrustError::OtherRepository { role, found: head.repository, wanted: *repository });
        }
        let attestation: Attestation =
            from_postcard("attestation", envelope.payload, limits::ENVELOPE_PAYLOAD)?;
        attestation.check()?;
        Ok(attestation)
    }

    fn check(&self) -> Result<(), DecodeError> {
        self.head.check_for("attestation: head", true)?;
        self.extensions.check("attestation")?;
        check_name("attestation: kind", &self.kind)?;
        if self.note.len() > limits::REASON || !is_printable(&self.note, &[]) {
            return Err(DecodeError::Invalid {
                what: "attestation: note",
                problem: alloc::format!(
                    "more than {} bytes, or control characters or invisible ones",
                    limits::REASON
                ),
            });
        }
        Ok(())
    }
}
