//! A copy of the floors beside each chain of roots: what `repair` goes by when the journal is lost (I9).
//!
//! ```text
//! one copy, 512 bytes
//! 0     4    6    8                             508   512
//! │BFLR │ver │len │ postcard FloorsCopy │ zeros │ CRC-32│
//! ```
//! `ver` and `len` (of the postcard bytes) are little-endian `u16`; the CRC-32 (ISO-HDLC, little-endian) covers all
//! bytes before it, padding too, so that no byte of a copy can change unseen.
//!
//! Both copies are written, one after the other, *before* the record whose floors they hold is saved to the journal, and
//! only when they differ from it: a floor rises with a new channel file, a new root, or a release that fixes a security
//! hole. A power cut between the copies and the journal leaves copies that are ahead. Nothing raises a floor before it was
//! verified, so they hold what was verified, and never less than the newest record that was saved. One write can damage
//! one copy; the other one still holds the floors of before.
use crate::{
    Floors, NAME_BYTES, PayloadDigest, Record,
    checksum::{self, CHECKSUM_BYTES},
};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Bytes in one copy: a sector. The largest copy takes 150 bytes.
pub const FLOORS_BYTES: usize = 512;
const MAGIC: [u8; 4] = *b"BFLR";
const FORMAT: u16 = 1;
const HEAD: usize = 8;
const BODY_END: usize = FLOORS_BYTES - CHECKSUM_BYTES;

/// Why a sector isn't a copy of the floors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFloors {
    /// It doesn't start as one does: never written, or something else lies there.
    #[error("not a copy of the floors")]
    Magic,
    /// Written by another version of this program.
    #[error("floors format {0} is not known to this version")]
    Format(u16),
    /// Damaged, or torn by a power cut.
    #[error("checksum does not match")]
    Checksum,
    /// The checksum is right and the content still makes no sense.
    #[error("the floors do not decode")]
    Content,
}

/// The floors, and what they are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorsCopy {
    /// Counts changes: the valid copy with the higher number is the newer.
    pub number: u64,
    /// The floors.
    pub floors: Floors,
    /// The channel that [`Floors::channel_sequence`] is of: see [`Record::channel`].
    pub channel: String,
    /// The payload of that channel file: see [`Record::channel_payload`].
    pub channel_payload: Option<PayloadDigest>,
}

impl FloorsCopy {
    /// Copy the floors of a record.
    pub fn of(record: &Record, number: u64) -> FloorsCopy {
        FloorsCopy {
            number,
            floors: record.floors,
            channel: record.channel.clone(),
            channel_payload: record.channel_payload,
        }
    }

    /// Whether it holds the floors of that record.
    pub fn is_of(&self, record: &Record) -> bool {
        *self == FloorsCopy::of(record, self.number)
    }

    /// The newer of two copies.
    pub fn newest(copies: [Option<FloorsCopy>; 2]) -> Option<FloorsCopy> {
        copies.into_iter().flatten().max_by_key(|copy| copy.number)
    }

    /// Give the floors to a record that was made again. The security version of the release that it names counts, too:
    /// the floor is the higher of both.
    pub fn restore(self, record: &mut Record) {
        let named = record.floors.security_version;
        record.floors = Floors { security_version: named.max(self.floors.security_version), ..self.floors };
        record.channel = self.channel;
        record.channel_payload = self.channel_payload;
    }

    /// One copy's bytes. `None` if the channel's name is longer than [`NAME_BYTES`].
    pub fn encode(&self) -> Option<[u8; FLOORS_BYTES]> {
        if self.channel.len() > NAME_BYTES {
            return None;
        }
        let mut copy = [0; FLOORS_BYTES];
        let len = postcard::to_slice(self, &mut copy[HEAD..BODY_END]).ok()?.len();
        copy[..4].copy_from_slice(&MAGIC);
        copy[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        copy[6..8].copy_from_slice(&u16::try_from(len).ok()?.to_le_bytes());
        checksum::seal(&mut copy);
        Some(copy)
    }

    /// Read one copy: total, any bytes give a copy or an error.
    ///
    /// # Errors
    /// See [`BadFloors`].
    pub fn decode(copy: &[u8; FLOORS_BYTES]) -> Result<FloorsCopy, BadFloors> {
        if copy[..4] != MAGIC {
            return Err(BadFloors::Magic);
        }
        if !checksum::is_whole(copy) {
            return Err(BadFloors::Checksum);
        }
        // The checksum comes first: a format number is only worth a message if it's what was written.
        let format = u16::from_le_bytes([copy[4], copy[5]]);
        if format != FORMAT {
            return Err(BadFloors::Format(format));
        }
        let len = usize::from(u16::from_le_bytes([copy[6], copy[7]]));
        let body = copy[HEAD..BODY_END].get(..len).ok_or(BadFloors::Content)?;
        match postcard::take_from_bytes::<FloorsCopy>(body) {
            Ok((floors, [])) if floors.channel.len() <= NAME_BYTES => Ok(floors),
            _ => Err(BadFloors::Content),
        }
    }
}
