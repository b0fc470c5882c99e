//! What the threads share, and what each does with a chunk: check whether it is there, and make it.
use super::{
    attempts::Attempts, buffer::Pool, chunk::Wanted, error::InstallError, job::Payload,
    misdirected_writes::Marks, patch::FromBase, slots::Slots,
};
use bistable_format::Digest;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

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
    pub(super) fn note(&self, e: InstallError) {
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

/// Whether the slot holds a chunk already. `raw` is as long as it, and holds it then.
pub(super) fn is_right(shared: &Shared<'_>, wanted: Wanted, raw: &mut [u8]) -> Result<bool, InstallError> {
    // A place that can't be read isn't right yet; writing it may mend it, and reading back will tell.
    let readable = match shared.slots.get(wanted.addr.volume).read(wanted.at, raw) {
        Err(fault) if fault.stopping().is_some() => return Err(fault.into()),
        result => result.is_ok(),
    };
    if !readable || Digest::of(raw) != wanted.digest {
        return Ok(false);
    }
    shared.skipped.fetch_add(1, Ordering::Relaxed);
    shared.verified.fetch_add(raw.len() as u64, Ordering::Relaxed);
    shared.marks.set(wanted.addr.volume, wanted.at, raw);
    Ok(true)
}

/// Fill `raw` with what the slot must hold, and check that. Where the encoded bytes were verified, this is not for trust but
/// for blame: what differs after it was the card. Where they lean on the running slot, it is for trust.
///
/// Gives whether it is right.
pub(super) fn make(
    shared: &Shared<'_>,
    wanted: Wanted,
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
            Some(base) => base.copy(wanted.addr.volume, *range, raw)?,
            None => false,
        },
        Payload::Patch(frame, prefix) => match &shared.base {
            Some(base) => base.decode(wanted.addr.volume, frame, prefix, raw)?,
            None => false,
        },
    };
    if !filled || Digest::of(raw) != wanted.digest {
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
    shared.marks.set(wanted.addr.volume, wanted.at, raw);
    Ok(true)
}
