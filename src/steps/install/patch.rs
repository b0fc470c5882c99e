//! Raw bytes made from those of the running slot: copied, or decoded with them as a prefix.
//!
//! The base's bytes are the one thing that isn't authenticated before use. They are data and never control: the decoder
//! takes the same path whatever they are, and what comes out is nothing until its digest is right (I8).
use super::{
    buffer::{ALIGN, Pool},
    pipeline::Slots,
};
use crate::ports::{Fault, Volume};
use bistable_boot::SECTOR;
use bistable_format::{VolumeKind, chunklist::Range, limits};
use zstd::zstd_safe::{DCtx, find_frame_compressed_size};

/// At most this many prefixes are in memory: one is read while another is decoded with.
const PREFIXES: usize = 2;
/// Bytes that are read at once where a range doesn't lie at whole sectors.
const PIECE: usize = 256 << 10;

/// The running slot's volumes, and memory for what is read of them.
pub(super) struct FromBase {
    slots: Slots,
    prefixes: Pool,
    pieces: Pool,
}

impl FromBase {
    pub(super) fn new(slots: Slots) -> FromBase {
        let (prefixes, pieces) =
            (Pool::new(PREFIXES, limits::CHUNK_MAX as usize), Pool::new(PREFIXES, PIECE));
        FromBase { slots, prefixes, pieces }
    }

    /// Fill `raw` with a range of a volume. Gives whether it could be read.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(super) fn copy(&self, volume: VolumeKind, range: Range, raw: &mut [u8]) -> Result<bool, Fault> {
        if range.bytes as usize != raw.len() {
            return Ok(false);
        }
        unless_unreadable(self.read(volume, range.offset, raw))
    }

    /// Fill `raw` with what a frame gives that has these ranges of a volume as its prefix. Gives whether that worked; what
    /// came out isn't verified.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(super) fn decode(
        &self,
        volume: VolumeKind,
        frame: &[u8],
        ranges: &[Range],
        raw: &mut [u8],
    ) -> Result<bool, Fault> {
        let bytes: usize = ranges.iter().map(|range| range.bytes as usize).sum();
        if bytes > limits::CHUNK_MAX as usize || !is_plain(frame, raw.len()) {
            return Ok(false);
        }
        let mut prefix = self.prefixes.take(bytes);
        let mut at = 0;
        for range in ranges {
            let end = at + range.bytes as usize;
            if !unless_unreadable(self.read(volume, range.offset, &mut prefix[at..end]))? {
                return Ok(false);
            }
            at = end;
        }
        // The context is small, and made anew so that nothing of one frame is left for the next.
        let Some(mut decoder) = DCtx::try_create() else { return Ok(false) };
        let ready = prefix.is_empty() || decoder.ref_prefix(&prefix).is_ok();
        Ok(ready && decoder.decompress(raw, frame) == Ok(raw.len()))
    }

    /// Read bytes from any place.
    fn read(&self, volume: VolumeKind, mut at: u64, mut into: &mut [u8]) -> Result<(), Fault> {
        let volume: &dyn Volume = self.slots.get(volume);
        let sector = SECTOR as u64;
        while !into.is_empty() {
            let whole = into.len() / SECTOR * SECTOR;
            let is_aligned = into.as_ptr().align_offset(ALIGN) == 0;
            let done = if at.is_multiple_of(sector) && whole > 0 && is_aligned {
                volume.read(at, &mut into[..whole])?;
                whole
            } else {
                let before = usize::try_from(at % sector).unwrap_or(0);
                let done = into.len().min(PIECE - before);
                let mut piece = self.pieces.take((before + done).next_multiple_of(SECTOR));
                volume.read(at - before as u64, &mut piece)?;
                into[..done].copy_from_slice(&piece[before..before + done]);
                done
            };
            at += done as u64;
            into = &mut into[done..];
        }
        Ok(())
    }
}

/// A place that can't be read is stale; that the machine goes down is not about a place.
fn unless_unreadable(read: Result<(), Fault>) -> Result<bool, Fault> {
    match read {
        Err(fault) if fault.stopping().is_some() => Err(fault),
        read => Ok(read.is_ok()),
    }
}

/// Whether these bytes are exactly one zstd frame that announces `raw_bytes` of content in a single segment and names no
/// dictionary: one that is decoded into its buffer, and needs no window of its own.
fn is_plain(frame: &[u8], raw_bytes: usize) -> bool {
    const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
    let Some((&descriptor, fields)) = frame.strip_prefix(&MAGIC).and_then(<[u8]>::split_first) else {
        return false;
    };
    // Single segment; neither the reserved bit nor a dictionary's number.
    if descriptor & 0b0010_1011 != 0b0010_0000 {
        return false;
    }
    let content = match (descriptor >> 6, fields) {
        (0, [a, ..]) => u64::from(*a),
        (1, [a, b, ..]) => u64::from(u16::from_le_bytes([*a, *b])) + 256,
        (2, [a, b, c, d, ..]) => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        (3, [a, b, c, d, e, f, g, h, ..]) => u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => return false,
    };
    content == raw_bytes as u64 && find_frame_compressed_size(frame) == Ok(frame.len())
}

#[cfg(test)]
mod tests;
