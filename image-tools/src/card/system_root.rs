//! The root in the system that was just written to slot A. A device refuses a stored root that does not descend from it, so
//! such a card would never take an update.
use super::CardError;
use crate::volume::{Last, real_path};
use bistable_format::{Envelope, Root, RootChain, SignedRoot, Stray};
use ext4_view::Ext4;

/// Check the card's root against it. A system without one is taken as it is.
pub(super) fn check(system: &Ext4, roots: &RootChain) -> Result<(), CardError> {
    let Ok(path) = real_path(system, Root::SYSTEM_PATH, Last::Followed) else { return Ok(()) };
    let Ok(meta) = system.symlink_metadata(path.as_str()) else { return Ok(()) };
    if meta.len() > Envelope::MAX_BYTES as u64 {
        return Err(CardError::SystemRoot { why: "is larger than a root can be".into() });
    }
    let invalid = |e: String| CardError::SystemRoot { why: format!("is not a valid root ({e})") };
    let bytes = system.read(path.as_str()).map_err(|e| invalid(e.to_string()))?;
    let own = SignedRoot::open(&bytes).map_err(|e| invalid(e.to_string()))?;
    match roots.descend(&own) {
        // The system's is newer: the device trusts that one.
        Ok(_) | Err(Stray::Behind { .. }) => Ok(()),
        Err(stray) => {
            let why =
                format!("is version {} and not followed by the card's root: {stray}", own.root().version);
            Err(CardError::SystemRoot { why })
        }
    }
}
