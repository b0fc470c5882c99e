//! What was written to the card, and whether it had to be: each write by its kind, and the rules that hold for it.
use super::trace;
use crate::prove::places::Places;
use anyhow::{Result, bail};
use bistable_boot::{
    Lba, SECTOR, Slot,
    layout::{FLOORS, HEADER_BYTES, JOURNAL, METADATA_BYTES, Partition, RELEASE, ROOT},
};
use bistable_kit::disk_log::{Entry, What};
use std::{collections::BTreeMap, fmt};

/// Bytes in a journal copy, and in the smallest unit that a card programs.
const PAGE: u64 = 4096;

/// What a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A state was saved.
    Journal,
    /// A signed release was stored.
    Release,
    /// A copy of the root was repaired.
    Root,
    /// A copy of the floors, because one changed.
    Floors,
    /// The boot flag.
    Flag,
    /// The first sectors of a boot volume, or some of them, became zeros.
    Erased,
    /// The first sector of a boot volume came back, perhaps with what follows.
    Header,
    /// All else in a slot.
    Data,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Journal => "journal",
            Kind::Release => "release",
            Kind::Root => "root",
            Kind::Floors => "floors",
            Kind::Flag => "boot flag",
            Kind::Erased => "header erased",
            Kind::Header => "header",
            Kind::Data => "slot data",
        })
    }
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub partition: Partition,
    /// First byte in the partition.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// Whether the very next thing on the disk was a flush.
    pub flushed: bool,
    /// Writes before it, of any partition, that no flush had made durable.
    pub pending: usize,
}

impl Write {
    /// Whether it begins and ends with a card's smallest unit, so that the card reads nothing to write it.
    pub fn is_aligned(&self) -> bool {
        self.at.is_multiple_of(PAGE) && self.bytes.is_multiple_of(PAGE)
    }
}

/// What one call of the program did to the card.
#[derive(Clone, Debug)]
pub struct Phase {
    /// The call, in words.
    pub name: String,
    /// What it wrote, in order.
    pub writes: Vec<Write>,
    /// How often it flushed.
    pub flushes: u64,
}

/// Writes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub writes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// How many began and ended with a card's smallest unit.
    pub aligned: u64,
    /// How many were flushed at once.
    pub flushed: u64,
}

impl Phase {
    /// Understand the entries of one call.
    ///
    /// # Errors
    /// When something was written where nothing may be.
    pub fn new(name: String, entries: &[Entry], places: &Places) -> Result<Phase> {
        let mut phase = Phase { name, writes: Vec::new(), flushes: 0 };
        let mut pending = 0;
        for (i, entry) in entries.iter().enumerate() {
            match &entry.what {
                What::Write { at, data, flush_before, durable } => {
                    let bytes = data.len() as u64;
                    let partition = trace::partition(places, *at, bytes)?;
                    let at = at - places.start(partition);
                    let next = entries.get(i + 1).map(|e| &e.what);
                    let flushed = *durable
                        || matches!(next, Some(What::Flush | What::Write { flush_before: true, .. }));
                    pending = if *flush_before { 0 } else { pending };
                    let kind = kind(partition, at, data)?;
                    phase.writes.push(Write { kind, partition, at, bytes, flushed, pending });
                    pending += usize::from(!durable);
                }
                What::Flush => {
                    phase.flushes += 1;
                    pending = 0;
                }
                What::Discard { .. } => bail!("{}: something was discarded", phase.name),
                What::Mark(_) => {}
            }
        }
        Ok(phase)
    }

    /// Its writes of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(move |w| w.kind == kind)
    }

    /// Its writes by kind and partition.
    pub fn sums(&self) -> BTreeMap<(Kind, &'static str), Sum> {
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for w in &self.writes {
            let sum = sums.entry((w.kind, w.partition.name())).or_default();
            sum.writes += 1;
            sum.bytes += w.bytes;
            sum.aligned += u64::from(w.is_aligned());
            sum.flushed += u64::from(w.flushed);
        }
        sums
    }

    /// The rules that it broke, in words.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for w in &self.writes {
            let mut must = |holds: bool, rule: &str| {
                if !holds {
                    let (name, place) = (w.partition.name(), w.at);
                    broken.push(format!(
                        "{}: {} of {} bytes at {place} of {name}: {rule}",
                        self.name, w.kind, w.bytes
                    ));
                }
            };
            let alone = w.pending == 0 && w.flushed;
            match w.kind {
                Kind::Flag => {
                    must(w.bytes == SECTOR as u64, "not exactly one sector");
                    must(alone, "not flushed before and right after");
                }
                Kind::Journal | Kind::Floors => {
                    must(w.bytes == PAGE && w.is_aligned(), "not exactly one copy");
                    must(alone, "not flushed before and right after");
                }
                Kind::Release | Kind::Root => must(w.flushed, "not flushed right after"),
                Kind::Erased | Kind::Header => must(alone, "not flushed before and right after"),
                Kind::Data => {}
            }
        }
        broken
    }
}

fn kind(partition: Partition, at: u64, data: &[u8]) -> Result<Kind> {
    let start = |place: &Lba| place.0 * SECTOR as u64;
    let end = at + data.len() as u64;
    let within = |place: &Lba, bytes: u64| at >= start(place) && end <= start(place) + bytes;
    let zeros = data.iter().all(|b| *b == 0);
    Ok(match partition {
        Partition::Bootconfig => Kind::Flag,
        Partition::State if JOURNAL.iter().any(|j| at < start(j) + PAGE && end > start(j)) => Kind::Journal,
        Partition::State if Slot::ALL.iter().any(|s| within(&RELEASE[*s], METADATA_BYTES as u64)) => {
            Kind::Release
        }
        Partition::State if ROOT.iter().any(|r| within(r, METADATA_BYTES as u64)) => Kind::Root,
        Partition::State if FLOORS.iter().any(|f| within(f, PAGE)) => Kind::Floors,
        Partition::Boot(_) if at < HEADER_BYTES as u64 && zeros => Kind::Erased,
        Partition::Boot(_) if at == 0 => Kind::Header,
        Partition::Boot(_) | Partition::System(_) => Kind::Data,
        Partition::State | Partition::Persistent => {
            bail!("{} bytes at {at} of {} were written, where nothing is ours", data.len(), partition.name())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::layout::STATE_BYTES;

    fn places() -> Places {
        let mut at = 0;
        Places::new(Partition::ALL.map(|_| {
            at += STATE_BYTES;
            (at, STATE_BYTES)
        }))
    }

    /// Partition, place in it and length of a write, or a flush.
    type Access = Option<(Partition, u64, usize)>;

    fn phase(entries: &[Access]) -> Result<Phase> {
        let entry = |e: &Access| Entry {
            what: match e {
                None => What::Flush,
                Some((partition, at, bytes)) => What::Write {
                    at: places().start(*partition) + at,
                    data: vec![1; *bytes].into(),
                    flush_before: false,
                    durable: false,
                },
            },
            end: 0,
        };
        Phase::new("a call".into(), &entries.iter().map(entry).collect::<Vec<_>>(), &places())
    }

    #[test]
    fn what_breaks_a_rule() {
        const FLAG: Partition = Partition::Bootconfig;
        const STATE: Partition = Partition::State;
        const BOOT: Partition = Partition::Boot(Slot::B);
        let table: [(&[Access], usize); 12] = [
            (&[Some((FLAG, 9 * 512, 512)), None, Some((STATE, 0, 4096)), None], 0),
            (&[Some((FLAG, 9 * 512, 512))], 1),
            (&[Some((FLAG, 8 * 512, 4096)), None], 1),
            (&[Some((STATE, 0, 4096)), Some((STATE, 4 << 20, 4096)), None], 2),
            (&[Some((STATE, 0, 8192)), None], 1),
            (&[Some((STATE, 512, 4096)), None], 1),
            (&[Some((BOOT, 8192, 4096)), Some((BOOT, 0, 8192)), None], 1),
            (&[Some((BOOT, 8192, 4096)), None, Some((BOOT, 0, 8192)), None], 0),
            (&[Some((STATE, 16 << 20, 1024)), Some((BOOT, 8192, 512)), None], 1),
            // The floors: a page, flushed before the other copy and the journal follow.
            (&[Some((STATE, 10 << 20, 4096)), None, Some((STATE, 14 << 20, 4096)), None], 0),
            (&[Some((STATE, 10 << 20, 4096)), Some((STATE, 0, 4096)), None], 2),
            (&[Some((STATE, 10 << 20, 512)), None], 1),
        ];
        for (entries, rules) in table {
            let broken = phase(entries).unwrap().broken();
            assert_eq!(broken.len(), rules, "{entries:?}: {broken:?}");
        }
        assert!(phase(&[Some((STATE, 1 << 20, 512))]).is_err());
        assert!(phase(&[Some((Partition::Persistent, 0, 512))]).is_err());
    }

    #[test]
    fn sums_by_kind_and_place() {
        let data = |at| Some((Partition::System(Slot::B), at, 8192));
        let phase = phase(&[data(0), data(512), None]).unwrap();
        let sum = Sum { writes: 2, bytes: 16384, aligned: 1, flushed: 1 };
        assert_eq!(phase.sums().into_iter().collect::<Vec<_>>(), [((Kind::Data, "system_b"), sum)]);
        assert_eq!(phase.flushes, 1);
    }
}
