//! What a broken card does without a power cut, and a program that is killed.
use bistable::ports::Fault;
use bistable_boot::layout::Partition;
use std::{io, ops::Range};

/// What comes of one write or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The card says that it failed, and nothing was done.
    Eio,
    /// It fails after that many bytes.
    Short(usize),
    /// The card says that it worked, and nothing was done.
    Dropped,
    /// It worked, at another place of the card.
    Misplaced(u64),
    /// It worked, but for this bit.
    Flipped(usize),
    /// The program is killed right before.
    Kill,
}

/// Where trouble comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this write or flush, counted from 1.
    Access(u64),
    /// At this write or flush and all that follow.
    From(u64),
    /// At the flush of a partition that the n-th time has something to make durable.
    Flush(Partition, u64),
    /// When this place is read, for the n-th time.
    Read(Partition, u64, u64),
    /// Always: a range of addresses is in truth an earlier one. A card that has less memory than it says.
    Wrapped {
        /// First byte that isn't there.
        from: u64,
        /// Where the range ends.
        until: u64,
        /// The byte that is used instead of the first one.
        to: u64,
    },
}

/// One planned trouble.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// Where it comes.
    pub when: When,
    /// What it is.
    pub what: Harm,
    /// Whether it came.
    pub came: bool,
}

impl Trouble {
    /// Trouble to come.
    pub fn new(when: When, what: Harm) -> Trouble {
        Trouble { when, what, came: false }
    }

    pub(super) fn access(&mut self, now: u64) -> Option<Harm> {
        let comes = match self.when {
            When::Access(at) => at == now,
            When::From(at) => at <= now,
            When::Flush(..) | When::Read(..) | When::Wrapped { .. } => false,
        };
        self.came |= comes;
        comes.then_some(self.what)
    }

    pub(super) fn flush(&mut self, partition: Partition, times: u64) -> Option<Harm> {
        let comes = self.when == When::Flush(partition, times);
        self.came |= comes;
        comes.then_some(self.what)
    }

    pub(super) fn read(&mut self, partition: Partition, at: u64, times: u64) -> bool {
        let comes = self.when == When::Read(partition, at, times);
        self.came |= comes;
        comes
    }

    /// Where the bytes of an access really are: runs of them, each with its first byte on the card.
    pub(super) fn runs(&mut self, place: u64, len: usize) -> Vec<(u64, Range<usize>)> {
        let end = place + len as u64;
        match self.when {
            When::Wrapped { from, until, to } if place < until && end > from => {
                self.came = true;
                let (mut runs, mut at) = (Vec::new(), place);
                while at < end {
                    // What isn't there is what is, over and over.
                    let (real, next) = if (from..until).contains(&at) {
                        let behind = (at - from) % (from - to);
                        (to + behind, (at + from - to - behind).min(until))
                    } else if at < from {
                        (at, from)
                    } else {
                        (at, end)
                    };
                    let next = next.min(end);
                    let index = |byte: u64| usize::try_from(byte - place).unwrap_or(len);
                    runs.push((real, index(at)..index(next)));
                    at = next;
                }
                runs
            }
            _ => vec![(place, 0..len)],
        }
    }
}

/// The fault of a card that fails.
pub(super) fn eio(doing: &str, partition: Partition) -> Fault {
    Fault::io(format!("{doing} partition {}", partition.name()))(io::Error::from_raw_os_error(5))
}
