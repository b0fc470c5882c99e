//! The simulated card: what is durable, and a cache that only a flush makes so. Stricter than hardware: a reboot does
//! not flush, and a flush of one partition is none of another.
use super::{
    faults::{Harm, Trouble, eio},
    image::Image,
    invariants::Watch,
    places::Places,
};
use bistable::ports::{Fault, Partitions, Stop, Volume};
use bistable_boot::{SECTOR, layout::Partition};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What happened to a card, in order.
#[derive(Clone, Debug)]
pub enum Op {
    /// Bytes were written; `at` counts from the card's start.
    Write {
        /// Whose flush makes it durable.
        partition: Partition,
        /// First byte on the card.
        at: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// What was written to a partition became durable.
    Flush(Partition),
    /// The device said that a release is the default now, by its version: from here on that must hold.
    Promised(semver::Version),
    /// A system was booted that isn't the default.
    Trial,
    /// The owner set a new goal: trials count again.
    NewGoal,
    /// The event log was told that this event is durable, by its number and its line: from here on it must be there.
    Logged(u64, Arc<[u8]>),
}

impl Op {
    /// Whether it is something that the card did.
    pub fn is_access(&self) -> bool {
        matches!(self, Op::Write { .. } | Op::Flush(_))
    }
}

/// A write that no flush has made durable.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Whose flush will.
    pub partition: Partition,
    /// First byte on the card.
    pub at: u64,
    /// What.
    pub data: Arc<[u8]>,
}

#[derive(Debug)]
struct Inner {
    durable: Image,
    /// What reads see.
    seen: Image,
    pending: Vec<Pending>,
    log: Vec<Op>,
    /// Writes and flushes so far.
    accesses: u64,
    /// How often each partition was flushed when something was to be made durable.
    flushes: HashMap<Partition, u64>,
    /// How often each place was read.
    reads: HashMap<(Partition, u64), u64>,
    trouble: Option<Trouble>,
    /// The program that used it was killed: nothing more reaches it until it is started again.
    dead: bool,
    watch: Watch,
}

/// A simulated card. Clones are the same card.
#[derive(Clone, Debug)]
pub struct Card {
    inner: Arc<Mutex<Inner>>,
    places: Arc<Places>,
}

impl Card {
    /// A card that holds `image`, all of it durable.
    pub fn new(image: &Image, places: &Arc<Places>, watch: Watch, trouble: Option<Trouble>) -> Card {
        let inner = Inner {
            durable: image.clone(),
            seen: image.clone(),
            pending: Vec::new(),
            log: Vec::new(),
            accesses: 0,
            flushes: HashMap::new(),
            reads: HashMap::new(),
            trouble,
            dead: false,
            watch,
        };
        Card { inner: Arc::new(Mutex::new(inner)), places: Arc::clone(places) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads see now.
    pub fn seen(&self) -> Image {
        self.lock().seen.clone()
    }

    /// What a power cut leaves if nothing of what is written and not flushed came through.
    pub fn durable(&self) -> Image {
        self.lock().durable.clone()
    }

    /// What happened so far; forgotten here.
    pub fn take_log(&self) -> Vec<Op> {
        std::mem::take(&mut self.lock().log)
    }

    /// How often each place was read so far.
    pub fn reads(&self) -> HashMap<(Partition, u64), u64> {
        self.lock().reads.clone()
    }

    /// Writes and flushes so far.
    pub fn accesses(&self) -> u64 {
        self.lock().accesses
    }

    /// Whether everything that was written is durable.
    pub fn is_durable(&self) -> bool {
        self.lock().pending.is_empty()
    }

    /// Whether the trouble that was planned came.
    pub fn was_in_trouble(&self) -> bool {
        self.lock().trouble.as_ref().is_some_and(|t| t.came)
    }

    /// From now on it works as it should.
    pub fn mend(&self) {
        self.lock().trouble = None;
    }

    /// Note something in the log.
    pub fn note(&self, op: Op) {
        self.lock().log.push(op);
    }

    /// The one who watches it.
    pub fn watch<T>(&self, f: impl FnOnce(&mut Watch) -> T) -> T {
        f(&mut self.lock().watch)
    }

    /// Something happens that is no write: may it?
    pub fn acts(&self, what: &str) {
        let mut card = self.lock();
        let card = &mut *card;
        card.watch.acts(&card.durable, &card.seen, what);
    }

    /// The program that was killed is started again.
    pub fn revive(&self) {
        self.lock().dead = false;
    }

    /// A partition, for the agent: logged, watched, troubled.
    pub fn volume(&self, partition: Partition) -> Arc<dyn Volume> {
        Arc::new(CardVolume { card: self.clone(), partition })
    }

    fn check(&self, partition: Partition, at: u64, len: usize) -> Result<u64, Fault> {
        let inside = at.checked_add(len as u64).is_some_and(|end| end <= self.places.bytes(partition));
        if !inside || !at.is_multiple_of(SECTOR as u64) || !len.is_multiple_of(SECTOR) {
            let text =
                format!("{len} bytes at {at} are not whole sectors within partition {}", partition.name());
            return Err(Fault::Unfit(text));
        }
        Ok(self.places.start(partition) + at)
    }
}

impl Inner {
    /// What the next write or flush comes to, if trouble was planned for it.
    fn harm(&mut self) -> Option<Harm> {
        self.accesses += 1;
        let now = self.accesses;
        self.trouble.as_mut().and_then(|t| t.access(now))
    }

    fn harm_at_flush(&mut self, partition: Partition) -> Option<Harm> {
        if !self.pending.iter().any(|p| p.partition == partition) {
            return None;
        }
        let times = self.flushes.entry(partition).or_default();
        *times += 1;
        let times = *times;
        self.trouble.as_mut().and_then(|t| t.flush(partition, times))
    }

    fn runs(&mut self, place: u64, len: usize) -> Vec<(u64, std::ops::Range<usize>)> {
        match &mut self.trouble {
            Some(trouble) => trouble.runs(place, len),
            None => vec![(place, 0..len)],
        }
    }

    fn put(&mut self, partition: Partition, at: u64, data: &[u8]) {
        let data: Arc<[u8]> = data.into();
        self.seen.write(at, &data);
        self.log.push(Op::Write { partition, at, data: Arc::clone(&data) });
        self.pending.push(Pending { partition, at, data });
    }

    fn settle(&mut self, partition: Partition) {
        let durable = &mut self.durable;
        self.pending.retain(|p| {
            let ours = p.partition == partition;
            if ours {
                durable.write(p.at, &p.data);
            }
            !ours
        });
        self.log.push(Op::Flush(partition));
    }

    fn kill(&mut self) -> Fault {
        self.dead = true;
        Fault::Stopping(Stop::PowerLost)
    }
}

/// The simulated card's partitions, for the agent.
impl Partitions for Card {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        Ok(self.volume(partition))
    }
}

struct CardVolume {
    card: Card,
    partition: Partition,
}

impl Volume for CardVolume {
    fn bytes(&self) -> u64 {
        self.card.places.bytes(self.partition)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        let place = self.card.check(self.partition, at, into.len())?;
        let mut card = self.card.lock();
        if card.dead {
            return Err(card.kill());
        }
        let times = card.reads.entry((self.partition, at)).or_default();
        *times += 1;
        let times = *times;
        if card.trouble.as_mut().is_some_and(|t| t.read(self.partition, at, times)) {
            return Err(eio("reading", self.partition));
        }
        for (at, range) in card.runs(place, into.len()) {
            if !card.seen.is_readable(at, range.len()) {
                return Err(eio("reading", self.partition));
            }
            card.seen.read(at, &mut into[range]);
        }
        Ok(())
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        let place = self.card.check(self.partition, at, from.len())?;
        let mut card = self.card.lock();
        if card.dead {
            return Err(card.kill());
        }
        let harm = card.harm();
        let card = &mut *card;
        let image = &card.seen;
        card.watch.acts_on(&card.durable, image, self.partition, at);
        card.watch.write(image, self.partition, at, from);
        match harm {
            None => {
                for (at, range) in card.runs(place, from.len()) {
                    card.put(self.partition, at, &from[range]);
                }
            }
            Some(Harm::Eio) => return Err(eio("writing", self.partition)),
            Some(Harm::Short(bytes)) => {
                card.put(self.partition, place, &from[..bytes.min(from.len())]);
                return Err(eio("writing", self.partition));
            }
            Some(Harm::Dropped) => {}
            Some(Harm::Misplaced(to)) => card.put(self.partition, to, from),
            Some(Harm::Flipped(bit)) => {
                let mut wrong = from.to_vec();
                let byte = bit / 8 % wrong.len();
                wrong[byte] ^= 1 << (bit % 8);
                card.put(self.partition, place, &wrong);
            }
            Some(Harm::Kill) => return Err(card.kill()),
        }
        let after = &card.seen;
        card.watch.wrote(after, self.partition);
        Ok(())
    }

    fn flush(&self) -> Result<(), Fault> {
        let mut card = self.card.lock();
        if card.dead {
            return Err(card.kill());
        }
        let harm = card.harm().or_else(|| card.harm_at_flush(self.partition));
        match harm {
            Some(Harm::Kill) => Err(card.kill()),
            Some(_) => Err(eio("flushing", self.partition)),
            None => {
                card.settle(self.partition);
                Ok(())
            }
        }
    }
}
