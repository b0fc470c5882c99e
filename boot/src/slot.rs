//! A slot is a pair of volumes, `boot` and `system`, that boot together. There are two.
use core::{fmt, ops};
use serde::{Deserialize, Serialize};

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// The slot that a new card boots.
    A,
    /// The other one.
    B,
}

impl Slot {
    /// Both slots, in order.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The lower-case letter used in partition names.
    pub const fn letter(self) -> char {
        match self {
            Slot::A => 'a',
            Slot::B => 'b',
        }
    }
}

/// The other slot.
impl ops::Not for Slot {
    type Output = Slot;
    fn not(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Slot::A => "A",
            Slot::B => "B",
        })
    }
}

/// A pair of things, one for each slot, that can only be indexed by a [`Slot`]: they can't be mixed up by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BySlot<T> {
    /// Slot A's.
    pub a: T,
    /// Slot B's.
    pub b: T,
}

impl<T> BySlot<T> {
    /// Make the pair by asking for each slot's thing.
    pub fn new(mut of: impl FnMut(Slot) -> T) -> Self {
        BySlot { a: of(Slot::A), b: of(Slot::B) }
    }

    /// The same for both, transformed.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> BySlot<U> {
        BySlot { a: f(self.a), b: f(self.b) }
    }

    /// Each slot with its thing, A first.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        [(Slot::A, &self.a), (Slot::B, &self.b)].into_iter()
    }
}

impl<T> ops::Index<Slot> for BySlot<T> {
    type Output = T;
    fn index(&self, slot: Slot) -> &T {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }
}

impl<T> ops::IndexMut<Slot> for BySlot<T> {
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        match slot {
            Slot::A => &mut self.a,
            Slot::B => &mut self.b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_of_the_other_is_the_same() {
        for s in Slot::ALL {
            assert_ne!(!s, s);
            assert_eq!(!!s, s);
        }
    }

    #[test]
    fn a_pair_keeps_its_slots_apart() {
        let mut p = BySlot::new(Slot::letter);
        assert_eq!((p[Slot::A], p[Slot::B]), ('a', 'b'));
        p[Slot::B] = 'z';
        assert_eq!(p.map(|c| c.to_ascii_uppercase()), BySlot { a: 'A', b: 'Z' });
        assert!(p.iter().eq([(Slot::A, &'a'), (Slot::B, &'z')]));
    }
}
