//! The header: what makes a slot look bootable. Erased first, written last.
use super::{
    chunk::ChunkAddr,
    error::InstallError,
    job::Job,
    shared::{Shared, is_right, make},
    slots::Slots,
};
use crate::{
    aligned::Buffer,
    error::BundleError,
    ports::{Fault, Volume},
};
use bistable_boot::{SECTOR, layout::HEADER_BYTES};
use bistable_format::VolumeKind;
use std::sync::atomic::Ordering;

/// Bytes that are compared at once with what is in memory.
const READ_BYTES: usize = 64 << 10;

/// Invalidate a slot's boot header, durably and read back.
///
/// The first sector goes first, alone, and is durable before the others: without it nothing looks bootable, while a
/// power cut in a single write of all could leave it and take what belongs to it.
///
/// # Errors
/// When the card fails, or gives back something else than zeros.
pub fn erase_header(slots: &Slots) -> Result<(), Fault> {
    let mut there = Buffer::new(HEADER_BYTES);
    match slots.boot.read(0, &mut there) {
        // A sector that can't be read since its write was cut short can be written, and is fine then.
        Err(e) if e.stopping().is_none() => there.fill(0xFF),
        read => read?,
    }
    for range in [0..SECTOR, SECTOR..HEADER_BYTES] {
        let (at, part) = (range.start as u64, &mut there[range]);
        if part.iter().any(|b| *b != 0) {
            part.fill(0);
            slots.boot.write(at, part)?;
        }
        // In any case: the zeros may be those of a program that was killed before its flush.
        slots.boot.flush()?;
        if !holds(&*slots.boot, at, part)? {
            let text = "the slot's header was erased and reads back differently: the card is failing";
            return Err(Fault::Unfit(text.into()));
        }
    }
    Ok(())
}

/// Whether a volume holds these bytes, read in small pieces.
fn holds(volume: &dyn Volume, at: u64, want: &[u8]) -> Result<bool, Fault> {
    let mut buffer = Buffer::new(READ_BYTES.min(want.len()));
    for (piece, at) in want.chunks(READ_BYTES).zip((at..).step_by(READ_BYTES)) {
        buffer.resize(piece.len());
        volume.read(at, &mut buffer)?;
        if *buffer != *piece {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last writes of an installation: all of the boot volume's first chunk but its first sector, and, when everything
/// is on the card and was read back, that sector. From then on the slot looks bootable.
pub(super) fn write_header(shared: &Shared<'_>, job: Job) -> Result<(), InstallError> {
    let wanted = job.wanted;
    let ChunkAddr { volume, index } = wanted.addr;
    let mut raw = shared.raw.take(wanted.raw_bytes as usize);
    let right = is_right(shared, wanted, &mut raw)?;
    if !right && !make(shared, wanted, &job.payload, &mut raw, &mut None)? {
        return Err(BundleError::Content { volume, index }.into());
    }
    drop(job.payload);
    // What was found right may have been written by a program that was killed before its flush.
    for kind in VolumeKind::ALL {
        shared.slots.get(kind).flush()?;
    }
    if right && shared.written.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let boot = shared.slots.get(volume);
    let (first, rest) = raw.split_at(SECTOR.min(raw.len()));
    if right {
        return shared.marks.look(shared.slots);
    }
    erase_header(shared.slots)?;
    for (at, part) in [(first.len() as u64, rest), (0, first)] {
        if at == 0 {
            shared.marks.look(shared.slots)?;
        }
        boot.write(at, part)?;
        boot.flush()?;
        if !holds(boot, at, part)? {
            // What isn't complete must not look bootable. The card is failing, so it may not even do that.
            let _ = erase_header(shared.slots);
            return Err(InstallError::ReadBack { volume, index });
        }
    }
    shared.written.fetch_add(wanted.raw_bytes.into(), Ordering::Relaxed);
    shared.verified.fetch_add(wanted.raw_bytes.into(), Ordering::Relaxed);
    Ok(())
}
