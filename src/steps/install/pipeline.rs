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
//! header is erased; it is written last, when all else was read back, and then read again once more: a later write may
//! have landed on what was right (see `misdirected_writes`).
use super::{
    attempts::Attempts,
    buffer::{Loan, Pool},
    chunk::{ChunkAddr, Wanted},
    content::{Content, Feed, volumes},
    error::InstallError,
    header::{erase_header, write_header},
    job::{Job, Payload, Searched},
    misdirected_writes::Marks,
    patch::FromBase,
    shared::{Shared, is_right, make},
    slots::Slots,
};
use crate::{aligned::Buffer, config::Settings, error::BundleError};
use bistable_format::{ChunkList, Digest, VolumeKind, limits};
use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

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

/// A chunk's raw bytes, to be written.
struct Made {
    wanted: Wanted,
    raw: Loan,
}

/// Bring the data of `content`, whose chunk lists these are, into the slot.
///
/// `progress` is called with the number of bytes of the slot that were done with since the last call. When it breaks, the
/// pipeline stops.
///
/// # Errors
/// See [`InstallError`]; the slot then doesn't look bootable, unless nothing of it had to be changed.
pub(super) fn run(
    content: &mut dyn Content,
    lists: &[Arc<ChunkList>; 2],
    slots: &Slots,
    base: Option<Slots>,
    settings: &Settings,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
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
        let (to_checker, checks) = mpsc::sync_channel::<Vec<Wanted>>(2);
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
    let wanted = job.wanted;
    let raw = match (job.searched, job.payload) {
        (Searched::NotThere, Payload::Raw(raw)) => {
            shared.marks.set(wanted.addr.volume, wanted.at, &raw);
            raw
        }
        (searched, payload) => {
            let mut raw = shared.raw.take(wanted.raw_bytes as usize);
            if searched == Searched::No && is_right(shared, wanted, &mut raw)? {
                return Ok(None);
            }
            if !make(shared, wanted, &payload, &mut raw, decompressor)? {
                return match job.ticket {
                    Some(ticket) => {
                        shared.stale.fetch_add(1, Ordering::Relaxed);
                        ticket.stale();
                        Ok(None)
                    }
                    None => {
                        let ChunkAddr { volume, index } = wanted.addr;
                        Err(BundleError::Content { volume, index }.into())
                    }
                };
            }
            raw
        }
    };
    Ok(Some(Made { wanted, raw }))
}

/// Write in the order of arrival, flush every `flush_bytes`, hand what is durable to the checker.
fn write(
    shared: &Shared<'_>,
    writes: &mpsc::Receiver<Made>,
    to_checker: &mpsc::SyncSender<Vec<Wanted>>,
    flush_bytes: u64,
) {
    let mut unflushed: Vec<Wanted> = Vec::new();
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
            shared.slots.get(made.wanted.addr.volume).write(made.wanted.at, &made.raw)
        })();
        if let Err(e) = done {
            shared.fail(e.into());
            continue;
        }
        let Made { wanted, raw } = made;
        drop(raw);
        shared.written.fetch_add(wanted.raw_bytes.into(), Ordering::Relaxed);
        bytes += u64::from(wanted.raw_bytes);
        unflushed.push(wanted);
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
    unflushed: &mut Vec<Wanted>,
    to_checker: &mpsc::SyncSender<Vec<Wanted>>,
) -> bool {
    for kind in VolumeKind::ALL {
        if unflushed.iter().any(|w| w.addr.volume == kind)
            && let Err(e) = shared.slots.get(kind).flush()
        {
            shared.fail(e.into());
            return false;
        }
    }
    to_checker.send(std::mem::take(unflushed)).is_ok()
}

/// Read back what is durable, and compare.
fn check(shared: &Shared<'_>, checks: &mpsc::Receiver<Vec<Wanted>>, largest: usize) {
    let mut buffer = Buffer::new(largest);
    for written in checks {
        for w in written {
            if shared.stopped() {
                break;
            }
            buffer.resize(w.raw_bytes as usize);
            if let Err(e) = read_back(shared, &w, &mut buffer) {
                shared.fail(e);
            }
        }
    }
}

fn read_back(shared: &Shared<'_>, w: &Wanted, buffer: &mut [u8]) -> Result<(), InstallError> {
    shared.slots.get(w.addr.volume).read(w.at, buffer)?;
    if Digest::of(buffer) != w.digest {
        return Err(InstallError::ReadBack { volume: w.addr.volume, index: w.addr.index });
    }
    shared.verified.fetch_add(buffer.len() as u64, Ordering::Relaxed);
    Ok(())
}
