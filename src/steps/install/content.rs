//! What is installed, wherever it comes from: a bundle's stream, or a repository.
use super::{
    buffer::{Loan, Pool},
    bundle::BundleError,
    pipeline::{InstallError, Job, Looked, Payload, Shared, Slots},
};
use bistable_format::{ChunkList, Digest, Encoding, Release, VolumeKind};
use std::sync::{atomic::Ordering, mpsc};

/// A verified release with its data, which is verified chunk by chunk as it comes.
pub trait Content {
    /// The release. Was verified.
    fn release(&self) -> &Release;

    /// Its signed bytes.
    fn signed(&self) -> &[u8];

    /// Whether it has a use for what runs now.
    fn reuses(&self) -> bool {
        false
    }

    /// What runs now: chunks that it has needn't be fetched. Read only, and nothing of it is believed.
    fn offer(&mut self, _running: Base) {}

    /// Both chunk lists, verified, in the order of [`VolumeKind::ALL`].
    ///
    /// # Errors
    /// See [`BundleError`].
    fn lists(&mut self) -> Result<[ChunkList; 2], BundleError>;

    /// Bring all chunks that the slot needs. What was brought counts, even if this fails later.
    ///
    /// # Errors
    /// See [`InstallError`].
    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError>;
}

/// A release and the slot that holds it.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volumes are trait objects")]
pub struct Base {
    /// The release that the slot was written from.
    pub release: Release,
    /// Its volumes.
    pub slots: Slots,
}

/// The beginning of the pipeline: where content goes.
#[allow(missing_debug_implementations, reason = "the progress is a function")]
pub struct Feed<'a> {
    pub(super) lists: &'a [ChunkList; 2],
    /// Bytes of both raw images.
    pub(super) bytes: [u64; 2],
    pub(super) shared: &'a Shared<'a>,
    pub(super) encoded: Pool,
    pub(super) to_workers: mpsc::SyncSender<Job>,
    /// The chunk with the header, which is written last.
    pub(super) header: Option<Job>,
    pub(super) progress: &'a mut dyn FnMut(u64),
}

/// Whether the pipeline takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    /// Something else failed, and is known.
    Stopped,
}

/// A chunk by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) volume: VolumeKind,
    pub(super) index: usize,
}

impl Spot {
    /// The chunk whose beginning makes a slot look bootable.
    pub(super) fn has_header(self) -> bool {
        self.volume == VolumeKind::Boot && self.index == 0
    }
}

impl<'a> Feed<'a> {
    pub(super) fn lists(&self) -> &'a [ChunkList; 2] {
        self.lists
    }

    pub(super) fn stopped(&self) -> bool {
        self.shared.stopped()
    }

    /// A buffer for encoded bytes. Waits until there is one.
    pub(super) fn encoded(&self, len: u32) -> Loan {
        self.encoded.take(len as usize)
    }

    /// So many bytes of the release's data are done with.
    pub(super) fn progress(&mut self, bytes: u32) {
        (self.progress)(bytes.into());
    }

    /// So many bytes of it came from elsewhere.
    pub(super) fn fetched(&self, bytes: u64) {
        self.shared.fetched.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A chunk goes on its way; the one with the header stays here.
    pub(super) fn send(&mut self, spot: Spot, payload: Payload, looked: Looked) -> Flow {
        let Some(job) = job(self.lists, self.bytes, spot, payload, looked) else { return Flow::Stopped };
        if spot.has_header() {
            self.header = Some(job);
            return Flow::On;
        }
        match self.to_workers.send(job) {
            Ok(()) => Flow::On,
            Err(_) => Flow::Stopped,
        }
    }
}

/// What a list says about a chunk; `None` behind its end.
pub(super) fn job(
    lists: &[ChunkList; 2],
    bytes: [u64; 2],
    spot: Spot,
    payload: Payload,
    looked: Looked,
) -> Option<Job> {
    let Spot { volume, index } = spot;
    let ((_, list), bytes) =
        VolumeKind::ALL.into_iter().zip(lists).zip(bytes).find(|((kind, _), _)| *kind == volume)?;
    Some(Job {
        volume,
        index,
        at: index as u64 * u64::from(list.chunk_bytes),
        raw_bytes: list.raw_bytes(index, bytes),
        digest: list.chunks.get(index)?.digest,
        payload,
        looked,
    })
}

/// What is to be verified of a chunk's encoding; a delta's are for another installer.
pub(super) fn encoding(of: &Encoding) -> Result<(u32, Digest, bool), BundleError> {
    match of {
        Encoding::Zstd { bytes, digest } => Ok((*bytes, *digest, false)),
        Encoding::Zero { bytes, digest } => Ok((*bytes, *digest, true)),
        Encoding::Copy(_) | Encoding::Patch { .. } => Err(BundleError::Delta),
    }
}
