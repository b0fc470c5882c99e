//! A chunk of a release: where it belongs, and what it must be.
use bistable_format::{ChunkList, Digest, VolumeKind};
use std::sync::Arc;

/// The address of a chunk: its volume, and its number there, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkAddr {
    pub(super) volume: VolumeKind,
    pub(super) index: usize,
}

impl ChunkAddr {
    /// The chunk whose beginning makes a slot look bootable.
    pub(super) fn has_header(self) -> bool {
        self.volume == VolumeKind::Boot && self.index == 0
    }
}

/// What a slot must hold at an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) addr: ChunkAddr,
    /// First byte in the volume.
    pub(super) at: u64,
    pub(super) raw_bytes: u32,
    pub(super) digest: Digest,
}

impl Wanted {
    /// What the lists say about a chunk; `None` behind their end. `bytes` are those of both raw images.
    pub(super) fn new(lists: &[Arc<ChunkList>; 2], bytes: [u64; 2], addr: ChunkAddr) -> Option<Wanted> {
        let ChunkAddr { volume, index } = addr;
        let ((_, list), bytes) =
            VolumeKind::ALL.into_iter().zip(lists).zip(bytes).find(|((kind, _), _)| *kind == volume)?;
        Some(Wanted {
            addr,
            at: index as u64 * u64::from(list.chunk_bytes),
            raw_bytes: list.raw_bytes(index, bytes),
            digest: list.chunks.get(index)?.digest,
        })
    }
}
