//! Reproducible dice (SplitMix64: Steele, Lea and Flood, 2014): the same rolls from the same seed on every machine.

/// Dice, by the seed.
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`, which isn't 0.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    /// One of these, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap_or_default()]
    }

    /// At least 0 and less than 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_spread_and_repeat_with_the_seed() {
        let draw = |seed| {
            let mut dice = Dice(seed);
            (0..1000).map(|_| dice.fraction()).collect::<Vec<_>>()
        };
        let first = draw(1);
        assert_eq!(first, draw(1));
        assert_ne!(first, draw(2));
        assert!(first.iter().all(|f| (0.0..1.0).contains(f)));
        for part in 0..10 {
            let low = f64::from(part) / 10.0;
            let hits = first.iter().filter(|f| (low..low + 0.1).contains(f)).count();
            assert!((60..140).contains(&hits), "{hits} of 1000 from {low}");
        }
    }
}
