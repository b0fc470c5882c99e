//! What sits between the agent and its ports when a protocol is to be wrong.
use super::{mutant::Mutant, pack::CHUNK_BYTES};
use bistable::ports::{BootControl, Fault, Flag, Partitions, Support, Volume};
use bistable_boot::{
    Blocks, COPY_BYTES, Evidence, Formats, Journal, Lba, OutOfRange, Record, SECTOR, Saved, Slot, Tries,
    copy_in_format,
    layout::{BOOT_BLOCK, HEADER_BYTES, JOURNAL, Partition},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

impl Mutant {
    pub(super) fn boot(self, boot: Box<dyn BootControl>) -> Box<dyn BootControl> {
        if self == Mutant::TriedForGood { Box::new(ForGood(boot)) } else { boot }
    }
}

/// The flag, always set for good.
pub(super) struct ForGood(pub(super) Box<dyn BootControl>);

impl BootControl for ForGood {
    fn booted(&self) -> Slot {
        self.0.booted()
    }
    fn support(&mut self) -> Result<Support, Fault> {
        self.0.support()
    }
    fn read(&mut self) -> Result<Flag, Fault> {
        self.0.read()
    }
    fn try_once(&mut self, slot: Slot) -> Result<(), Fault> {
        self.0.make_default(slot)
    }
    fn make_default(&mut self, slot: Slot) -> Result<(), Fault> {
        self.0.make_default(slot)
    }
    fn overwrite(&mut self, slot: Slot) -> Result<(), Fault> {
        self.0.overwrite(slot)
    }
    fn forget(&mut self, slot: Slot) -> Result<(), Fault> {
        self.0.forget(slot)
    }
    fn counter(&mut self) -> Result<u32, Fault> {
        self.0.counter()
    }
    fn evidence(&mut self, slot: Slot, counter: u32) -> Result<Evidence, Fault> {
        self.0.evidence(slot, counter)
    }
}

/// What a mutant pretends was written: by partition and first byte. Lives as long as the machine has power.
#[derive(Clone, Debug, Default)]
pub struct DeferredWrites(Arc<Mutex<Writes>>);

type Writes = HashMap<(Partition, u64), Vec<u8>>;

impl DeferredWrites {
    fn with<T>(&self, f: impl FnOnce(&mut Writes) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A machine starts: what was only pretended is done, or forgotten.
    pub(super) fn reboot(&self, mutant: Mutant, partitions: &mut dyn Partitions) {
        let held = self.with(std::mem::take);
        if mutant == Mutant::AttemptsAfterReboot {
            for ((partition, at), data) in held {
                if let Ok(volume) = partitions.open(partition) {
                    let _ = volume.write(at, &data).and_then(|()| volume.flush());
                }
            }
        }
    }
}

/// Partitions under a mutant.
#[allow(missing_debug_implementations, reason = "holds a trait object")]
pub struct Tampered {
    /// The honest ones.
    pub inner: Box<dyn Partitions>,
    /// How they are tampered with.
    pub mutant: Mutant,
    /// What is pretended.
    pub deferred: DeferredWrites,
    /// The formats of the agent that runs.
    pub agent: Formats,
    /// Whether this process has written to the journal.
    pub has_written: Arc<AtomicBool>,
}

impl Partitions for Tampered {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        let wrong = match (self.mutant, partition) {
            (Mutant::WrongSlot, Partition::Boot(slot)) => Partition::Boot(!slot),
            (Mutant::WrongSlot, Partition::System(slot)) => Partition::System(!slot),
            _ => partition,
        };
        let inner = self.inner.open(wrong)?;
        let (deferred, has_written) = (self.deferred.clone(), Arc::clone(&self.has_written));
        let (mutant, agent) = (self.mutant, self.agent);
        Ok(Arc::new(TamperedVolume { inner, partition, mutant, deferred, agent, has_written }))
    }
}

struct TamperedVolume {
    inner: Arc<dyn Volume>,
    partition: Partition,
    mutant: Mutant,
    deferred: DeferredWrites,
    agent: Formats,
    has_written: Arc<AtomicBool>,
}

impl TamperedVolume {
    fn pretend(&self, at: u64, data: &[u8]) {
        self.deferred.with(|p| p.insert((self.partition, at), data.to_vec()));
    }

    fn is_slot(&self) -> bool {
        matches!(self.partition, Partition::Boot(_) | Partition::System(_))
    }

    fn is_boot(&self) -> bool {
        matches!(self.partition, Partition::Boot(_))
    }

    /// Whether a write is that of the system volume's last, short chunk: in the scenario "by delta" that one is stale.
    fn is_stale(&self, at: u64, data: &[u8]) -> bool {
        matches!(self.partition, Partition::System(_)) && at > 0 && data.len() < CHUNK_BYTES
    }

    /// Where an access goes: for some mutants two copies are one.
    fn place(&self, at: u64) -> u64 {
        match self.mutant {
            Mutant::OneCopy => one_copy(self.partition, at, JOURNAL),
            Mutant::OneBootBlock => one_copy(self.partition, at, BOOT_BLOCK),
            _ => at,
        }
    }

    /// A journal copy, as the mutant would have it; `None` when it isn't written at all.
    fn saved(&self, copy: &[u8]) -> Option<Vec<u8>> {
        let Some(mut record) = decode(copy) else { return Some(copy.to_vec()) };
        match (self.mutant, &mut record.state) {
            (Mutant::AttemptsAfterReboot, Saved::Armed { tries: Tries { asked: Some(_), .. }, .. })
            | (Mutant::CommittingNotSaved, Saved::Committing { .. }) => return None,
            (Mutant::AttemptsForgotten, Saved::Armed { tries, .. }) => tries.attempts = 0,
            (Mutant::RequestsCounted, Saved::Armed { tries, .. }) if tries.asked.is_some() => {
                *tries = Tries::after(tries.attempts + 1);
                record.attempts = tries.attempts;
            }
            (Mutant::FloorEarly, Saved::Staged(target)) => {
                record.floors.security_version = target.security_version;
            }
            (Mutant::RejectionForgotten, _) => record.rejected.clear(),
            (Mutant::NewestFormat, _) => {
                return copy_in_format(&record, self.agent.newest()).map(|copy| copy.to_vec());
            }
            _ => return Some(copy.to_vec()),
        }
        encode(&record)
    }
}

impl Volume for TamperedVolume {
    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        let place = self.place(at);
        self.inner.read(place, into)?;
        if self.mutant == Mutant::ChecksumIgnored && is_copy(self.partition, at) && into.len() == COPY_BYTES {
            seal(into);
        }
        self.deferred.with(|p| {
            for ((_, start), data) in p.iter().filter(|((partition, _), _)| *partition == self.partition) {
                overlay(*start, data, at, into);
            }
        });
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        self.has_written.store(true, Ordering::SeqCst);
        let zeros = from.iter().all(|b| *b == 0);
        match self.mutant {
            Mutant::HeaderNotErased if self.is_boot() && at < HEADER_BYTES as u64 && zeros => {
                self.pretend(at, from);
                return Ok(());
            }
            Mutant::HeaderFirst if self.is_boot() && at > 0 && !zeros => {
                self.pretend(at, from);
                return Ok(());
            }
            Mutant::HeaderFirst if self.is_boot() && !zeros => {
                self.inner.write(at, from)?;
                self.inner.flush()?;
                let held = self.deferred.with(std::mem::take);
                for ((_, at), data) in held {
                    self.inner.write(at, &data)?;
                }
                return Ok(());
            }
            Mutant::PageCommit if self.partition == Partition::Bootconfig => {
                let page = at / COPY_BYTES as u64 * COPY_BYTES as u64;
                let mut around = vec![0; COPY_BYTES];
                self.inner.read(page, &mut around)?;
                overlay(at, from, page, &mut around);
                return self.inner.write(page, &around);
            }
            Mutant::FallbackNotReadBack if !self.is_stale(at, from) => {}
            Mutant::CachedReadBack | Mutant::FallbackNotReadBack if self.is_slot() => {
                self.inner.write(at, from)?;
                self.pretend(at, from);
                return Ok(());
            }
            _ => {}
        }
        // What was pretended there is no longer what was written last.
        if self.mutant == Mutant::HeaderNotErased {
            let end = at + from.len() as u64;
            self.deferred.with(|p| {
                p.retain(|(partition, start), _| {
                    *partition != self.partition || *start < at || *start >= end
                });
            });
        }
        if is_copy(self.partition, at) {
            // What is written now counts, whatever was pretended before.
            self.deferred.with(|p| p.remove(&(self.partition, at)));
            let Some(copy) = self.saved(from) else {
                self.pretend(at, from);
                return Ok(());
            };
            if copy != from {
                self.pretend(at, from);
            }
            return self.inner.write(self.place(at), &copy);
        }
        self.inner.write(self.place(at), from)
    }

    fn flush(&self) -> Result<(), Fault> {
        let lazy = match self.mutant {
            Mutant::JournalNotFlushed => self.partition == Partition::State,
            Mutant::StartNotFlushed => !self.has_written.load(Ordering::SeqCst),
            Mutant::FlagNotFlushed => self.partition == Partition::Bootconfig,
            Mutant::SystemNotFlushed => matches!(self.partition, Partition::System(_)),
            Mutant::BootNotFlushed => self.is_boot(),
            _ => false,
        };
        if lazy { Ok(()) } else { self.inner.flush() }
    }
}

fn is_copy(partition: Partition, at: u64) -> bool {
    partition == Partition::State && JOURNAL.iter().any(|j| j.0 * SECTOR as u64 == at)
}

fn one_copy(partition: Partition, at: u64, copies: [Lba; 2]) -> u64 {
    let [first, second] = copies.map(|lba| lba.0 * SECTOR as u64);
    if partition == Partition::State && at == second { first } else { at }
}

/// Put `data`, which lies at `start`, over a buffer that begins at `at`.
fn overlay(start: u64, data: &[u8], at: u64, into: &mut [u8]) {
    let (from, to) = (start.max(at), (start + data.len() as u64).min(at + into.len() as u64));
    if from >= to {
        return;
    }
    let place = |byte: u64, base: u64| usize::try_from(byte - base).unwrap_or(usize::MAX);
    into[place(from, at)..place(to, at)].copy_from_slice(&data[place(from, start)..place(to, start)]);
}

/// One journal copy where the first one belongs, and nothing else.
struct Alone([u8; COPY_BYTES]);

impl Blocks for Alone {
    type Error = OutOfRange;
    fn sectors(&self) -> u64 {
        JOURNAL[1].0 + (COPY_BYTES / SECTOR) as u64
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, into.len(), self.sectors())?;
        if at == JOURNAL[0] {
            into.copy_from_slice(&self.0);
        } else {
            into.fill(0);
        }
        Ok(())
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, from.len(), self.sectors())?;
        if at == JOURNAL[0] {
            self.0.copy_from_slice(from);
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), OutOfRange> {
        Ok(())
    }
}

/// The record in one journal copy.
pub(super) fn decode(copy: &[u8]) -> Option<Record> {
    let [first, _] = Journal::new(Alone(copy.try_into().ok()?)).with_formats(Formats::TOMORROW).copies();
    first.ok()?.ok()
}

/// One journal copy with that record.
fn encode(record: &Record) -> Option<Vec<u8>> {
    let mut journal = Journal::new(Alone([0; COPY_BYTES])).with_formats(Formats::TOMORROW);
    // The second copy isn't kept, so the save can't be whole; the first one is.
    let _ = journal.format(record);
    let copy = journal.into_inner().0;
    decode(&copy).map(|_| copy.to_vec())
}

/// Make the checksum match, whatever lies there.
fn seal(copy: &mut [u8]) {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let end = copy.len() - 4;
    let sum = CRC.checksum(&copy[..end]);
    copy[end..].copy_from_slice(&sum.to_le_bytes());
}
