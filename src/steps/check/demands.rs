//! What the root demands of releases from a channel: attestations, which the device verifies itself. A channel's gates bind the
//! host that promotes; whoever has the channel's key passes them.
use super::{CheckError, Found};
use crate::source::Source;
use bistable_format::{Envelope, Offer, TrustError, attestation::Attestation, repository};

/// An attestation that a root demands isn't there, or isn't good.
#[derive(Debug, thiserror::Error)]
pub enum DemandError {
    /// It isn't there: perhaps not yet.
    #[error("{at} is missing: the root demands that key {label} attests {kind}")]
    Missing {
        /// Where it should be.
        at: String,
        /// What is demanded.
        kind: String,
        /// The key's label.
        label: String,
    },
    /// It isn't signed by that key, or doesn't decode.
    #[error("{at}: {problem}")]
    Untrusted {
        /// Where it was found.
        at: String,
        /// Why it isn't trusted.
        problem: TrustError,
    },
    /// It is of another release, or says something else.
    #[error("{at} is another release's, or says something else than its name")]
    Other {
        /// Where it was found.
        at: String,
    },
}

impl Found {
    /// Verify everything that the root demands of an offer of this channel.
    ///
    /// # Errors
    /// [`CheckError::Demand`], or [`CheckError::Source`] when it can't be fetched.
    pub(super) fn check_demands(&self, offer: &Offer, source: &mut dyn Source) -> Result<(), CheckError> {
        for (demand, key) in self.root.demands_of(&self.channel.name) {
            let path = repository::attestation(&offer.identity, &demand.kind, &demand.key);
            let at = format!("{}/{path}", self.source);
            let Some(bytes) = source.small(&path, Envelope::MAX_BYTES)? else {
                let (kind, label) = (demand.kind.clone(), key.label.clone());
                return Err(DemandError::Missing { at, kind, label }.into());
            };
            match Attestation::open(&bytes, key, &self.root.repository()) {
                Ok(said) if said.release == offer.identity && said.kind == demand.kind => {}
                Ok(_) => return Err(DemandError::Other { at }.into()),
                Err(problem) => return Err(DemandError::Untrusted { at, problem }.into()),
            }
        }
        Ok(())
    }
}
