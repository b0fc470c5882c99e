//! Chunks that are made from the running slot: how many are under way, and which did not come out right.
//!
//! The running system may have been written to since it was installed. A chunk that is made from such a place comes out
//! wrong, which says nothing about the release: it is a *stale* chunk, and its full data are fetched instead. Workers
//! find that out long after the chunk was handed to them, so each gets a ticket.
use super::chunk::ChunkAddr;
use bistable_format::VolumeKind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// This many of the first chunks of a volume that are made from the base tell whether it is what the delta was made for.
const SAMPLE: u32 = 64;
/// One in this many may be stale; with more, the delta isn't worth its bytes.
const STALE_SHARE: u32 = 4;

/// All attempts of an installation. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    /// Chunks made from the base, for each volume.
    sampled: [u32; 2],
    under_way: u32,
    /// Stale ones among the first [`SAMPLE`] of each volume.
    stale_early: [u32; 2],
    /// Stale chunks that no worker has taken yet.
    stale: Vec<ChunkAddr>,
}

/// What a chunk is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// The running slot.
    Base,
    /// Nothing but itself.
    Nothing,
}

fn place(spot: ChunkAddr) -> usize {
    usize::from(spot.volume == VolumeKind::System)
}

/// One attempt; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    attempts: Attempts,
    /// Whether it is one of the first [`SAMPLE`].
    is_early: bool,
    spot: ChunkAddr,
}

impl Attempts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunk of a delta is about to be made. Only one that is made from the running slot says anything about that.
    pub(super) fn begin(&self, spot: ChunkAddr, needs: Needs) -> Ticket {
        let mut state = self.state();
        let sampled = &mut state.sampled[place(spot)];
        let is_early = needs == Needs::Base && *sampled < SAMPLE;
        *sampled += u32::from(is_early);
        state.under_way += 1;
        Ticket { attempts: self.clone(), is_early, spot }
    }

    /// Wait until none is under way, and take the stale chunks, in order.
    pub(super) fn settle(&self) -> Vec<ChunkAddr> {
        let mut state = self.state();
        while state.under_way > 0 {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut stale = std::mem::take(&mut state.stale);
        stale.sort_unstable();
        stale
    }

    /// Whether enough of the first chunks were stale that the others will be, too.
    pub(super) fn are_vain(&self) -> bool {
        self.state().stale_early.iter().any(|stale| *stale > SAMPLE / STALE_SHARE)
    }
}

impl Ticket {
    /// The chunk did not come out right.
    pub(super) fn stale(self) {
        let mut state = self.attempts.state();
        state.stale.push(self.spot);
        state.stale_early[place(self.spot)] += u32::from(self.is_early);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.attempts.state().under_way -= 1;
        self.attempts.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(index: usize) -> ChunkAddr {
        ChunkAddr { volume: VolumeKind::System, index }
    }

    #[test]
    fn stale_chunks_are_given_once_in_order_when_all_attempts_ended() {
        let attempts = Attempts::default();
        let tickets = [5, 1, 3].map(|index| attempts.begin(spot(index), Needs::Base));
        let other = attempts.clone();
        let waiting = std::thread::spawn(move || other.settle());
        let [five, one, three] = tickets;
        five.stale();
        one.stale();
        drop(three);
        assert_eq!(waiting.join().unwrap(), [spot(1), spot(5)]);
        assert!(attempts.settle().is_empty());
    }

    #[test]
    fn more_than_a_quarter_of_the_first_64_is_too_much_and_later_ones_do_not_count() {
        for (early, late, vain) in [(16, 100, false), (17, 0, true)] {
            let attempts = Attempts::default();
            for number in 0..64 + late {
                let ticket = attempts.begin(spot(number), Needs::Base);
                if number < early || number >= 64 {
                    ticket.stale();
                }
            }
            assert_eq!(attempts.are_vain(), vain, "{early} early, {late} late");
        }
    }

    #[test]
    fn each_volume_has_a_sample_of_its_own_and_chunks_that_need_no_base_are_not_in_it() {
        let attempts = Attempts::default();
        for index in 0..64 {
            drop(attempts.begin(ChunkAddr { volume: VolumeKind::Boot, index }, Needs::Base));
            attempts.begin(spot(index), Needs::Nothing).stale();
        }
        assert!(!attempts.are_vain());
        for index in 0..17 {
            attempts.begin(spot(index), Needs::Base).stale();
        }
        assert!(attempts.are_vain());
    }
}
