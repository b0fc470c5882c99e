//! The pipeline that brings a release's data into a slot: read → check → decompress → write → flush → read back.
//!
//! ```text
//! caller's thread          workers                        writer                      checker
//! read encoded bytes ──▶ right already? skip          write                       read back past the
//! hash them               decompress, bounded   ──▶   flush every few MiB  ──▶    cache, hash, compare
//! ```
//! Where the bytes come from is the content's business (see [`Content`]): a stream has every chunk, in order; from a
//! repository only those come that the device doesn't have.
//! The first chunk of the boot volume holds what makes the slot look bootable. Before anything else is written, that
//! header is erased; it is written last, when all else was read back, and then looked at once more: a later write may
//! have landed on what was right (see `marks`).
use super::{
    BundleError,
    attempts::{Attempts, Ticket},
    buffer::{Loan, Pool},
    bundle::volumes,
    content::{Content, Feed},
    header::{erase_header, write_header},
    marks::Marks,
    patch::FromBase,
};
use crate::{
    aligned::Buffer,
    config::Settings,
    ports::{Fault, Volume},
};
use bistable_format::{ChunkList, Digest, VolumeKind, chunklist::Range, limits};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

/// A slot's two volumes.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volumes are trait objects")]
pub struct Slots {
    /// The boot partition.
    pub boot: Arc<dyn Volume>,
    /// The system partition.
    pub system: Arc<dyn Volume>,
}

impl Slots {
    pub(super) fn get(&self, kind: VolumeKind) -> &dyn Volume {
        match kind {
            VolumeKind::Boot => &*self.boot,
            VolumeKind::System => &*self.system,
        }
    }
}

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The bundle is at fault.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The card is at fault.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What was written reads back differently.
    #[error(
        "chunk {index} of the {volume} volume reads back differently than it was written: the card is failing"
    )]
    ReadBack {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// What was right when it was read isn't any more.
    #[error(
        "chunk {index} of the {volume} volume was right, and a later write to the card changed it: the card puts data in \
         the wrong place, or has less room than it says"
    )]
    Overwritten {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// A thread ended without saying why.
    #[error("the installer stopped unexpectedly")]
    Stopped,
}

/// What an installation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stats {
    /// Chunks of both volumes.
    pub chunks: u64,
    /// Of these, found right in the slot and not written.
    pub skipped: u64,
    /// Of these, taken from the running slot.
    pub reused: u64,
    /// Of these, made from parts of the running slot and a delta's data.
    pub patched: u64,
    /// Of these, made from a place of the running slot that had changed, so that their full data was needed.
    pub stale: u64,
    /// Bytes taken from the running slot.
    pub reused_bytes: u64,
    /// Bytes of encoded chunks that were read from a bundle or a repository.
    pub fetched_bytes: u64,
    /// Of these, of a delta.
    pub delta_bytes: u64,
    /// Bytes written into the slot.
    pub written_bytes: u64,
    /// Bytes of the slot that were read back and compared, or found right.
    pub verified_bytes: u64,
}

/// Bytes of all buffers for encoded chunks, and the same again for raw ones; see [`Pool`].
const POOL_BYTES: usize = 16 << 20;
/// At most this many threads decompress: more don't help a card.
const WORKERS: usize = 4;

/// A chunk on its way.
pub(super) struct Job {
    pub(super) volume: VolumeKind,
    pub(super) index: usize,
    pub(super) at: u64,
    pub(super) raw_bytes: u32,
    pub(super) digest: Digest,
    pub(super) payload: Payload,
    pub(super) looked: Looked,
    /// Of a chunk whose full data can still be had if it doesn't come out right.
    pub(super) ticket: Option<Ticket>,
}

/// What a chunk's raw bytes are made from.
pub(super) enum Payload {
    /// Nothing but zeros.
    Zero,
    /// A zstd frame; its digest was checked.
    Zstd(Loan),
    /// The raw bytes themselves; their digest was checked.
    Raw(Loan),
    /// A range of the running slot's volume.
    Copy(Range),
    /// A zstd frame, whose digest was checked, and the ranges of the running slot's volume that are its prefix.
    Patch(Loan, Vec<Range>),
}

/// Whether somebody looked for a chunk in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Not yet.
    No,
    /// It isn't there.
    NotThere,
}

/// A chunk's raw bytes, to be written.
struct Made {
    volume: VolumeKind,
    index: usize,
    at: u64,
    digest: Digest,
    raw: Loan,
}

/// A chunk that was written.
struct Written {
    volume: VolumeKind,
    index: usize,
    at: u64,
    raw_bytes: usize,
    digest: Digest,
}

/// What the threads share.
pub(super) struct Shared<'a> {
    pub(super) slots: &'a Slots,
    /// What runs, if the content needs it.
    pub(super) base: Option<FromBase>,
    pub(super) attempts: Attempts,
    pub(super) raw: Pool,
    pub(super) marks: Marks,
    pub(super) failed: Mutex<Option<InstallError>>,
    pub(super) stop: AtomicBool,
    pub(super) skipped: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) reused_bytes: AtomicU64,
    pub(super) patched: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) fetched: AtomicU64,
    pub(super) of_delta: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) verified: AtomicU64,
}

impl Shared<'_> {
    /// Keep the first error.
    fn note(&self, e: InstallError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
    }

    /// Keep the first error, and make everybody stop.
    pub(super) fn fail(&self, e: InstallError) {
        self.note(e);
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Bring the data of `content`, whose chunk lists these are, into the slot.
///
/// `progress` is called with the number of bytes of the slot that were done with since the last call.
///
/// # Errors
/// See [`InstallError`]; the slot then doesn't look bootable, unless nothing of it had to be changed.
pub(super) fn run(
    content: &mut dyn Content,
    lists: &[Arc<ChunkList>; 2],
    slots: &Slots,
    base: Option<Slots>,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Stats, InstallError> {
    let volumes = volumes(content.release())?;
    let bytes = VolumeKind::ALL.map(|kind| volumes.get(kind).bytes);
    let largest = lists.iter().map(|l| l.chunk_bytes).max().unwrap_or(limits::CHUNK_MAX);
    let count = (POOL_BYTES / largest as usize).clamp(4, 8);
    // One more, because the chunk with the header is kept to the end.
    let encoded_pool = Pool::new(count + 1, limits::encoded_chunk(largest) as usize);
    // The checker holds one buffer while it compares; that one is its own.
    let shared = Shared {
        slots,
        base: base.map(FromBase::new),
        attempts: Attempts::default(),
        raw: Pool::new(count, largest as usize),
        marks: Marks::new(lists, bytes),
        failed: Mutex::new(None),
        stop: AtomicBool::new(false),
        skipped: AtomicU64::new(0),
        reused: AtomicU64::new(0),
        reused_bytes: AtomicU64::new(0),
        patched: AtomicU64::new(0),
        stale: AtomicU64::new(0),
        fetched: AtomicU64::new(0),
        of_delta: AtomicU64::new(0),
        written: AtomicU64::new(0),
        verified: AtomicU64::new(0),
    };
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = settings.workers.unwrap_or_else(cores).get().min(WORKERS);
    let flush_bytes = settings.flush_bytes;

    let header = thread::scope(|scope| {
        let (to_workers, jobs) = mpsc::sync_channel::<Job>(1);
        let (to_writer, writes) = mpsc::sync_channel::<Made>(1);
        let (to_checker, checks) = mpsc::sync_channel::<Vec<Written>>(2);
        let jobs = Arc::new(Mutex::new(jobs));
        let shared = &shared;
        for _ in 0..workers {
            let (jobs, to_writer) = (Arc::clone(&jobs), to_writer.clone());
            scope.spawn(move || work(shared, &jobs, &to_writer));
        }
        // Only the threads hold these now: if all of one kind are gone, the others find out.
        drop((jobs, to_writer));
        scope.spawn(move || write(shared, &writes, &to_checker, flush_bytes));
        scope.spawn(move || check(shared, &checks, largest as usize));
        let mut feed =
            Feed { lists, bytes, shared, encoded: encoded_pool, to_workers, header: None, progress };
        // What was brought before this failed is right, and still gets onto the card: it need not be brought again.
        if let Err(e) = content.feed(&mut feed) {
            shared.note(e);
        }
        // Dropping the sender ends one thread after the other, each when it has done all that came before.
        feed.header
    });
    if let Some(e) = shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(e);
    }
    write_header(&shared, header.ok_or(InstallError::Stopped)?)?;
    Ok(Stats {
        chunks: lists.iter().map(|l| l.chunks.len() as u64).sum(),
        skipped: shared.skipped.into_inner(),
        reused: shared.reused.into_inner(),
        patched: shared.patched.into_inner(),
        stale: shared.stale.into_inner(),
        reused_bytes: shared.reused_bytes.into_inner(),
        fetched_bytes: shared.fetched.into_inner(),
        delta_bytes: shared.of_delta.into_inner(),
        written_bytes: shared.written.into_inner(),
        verified_bytes: shared.verified.into_inner(),
    })
}

/// Skip what is right already, decompress the rest.
fn work(shared: &Shared<'_>, jobs: &Mutex<mpsc::Receiver<Job>>, to_writer: &mpsc::SyncSender<Made>) {
    let mut decompressor = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if shared.stopped() {
            continue;
        }
        match prepare(shared, job, &mut decompressor) {
            Ok(None) => {}
            Ok(Some(made)) => {
                if to_writer.send(made).is_err() {
                    return;
                }
            }
            Err(e) => shared.fail(e),
        }
    }
}

/// What the slot must hold; nothing when it holds it already.
fn prepare(
    shared: &Shared<'_>,
    job: Job,
    decompressor: &mut Option<zstd::bulk::Decompressor<'static>>,
) -> Result<Option<Made>, InstallError> {
    let Job { volume, index, at, digest, .. } = job;
    let raw = match (job.looked, job.payload) {
        (Looked::NotThere, Payload::Raw(raw)) => {
            shared.marks.set(volume, at, &raw);
            raw
        }
        (looked, payload) => {
            let mut raw = shared.raw.take(job.raw_bytes as usize);
            let place = Place { volume, index, at, digest };
            if looked == Looked::No && is_right(shared, place, &mut raw)? {
                return Ok(None);
            }
            if !make(shared, place, &payload, &mut raw, decompressor)? {
                return match job.ticket {
                    Some(ticket) => {
                        shared.stale.fetch_add(1, Ordering::Relaxed);
                        ticket.stale();
                        Ok(None)
                    }
                    None => Err(BundleError::Content { volume, index }.into()),
                };
            }
            raw
        }
    };
    Ok(Some(Made { volume, index, at, digest, raw }))
}

/// Where a chunk belongs, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) volume: VolumeKind,
    pub(super) index: usize,
    pub(super) at: u64,
    pub(super) digest: Digest,
}

/// Whether the slot holds a chunk already. `raw` is as long as it, and holds it then.
pub(super) fn is_right(shared: &Shared<'_>, place: Place, raw: &mut [u8]) -> Result<bool, InstallError> {
    // A place that can't be read isn't right yet; writing it may mend it, and reading back will tell.
    let readable = match shared.slots.get(place.volume).read(place.at, raw) {
        Err(fault) if fault.stopping().is_some() => return Err(fault.into()),
        result => result.is_ok(),
    };
    if !readable || Digest::of(raw) != place.digest {
        return Ok(false);
    }
    shared.skipped.fetch_add(1, Ordering::Relaxed);
    shared.verified.fetch_add(raw.len() as u64, Ordering::Relaxed);
    shared.marks.set(place.volume, place.at, raw);
    Ok(true)
}

/// Fill `raw` with what the slot must hold, and check that. Where the encoded bytes were verified, this is not for trust but
/// for blame: what differs after it was the card. Where they lean on the running slot, it is for trust.
///
/// Gives whether it is right.
pub(super) fn make(
    shared: &Shared<'_>,
    place: Place,
    payload: &Payload,
    raw: &mut [u8],
    decompressor: &mut Option<zstd::bulk::Decompressor<'static>>,
) -> Result<bool, InstallError> {
    let filled = match payload {
        Payload::Zero => {
            raw.fill(0);
            true
        }
        Payload::Raw(bytes) if bytes.len() == raw.len() => {
            raw.copy_from_slice(bytes);
            true
        }
        Payload::Raw(_) => false,
        Payload::Zstd(encoded) => {
            let decompressor = match decompressor {
                Some(d) => d,
                none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| InstallError::Stopped)?),
            };
            // Bounded by the buffer: a frame that would give more is an error, not a larger buffer.
            decompressor.decompress_to_buffer(encoded, raw).ok() == Some(raw.len())
        }
        Payload::Copy(range) => match &shared.base {
            Some(base) => base.copy(place.volume, *range, raw)?,
            None => false,
        },
        Payload::Patch(frame, prefix) => match &shared.base {
            Some(base) => base.decode(place.volume, frame, prefix, raw)?,
            None => false,
        },
    };
    if !filled || Digest::of(raw) != place.digest {
        return Ok(false);
    }
    match payload {
        Payload::Copy(_) => {
            shared.reused.fetch_add(1, Ordering::Relaxed);
            shared.reused_bytes.fetch_add(raw.len() as u64, Ordering::Relaxed);
        }
        Payload::Patch(..) => {
            shared.patched.fetch_add(1, Ordering::Relaxed);
        }
        Payload::Zero | Payload::Zstd(_) | Payload::Raw(_) => {}
    }
    shared.marks.set(place.volume, place.at, raw);
    Ok(true)
}

/// Write in the order of arrival, flush every `flush_bytes`, hand what is durable to the checker.
fn write(
    shared: &Shared<'_>,
    writes: &mpsc::Receiver<Made>,
    to_checker: &mpsc::SyncSender<Vec<Written>>,
    flush_bytes: u64,
) {
    let mut unflushed: Vec<Written> = Vec::new();
    let mut bytes = 0;
    let mut erased = false;
    for made in writes {
        if shared.stopped() {
            continue;
        }
        let done = (|| {
            if !erased {
                erase_header(shared.slots)?;
                erased = true;
            }
            shared.slots.get(made.volume).write(made.at, &made.raw)
        })();
        if let Err(e) = done {
            shared.fail(e.into());
            continue;
        }
        let Made { volume, index, at, digest, raw } = made;
        let raw_bytes = raw.len();
        drop(raw);
        shared.written.fetch_add(raw_bytes as u64, Ordering::Relaxed);
        bytes += raw_bytes as u64;
        unflushed.push(Written { volume, index, at, raw_bytes, digest });
        if bytes >= flush_bytes {
            if !hand_over(shared, &mut unflushed, to_checker) {
                continue;
            }
            bytes = 0;
        }
    }
    if !shared.stopped() {
        hand_over(shared, &mut unflushed, to_checker);
    }
}

fn hand_over(
    shared: &Shared<'_>,
    unflushed: &mut Vec<Written>,
    to_checker: &mpsc::SyncSender<Vec<Written>>,
) -> bool {
    for kind in VolumeKind::ALL {
        if unflushed.iter().any(|w| w.volume == kind)
            && let Err(e) = shared.slots.get(kind).flush()
        {
            shared.fail(e.into());
            return false;
        }
    }
    to_checker.send(std::mem::take(unflushed)).is_ok()
}

/// Read back what is durable, and compare.
fn check(shared: &Shared<'_>, checks: &mpsc::Receiver<Vec<Written>>, largest: usize) {
    let mut buffer = Buffer::new(largest);
    for written in checks {
        for w in written {
            if shared.stopped() {
                break;
            }
            buffer.resize(w.raw_bytes);
            if let Err(e) = read_back(shared, &w, &mut buffer) {
                shared.fail(e);
            }
        }
    }
}

fn read_back(shared: &Shared<'_>, w: &Written, buffer: &mut [u8]) -> Result<(), InstallError> {
    shared.slots.get(w.volume).read(w.at, buffer)?;
    if Digest::of(buffer) != w.digest {
        return Err(InstallError::ReadBack { volume: w.volume, index: w.index });
    }
    shared.verified.fetch_add(buffer.len() as u64, Ordering::Relaxed);
    Ok(())
}
