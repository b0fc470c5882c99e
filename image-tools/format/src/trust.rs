//! Why signed metadata isn't trusted.
use crate::{DecodeError, Digest, EnvelopeError, KeyId, Role, version::AGENT};
use alloc::string::String;

/// Why signed metadata isn't trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It's no envelope of the role.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It carries no signature.
    #[error("the {0} is not signed: sign it with a key that the root names for {keys}", keys = .0.keys())]
    Unsigned(Role),
    /// None of its signatures is by a key that the root knows.
    #[error(
        "the {role} is signed by key {key:.4}, which this root does not know: was the key retired, or is it meant for another product?"
    )]
    UnknownKey {
        /// What was signed.
        role: Role,
        /// The first unknown key.
        key: KeyId,
    },
    /// Signed by a key that the root names, but not for this.
    #[error("the {role} is signed by key {key:.4} ({label}), which the root does not name for {keys}", keys = .role.keys())]
    WrongRole {
        /// What was signed.
        role: Role,
        /// The key.
        key: KeyId,
        /// The key's label.
        label: String,
    },
    /// A signature by the right key doesn't fit the content.
    #[error("the signature of key {key:.4} does not fit the {role}: it was changed after signing")]
    BadSignature {
        /// What was signed.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// Fewer distinct keys signed than needed.
    #[error("the {role} has {have} of the {need} signatures that the root demands")]
    Threshold {
        /// What was signed.
        role: Role,
        /// Valid signatures by distinct keys.
        have: u8,
        /// Signatures needed.
        need: u8,
    },
    /// Signed well, but the content doesn't decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A demo key where none may be.
    #[error(
        "the root trusts the demo key \"{label}\", which production refuses: make real keys, or allow demo keys"
    )]
    DemoKey {
        /// The key's label.
        label: String,
    },
    /// Signed well, but of another repository.
    #[error(
        "the {role} is of repository {found:.12}, not of {wanted:.12}: two repositories share a key, or it was made with another root"
    )]
    OtherRepository {
        /// What was signed.
        role: Role,
        /// The repository that it says.
        found: Digest,
        /// The repository that is trusted.
        wanted: Digest,
    },
    /// Signed well, but for another version of this program.
    #[error("the {role} needs bistable {required}, and this is {AGENT}: update Bistable first")]
    NeedsAgent {
        /// What was signed.
        role: Role,
        /// The versions that can use it.
        required: String,
    },
    /// Signed with keys of other channels.
    #[error("channel {channel} is signed with keys that the root names for other channels only")]
    OtherChannel {
        /// The channel.
        channel: String,
    },
    /// A new root that isn't the one after the current.
    #[error("root version {found} can't follow version {current}: install each version in order")]
    Successor {
        /// Version in force.
        current: u32,
        /// Version offered.
        found: u32,
    },
}

impl TrustError {
    /// Whether nothing is wrong but that this version is too old for it.
    pub fn needs_update(&self) -> bool {
        matches!(
            self,
            TrustError::NeedsAgent { .. }
                | TrustError::Envelope(EnvelopeError::Format { .. })
                | TrustError::Decode(DecodeError::Kind { .. } | DecodeError::Extension { .. })
        )
    }
}
