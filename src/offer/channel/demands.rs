//! What the root demands of releases from a channel: attestations, which the device verifies itself. A channel's gates bind the
//! host that promotes; whoever has the channel's key passes them.
use super::Found;
use crate::{
    error::{CheckError, DemandError},
    source::Source,
};
use bistable_format::{Envelope, Offer, attestation::Attestation, repository};

impl Found {
    /// Verify everything that the root demands of an offer of this channel.
    ///
    /// # Errors
    /// [`CheckError::Demand`], or [`CheckError::Source`] when it can't be fetched.
    pub(super) fn check_demands(&self, offer: &Offer, source: &mut dyn Source) -> Result<(), CheckError> {
        for (demand, key) in self.root.demands_of(&self.channel.name) {
            let path = repository::attestation(&offer.identity, &demand.kind, &demand.key);
            let at = format!("{}/{path}", self.source);
            let Some(bytes) = source.get(&path, Envelope::MAX_BYTES)? else {
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
