//! Detects misdirected writes: data that changed after it had been verified.
//!
//! A card that has less room than it says lets addresses wrap: a chunk written beyond its end reads back right, from
//! the place of another chunk that it just destroyed. A card whose own tables are damaged may do the same to any place.
//! Reading each chunk back once doesn't find that, because the damage comes later. So of each chunk the first 4 KiB are
//! remembered, by a short digest, and read again when everything is on the card and only the header is missing.
//!
//! Why so few bytes are enough: there is a mark at each multiple of the smallest chunk of either volume, and a chunk that
//! is written to a wrong place covers the beginning of at least one mark, wherever it lands. It is seen if the two differ
//! there. They need not, if both are zeros for example; but a card that wraps does so with everything beyond its end,
//! and one of these chunks is enough. Only a volume's last chunk may be shorter than that.
use super::{error::InstallError, slots::Slots};
use crate::aligned::Buffer;
use bistable_boot::layout::HEADER_BYTES;
use bistable_format::{ChunkList, Digest, VolumeKind};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes of a mark: a page of most cards.
const MARK_BYTES: usize = 4096;
/// What stands for no mark: one digest of 2^64 is taken for it, and that place is then not looked at again.
const NONE: u64 = 0;

/// What each part of a slot must begin with.
pub(super) struct Marks {
    /// Bytes from one mark to the next.
    stride: usize,
    /// The slot's volumes.
    volumes: [Volume; 2],
}

struct Volume {
    kind: VolumeKind,
    /// Bytes of the image; the rest of the partition isn't ours to look at.
    bytes: u64,
    chunk_bytes: u64,
    /// The first 8 bytes of each mark's SHA-256, or [`NONE`]. They are never made to collide on purpose: what was written is
    /// known to be genuine, and only the card's own mistakes are looked for.
    marks: Vec<AtomicU64>,
}

impl Marks {
    /// For images of this many bytes, in the order of [`VolumeKind::ALL`], as the lists are.
    pub(super) fn new(lists: &[Arc<ChunkList>; 2], bytes: [u64; 2]) -> Marks {
        // Both are powers of two, so the marks lie at the beginnings of both volumes' chunks.
        let stride = lists.iter().map(|l| l.chunk_bytes as usize).min().unwrap_or(MARK_BYTES).max(MARK_BYTES);
        let volume = |i: usize| Volume {
            kind: VolumeKind::ALL[i],
            bytes: bytes[i],
            chunk_bytes: lists[i].chunk_bytes.into(),
            marks: (0..bytes[i].div_ceil(stride as u64)).map(|_| AtomicU64::new(NONE)).collect(),
        };
        Marks { stride, volumes: [volume(0), volume(1)] }
    }

    /// Remember what is in a place, or is to be written there: `raw` was verified.
    pub(super) fn set(&self, kind: VolumeKind, at: u64, raw: &[u8]) {
        for volume in self.volumes.iter().filter(|v| v.kind == kind) {
            let first = usize::try_from(at / self.stride as u64).unwrap_or(usize::MAX);
            for (mark, piece) in volume.marks.iter().skip(first).zip(raw.chunks(self.stride)) {
                mark.store(short_digest(&piece[..piece.len().min(MARK_BYTES)]), Ordering::Relaxed);
            }
        }
    }

    /// Read all of them again, but for the header, which isn't written yet. All else is, and was flushed.
    ///
    /// # Errors
    /// [`InstallError::Overwritten`] for the first that isn't as it was; or when the card can't be read.
    pub(super) fn look(&self, slots: &Slots) -> Result<(), InstallError> {
        let mut buffer = Buffer::new(MARK_BYTES);
        for volume in &self.volumes {
            for (at, mark) in (0..).step_by(self.stride).zip(&volume.marks) {
                let want = mark.load(Ordering::Relaxed);
                let header = volume.kind == VolumeKind::Boot && at < HEADER_BYTES as u64;
                if want == NONE || header {
                    continue;
                }
                let left = usize::try_from(volume.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
                buffer.resize(left.min(MARK_BYTES));
                slots.get(volume.kind).read(at, &mut buffer)?;
                if short_digest(&buffer) != want {
                    let index = usize::try_from(at / volume.chunk_bytes).unwrap_or(usize::MAX);
                    return Err(InstallError::Overwritten { volume: volume.kind, index });
                }
            }
        }
        Ok(())
    }
}

fn short_digest(bytes: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(bytes).0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Fault, Volume as Port};
    use std::sync::Mutex;

    struct Memory(Mutex<Vec<u8>>);

    impl Port for Memory {
        fn bytes(&self) -> u64 {
            self.0.lock().unwrap().len() as u64
        }
        fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
            let at = usize::try_from(at).unwrap();
            into.copy_from_slice(&self.0.lock().unwrap()[at..at + into.len()]);
            Ok(())
        }
        fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
            let at = usize::try_from(at).unwrap();
            self.0.lock().unwrap()[at..at + from.len()].copy_from_slice(from);
            Ok(())
        }
        fn flush(&self) -> Result<(), Fault> {
            Ok(())
        }
    }

    const SMALL: usize = 256 << 10;
    const LARGE: usize = 1 << 20;
    /// The last chunk of each volume is one of a single sector.
    const BYTES: [usize; 2] = [2 * LARGE + 512, 6 * SMALL + 512];

    fn list(chunk_bytes: usize) -> ChunkList {
        ChunkList { chunk_bytes: u32::try_from(chunk_bytes).unwrap(), base: None, chunks: Vec::new() }
    }

    /// Bytes that are nowhere alike.
    fn content(seed: u32, len: usize) -> Vec<u8> {
        (0..u32::try_from(len / 4).unwrap())
            .flat_map(|i| (i ^ seed.rotate_left(20)).wrapping_mul(0x9e37_79b9).to_le_bytes())
            .collect()
    }

    fn slot() -> (Slots, Marks) {
        let lists = [list(LARGE), list(SMALL)].map(Arc::new);
        let marks = Marks::new(&lists, BYTES.map(|b| b as u64));
        let volumes = [0, 1].map(|i: usize| {
            let bytes = content(u32::try_from(i).unwrap(), BYTES[i]);
            let size = lists[i].chunk_bytes as usize;
            for (n, raw) in bytes.chunks(size).enumerate() {
                marks.set(VolumeKind::ALL[i], (n * size) as u64, raw);
            }
            Arc::new(Memory(Mutex::new(bytes)))
        });
        let [boot, system] = volumes;
        (Slots { boot, system }, marks)
    }

    #[test]
    fn what_is_right_is_right_and_the_header_may_be_missing() {
        let (slots, marks) = slot();
        slots.boot.write(0, &[0; HEADER_BYTES]).unwrap();
        marks.look(&slots).unwrap();
    }

    /// A chunk of the smaller size, wherever it lands: also in the middle of a larger one, and between two.
    #[test]
    fn a_misplaced_chunk_is_found_wherever_it_lands() {
        for (kind, bytes) in VolumeKind::ALL.into_iter().zip(BYTES) {
            let last = bytes - SMALL;
            for at in (0..last).step_by(97 * 512).chain([512, SMALL - 512, SMALL, SMALL + 512, last]) {
                let (slots, marks) = slot();
                slots.get(kind).write(at as u64, &content(7, SMALL)).unwrap();
                let found = marks.look(&slots);
                let Err(InstallError::Overwritten { volume, index }) = found else {
                    // Only what lies wholly in the header's stride and doesn't reach the next one.
                    assert!(kind == VolumeKind::Boot && at == 0, "{kind} at {at}: {found:?}");
                    continue;
                };
                assert_eq!(volume, kind);
                let chunk = if kind == VolumeKind::Boot { LARGE } else { SMALL };
                assert!((at / chunk..=(at + SMALL) / chunk).contains(&index), "{kind} at {at}: {index}");
            }
        }
    }

    #[test]
    fn the_short_end_of_a_volume_is_looked_at() {
        let (slots, marks) = slot();
        slots.system.write(BYTES[1] as u64 - 512, &[9; 512]).unwrap();
        let Err(InstallError::Overwritten { index, .. }) = marks.look(&slots) else { panic!("not found") };
        assert_eq!(index, 6);
    }
}
