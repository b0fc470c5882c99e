//! The signed container of everything that is trusted.
//!
//! ```text
//! 0         8      9       10       12         16             16+n
//! │ BISTABLE│ role │ format│ count  │ length n │ payload ...  │ (key id 16, signature 64) × count
//! ```
//! `count` is a little-endian `u16`, `length` a little-endian `u32`. Each signature is Ed25519 over a domain string,
//! role, format, length and the raw payload: a signature for one role means nothing in another, and nothing is
//! decoded before it is verified. The envelope and the payload's [`Head`](crate::Head) are the same in all formats, so that
//! a payload of a later one is verified, too, and says which version of Bistable it needs.
//!
//! Signatures that don't count do no harm, and nothing covers them: anybody can add some. So one payload can have many
//! envelopes, and what is remembered about a signed thing must be remembered by its payload.
use crate::{KeyId, limits};
use alloc::vec::Vec;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

const MAGIC: [u8; 8] = *b"BISTABLE";
const DOMAIN: &[u8] = b"bistable envelope\0";
const HEAD: usize = 16;
const SIGNED: usize = 16 + 64;

/// What an envelope's payload is, and so which keys may sign it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Role {
    /// Names the keys of all roles.
    Root,
    /// Describes an image.
    Release,
    /// Offers releases.
    Channel,
    /// Says something about a release. Root and channels name its keys one by one, not by role.
    Attestation,
    /// Says how a release is made from another one. Signed with the keys of releases.
    Delta,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 5] = [Role::Root, Role::Release, Role::Channel, Role::Attestation, Role::Delta];
    /// Those that a root can name keys for.
    pub const IN_ROOT: [Role; 3] = [Role::Root, Role::Release, Role::Channel];

    const fn code(self) -> u8 {
        match self {
            Role::Root => 1,
            Role::Release => 2,
            Role::Channel => 3,
            Role::Attestation => 4,
            Role::Delta => 5,
        }
    }

    /// The role whose keys sign it.
    pub const fn keys(self) -> Role {
        match self {
            Role::Delta => Role::Release,
            Role::Root | Role::Release | Role::Channel | Role::Attestation => self,
        }
    }

    /// The payload format that this version writes and reads.
    pub const fn format(self) -> u8 {
        1
    }

    /// The role's name, as messages print it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Release => "release",
            Role::Channel => "channel",
            Role::Attestation => "attestation",
            Role::Delta => "delta",
        }
    }
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The magic is missing.
    #[error("not a signed envelope")]
    Magic,
    /// Another role than the one wanted.
    #[error("this is a signed {found}, not a signed {wanted}")]
    Role {
        /// What it is.
        found: Role,
        /// What was asked for.
        wanted: Role,
    },
    /// A role that this version doesn't know.
    #[error("signed metadata of an unknown kind ({0})")]
    UnknownRole(u8),
    /// A payload format that this version doesn't know.
    #[error("signed {role} in format {format}; this version reads format {known}: update Bistable first", known = .role.format())]
    Format {
        /// The role.
        role: Role,
        /// The format found.
        format: u8,
    },
    /// More payload or signatures than allowed.
    #[error("signed metadata larger than allowed")]
    TooLarge,
    /// The lengths don't add up to the bytes there are.
    #[error("signed metadata is truncated, or bytes follow it")]
    Length,
}

/// A parsed envelope: nothing in it is trusted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What it claims to be.
    pub role: Role,
    /// The payload's format.
    pub format: u8,
    /// The raw payload.
    pub payload: &'a [u8],
    signatures: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Most bytes that an envelope can have.
    pub const MAX_BYTES: usize = HEAD + limits::ENVELOPE_PAYLOAD + limits::SIGNATURES * SIGNED;

    /// Bytes of the envelope that storage begins with. Storage has no length of its own: a partition holds an
    /// envelope and, behind it, zeros or what was there before. Only the length is found; nothing is checked but
    /// that such an envelope fits into `stored`.
    ///
    /// # Errors
    /// Whatever is wrong with its head; [`EnvelopeError::Length`] if storage ends within it.
    pub fn stored_len(stored: &[u8], wanted: Role) -> Result<usize, EnvelopeError> {
        let (_, _, length, count) = head(stored, wanted)?;
        let whole = HEAD + length + count * SIGNED;
        if whole > stored.len() { Err(EnvelopeError::Length) } else { Ok(whole) }
    }

    /// Take the container apart.
    ///
    /// # Errors
    /// Whatever is wrong with it; see [`EnvelopeError`].
    pub fn parse(bytes: &'a [u8], wanted: Role) -> Result<Self, EnvelopeError> {
        let (found, format, length, count) = head(bytes, wanted)?;
        let rest = bytes.get(HEAD..).unwrap_or_default();
        let (payload, signatures) = rest.split_at_checked(length).ok_or(EnvelopeError::Length)?;
        if signatures.len() != count * SIGNED {
            return Err(EnvelopeError::Length);
        }
        Ok(Envelope { role: found, format, payload, signatures })
    }

    /// Whether this version knows the payload's format.
    ///
    /// # Errors
    /// [`EnvelopeError::Format`].
    pub fn check_format(&self) -> Result<(), EnvelopeError> {
        let Envelope { role, format, .. } = *self;
        if format == role.format() { Ok(()) } else { Err(EnvelopeError::Format { role, format }) }
    }

    /// The whole envelope with signatures of these keys, too. A key that signed already signs no second time.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLarge`] for more signatures than allowed.
    pub fn add_signatures(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, EnvelopeError> {
        let mut all: Vec<(KeyId, [u8; 64])> = self.signatures().map(|(id, s)| (id, s.to_bytes())).collect();
        let message = message(self.role, self.format, self.payload);
        for key in keys {
            let id = KeyId::of(&key.verifying_key().to_bytes());
            if !all.iter().any(|(there, _)| *there == id) {
                all.push((id, key.sign(&message).to_bytes()));
            }
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        assemble(self.role, self.format, self.payload, &all)
    }

    /// The key ids that claim to have signed, with their signatures.
    pub fn signatures(&self) -> impl Iterator<Item = (KeyId, Signature)> {
        self.signatures.as_chunks::<SIGNED>().0.iter().filter_map(|one| {
            let (id, signature) = one.split_first_chunk::<16>()?;
            Some((KeyId(*id), Signature::from_slice(signature).ok()?))
        })
    }

    /// Whether `key` made this signature over this payload in this role. Strict: no malleable signatures, no weak
    /// keys.
    pub fn verifies(&self, key: &VerifyingKey, signature: &Signature) -> bool {
        key.verify_strict(&message(self.role, self.format, self.payload), signature).is_ok()
    }
}

/// What the first bytes say: role, format, bytes of payload, number of signatures, all within the limits.
fn head(bytes: &[u8], wanted: Role) -> Result<(Role, u8, usize, usize), EnvelopeError> {
    let (head, _) = bytes.split_first_chunk::<HEAD>().ok_or(EnvelopeError::Magic)?;
    let &[m0, m1, m2, m3, m4, m5, m6, m7, role, format, c0, c1, l0, l1, l2, l3] = head;
    if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
        return Err(EnvelopeError::Magic);
    }
    let found = Role::ALL.into_iter().find(|r| r.code() == role).ok_or(EnvelopeError::UnknownRole(role))?;
    if found != wanted {
        return Err(EnvelopeError::Role { found, wanted });
    }
    let count = usize::from(u16::from_le_bytes([c0, c1]));
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if count > limits::SIGNATURES || length > limits::ENVELOPE_PAYLOAD {
        return Err(EnvelopeError::TooLarge);
    }
    Ok((found, format, length, count))
}

/// What is signed.
fn message(role: Role, format: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [DOMAIN, &[role.code(), format], &length.to_le_bytes(), payload].concat()
}

/// Sign a payload with each key and make the envelope. The same keys and payload give the same bytes.
///
/// # Errors
/// [`EnvelopeError::TooLarge`] for more payload or keys than allowed.
pub fn seal(role: Role, payload: &[u8], keys: &[&SigningKey]) -> Result<Vec<u8>, EnvelopeError> {
    if payload.len() > limits::ENVELOPE_PAYLOAD || keys.len() > limits::SIGNATURES {
        return Err(EnvelopeError::TooLarge);
    }
    let mut by_id: Vec<(KeyId, &SigningKey)> =
        keys.iter().map(|k| (KeyId::of(&k.verifying_key().to_bytes()), *k)).collect();
    by_id.sort_unstable_by_key(|(id, _)| *id);
    by_id.dedup_by_key(|(id, _)| *id);
    let message = message(role, role.format(), payload);
    let signed: Vec<_> = by_id.into_iter().map(|(id, key)| (id, key.sign(&message).to_bytes())).collect();
    assemble(role, role.format(), payload, &signed)
}

/// The bytes, from signatures in their order.
fn assemble(
    role: Role,
    format: u8,
    payload: &[u8],
    signed: &[(KeyId, [u8; 64])],
) -> Result<Vec<u8>, EnvelopeError> {
    if payload.len() > limits::ENVELOPE_PAYLOAD || signed.len() > limits::SIGNATURES {
        return Err(EnvelopeError::TooLarge);
    }
    let count = u16::try_from(signed.len()).map_err(|_| EnvelopeError::TooLarge)?;
    let length = u32::try_from(payload.len()).map_err(|_| EnvelopeError::TooLarge)?;
    let mut bytes = Vec::with_capacity(HEAD + payload.len() + signed.len() * SIGNED);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[role.code(), format]);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    for (id, signature) in signed {
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(signature);
    }
    Ok(bytes)
}
