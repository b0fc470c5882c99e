//! Raw bytes made from those of the running slot: copied, or decoded with them as a prefix.
//!
//! The base's bytes are the one thing that isn't authenticated before use. They are data and never control: the decoder
//! takes the same path whatever they are, and what comes out is nothing until its digest is right (I8).
use super::{buffer::Pool, slots::Slots};
use crate::aligned::ALIGN;
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
        // The context is small, and made again so that nothing of one frame is left for the next.
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
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use zstd::zstd_safe::{CCtx, CParameter};

    struct Memory(Mutex<Vec<u8>>);

    impl Volume for Memory {
        fn bytes(&self) -> u64 {
            self.0.lock().unwrap().len() as u64
        }
        fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
            let bytes = self.0.lock().unwrap();
            let at = usize::try_from(at).unwrap();
            assert!(at.is_multiple_of(SECTOR) && into.len().is_multiple_of(SECTOR), "not whole sectors");
            match bytes.get(at..at + into.len()) {
                Some(there) => into.copy_from_slice(there),
                None => return Err(Fault::Unfit("behind the end".into())),
            }
            Ok(())
        }
        fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
            panic!("the running slot is never written")
        }
        fn flush(&self) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn noise(len: usize) -> Vec<u8> {
        bistable_kit::product::noise(1, len)
    }

    fn from_base(bytes: &[u8]) -> FromBase {
        let volume: Arc<dyn Volume> = Arc::new(Memory(Mutex::new(bytes.to_vec())));
        FromBase::new(Slots { boot: Arc::clone(&volume), system: volume })
    }

    fn range(offset: u64, bytes: usize) -> Range {
        Range { offset, bytes: u32::try_from(bytes).unwrap() }
    }

    /// A frame of `raw` with a prefix.
    fn frame(raw: &[u8], prefix: &[u8], change: impl FnOnce(&mut CCtx<'_>)) -> Vec<u8> {
        let mut context = CCtx::create();
        context.set_parameter(CParameter::CompressionLevel(1)).unwrap();
        context.set_parameter(CParameter::WindowLog(24)).unwrap();
        change(&mut context);
        context.ref_prefix(prefix).unwrap();
        let mut out = Vec::with_capacity(raw.len() + 1024);
        context.compress2(&mut out, raw).unwrap();
        out
    }

    #[test]
    fn ranges_begin_and_end_at_any_byte() {
        let base = noise(3 * PIECE);
        let from = from_base(&base);
        for (at, len) in [(0, 512), (1, 1), (511, 2), (512, 513), (700, 2 * PIECE + 3), (5, 3 * PIECE - 5)] {
            let mut raw = vec![0; len];
            assert!(from.copy(VolumeKind::System, range(at as u64, len), &mut raw).unwrap());
            assert!(raw == base[at..at + len], "{len} bytes at {at}");
        }
        let mut raw = vec![0; 512];
        assert!(!from.copy(VolumeKind::System, range(0, 513), &mut raw).unwrap(), "of another length");
        let end = base.len() as u64;
        assert!(!from.copy(VolumeKind::System, range(end - 511, 512), &mut raw).unwrap(), "behind the end");
    }

    #[test]
    fn a_frame_is_decoded_with_several_ranges_as_its_prefix() {
        let base = noise(900_000);
        let ranges = [range(700_001, 100_000), range(3, 150_000), range(100, 0)];
        let prefix = [&base[700_001..800_001], &base[3..150_003]].concat();
        let mut new = prefix[50_000..].to_vec();
        new[77] ^= 1;
        let patch = frame(&new, &prefix, |_| {});
        assert!(patch.len() < 2_000, "{} bytes", patch.len());
        let from = from_base(&base);
        let mut raw = vec![0; new.len()];
        assert!(from.decode(VolumeKind::System, &patch, &ranges, &mut raw).unwrap());
        assert!(raw == new);
        // A prefix that begins like a dictionary is bytes like all others.
        let mut dictionary = base.clone();
        dictionary[..4].copy_from_slice(&[0x37, 0xA4, 0x30, 0xEC]);
        let patch = frame(&new, &dictionary[..500_000], |_| {});
        assert!(
            from_base(&dictionary)
                .decode(VolumeKind::System, &patch, &[range(0, 500_000)], &mut raw)
                .unwrap()
        );
        assert!(raw == new);
    }

    #[test]
    fn other_bytes_in_the_base_give_other_bytes_or_nothing_and_never_more() {
        let base = noise(300_000);
        let new = base[1_000..250_000].to_vec();
        let patch = frame(&new, &base, |_| {});
        for (at, len) in [(150_000, base.len()), (2_000, base.len()), (0, 100_000), (0, 0)] {
            let mut other = base.clone();
            other[at] ^= 4;
            let mut raw = vec![0; new.len()];
            let decoded = from_base(&other).decode(VolumeKind::System, &patch, &[range(0, len)], &mut raw);
            assert!(!decoded.unwrap() || raw != new, "at {at}, {len} bytes");
        }
    }

    #[test]
    fn only_one_frame_of_the_very_size_in_one_segment_without_a_dictionary_is_decoded() {
        let raw = noise(40_000);
        let good = frame(&raw, &[], |_| {});
        let sized = |bytes: usize| {
            let mut out = vec![0; bytes];
            from_base(&[]).decode(VolumeKind::Boot, &good, &[], &mut out).unwrap()
        };
        assert!(sized(raw.len()) && !sized(raw.len() - 1) && !sized(raw.len() + 1));
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
        let unsized_ = frame(&raw, &[], |c| {
            c.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
        });
        // A window of 2^31 bytes instead of a single segment.
        let mut window = good.clone();
        window[4] &= !0b0010_0000;
        window.insert(5, 21 << 3);
        let mut dictionary = good.clone();
        dictionary[4] |= 1;
        dictionary.insert(5, 7);
        let mut reserved = good.clone();
        reserved[4] |= 0b1000;
        for (name, frame) in [
            ("two frames", [&good[..], &good].concat()),
            ("a skippable frame behind it", [&good[..], &skippable].concat()),
            ("a skippable frame before it", [&skippable[..], &good].concat()),
            ("no size", unsized_),
            ("a large window", window),
            ("a dictionary", dictionary),
            ("a reserved bit", reserved),
            ("its beginning", good[..good.len() - 1].to_vec()),
            ("its head", good[..6].to_vec()),
            ("nothing", Vec::new()),
        ] {
            let mut out = vec![0; raw.len()];
            assert!(!from_base(&[]).decode(VolumeKind::Boot, &frame, &[], &mut out).unwrap(), "{name}");
        }
        // Ranges of more bytes than a prefix may have, however a list came to name them.
        let long = [range(0, 3 << 20), range(0, 2 << 20)];
        let mut out = vec![0; raw.len()];
        assert!(!from_base(&noise(4 << 20)).decode(VolumeKind::Boot, &good, &long, &mut out).unwrap());
    }
}
