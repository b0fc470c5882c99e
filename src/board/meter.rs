//! Counts what is written to a card, and cuts the power where it was asked to.
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Where the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cut {
    /// In which write, counted from 1 from now on.
    pub write: u64,
    /// How many of its bytes still reach the card; half of them if nothing is said.
    pub byte: Option<u64>,
}

/// Counts writes, and cuts the power in one of them if asked: shared by all volumes of a card.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<MeterState>);

#[derive(Debug)]
struct MeterState {
    /// Write operations so far.
    writes: AtomicU64,
    /// The power goes at this write, counted from 1; 0 means never.
    cut_at: AtomicU64,
    /// Bytes of it that reach the card; [`HALF`] means half of them.
    cut_byte: AtomicU64,
    /// Bytes that were written.
    bytes: AtomicU64,
}

const HALF: u64 = u64::MAX;

impl Default for MeterState {
    fn default() -> Self {
        let zero = AtomicU64::default;
        MeterState { writes: zero(), cut_at: zero(), cut_byte: AtomicU64::new(HALF), bytes: zero() }
    }
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    /// The power goes when that many bytes of it are on the card.
    Torn(usize),
    /// The power was gone before.
    Lost,
}

impl Meter {
    /// The power will go there.
    pub fn cut_at(&self, cut: Cut) {
        // No write is that long: a larger number means the same, all of it.
        self.0.cut_byte.store(cut.byte.map_or(HALF, |byte| byte.min(HALF - 1)), Ordering::SeqCst);
        self.0.cut_at.store(self.writes().saturating_add(cut.write), Ordering::SeqCst);
    }

    /// Write operations so far.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Whether the power went.
    pub fn is_cut(&self) -> bool {
        let at = self.0.cut_at.load(Ordering::SeqCst);
        at != 0 && self.writes() >= at
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::SeqCst)
    }

    /// Count a write of that many bytes, and say what becomes of it.
    pub(super) fn count(&self, bytes: usize) -> Fate {
        let now = self.0.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.0.cut_at.load(Ordering::SeqCst);
        match at {
            0 => {}
            _ if now == at => {
                return Fate::Torn(match self.0.cut_byte.load(Ordering::SeqCst) {
                    HALF => bytes / 2,
                    byte => usize::try_from(byte).map_or(bytes, |byte| byte.min(bytes)),
                });
            }
            _ if now > at => return Fate::Lost,
            _ => {}
        }
        self.0.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        Fate::Whole
    }
}
