//! How a chunk can be made from a base: a pure function of the chunk, the base's index and the base's bytes.
use super::index::{BLOCK, Index, UNIT};
use super::ranges::{Candidate, Most, choose};
use super::raw::Raw;
use crate::zero::is_zero;
use bistable_format::chunklist::Range;
use std::io;
use std::ops;

/// Weight of bytes that are known to be the same.
const SAME: u32 = 1000;
/// Weight of bytes at the same offset as those that were not found.
const NEAR: u32 = 400;
/// Weight of the bytes around them.
const AROUND: u32 = 300;
/// How far around: what moved by an insertion moved by less, mostly.
const PAD: u64 = 64 << 10;
/// What is read of the base at a time when blocks are compared.
const CACHE: usize = 64 << 10;

/// How a chunk can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All zero.
    Zero,
    /// It is a range of the base.
    Copy(Range),
    /// With ranges of the base as prefix; what is nowhere in the base, as bytes of the chunk.
    Patch {
        /// In the order of the base. None if nothing in the base helps.
        prefix: Vec<Range>,
        /// Pieces that were not found.
        unmatched: Vec<ops::Range<usize>>,
    },
}

/// Finds a base's bytes in chunks.
pub(super) struct Matcher<'a> {
    base: &'a dyn Raw,
    index: &'a Index,
    most: Most,
    /// The base's bytes at some place.
    cache: Vec<u8>,
    cache_at: u64,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(base: &'a dyn Raw, index: &'a Index, most: Most) -> Self {
        Matcher { base, index, most, cache: Vec::new(), cache_at: u64::MAX }
    }

    /// Find the bytes of the chunk at `offset`, a multiple of a block's size.
    pub(super) fn find(&mut self, offset: u64, chunk: &[u8]) -> io::Result<Way> {
        if is_zero(chunk) {
            return Ok(Way::Zero);
        }
        let len = chunk.len() as u64;
        let mut there = Vec::new();
        if let Some(range) = self.same(offset, chunk, &mut there)? {
            return Ok(Way::Copy(range));
        }
        let (sources, unmatched) = self.blocks(offset, chunk, &there)?;
        if unmatched.iter().map(ExactSizeIterator::len).sum::<usize>() < BLOCK
            && let Some((at, start)) = sources.first().copied()
            && let Some(offset) = start.checked_sub(at)
            && let Some(range) = self.same(offset, chunk, &mut there)?
        {
            return Ok(Way::Copy(range));
        }
        let mut candidates: Vec<Candidate> = sources
            .iter()
            .map(|(_, start)| Candidate { start: *start, end: start + BLOCK as u64, weight: SAME })
            .collect();
        for piece in &unmatched {
            self.around(offset, piece, &mut candidates);
            let window = chunk.get(piece.start..(piece.end + 63).min(chunk.len())).unwrap_or_default();
            let most = 2 * piece.len().div_ceil(UNIT) + 1;
            for (unit, votes) in self.index.units(window, most) {
                let start = unit * UNIT as u64;
                let end = (start + UNIT as u64).min(self.base.bytes());
                candidates.push(Candidate { start, end, weight: votes });
            }
        }
        debug_assert!(len > 0, "a chunk that isn't zero has bytes");
        Ok(Way::Patch { prefix: choose(candidates, self.most), unmatched })
    }

    /// The range of the base at `offset`, if it is the chunk. Its bytes, as many as there are, are left in `there`.
    fn same(&self, offset: u64, chunk: &[u8], there: &mut Vec<u8>) -> io::Result<Option<Range>> {
        let len = self.base.bytes().saturating_sub(offset).min(chunk.len() as u64);
        there.resize(usize::try_from(len).unwrap_or(0), 0);
        self.base.read_at(offset, there)?;
        let bytes = u32::try_from(chunk.len()).ok().filter(|_| there == chunk);
        Ok(bytes.map(|bytes| Range { offset, bytes }))
    }

    /// Where each block is in the base, as its offset in the chunk and in the base; and the pieces that were not found.
    #[expect(clippy::type_complexity, reason = "two lists, named where they are used")]
    fn blocks(
        &mut self,
        offset: u64,
        chunk: &[u8],
        there: &[u8],
    ) -> io::Result<(Vec<(u64, u64)>, Vec<ops::Range<usize>>)> {
        let (mut sources, mut unmatched) = (Vec::new(), Vec::<ops::Range<usize>>::new());
        // The block after the one that the last block was.
        let mut next: Option<u64> = None;
        for (i, block) in chunk.chunks(BLOCK).enumerate() {
            let at = i * BLOCK;
            if is_zero(block) {
                next = next.map(|block| block + 1);
                continue;
            }
            let source = if block.len() < BLOCK {
                None
            } else if there.get(at..at + BLOCK) == Some(block) {
                Some(offset / BLOCK as u64 + i as u64)
            } else if let Some(next) = next
                && self.is_block(next, block)?
            {
                Some(next)
            } else if let Some(known) = self.index.block(block)
                && self.is_block(known, block)?
            {
                Some(known)
            } else {
                None
            };
            next = source.map(|block| block + 1);
            match (source, unmatched.last_mut()) {
                (Some(block), _) => sources.push((at as u64, block * BLOCK as u64)),
                (None, Some(last)) if last.end == at => last.end = at + block.len(),
                (None, _) => unmatched.push(at..at + block.len()),
            }
        }
        Ok((sources, unmatched))
    }

    /// Whether that block of the base has these bytes.
    fn is_block(&mut self, number: u64, block: &[u8]) -> io::Result<bool> {
        let at = number * BLOCK as u64;
        let cache_at = at - at % CACHE as u64;
        if self.cache_at != cache_at {
            let len = self.base.bytes().saturating_sub(cache_at).min(CACHE as u64);
            self.cache_at = u64::MAX;
            self.cache.resize(usize::try_from(len).unwrap_or(0), 0);
            self.base.read_at(cache_at, &mut self.cache)?;
            self.cache_at = cache_at;
        }
        let from = usize::try_from(at - cache_at).unwrap_or(usize::MAX);
        Ok(self.cache.get(from..from.saturating_add(BLOCK)) == Some(block))
    }

    /// The base's bytes at the same offset, and around it, in pieces: what is nearest stays when there are too many.
    fn around(&self, offset: u64, piece: &ops::Range<usize>, candidates: &mut Vec<Candidate>) {
        let (start, end) = (offset + piece.start as u64, offset + piece.end as u64);
        let windows = [
            (start, end, NEAR),
            (start.saturating_sub(PAD), start, AROUND),
            (end, end.saturating_add(PAD), AROUND),
        ];
        for (start, end, weight) in windows {
            let end = end.min(self.base.bytes());
            let mut at = start;
            while at < end {
                let to = (at + UNIT as u64).min(end);
                candidates.push(Candidate { start: at, end: to, weight });
                at = to;
            }
        }
    }
}
