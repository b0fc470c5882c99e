//! A claim, and what speaks against it.
use serde::Serialize;

/// A claim with everything found that speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Claim {
    /// What is claimed.
    pub(super) claim: String,
    /// What speaks against it: empty means that it holds.
    pub(super) findings: Vec<String>,
}

impl Claim {
    pub(super) fn new(claim: impl Into<String>, findings: Vec<String>) -> Claim {
        Claim { claim: claim.into(), findings }
    }
}
