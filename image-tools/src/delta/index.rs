//! Where a base has which bytes: an index of its blocks, and of anchors within them.
//!
//! A block is found again wherever a file system puts it, as long as it begins at a multiple of its size. An anchor is a
//! place that the bytes before it choose, so it is found again after an insertion, too. Neither needs to know which file
//! system it is.
use super::raw::Raw;
use crate::parallel::{self, Stopped, Threads};
use crate::zero::is_zero;
use std::io;

/// Bytes of a block: that of the usual file systems.
pub(super) const BLOCK: usize = 4096;
/// Bytes that an anchor points at.
pub(super) const UNIT: usize = 64 << 10;
/// Bytes that choose an anchor.
const WINDOW: usize = 64;
/// What is read at a time.
const PIECE: usize = 16 * UNIT;
/// One of 128 places is an anchor, up to this many bytes; of a larger base fewer are, so that the index doesn't grow.
const DENSE: u64 = 1 << 30;
const DENSE_BITS: u32 = 7;
/// Anchors that more units have say nothing.
const COMMON: usize = 8;

/// Where a base has which bytes. 16 bytes for each block of 4 KiB, and 8 for each anchor: 64 MiB of them on average, if a
/// base of 1 GiB or more is full.
#[derive(Debug)]
pub(super) struct Index {
    /// Hash and number of each block that isn't zero, sorted; the first of equal ones.
    blocks: Vec<(u64, u32)>,
    /// Hash in the upper 40 bits, unit in the lower 24, sorted.
    anchors: Vec<u64>,
    bits: u32,
}

/// What a piece of the base adds to the index.
struct Found {
    blocks: Vec<(u64, u32)>,
    anchors: Vec<u64>,
}

impl Index {
    /// Read a base. The result depends on its bytes alone. `advance` hears how many were read.
    pub(super) fn of(
        base: &dyn Raw,
        threads: Threads,
        advance: &mut (dyn FnMut(u64) + Send),
    ) -> io::Result<Index> {
        let bits = anchor_bits(base.bytes());
        let (mut blocks, mut anchors, mut done) = (Vec::new(), Vec::new(), 0);
        parallel::ordered(
            threads,
            |feed| {
                let mut offset = 0;
                while offset < base.bytes() {
                    if let Err(Stopped) = feed.send(offset) {
                        // Whoever stopped tells why.
                        break;
                    }
                    offset += PIECE as u64;
                }
                Ok(())
            },
            || {
                let mut buffer = Vec::new();
                move |offset: u64| piece(base, offset, bits, &mut buffer)
            },
            |found: Found| {
                blocks.extend(found.blocks);
                anchors.extend(found.anchors);
                done += PIECE as u64;
                advance(done.min(base.bytes()));
                Ok(())
            },
        )?;
        blocks.sort_unstable();
        blocks.dedup_by_key(|(hash, _)| *hash);
        anchors.sort_unstable();
        anchors.dedup();
        Ok(Index { blocks, anchors, bits })
    }

    /// The first block that may have the same bytes: compare them.
    pub(super) fn block(&self, block: &[u8]) -> Option<u64> {
        let hash = block_hash(block);
        let at = self.blocks.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        self.blocks.get(at).map(|(_, number)| u64::from(*number))
    }

    /// The units that have most anchors in common with these bytes, each with the number of anchors: at most `most`.
    pub(super) fn units(&self, bytes: &[u8], most: usize) -> Vec<(u64, u32)> {
        let mut votes = Vec::new();
        anchors(bytes, self.bits, |hash| {
            let from = self.anchors.partition_point(|anchor| *anchor < hash);
            let rest = self.anchors.get(from..).unwrap_or_default();
            let same = rest.iter().take(COMMON + 1).take_while(|anchor| **anchor & !UNIT_BITS == hash);
            let same: Vec<u64> = same.map(|anchor| anchor & UNIT_BITS).collect();
            if same.len() <= COMMON {
                votes.extend(same);
            }
        });
        votes.sort_unstable();
        let mut units: Vec<(u64, u32)> = votes
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((*same.first()?, u32::try_from(same.len()).ok()?)))
            .filter(|(_, votes)| *votes >= 2)
            .collect();
        units.sort_by_key(|(unit, votes)| (std::cmp::Reverse(*votes), *unit));
        units.truncate(most);
        units
    }
}

/// How many leading zeros make a hash an anchor.
fn anchor_bits(bytes: u64) -> u32 {
    DENSE_BITS + bytes.div_ceil(DENSE).max(1).next_power_of_two().trailing_zeros()
}

fn piece(base: &dyn Raw, offset: u64, bits: u32, buffer: &mut Vec<u8>) -> io::Result<Found> {
    // An anchor belongs to the unit in which its window begins: the last windows end behind the piece.
    let wanted = (PIECE + WINDOW - 1) as u64;
    let len = wanted.min(base.bytes().saturating_sub(offset));
    buffer.resize(usize::try_from(len).unwrap_or(0), 0);
    base.read_at(offset, buffer)?;
    let mut found = Found { blocks: Vec::new(), anchors: Vec::new() };
    let (whole, _) = buffer.as_chunks::<BLOCK>();
    for (block, number) in whole.iter().take(PIECE / BLOCK).zip(offset / BLOCK as u64..) {
        // 64 GiB have 2^24 blocks.
        if let Ok(number) = u32::try_from(number)
            && !is_zero(block)
        {
            found.blocks.push((block_hash(block), number));
        }
    }
    let starts = (0..PIECE).step_by(UNIT).zip(offset / UNIT as u64..);
    for (start, unit) in starts {
        let Some(rest) = buffer.get(start..).filter(|rest| !rest.is_empty()) else { break };
        let bytes = rest.get(..UNIT + WINDOW - 1).unwrap_or(rest);
        if !is_zero(bytes) {
            anchors(bytes, bits, |hash| found.anchors.push(hash | (unit & UNIT_BITS)));
        }
    }
    Ok(found)
}

/// The bits of an anchor's unit: 2^24 units are 1 TiB.
const UNIT_BITS: u64 = (1 << 24) - 1;

/// Tell the anchors of these bytes, as hashes whose lowest 24 bits are zero.
fn anchors(bytes: &[u8], bits: u32, mut tell: impl FnMut(u64)) {
    let mut gear: u64 = 0;
    for (i, byte) in bytes.iter().enumerate() {
        // After 64 steps a byte is shifted out: the window needs no subtraction.
        gear = (gear << 1).wrapping_add(GEAR.get(usize::from(*byte)).copied().unwrap_or(0));
        if i >= WINDOW - 1 && gear >> (64 - bits) == 0 {
            tell(mix(gear) & !UNIT_BITS);
        }
    }
}

/// A number for each byte.
static GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let (mut i, mut state) = (0, 0);
    while i < table.len() {
        state += 1;
        table[i] = mix(state);
        i += 1;
    }
    table
}

/// Every bit of the result depends on every bit of `x` (the finalizer of SplitMix64).
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn block_hash(block: &[u8]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().fold(0, |hash, word| mix(hash ^ u64::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_kit::product::noise;

    fn index(base: &[u8]) -> Index {
        Index::of(&base.to_vec(), Threads::new(3), &mut |_| {}).unwrap()
    }

    #[test]
    fn a_block_is_found_where_it_is_first() {
        let mut base = noise(1, 40 * BLOCK);
        base.copy_within(7 * BLOCK..8 * BLOCK, 30 * BLOCK);
        base[3 * BLOCK..4 * BLOCK].fill(0);
        let index = index(&base);
        for number in (0..40).filter(|n| ![3, 30].contains(n)) {
            let block = &base[number * BLOCK..(number + 1) * BLOCK];
            assert_eq!(index.block(block), Some(number as u64));
        }
        assert_eq!(index.block(&base[30 * BLOCK..31 * BLOCK]), Some(7));
        assert_eq!(index.block(&[0; BLOCK]), None, "zero blocks are not in it");
        assert_eq!(index.block(&noise(2, BLOCK)), None);
    }

    #[test]
    fn bytes_that_moved_by_any_distance_are_found_by_their_anchors() {
        let base = noise(1, 40 * UNIT + 1234);
        let index = index(&base);
        for shift in [0, 1, 511, 4095, 40_000] {
            let moved = &base[13 * UNIT + shift..14 * UNIT + shift];
            let units: Vec<u64> = index.units(moved, 3).iter().map(|(unit, _)| *unit).collect();
            assert_eq!(units[0], if shift < UNIT / 2 { 13 } else { 14 }, "{shift}");
        }
        let tail = &base[40 * UNIT..];
        assert_eq!(index.units(tail, 3).first().map(|(unit, _)| *unit), Some(40));
        assert_eq!(index.units(&noise(2, UNIT), 3), []);
        assert_eq!(index.units(&[], 3), []);
    }

    #[test]
    fn what_is_everywhere_says_nothing() {
        let one = noise(1, UNIT);
        let base: Vec<u8> = (0..20).flat_map(|_| one.clone()).collect();
        assert_eq!(index(&base).units(&one, 3), []);
        let base: Vec<u8> = (0..COMMON).flat_map(|_| one.clone()).collect();
        // The first of equal ones.
        assert_eq!(index(&base).units(&one, 2).iter().map(|(unit, _)| *unit).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn the_index_is_the_same_with_any_number_of_threads() {
        let base = noise(5, 3 * PIECE + 777);
        let of = |n| Index::of(&base, Threads::new(n), &mut |_| {}).unwrap();
        let (one, eight) = (of(1), of(8));
        assert_eq!((one.blocks, one.anchors), (eight.blocks, eight.anchors));
    }

    #[test]
    fn a_large_base_has_fewer_anchors_not_a_larger_index() {
        for (bytes, bits) in [(0, 7), (1, 7), (DENSE, 7), (DENSE + 1, 8), (2 * DENSE, 8), (64 * DENSE, 13)] {
            assert_eq!(anchor_bits(bytes), bits, "{bytes}");
        }
    }
}
