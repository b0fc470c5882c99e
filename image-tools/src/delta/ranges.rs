//! Which ranges of the base become a chunk's prefix, of all that may help. A pure function.
use bistable_format::chunklist::Range;
use std::cmp::Reverse;

/// The first gap that is closed to have fewer ranges.
const GAP: u64 = 4096;

/// Bytes of the base that may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) start: u64,
    pub(super) end: u64,
    /// How likely.
    pub(super) weight: u32,
}

impl Candidate {
    fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// How much a prefix may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) bytes: u64,
    pub(super) ranges: usize,
}

/// The heaviest candidates that fit, as ranges in the order of the base that don't touch. The result doesn't depend on the
/// order of the candidates.
pub(super) fn choose(mut candidates: Vec<Candidate>, most: Most) -> Vec<Range> {
    candidates.retain(|c| c.start < c.end);
    candidates.sort_unstable_by_key(|c| (Reverse(c.weight), c.start, c.end));
    // More candidates never take fewer bytes.
    let fits = |count: usize| {
        let first = candidates.get(..count).unwrap_or_default();
        total(&merged(first.to_vec(), 0)) <= most.bytes
    };
    let (mut fit, mut too_many) = (0, candidates.len() + 1);
    while fit + 1 < too_many {
        let middle = fit.midpoint(too_many);
        if fits(middle) { fit = middle } else { too_many = middle }
    }
    candidates.truncate(fit);
    let ranges = fewer(merged(candidates, 0), most);
    ranges
        .iter()
        .filter_map(|c| Some(Range { offset: c.start, bytes: u32::try_from(c.bytes()).ok()? }))
        .collect()
}

/// Join over growing gaps while there are too many; if that takes too many bytes, leave the shortest out.
fn fewer(mut ranges: Vec<Candidate>, most: Most) -> Vec<Candidate> {
    let mut gap = GAP;
    while ranges.len() > most.ranges {
        let joined = merged(ranges.clone(), gap);
        if total(&joined) > most.bytes {
            ranges.sort_unstable_by_key(|c| (Reverse(c.bytes()), c.start));
            ranges.truncate(most.ranges);
            ranges.sort_unstable_by_key(|c| c.start);
            break;
        }
        ranges = joined;
        gap *= 2;
    }
    ranges
}

/// In order, with those joined that overlap, touch, or lie no further apart than `gap`.
fn merged(mut all: Vec<Candidate>, gap: u64) -> Vec<Candidate> {
    all.sort_unstable_by_key(|c| (c.start, c.end));
    let mut ranges: Vec<Candidate> = Vec::new();
    for c in all {
        match ranges.last_mut() {
            Some(last) if c.start <= last.end.saturating_add(gap) => last.end = last.end.max(c.end),
            _ => ranges.push(c),
        }
    }
    ranges
}

fn total(ranges: &[Candidate]) -> u64 {
    ranges.iter().map(Candidate::bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(start: u64, bytes: u64, weight: u32) -> Candidate {
        Candidate { start, end: start + bytes, weight }
    }

    fn chosen(candidates: &[Candidate], bytes: u64, ranges: usize) -> Vec<(u64, u32)> {
        choose(candidates.to_vec(), Most { bytes, ranges }).iter().map(|r| (r.offset, r.bytes)).collect()
    }

    #[test]
    fn what_overlaps_or_touches_is_one_range() {
        let all = [candidate(100, 50, 1), candidate(0, 10, 1), candidate(10, 10, 9), candidate(120, 100, 1)];
        assert_eq!(chosen(&all, 1000, 64), [(0, 20), (100, 120)]);
        assert_eq!(chosen(&[candidate(5, 0, 1)], 1000, 64), []);
        assert_eq!(chosen(&[], 1000, 64), []);
    }

    #[test]
    fn the_lightest_is_left_out_first() {
        let all = [candidate(0, 100, 3), candidate(1000, 100, 1), candidate(2000, 100, 2)];
        assert_eq!(chosen(&all, 300, 64).len(), 3);
        assert_eq!(chosen(&all, 299, 64), [(0, 100), (2000, 100)]);
        assert_eq!(chosen(&all, 199, 64), [(0, 100)]);
        assert_eq!(chosen(&all, 99, 64), []);
    }

    #[test]
    fn too_many_are_joined_over_the_smallest_gaps_or_the_shortest_left_out() {
        let all = [candidate(0, 100, 1), candidate(1000, 100, 1), candidate(1 << 20, 100, 1)];
        assert_eq!(chosen(&all, 1 << 20, 2), [(0, 1100), (1 << 20, 100)]);
        assert_eq!(chosen(&all, 500, 2), [(0, 100), (1000, 100)]);
    }

    proptest! {
        #[test]
        fn limits_are_kept_whatever_the_order(
            all in prop::collection::vec((0..1u64 << 30, 1..200_000u64, 0..5u32), 0..200),
            bytes in 0..1u64 << 22,
            ranges in 1..70usize,
            turn in any::<prop::sample::Index>(),
        ) {
            let all: Vec<_> = all.into_iter().map(|(s, b, w)| candidate(s, b, w)).collect();
            let found = choose(all.clone(), Most { bytes, ranges });
            prop_assert!(found.len() <= ranges);
            prop_assert!(found.iter().map(|r| u64::from(r.bytes)).sum::<u64>() <= bytes);
            prop_assert!(found.windows(2).all(|w| w[0].offset + u64::from(w[0].bytes) < w[1].offset));
            let mut turned = all;
            if !turned.is_empty() {
                let at = turn.index(turned.len());
                turned.rotate_left(at);
            }
            prop_assert_eq!(choose(turned, Most { bytes, ranges }), found);
        }
    }
}
