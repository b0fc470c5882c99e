//! What is installed, wherever it comes from: a bundle's stream, or a repository.
use super::{
    attempts::{Needs, Ticket},
    buffer::{Loan, Pool},
    chunk::{ChunkAddr, Wanted},
    error::InstallError,
    job::{Job, Payload, Searched},
    shared::{Shared, make},
    slots::Slots,
};
use crate::error::BundleError;
use bistable_format::{ChunkList, Digest, Release, VolumeKind, Volumes};
use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering, mpsc},
};

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

    /// The release that must run, by its identity: without it, this can't be installed.
    fn needs(&self) -> Option<Digest> {
        None
    }

    /// Both chunk lists, verified, in the order of [`VolumeKind::ALL`].
    ///
    /// # Errors
    /// See [`BundleError`].
    fn lists(&mut self) -> Result<[Arc<ChunkList>; 2], BundleError>;

    /// Bring all chunks that the slot needs. What was brought counts, even if this fails later.
    ///
    /// # Errors
    /// See [`InstallError`].
    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError>;

    /// What a person should know of how it was fetched, each once.
    fn remarks(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A release and the slot that holds it.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volumes are trait objects")]
pub struct Base {
    /// The release that the slot was written from.
    pub release: Release,
    /// Its identity.
    pub identity: Digest,
    /// Its volumes.
    pub slots: Slots,
}

/// The beginning of the pipeline: where content goes.
#[allow(missing_debug_implementations, reason = "the progress is a function")]
pub struct Feed<'a> {
    pub(super) lists: &'a [Arc<ChunkList>; 2],
    /// Bytes of both raw images.
    pub(super) bytes: [u64; 2],
    pub(super) shared: &'a Shared<'a>,
    pub(super) encoded: Pool,
    pub(super) to_workers: mpsc::SyncSender<Job>,
    /// The chunk with the header, which is written last.
    pub(super) header: Option<Job>,
    pub(super) progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
}

/// Whether the pipeline takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipeline {
    Open,
    /// Something else failed, and is known.
    Stopped,
}

/// Whether encoded bytes are of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Full,
    Delta,
}

/// What became of a chunk that can be had in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It was sent, or no worker takes it any more.
    Sent(Pipeline),
    /// It did not come out right.
    Stale,
}

impl<'a> Feed<'a> {
    pub(super) fn lists(&self) -> &'a [Arc<ChunkList>; 2] {
        self.lists
    }

    pub(super) fn stopped(&self) -> bool {
        self.shared.stopped()
    }

    /// A buffer for encoded bytes. Waits until there is one.
    pub(super) fn encoded(&self, len: u32) -> Loan {
        self.encoded.take(len as usize)
    }

    /// A chunk is done with, as far as progress goes. Whoever hears it may have had enough: then the pipeline stops.
    pub(super) fn progress(&mut self, addr: ChunkAddr) {
        let bytes = self.raw_bytes(addr);
        if (self.progress)(bytes.into()).is_break() {
            self.shared.note(InstallError::Cancelled);
        }
    }

    /// This many encoded bytes came from elsewhere.
    pub(super) fn fetched(&self, kind: Kind, bytes: u64) {
        self.shared.fetched.fetch_add(bytes, Ordering::Relaxed);
        if kind == Kind::Delta {
            self.shared.of_delta.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Raw bytes of a chunk.
    pub(super) fn raw_bytes(&self, addr: ChunkAddr) -> u32 {
        let [boot, system] = self.lists;
        match addr.volume {
            VolumeKind::Boot => boot.raw_bytes(addr.index, self.bytes[0]),
            VolumeKind::System => system.raw_bytes(addr.index, self.bytes[1]),
        }
    }

    /// A chunk is passed on; the one with the header stays here.
    pub(super) fn send(&mut self, addr: ChunkAddr, payload: Payload, searched: Searched) -> Pipeline {
        self.try_send(addr, payload, searched, None)
    }

    /// A chunk that can be had in another way is passed on. The one with the header is made here and now, because that
    /// way is closed when it is written. Gives whether it goes; if not, it is stale.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(super) fn attempt(
        &mut self,
        addr: ChunkAddr,
        payload: Payload,
        searched: Searched,
    ) -> Result<Attempt, InstallError> {
        if !addr.has_header() {
            let is_of_base = matches!(payload, Payload::Copy(_) | Payload::Patch(..));
            let needs = if is_of_base { Needs::Base } else { Needs::Nothing };
            let ticket = self.shared.attempts.begin(addr, needs);
            return Ok(Attempt::Sent(self.try_send(addr, payload, searched, Some(ticket))));
        }
        let Some(wanted) = Wanted::new(self.lists, self.bytes, addr) else {
            return Ok(Attempt::Sent(Pipeline::Stopped));
        };
        // Of the larger kind: the others are needed while this one is kept.
        let mut raw = self.encoded(self.raw_bytes(addr));
        if make(self.shared, wanted, &payload, &mut raw, &mut None)? {
            drop(payload);
            return Ok(Attempt::Sent(self.send(addr, Payload::Raw(raw), searched)));
        }
        self.shared.stale.fetch_add(1, Ordering::Relaxed);
        Ok(Attempt::Stale)
    }

    fn try_send(
        &mut self,
        addr: ChunkAddr,
        payload: Payload,
        searched: Searched,
        ticket: Option<Ticket>,
    ) -> Pipeline {
        let Some(wanted) = Wanted::new(self.lists, self.bytes, addr) else { return Pipeline::Stopped };
        let job = Job { wanted, payload, searched, ticket };
        if addr.has_header() {
            self.header = Some(job);
            return Pipeline::Open;
        }
        match self.to_workers.send(job) {
            Ok(()) => Pipeline::Open,
            Err(_) => Pipeline::Stopped,
        }
    }
}

/// The volumes of an image. Of another release nothing is installed: it was refused when it was offered.
pub(super) fn volumes(release: &Release) -> Result<&Volumes, BundleError> {
    release.volumes().ok_or(BundleError::NotAnImage)
}
