//! What a power cut can leave of a card: every crash state of a log of writes and flushes.
//!
//! At each access of the log the power goes. What no flush has made durable may be there or not, in any combination;
//! the write in flight may have ended anywhere, in its sectors' order or against it, with its sector torn or lost, with
//! the page around it or a neighbor in the same erase group damaged.
use super::{
    card::{Op, Pending},
    image::{Image, PAGE},
};
use bistable_boot::{
    SECTOR,
    layout::{ALIGN, Partition},
};
use bistable_kit::product::noise;
use std::{collections::BTreeSet, fmt};

/// What became of bytes that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Erased.
    Zeros,
    /// Erased, on other memory.
    Ones,
    /// Programmed halfway.
    Noise,
    /// It can't be read until it is written again.
    Unreadable,
}

const FILLS: [Fill; 4] = [Fill::Zeros, Fill::Ones, Fill::Noise, Fill::Unreadable];

/// What became of the writes before the one in flight that no flush made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// All are there.
    Kept,
    /// None is.
    Lost,
    /// Those whose bits are set, the oldest first.
    Some(u64),
}

/// What became of the write in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flight {
    /// Nothing of it is there, or there is none.
    Nothing,
    /// It ended at that byte.
    Until(usize),
    /// Only what comes after that byte is there.
    After(usize),
    /// It ended at that sector, which was lost.
    Sector(usize, Fill),
    /// It ended in that page, which was lost whole.
    Page(usize, Fill),
    /// It is there, and a sector elsewhere in its erase group was lost, which begins at that byte of the card.
    Neighbor(u64, Fill),
}

/// One crash state.
#[derive(Clone, Debug)]
pub struct Crash {
    /// What is on the card.
    pub image: Image,
    /// How many entries of the log came before.
    pub at: usize,
    /// What became of the cache.
    pub cache: Cache,
    /// What became of the write in flight.
    pub flight: Flight,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "power cut at entry {}, cache {:?}, in flight {:?}", self.at, self.cache, self.flight)
    }
}

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Up to this many unflushed writes all subsets are tried; of more, as many as there are subsets of these.
    pub subset_bits: u32,
    /// Every byte of a sector as the end of a write, not only some.
    pub every_byte: bool,
    /// Sectors of a long write at which it ends.
    pub ends: usize,
    /// For a pair of cuts: of the write in flight only its middle, torn, and its last sector, erased.
    pub middle_only: bool,
    /// Unused neighbors to damage, beside all that hold something.
    pub neighbors: usize,
    /// For all that is drawn.
    pub seed: u64,
}

impl Depth {
    /// Everything, but for long writes and empty neighbors, of which some are drawn.
    pub const fn full(seed: u64) -> Depth {
        Depth { subset_bits: 10, every_byte: true, ends: 8, middle_only: false, neighbors: 4, seed }
    }

    /// Some of each kind.
    pub const fn medium(seed: u64) -> Depth {
        Depth { every_byte: false, ends: 6, neighbors: 0, ..Depth::full(seed) }
    }

    /// A few fates: for pairs of cuts, of which there are many.
    pub const fn coarse(seed: u64) -> Depth {
        Depth { subset_bits: 1, every_byte: false, ends: 2, middle_only: true, neighbors: 0, seed }
    }
}

/// Visit each crash state of a log that began with `start`, all of which was durable.
pub fn crashes(start: &Image, log: &[Op], depth: &Depth, visit: &mut dyn FnMut(Crash)) {
    let mut durable = start.clone();
    let mut pending: Vec<Pending> = Vec::new();
    for (at, op) in log.iter().enumerate() {
        if op.is_access() {
            let here = Here { at, durable: &durable, pending: &pending, depth };
            here.caches(visit);
            if let Op::Write { partition, at: place, data } = op {
                here.flights(*partition, *place, data, visit);
            }
        }
        match op {
            Op::Write { partition, at, data } => {
                pending.push(Pending { partition: *partition, at: *at, data: data.clone() });
            }
            Op::Flush(partition) => pending.retain(|p| {
                let ours = p.partition == *partition;
                if ours {
                    durable.write(p.at, &p.data);
                }
                !ours
            }),
            Op::Promised(_) | Op::Trial | Op::NewGoal | Op::Logged(..) => {}
        }
    }
    // And after all of it.
    Here { at: log.len(), durable: &durable, pending: &pending, depth }.caches(visit);
}

/// One place in the log.
struct Here<'a> {
    at: usize,
    durable: &'a Image,
    pending: &'a [Pending],
    depth: &'a Depth,
}

impl Here<'_> {
    fn with(&self, cache: Cache) -> Image {
        let mut image = self.durable.clone();
        for (i, p) in self.pending.iter().enumerate() {
            let kept = match cache {
                Cache::Kept => true,
                Cache::Lost => false,
                Cache::Some(which) => which >> (i % 64) & 1 == 1,
            };
            if kept {
                image.write(p.at, &p.data);
            }
        }
        image
    }

    /// Every subset of what was not durable.
    fn caches(&self, visit: &mut dyn FnMut(Crash)) {
        let n = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let mut go =
            |cache| visit(Crash { image: self.with(cache), at: self.at, cache, flight: Flight::Nothing });
        go(Cache::Lost);
        if n > 0 {
            go(Cache::Kept);
        }
        if self.depth.middle_only {
            return;
        }
        if n <= self.depth.subset_bits {
            (1..(1u64 << n).saturating_sub(1)).for_each(|which| go(Cache::Some(which)));
        } else {
            let drawn = noise(self.depth.seed ^ self.at as u64, 8 << self.depth.subset_bits);
            for which in drawn.chunks_exact(8) {
                go(Cache::Some(which.iter().fold(0, |n, b| n << 8 | u64::from(*b))));
            }
        }
    }

    /// Every end of the write in flight, with all and with nothing of the cache.
    fn flights(&self, partition: Partition, place: u64, data: &[u8], visit: &mut dyn FnMut(Crash)) {
        let caches: &[Cache] =
            if self.pending.is_empty() { &[Cache::Lost] } else { &[Cache::Lost, Cache::Kept] };
        let flights = self.ways(partition, place, data);
        for cache in caches {
            let before = self.with(*cache);
            for flight in &flights {
                let mut image = before.clone();
                self.land(&mut image, place, data, *flight);
                visit(Crash { image, at: self.at, cache: *cache, flight: *flight });
            }
        }
    }

    fn ways(&self, partition: Partition, place: u64, data: &[u8]) -> Vec<Flight> {
        let sectors = data.len() / SECTOR;
        if self.depth.middle_only {
            return vec![Flight::Until(data.len() / 2), Flight::Sector(sectors - 1, Fill::Ones)];
        }
        let mut ways = vec![Flight::Until(data.len())];
        // Where it ends: at each sector of a short write, at some of a long one.
        let ends: BTreeSet<usize> = if sectors <= 8 && self.depth.every_byte {
            (0..sectors).collect()
        } else {
            let drawn = noise(self.depth.seed ^ place, 8 * self.depth.ends);
            let drawn =
                drawn.chunks_exact(8).map(|c| usize::from(u16::from_le_bytes([c[0], c[1]])) % sectors);
            drawn.chain([0, sectors - 1]).collect()
        };
        for sector in &ends {
            let at = sector * SECTOR;
            if *sector > 0 {
                ways.extend([Flight::Until(at), Flight::After(at)]);
            }
            ways.extend(FILLS.map(|fill| Flight::Sector(*sector, fill)));
            ways.extend(FILLS.map(|fill| Flight::Page(*sector, fill)));
        }
        // Every byte of each sector of a short write: journal, flag, header. Of a long one, which is data that is hashed
        // as a whole, some bytes of one sector. Events are lines with a checksum, and most of their block is blank.
        let (torn, step) = match partition {
            Partition::Persistent => (2.min(sectors), 32),
            _ if sectors <= 8 => (sectors, 1),
            _ => (1, 16),
        };
        for sector in ends.iter().take(torn) {
            let step = if self.depth.every_byte { step } else { 171 };
            for byte in (1..SECTOR).step_by(step) {
                ways.extend([Flight::Until(sector * SECTOR + byte), Flight::After(sector * SECTOR + byte)]);
            }
        }
        self.neighbors(place, data.len() as u64, &mut ways);
        ways
    }

    fn neighbors(&self, place: u64, bytes: u64, ways: &mut Vec<Flight>) {
        if self.depth.neighbors == 0 {
            return;
        }
        let group = place / ALIGN * ALIGN;
        let outside = |s: &u64| *s < place || *s >= place + bytes;
        let used = self.durable.used_sectors(group, group + ALIGN);
        for sector in used.into_iter().filter(outside) {
            ways.extend(FILLS.map(|fill| Flight::Neighbor(sector, fill)));
        }
        let drawn = noise(self.depth.seed ^ place ^ 1, 8 * self.depth.neighbors);
        for d in drawn.chunks_exact(8) {
            let sector =
                group + u64::from(u16::from_le_bytes([d[0], d[1]])) % (ALIGN / SECTOR as u64) * SECTOR as u64;
            if outside(&sector) {
                ways.push(Flight::Neighbor(sector, Fill::Noise));
            }
        }
    }

    fn land(&self, image: &mut Image, place: u64, data: &[u8], flight: Flight) {
        let seed = self.depth.seed;
        let lose = |image: &mut Image, fill: Fill, at: u64, len: usize| match fill {
            Fill::Zeros => image.write(at, &vec![0; len]),
            Fill::Ones => image.write(at, &vec![0xFF; len]),
            Fill::Noise => image.write(at, &noise(seed ^ at, len)),
            Fill::Unreadable => (at..at + len as u64).step_by(SECTOR).for_each(|at| image.spoil(at)),
        };
        match flight {
            Flight::Nothing => {}
            Flight::Until(byte) => image.write(place, &data[..byte]),
            Flight::After(byte) => image.write(place + byte as u64, &data[byte..]),
            Flight::Sector(sector, fill) => {
                let at = sector * SECTOR;
                image.write(place, &data[..at]);
                lose(image, fill, place + at as u64, SECTOR);
            }
            Flight::Page(sector, fill) => {
                let at = sector * SECTOR;
                image.write(place, &data[..at]);
                let page = (place + at as u64) / PAGE as u64 * PAGE as u64;
                lose(image, fill, page, PAGE);
            }
            Flight::Neighbor(at, fill) => {
                image.write(place, data);
                lose(image, fill, at, SECTOR);
            }
        }
    }
}
