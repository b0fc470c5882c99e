//! The root in the system that was just written to slot A. A device refuses a stored root that does not descend from it, so
//! such a card would never take an update.
use super::image::CardImage;
use super::{CardError, Place};
use crate::volume::{Last, load_ext4, real_path};
use bistable_format::{Envelope, Root, RootChain, SignedRoot, Stray};
use ext4_view::Ext4Read;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// One partition of the card, to be read.
#[derive(Debug)]
struct Reader {
    file: File,
    start: u64,
}

impl Ext4Read for Reader {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        Ok(self.file.read_exact_at(dst, self.start + start_byte)?)
    }
}

/// Check the card's root against it. A system without one, or whose file system is another than ext4, is taken as it is.
pub(super) fn check(card: &CardImage, place: Place, roots: &RootChain) -> Result<(), CardError> {
    let file = card.file().try_clone().map_err(|e| card.error(e))?;
    let Ok(system) = load_ext4(Box::new(Reader { file, start: place.start }), place.bytes) else {
        return Ok(());
    };
    let Ok(path) = real_path(&system, Root::SYSTEM_PATH, Last::Followed) else { return Ok(()) };
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
