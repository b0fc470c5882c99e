//! The card: what is on the medium, what reads show, and what a power cut makes of the difference.
use super::{
    memory::Memory,
    world::{Nature, Rel},
};
use bistable_boot::{BySlot, Slot};
use std::fmt;

/// What a slot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content {
    /// Whose header lies at its start, which makes it look bootable.
    pub header: Option<Rel>,
    /// Whose data is complete behind that.
    pub body: Option<Rel>,
}

impl Content {
    /// A complete image.
    pub fn complete(rel: Rel) -> Content {
        Content { header: Some(rel), body: Some(rel) }
    }

    /// The release that would run, if all of one is there.
    pub fn release(self) -> Option<Rel> {
        self.header.filter(|_| self.header == self.body)
    }

    /// Whether its kernel comes up.
    pub fn comes_up(self) -> bool {
        self.release().is_some_and(|rel| rel.nature() != Nature::Dead)
    }
}

/// The sector of the boot flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// It can be read.
    Says {
        /// What boots.
        default: Slot,
        /// What boots with the one-shot flag; the same, when the sector was torn between the two.
        tryboot: Slot,
    },
    /// It can't be.
    Lost,
}

impl Flag {
    /// Written whole.
    pub fn whole(default: Slot) -> Flag {
        Flag::Says { default, tryboot: !default }
    }

    /// The default slot, if it can be read.
    pub fn default_slot(self) -> Option<Slot> {
        match self {
            Flag::Says { default, .. } => Some(default),
            Flag::Lost => None,
        }
    }

    /// Torn between its two fields.
    pub fn is_torn(self) -> bool {
        matches!(self, Flag::Says { default, tryboot } if default == tryboot)
    }
}

/// One copy of the journal. The rank stands for the sequence number: 1 is the oldest there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    rank: u8,
    memory: Memory,
}

impl Copy {
    /// What it holds.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}

/// All that is on a card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// The journal: each copy valid or not.
    pub journal: [Option<Copy>; 2],
    /// The boot flag.
    pub flag: Flag,
    /// The slots.
    pub slots: BySlot<Content>,
    /// The signed release that each slot was written from, beside the journal.
    pub releases: BySlot<Option<Rel>>,
}

impl Card {
    /// `Journal::load`: the newest valid copy.
    pub fn load(&self) -> Option<&Memory> {
        self.journal.iter().flatten().max_by_key(|copy| copy.rank).map(|copy| &copy.memory)
    }

    /// The firmware's choice: what the flag names, or else the first slot that looks bootable.
    pub fn firmware(&self, once: bool) -> Option<Slot> {
        let wanted = match self.flag {
            Flag::Says { tryboot, .. } if once => Some(tryboot),
            flag => flag.default_slot(),
        };
        wanted.into_iter().chain(Slot::ALL).find(|slot| self.slots[*slot].header.is_some())
    }
}

/// One thing that is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A copy of the journal.
    Journal(usize),
    /// The boot flag.
    Flag,
    /// A slot's header. Its first sector decides, so it is there or it isn't.
    Header(Slot),
    /// A slot's data.
    Body(Slot),
    /// A slot's signed release.
    Release(Slot),
}

/// What a power cut makes of a write that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As if it had been flushed.
    Kept,
    /// As if it had never been written.
    Dropped,
    /// Half of it: a copy or data that isn't valid, a flag whose first field is new and whose second is old.
    Torn,
    /// The other half: a flag whose second field is new.
    TornBehind,
    /// The sector can't be read any more.
    Lost,
}

/// A card behind its cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Medium {
    /// What reads show.
    pub seen: Card,
    /// What a flush made safe.
    pub durable: Card,
}

impl Medium {
    /// A new device's.
    pub fn new(default: Slot) -> Medium {
        let copy = Some(Copy { rank: 1, memory: Memory::provision(default) });
        let mut slots = BySlot::default();
        slots[default] = Content::complete(Rel::FACTORY);
        let releases = BySlot::new(|slot| slots[slot].release());
        let card = Card { journal: [copy.clone(), copy], flag: Flag::whole(default), slots, releases };
        Medium { seen: card.clone(), durable: card }
    }

    /// Make all that was written safe.
    pub fn flush(&mut self) {
        self.durable = self.seen.clone();
    }

    /// `Journal::save` up to its flush: never over the newest valid copy.
    pub fn write_journal(&mut self, memory: Memory) {
        let rank = |copy: &Option<Copy>| copy.as_ref().map_or(0, |c| c.rank);
        let [first, second] = &self.seen.journal;
        let spare = usize::from(first.is_some() && rank(second) <= rank(first));
        let newest = rank(first).max(rank(second));
        self.seen.journal[spare] = Some(Copy { rank: newest + 1, memory });
        // Only the order counts: without the gaps, the numbers stay small.
        let mut copies: Vec<&mut Copy> =
            self.seen.journal.iter_mut().chain(&mut self.durable.journal).flatten().collect();
        let mut ranks: Vec<u8> = copies.iter().map(|c| c.rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        for copy in &mut copies {
            copy.rank = (1_u8..).zip(&ranks).find(|(_, rank)| **rank == copy.rank).map_or(0, |(n, _)| n);
        }
    }

    /// A sector of that copy can't be read any more.
    pub fn lose_journal(&mut self, copy: usize) {
        self.seen.journal[copy] = None;
        self.durable.journal[copy] = None;
    }

    /// The flag's sector can't be read any more.
    pub fn lose_flag(&mut self) {
        self.seen.flag = Flag::Lost;
        self.durable.flag = Flag::Lost;
    }

    /// Each combination of what a power cut may make of what isn't flushed.
    pub fn aftermaths(&self) -> Vec<Vec<(Item, Fate)>> {
        use Fate::{Dropped, Kept, Lost, Torn, TornBehind};
        let (seen, durable) = (&self.seen, &self.durable);
        let mut all = vec![vec![]];
        let mut add = |item, fates: &[Fate]| {
            all = std::mem::take(&mut all)
                .into_iter()
                .flat_map(|so_far| {
                    fates.iter().map(move |fate| [so_far.clone(), vec![(item, *fate)]].concat())
                })
                .collect();
        };
        for copy in 0..2 {
            if seen.journal[copy] != durable.journal[copy] {
                add(Item::Journal(copy), &[Kept, Dropped, Torn]);
            }
        }
        if seen.flag != durable.flag {
            match durable.flag {
                Flag::Lost => add(Item::Flag, &[Kept, Dropped]),
                Flag::Says { .. } => add(Item::Flag, &[Kept, Dropped, Torn, TornBehind, Lost]),
            }
        }
        for slot in Slot::ALL {
            if seen.slots[slot].header != durable.slots[slot].header {
                add(Item::Header(slot), &[Kept, Dropped]);
            }
            if seen.slots[slot].body != durable.slots[slot].body {
                add(Item::Body(slot), &[Kept, Dropped, Torn]);
            }
            if seen.releases[slot] != durable.releases[slot] {
                add(Item::Release(slot), &[Kept, Dropped, Torn]);
            }
        }
        all
    }

    /// The power goes: what was flushed stays, and of the rest what is said.
    pub fn cut(&mut self, fates: &[(Item, Fate)]) {
        let (seen, safe) = (&self.seen, &mut self.durable);
        for (item, fate) in fates {
            match (*item, *fate) {
                (_, Fate::Dropped) => {}
                (Item::Journal(copy), Fate::Kept) => safe.journal[copy].clone_from(&seen.journal[copy]),
                (Item::Journal(copy), _) => safe.journal[copy] = None,
                (Item::Flag, Fate::Kept) => safe.flag = seen.flag,
                (Item::Flag, fate) => safe.flag = mixed(safe.flag, seen.flag, fate),
                (Item::Header(slot), _) => safe.slots[slot].header = seen.slots[slot].header,
                (Item::Body(slot), Fate::Kept) => safe.slots[slot].body = seen.slots[slot].body,
                (Item::Body(slot), _) => safe.slots[slot].body = None,
                (Item::Release(slot), Fate::Kept) => safe.releases[slot] = seen.releases[slot],
                (Item::Release(slot), _) => safe.releases[slot] = None,
            }
        }
        self.seen = self.durable.clone();
    }
}

fn mixed(old: Flag, new: Flag, fate: Fate) -> Flag {
    let (Flag::Says { default: d0, tryboot: t0 }, Flag::Says { default: d1, tryboot: t1 }) = (old, new)
    else {
        return Flag::Lost;
    };
    match fate {
        Fate::Torn => Flag::Says { default: d1, tryboot: t0 },
        Fate::TornBehind => Flag::Says { default: d0, tryboot: t1 },
        _ => Flag::Lost,
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Journal(copy) => write!(f, "journal copy {}", copy + 1),
            Item::Flag => write!(f, "the flag"),
            Item::Header(slot) => write!(f, "slot {slot}'s header"),
            Item::Body(slot) => write!(f, "slot {slot}'s data"),
            Item::Release(slot) => write!(f, "slot {slot}'s signed release"),
        }
    }
}
