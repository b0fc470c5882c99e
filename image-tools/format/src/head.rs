//! The frozen head: the first fields of every signed payload, in an encoding that never changes.
//!
//! ```text
//! │ length, requirement of the agent as text │ 32 bytes: repository │ length, product │ what the role's format says ...
//! ```
//! Lengths are postcard's varints. An agent that knows nothing else of a payload still decodes its head, so it can always
//! say which version of Bistable it needs, and which repository and product the payload is of.
use crate::{
    DecodeError, Digest, TrustError,
    envelope::Envelope,
    limits,
    name::check_name,
    version::{AGENT, meets},
};
use alloc::{format, string::String};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// What payloads in the formats of this version require of an agent: the first version that reads them.
/// `-0` is the lowest pre-release, so a release candidate of that version reads them, too.
pub const REQUIREMENT: &str = ">=0.1.0-0";

/// The first fields of every signed payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which agents can use the payload: a semver requirement.
    pub agent: String,
    /// The repository that it is of: SHA-256 of the payload of its first root. Zeros in that root itself.
    pub repository: Digest,
    /// The product that it is for. Empty where none applies: in roots and channels.
    pub product: String,
}

impl Head {
    /// The head of a payload that this version writes.
    pub fn new(repository: Digest, product: &str) -> Head {
        Head { agent: REQUIREMENT.into(), repository, product: product.into() }
    }

    /// The head of a verified payload of any format, whatever follows it.
    ///
    /// # Errors
    /// When the payload doesn't begin with a head.
    pub fn read(payload: &[u8]) -> Result<Head, DecodeError> {
        let (head, _) =
            postcard::take_from_bytes::<Head>(payload).map_err(|_| DecodeError::Malformed("head"))?;
        head.check()?;
        Ok(head)
    }

    /// Whether an agent of a version can use the payload.
    pub fn admits(&self, agent: &Version) -> bool {
        VersionReq::parse(&self.agent).is_ok_and(|required| meets(&required, agent))
    }

    /// The head of a verified payload that this agent can use.
    ///
    /// # Errors
    /// [`TrustError::NeedsAgent`], whatever the format; [`EnvelopeError::Format`](crate::EnvelopeError::Format) for an
    /// unknown one that claims to be for this agent.
    pub(crate) fn understood(envelope: &Envelope<'_>) -> Result<Head, TrustError> {
        let head = Head::read(envelope.payload)?;
        if !Version::parse(AGENT).is_ok_and(|agent| head.admits(&agent)) {
            return Err(TrustError::NeedsAgent { role: envelope.role, required: head.agent });
        }
        envelope.check_format()?;
        Ok(head)
    }

    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        let invalid = |problem| Err(DecodeError::Invalid { what: "head", problem });
        if self.agent.len() > limits::REQUIREMENT {
            return invalid(format!("an agent requirement of more than {} bytes", limits::REQUIREMENT));
        }
        if VersionReq::parse(&self.agent).is_err() {
            return invalid(format!("\"{}\" is not a version requirement", self.agent.escape_debug()));
        }
        if !self.product.is_empty() {
            check_name("head: product", &self.product)?;
        }
        Ok(())
    }

    /// As [`check`](Self::check), and a product is named exactly where one applies.
    pub(crate) fn check_for(&self, what: &'static str, has_product: bool) -> Result<(), DecodeError> {
        self.check()?;
        if self.product.is_empty() == has_product {
            let problem = if has_product { "names no product" } else { "names a product, and none applies" };
            return Err(DecodeError::Invalid { what, problem: problem.into() });
        }
        Ok(())
    }
}
