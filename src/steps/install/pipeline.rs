//! The pipeline that brings a bundle's data into a slot: read → check → decompress → write → flush → read back.
//!
//! ```text
//! caller's thread          workers                        writer                      checker
//! read encoded bytes ──▶ right already? skip          write                       read back past the
//! hash them               decompress, bounded   ──▶   flush every few MiB  ──▶    cache, hash, compare
//! ```
//! The first chunk of the boot volume holds what makes the slot look bootable. Before anything else is written, that
//! header is erased; it is written last, when all else was read back, and then looked at once more: a later write may
//! have landed on what was right (see `marks`).
use super::{
    BundleError,
    buffer::{Buffer, Loan, Pool},
    bundle::Bundle,
    header::{erase_header, write_header},
    marks::Marks,
};
use crate::{
    config::Settings,
    ports::{Fault, Volume},
};
use bistable_format::{ChunkList, Digest, Encoding, Release, VolumeKind, limits};
use std::{
    io::Read,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Chunks of both volumes.
    pub chunks: u64,
    /// Of these, found right in the slot and not written.
    pub skipped: u64,
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
    pub(super) zero: bool,
    pub(super) encoded: Loan,
}

/// A chunk that was written.
struct Written {
    volume: VolumeKind,
    index: usize,
    at: u64,
    raw_bytes: u32,
    digest: Digest,
}

/// What the threads share.
pub(super) struct Shared<'a> {
    pub(super) slots: &'a Slots,
    pub(super) raw: Pool,
    pub(super) marks: Marks,
    pub(super) failed: Mutex<Option<InstallError>>,
    pub(super) stop: AtomicBool,
    pub(super) skipped: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) verified: AtomicU64,
}

impl Shared<'_> {
    /// Keep the first error, and make everybody stop.
    fn fail(&self, e: InstallError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Bring the data of `bundle`, whose head and chunk lists were read, into the slot.
///
/// `progress` is called with the number of bundle bytes that were read since the last call.
///
/// # Errors
/// See [`InstallError`]; the slot then doesn't look bootable, unless nothing of it had to be changed.
pub(super) fn run<R: Read>(
    bundle: &mut Bundle<R>,
    lists: &[ChunkList; 2],
    slots: &Slots,
    settings: &Settings,
    progress: &mut dyn FnMut(u64),
) -> Result<Stats, InstallError> {
    let release = bundle.release.clone();
    let largest = lists.iter().map(|l| l.chunk_bytes).max().unwrap_or(limits::CHUNK_MAX);
    let count = (POOL_BYTES / largest as usize).clamp(4, 8);
    // One more, because the chunk with the header is kept to the end.
    let encoded_pool = Pool::new(count + 1, limits::encoded_chunk(largest) as usize);
    // The checker holds one buffer while it compares; that one is its own.
    let shared = Shared {
        slots,
        raw: Pool::new(count, largest as usize),
        marks: Marks::new(lists, VolumeKind::ALL.map(|kind| release.volumes.get(kind).bytes)),
        failed: Mutex::new(None),
        stop: AtomicBool::new(false),
        skipped: AtomicU64::new(0),
        written: AtomicU64::new(0),
        verified: AtomicU64::new(0),
    };
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = settings.workers.unwrap_or_else(cores).get().min(WORKERS);
    let flush_bytes = settings.flush_bytes;

    let header = thread::scope(|scope| {
        let (to_workers, jobs) = mpsc::sync_channel::<Job>(1);
        let (to_writer, writes) = mpsc::sync_channel::<(Job, Loan)>(1);
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
        let fed = feed(bundle, &release, lists, &encoded_pool, shared, &to_workers, progress);
        // Dropping the senders ends one thread after the other, each when it has done all that came before.
        drop(to_workers);
        fed
    });
    if let Some(e) = shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(e);
    }
    let header = header?.ok_or(InstallError::Stopped)?;
    write_header(&shared, &header)?;
    Ok(Stats {
        chunks: lists.iter().map(|l| l.chunks.len() as u64).sum(),
        skipped: shared.skipped.into_inner(),
        written_bytes: shared.written.into_inner(),
        verified_bytes: shared.verified.into_inner(),
    })
}

/// Read the stream, hash each chunk's encoded bytes, pass it on; keep the one with the header.
fn feed<R: Read>(
    bundle: &mut Bundle<R>,
    release: &Release,
    lists: &[ChunkList; 2],
    pool: &Pool,
    shared: &Shared<'_>,
    to_workers: &mpsc::SyncSender<Job>,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Job>, InstallError> {
    let mut header = None;
    let result = (|| {
        for ((volume, v), list) in release.volumes.iter().zip(lists) {
            bundle.begin(volume)?;
            for (index, chunk) in list.chunks.iter().enumerate() {
                if shared.stopped() {
                    return Ok(());
                }
                let (digest, zero) = match &chunk.encoding {
                    Encoding::Zstd { digest, .. } => (digest, false),
                    Encoding::Zero { digest, .. } => (digest, true),
                    Encoding::Copy(_) | Encoding::Patch { .. } => return Err(BundleError::Delta),
                };
                let bytes = chunk.encoding.data_bytes();
                let mut encoded = pool.take(bytes as usize);
                let bundle_at = bundle.encoded(volume, &mut encoded)?;
                if Digest::of(&encoded) != *digest {
                    return Err(BundleError::Chunk { volume, index, at: bundle_at });
                }
                progress(bytes.into());
                let job = Job {
                    volume,
                    index,
                    at: index as u64 * u64::from(list.chunk_bytes),
                    raw_bytes: list.raw_bytes(index, v.bytes),
                    digest: chunk.digest,
                    zero,
                    encoded,
                };
                if volume == VolumeKind::Boot && index == 0 {
                    header = Some(job);
                } else if to_workers.send(job).is_err() {
                    return Ok(());
                }
            }
            bundle.finish(volume)?;
        }
        bundle.end()
    })();
    if let Err(e) = result {
        shared.fail(e.into());
    }
    Ok(header)
}

/// Skip what is right already, decompress the rest.
fn work(shared: &Shared<'_>, jobs: &Mutex<mpsc::Receiver<Job>>, to_writer: &mpsc::SyncSender<(Job, Loan)>) {
    let mut decompressor = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if shared.stopped() {
            continue;
        }
        let mut raw = shared.raw.take(job.raw_bytes as usize);
        match prepare(shared, &job, &mut raw, &mut decompressor) {
            Ok(true) => {}
            Ok(false) => {
                if to_writer.send((job, raw)).is_err() {
                    return;
                }
            }
            Err(e) => shared.fail(e),
        }
    }
}

/// Fill `raw` with what the slot must hold. `Ok(true)` when the slot holds it already.
pub(super) fn prepare(
    shared: &Shared<'_>,
    job: &Job,
    raw: &mut [u8],
    decompressor: &mut Option<zstd::bulk::Decompressor<'static>>,
) -> Result<bool, InstallError> {
    // A place that can't be read isn't right yet; writing it may mend it, and reading back will tell.
    let readable = match shared.slots.get(job.volume).read(job.at, raw) {
        Err(fault) if fault.stopping().is_some() => return Err(fault.into()),
        result => result.is_ok(),
    };
    if readable && Digest::of(raw) == job.digest {
        shared.skipped.fetch_add(1, Ordering::Relaxed);
        shared.verified.fetch_add(raw.len() as u64, Ordering::Relaxed);
        shared.marks.set(job.volume, job.at, raw);
        return Ok(true);
    }
    if job.zero {
        raw.fill(0);
        return made(shared, job, raw, raw.len());
    }
    let decompressor = match decompressor {
        Some(d) => d,
        none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| InstallError::Stopped)?),
    };
    // Bounded by the buffer: a frame that would give more is an error, not a larger buffer.
    let got = decompressor.decompress_to_buffer(&job.encoded, raw).map_err(|_| wrong(job))?;
    made(shared, job, raw, got)
}

/// Check what was made to be written: `got` bytes. Not for trust (the encoded bytes were verified) but for blame: what
/// differs after this was the card.
fn made(shared: &Shared<'_>, job: &Job, raw: &[u8], got: usize) -> Result<bool, InstallError> {
    if got != raw.len() || Digest::of(raw) != job.digest {
        return Err(wrong(job).into());
    }
    shared.marks.set(job.volume, job.at, raw);
    Ok(false)
}

fn wrong(job: &Job) -> BundleError {
    BundleError::Content { volume: job.volume, index: job.index }
}

/// Write in the order of arrival, flush every `flush_bytes`, hand what is durable to the checker.
fn write(
    shared: &Shared<'_>,
    writes: &mpsc::Receiver<(Job, Loan)>,
    to_checker: &mpsc::SyncSender<Vec<Written>>,
    flush_bytes: u64,
) {
    let mut unflushed: Vec<Written> = Vec::new();
    let mut bytes = 0;
    let mut erased = false;
    for (job, raw) in writes {
        if shared.stopped() {
            continue;
        }
        let done = (|| {
            if !erased {
                erase_header(shared.slots)?;
                erased = true;
            }
            shared.slots.get(job.volume).write(job.at, &raw)
        })();
        if let Err(e) = done {
            shared.fail(e.into());
            continue;
        }
        let Job { volume, index, at, raw_bytes, digest, encoded, .. } = job;
        drop((raw, encoded));
        shared.written.fetch_add(raw_bytes.into(), Ordering::Relaxed);
        bytes += u64::from(raw_bytes);
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
            buffer.resize(w.raw_bytes as usize);
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
