//! The record on its two copies: the older one is overwritten, the newest valid one wins.
//!
//! ```text
//! one copy, 4096 bytes
//! 0     4    6    8      16                         4092    4096
//! │BJRN │ver │len │ seq  │ postcard record │ zeros  │ CRC-32│
//! ```
//! The record of the components ([`ComponentRecord`](crate::component::ComponentRecord)) is kept the same way, on copies of as
//! many pages as it needs.
//!
//! `ver` and `len` (of the postcard bytes) are little-endian `u16`, `seq` is a little-endian `u64`; the CRC-32 (ISO-HDLC,
//! little-endian) covers all bytes before it, padding too, so that no byte of a copy can change unseen. Head and CRC are
//! the same in every format: so an agent knows a copy that is whole and not for it, and whether it is the newest one.
//!
//! A copy is written with one write and one flush and read back, and never the copy that was loaded: whatever a power
//! cut leaves of it, or a card makes of it, the other one still reads as the record before.
//!
//! A copy is written in the format that the agents of both slots read (see [`Formats`]). A copy that only a newer agent can
//! read is never taken for a damaged one: if it is the newest, the journal can't be used (I10), because the floors in the
//! other copy may be lower.
use crate::{
    Blocks, Extension, Formats, Lba, Record,
    checksum::{self, CHECKSUM_BYTES},
    layout,
};
use alloc::{vec, vec::Vec};
use core::marker::PhantomData;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes in one copy of the journal: a card's smallest page. A copy of another record is whole pages.
pub const COPY_BYTES: usize = 4096;
const HEAD: usize = 16;
/// From this format on, a copy has [this extension](REQUIRED).
const WITH_REQUIRED: u16 = 2;
/// What only agents know that read [`WITH_REQUIRED`].
const REQUIRED: u16 = 1;

/// What is kept on two copies.
pub trait Kept: Clone + Serialize + DeserializeOwned {
    /// What a copy begins with.
    const MAGIC: [u8; 4];
    /// Where the copies begin, in `state`.
    const AT: [Lba; 2];
    /// The most bytes of a copy: whole pages, at most 16 of them, because a copy's head has two bytes for the length.
    const COPY_BYTES: usize;

    /// Counts saves. It is in a copy's head, where any agent finds it.
    fn seq(&self) -> u64;

    /// Set it.
    fn set_seq(&mut self, seq: u64);

    /// What a newer agent added.
    fn extensions(&mut self) -> &mut Vec<Extension>;

    /// The format that an agent of these formats writes it in.
    fn format(&self, ours: Formats) -> u16;

    /// Whether its parts keep to the bounds with which it fits a copy.
    fn is_bounded(&self) -> bool;
}

impl Kept for Record {
    const MAGIC: [u8; 4] = *b"BJRN";
    const AT: [Lba; 2] = layout::JOURNAL;
    const COPY_BYTES: usize = COPY_BYTES;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn extensions(&mut self) -> &mut Vec<Extension> {
        &mut self.extensions
    }

    fn format(&self, ours: Formats) -> u16 {
        ours.to_write(&self.slots)
    }

    fn is_bounded(&self) -> bool {
        Record::is_bounded(self)
    }
}

/// Why one copy isn't a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It doesn't start as a journal copy does: never written, or something else lies there.
    #[error("not a journal copy")]
    Magic,
    /// Whole, and written in a format that this version doesn't know.
    #[error("journal format {format} needs a newer agent")]
    Format {
        /// The format.
        format: u16,
        /// The copy's sequence number.
        seq: u64,
    },
    /// Whole, and with an extension that an agent must know to use it.
    #[error("extension {id} of the journal needs a newer agent")]
    Extension {
        /// The extension.
        id: u16,
        /// The copy's sequence number.
        seq: u64,
    },
    /// Damaged, or torn by a power cut.
    #[error("checksum does not match")]
    Checksum,
    /// The checksum is right and the content still makes no sense.
    #[error("the record does not decode")]
    Content,
}

impl DecodeError {
    /// The sequence number of a copy that is whole, and that only a newer agent can read.
    pub const fn newer_agents(self) -> Option<u64> {
        match self {
            DecodeError::Format { seq, .. } | DecodeError::Extension { seq, .. } => Some(seq),
            DecodeError::Magic | DecodeError::Checksum | DecodeError::Content => None,
        }
    }
}

/// Why the journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError<E: core::error::Error + 'static> {
    /// The medium failed.
    #[error("the journal's medium failed")]
    Io(#[source] E),
    /// Neither copy is valid. The device still boots: no boot decision reads the journal.
    #[error("both journal copies are damaged (first: {first}; second: {second})")]
    Lost {
        /// What is wrong with the first copy.
        first: DecodeError,
        /// What is wrong with the second copy.
        second: DecodeError,
    },
    /// The newest copy is whole, and only a newer agent can read it. Nothing is lost, and nothing may be written.
    #[error("the newest journal copy can't be read by this agent: {0}")]
    Newer(#[source] DecodeError),
    /// The medium took what was written without an error, and gives back something else.
    #[error("what was saved to the journal reads back differently: the card is failing")]
    ReadBack,
    /// A product name or version is longer than [`NAME_BYTES`](crate::NAME_BYTES), or a list is too long. Its bounds
    /// make that impossible for records that were loaded or provisioned with such names and changed by events.
    #[error("the record does not fit its {bytes} bytes: names and versions may have 64 bytes each")]
    TooLarge {
        /// The bytes of a copy.
        bytes: usize,
    },
}

/// The two copies, on the `state` partition.
///
/// Sequence numbers may wrap: of two copies, the newer is the one that is less than half the range ahead.
///
/// ```
/// use bistable_boot::{Image, Journal, Memory, Record, ReleaseId, SECTOR, layout};
///
/// let image = Image {
///     release: ReleaseId([1; 32]),
///     version: semver::Version::new(1, 0, 0),
///     security_version: 0,
///     durable: 1,
/// };
/// let mut journal = Journal::new(Memory::new(layout::STATE_BYTES as usize / SECTOR));
/// let mut record = Record::provision("hub", image, 1);
/// journal.format(&record)?;
/// journal.save(&mut record)?;
///
/// // A copy that is damaged costs nothing: the other one counts, and the next save repairs it.
/// let mut card = journal.into_inner();
/// card.bytes_mut()[100] ^= 1;
/// let mut journal = Journal::new(card);
/// assert_eq!(journal.load()?.product, "hub");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Journal<B, K = Record> {
    blocks: B,
    of: PhantomData<fn() -> K>,
    formats: Formats,
    /// The copy whose write failed. Reads may show it complete although it isn't durable, so it isn't trusted, and
    /// written again first; the other one is what a power cut would leave.
    unsure: Option<usize>,
}

impl<B: Blocks> Journal<B> {
    /// Use the `state` partition, or a file of its size, as this version's agent.
    pub fn new(blocks: B) -> Self {
        Journal::of(blocks)
    }
}

impl<B: Blocks, K: Kept> Journal<B, K> {
    /// The same for another record than the journal's.
    pub fn of(blocks: B) -> Self {
        Journal { blocks, of: PhantomData, formats: Formats::OURS, unsure: None }
    }

    /// Use it as an agent that reads these formats.
    #[must_use]
    pub fn with_formats(self, formats: Formats) -> Self {
        Journal { formats, ..self }
    }

    /// Give the blocks back.
    pub fn into_inner(self) -> B {
        self.blocks
    }

    /// Write both copies, one after the other, each flushed and read back: for a new card, and after both were lost.
    ///
    /// # Errors
    /// When the medium fails, or gives back something else.
    pub fn format(&mut self, record: &K) -> Result<(), JournalError<B::Error>> {
        self.put(0, record)?;
        self.put(1, record)
    }

    /// The newest valid record.
    ///
    /// # Errors
    /// [`JournalError::Lost`] when neither copy is valid; `Io` when the medium fails for one and the other is not
    /// valid: nothing is known then, so don't format.
    pub fn load(&mut self) -> Result<K, JournalError<B::Error>> {
        match self.copies() {
            [Ok(Ok(a)), Ok(Ok(b))] => {
                let second = match self.unsure {
                    Some(i) => i == 0,
                    None => is_newer(b.seq(), a.seq()),
                };
                Ok(if second { b } else { a })
            }
            [Ok(Ok(one)), Ok(Err(e))] | [Ok(Err(e)), Ok(Ok(one))] if is_ahead(e, one.seq()) => {
                Err(JournalError::Newer(e))
            }
            // One copy is enough, whatever is wrong with the other: damage or an unreadable sector.
            [Ok(Ok(one)), _] | [_, Ok(Ok(one))] => Ok(one),
            [Ok(Err(first)), Ok(Err(second))] => Err(JournalError::Lost { first, second }),
            [Err(e), _] | [_, Err(e)] => Err(JournalError::Io(e)),
        }
    }

    /// Replace the record durably: after `Ok`, and only then, it survives a power cut; before that, the old one does.
    /// `record` gets its new sequence number.
    ///
    /// # Errors
    /// When the medium fails, or gives back something else: the stored record is then the old or the new one, `record` is unchanged, and saving
    /// again is safe. [`JournalError::Newer`] when a newer agent saved since. Until a save succeeds, each record tried since the last one that did may be what is loaded
    /// after a power cut, so each must be safe to act upon. Nothing is written if one copy can't be read and the
    /// other is older than `record`.
    pub fn save(&mut self, record: &mut K) -> Result<(), JournalError<B::Error>> {
        let mut next = record.clone();
        let copies = self.copies();
        // Also above what another process may have saved, or a write of ours that failed.
        for stored in copies.iter().filter_map(|copy| copy.as_ref().ok()) {
            match stored {
                Ok(stored) if is_newer(stored.seq(), next.seq()) => next.set_seq(stored.seq()),
                Err(e) if is_ahead(*e, record.seq()) => return Err(JournalError::Newer(*e)),
                _ => {}
            }
        }
        next.set_seq(next.seq().wrapping_add(1));
        let spare = match self.unsure {
            Some(i) => i,
            None => spare(copies, record)?,
        };
        self.put(spare, &next)?;
        *record = next;
        Ok(())
    }

    /// What lies in each copy, for people who look into a broken device.
    pub fn copies(&mut self) -> [Result<Result<K, DecodeError>, B::Error>; 2] {
        K::AT.map(|at| self.get(at))
    }

    fn get(&mut self, at: Lba) -> Result<Result<K, DecodeError>, B::Error> {
        let mut copy = vec![0; K::COPY_BYTES];
        self.blocks.read(at, &mut copy)?;
        Ok(decode(&copy, self.formats))
    }

    fn put(&mut self, copy: usize, record: &K) -> Result<(), JournalError<B::Error>> {
        let format = record.format(self.formats);
        let bytes = copy_in_format(record, format).ok_or(JournalError::TooLarge { bytes: K::COPY_BYTES })?;
        self.unsure = Some(copy);
        self.blocks.write(K::AT[copy], &bytes).map_err(JournalError::Io)?;
        self.blocks.flush().map_err(JournalError::Io)?;
        let mut there = vec![0; bytes.len()];
        self.blocks.read(K::AT[copy], &mut there).map_err(JournalError::Io)?;
        if there != bytes {
            return Err(JournalError::ReadBack);
        }
        self.unsure = None;
        Ok(())
    }
}

type Copy<K, E> = Result<Result<K, DecodeError>, E>;

/// The copy that may be overwritten: never the newest. Asking the medium instead of counting on the sequence number
/// means that a damaged copy is what gets repaired, never the last good one.
fn spare<K: Kept, E: core::error::Error>(
    copies: [Copy<K, E>; 2],
    held: &K,
) -> Result<usize, JournalError<E>> {
    match copies {
        [Ok(Ok(first)), Ok(Ok(second))] => Ok(usize::from(!is_newer(second.seq(), first.seq()))),
        [Ok(Err(_)), _] => Ok(0),
        [_, Ok(Err(_))] => Ok(1),
        // An unreadable copy may be the newest, unless the other one is what the caller holds.
        [Ok(Ok(first)), Err(_)] if !is_newer(held.seq(), first.seq()) => Ok(1),
        [Err(_), Ok(Ok(second))] if !is_newer(held.seq(), second.seq()) => Ok(0),
        [Err(e), _] | [_, Err(e)] => Err(JournalError::Io(e)),
    }
}

fn is_newer(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// Whether a copy that doesn't decode is a newer agent's, saved after that number.
fn is_ahead(e: DecodeError, seq: u64) -> bool {
    e.newer_agents().is_some_and(|ahead| is_newer(ahead, seq))
}

/// One copy's bytes in a format, which [`Kept::format`] chooses. `None` if the record doesn't fit.
pub fn copy_in_format<K: Kept>(record: &K, format: u16) -> Option<Vec<u8>> {
    if !record.is_bounded() {
        return None;
    }
    let body = if format < WITH_REQUIRED {
        postcard::to_allocvec(record).ok()?
    } else {
        let mut record = record.clone();
        record.extensions().push(Extension { id: REQUIRED, bytes: Vec::new() });
        postcard::to_allocvec(&record).ok()?
    };
    let mut copy = vec![0; copy_bytes::<K>(body.len())?];
    copy[..4].copy_from_slice(&K::MAGIC);
    copy[4..6].copy_from_slice(&format.to_le_bytes());
    copy[6..8].copy_from_slice(&u16::try_from(body.len()).ok()?.to_le_bytes());
    copy[8..HEAD].copy_from_slice(&record.seq().to_le_bytes());
    copy[HEAD..][..body.len()].copy_from_slice(&body);
    checksum::seal(&mut copy);
    Some(copy)
}

/// Bytes of the copy of a record of that many: whole pages. `None` if it doesn't fit.
fn copy_bytes<K: Kept>(body: usize) -> Option<usize> {
    let bytes = (HEAD + body + CHECKSUM_BYTES).next_multiple_of(COPY_BYTES);
    (bytes <= K::COPY_BYTES).then_some(bytes)
}

/// Read one copy: total, any bytes give a record or an error.
fn decode<K: Kept>(copy: &[u8], formats: Formats) -> Result<K, DecodeError> {
    let head: &[u8; HEAD] = copy.first_chunk().ok_or(DecodeError::Magic)?;
    if head[..4] != K::MAGIC {
        return Err(DecodeError::Magic);
    }
    let len = usize::from(u16::from_le_bytes([head[6], head[7]]));
    // What lies behind the copy is of a larger one that was there before.
    let bytes = copy_bytes::<K>(len).unwrap_or(K::COPY_BYTES);
    let copy = copy.get(..bytes).ok_or(DecodeError::Checksum)?;
    if !checksum::is_whole(copy) {
        return Err(DecodeError::Checksum);
    }
    // The checksum comes first: a format number is only worth a message if it's what was written.
    let format = u16::from_le_bytes([head[4], head[5]]);
    let seq = head[8..].iter().rev().fold(0, |seq, byte| seq << 8 | u64::from(*byte));
    if !formats.reads(format) {
        return Err(DecodeError::Format { format, seq });
    }
    let body = copy
        .get(HEAD..bytes - CHECKSUM_BYTES)
        .and_then(|body| body.get(..len))
        .ok_or(DecodeError::Content)?;
    let Ok((mut record, [])) = postcard::take_from_bytes::<K>(body) else {
        return Err(DecodeError::Content);
    };
    if format >= WITH_REQUIRED {
        record.extensions().pop_if(|last| last.id == REQUIRED).ok_or(DecodeError::Content)?;
    }
    if !record.is_bounded() {
        return Err(DecodeError::Content);
    }
    if let Some(Extension { id, .. }) = record.extensions().iter().find(|e| e.is_required()) {
        return Err(DecodeError::Extension { id: *id, seq });
    }
    record.set_seq(seq);
    Ok(record)
}
