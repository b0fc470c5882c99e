//! The system that was just written to slot A, to be read.
use super::image::CardImage;
use super::{CardError, Place};
use crate::volume::load_ext4;
use ext4_view::{Ext4, Ext4Read};
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

/// Its file system; `None` if that is another than ext4, or one that can't be read.
pub(super) fn open(card: &CardImage, place: Place) -> Result<Option<Ext4>, CardError> {
    let file = card.file().try_clone().map_err(|e| card.error(e))?;
    Ok(load_ext4(Box::new(Reader { file, start: place.start }), place.bytes).ok())
}
