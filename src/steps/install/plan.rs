//! What is done about each chunk of a release in a repository: looked up before anything is fetched.
use super::{
    chunk::{ChunkAddr, Wanted},
    shared::{Shared, is_right},
};
use bistable_format::{Chunk, ChunkList, Digest, Encoding, VolumeKind, chunklist};
use std::sync::{Arc, mpsc};

/// Raw bytes that are planned at a time.
const WINDOW_BYTES: u64 = 32 << 20;
/// A chunk's raw bytes in the running slot, if it still is as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) volume: VolumeKind,
    pub(super) at: u64,
    pub(super) bytes: u32,
}

/// What is done about a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Nothing: the slot has it.
    Had,
    /// Make zeros.
    Zero,
    /// Copy it from the running slot.
    Copy(chunklist::Range),
    /// Fetch a delta's frame, and decode it with what the running slot has.
    Patch,
    /// Copy what the running slot should hold according to its own list.
    Reuse(Held),
    /// Fetch its full data.
    Fetch,
}

/// Look for every chunk but the one with the header in the slot, and say what is to be done about it.
pub(super) fn plan(
    shared: &Shared<'_>,
    lists: &[Arc<ChunkList>; 2],
    bytes: [u64; 2],
    held: &[(Digest, Held)],
    to_feed: &mpsc::SyncSender<Vec<(ChunkAddr, Step)>>,
) {
    let mut window = Vec::new();
    let mut planned = 0;
    for ((volume, list), bytes) in VolumeKind::ALL.into_iter().zip(lists).zip(bytes) {
        for (index, chunk) in list.chunks.iter().enumerate() {
            let spot = ChunkAddr { volume, index };
            if spot.has_header() {
                continue;
            }
            if shared.stopped() {
                return;
            }
            let at = index as u64 * u64::from(list.chunk_bytes);
            let raw_bytes = list.raw_bytes(index, bytes);
            let wanted = Wanted { addr: spot, at, raw_bytes, digest: chunk.digest };
            let right = is_right(shared, wanted, &mut shared.raw.take(raw_bytes as usize));
            let step = match right {
                Ok(true) => Step::Had,
                Ok(false) => step(lists, spot, held),
                Err(e) => return shared.fail(e),
            };
            window.push((spot, step));
            planned += u64::from(raw_bytes);
            if planned >= WINDOW_BYTES {
                planned = 0;
                if to_feed.send(std::mem::take(&mut window)).is_err() {
                    return;
                }
            }
        }
    }
    // It is not taken once a worker failed.
    let _ = to_feed.send(window);
}

/// What is done about a chunk that the slot lacks.
pub(super) fn step(lists: &[Arc<ChunkList>; 2], spot: ChunkAddr, held: &[(Digest, Held)]) -> Step {
    let Some(chunk) = chunk(lists, spot) else { return Step::Fetch };
    let is_of_delta = list(lists, spot).base.is_some();
    match &chunk.encoding {
        Encoding::Zero { .. } => Step::Zero,
        Encoding::Copy(range) => Step::Copy(*range),
        Encoding::Patch { .. } => Step::Patch,
        // One that is no smaller as a patch: its frame is in the delta's data, too.
        Encoding::Zstd { .. } if is_of_delta => Step::Patch,
        Encoding::Zstd { .. } => full_step(chunk, held),
    }
}

/// What is done about a chunk without a delta.
pub(super) fn full_step(chunk: &Chunk, held: &[(Digest, Held)]) -> Step {
    match held.binary_search_by_key(&chunk.digest, |(digest, _)| *digest) {
        Ok(at) => held.get(at).map_or(Step::Fetch, |(_, held)| Step::Reuse(*held)),
        Err(_) => Step::Fetch,
    }
}

pub(super) fn chunk(lists: &[Arc<ChunkList>; 2], spot: ChunkAddr) -> Option<&Chunk> {
    list(lists, spot).chunks.get(spot.index)
}

fn list(lists: &[Arc<ChunkList>; 2], spot: ChunkAddr) -> &ChunkList {
    let [boot, system] = lists;
    if spot.volume == VolumeKind::Boot { boot } else { system }
}

/// A list's chunks that aren't all zeros.
pub(super) fn full_chunks(list: &ChunkList) -> impl Iterator<Item = (usize, Digest)> {
    let full = |(_, chunk): &(usize, &Chunk)| !matches!(chunk.encoding, Encoding::Zero { .. });
    list.chunks.iter().enumerate().filter(full).map(|(index, chunk)| (index, chunk.digest))
}
