//! A file of the log: its name, and the entries in it.
use super::Entry;
use std::{fmt, str::FromStr};

/// What a power cut tears is a block at most. What is promised never lies in a block that is written again: see
/// [`padded`].
pub const BLOCK: usize = 4096;

/// Which files an event lies in: each class has its own limits, so that one can't push out the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What the device does.
    Operational,
    /// Who asked for what, and changes of the configuration.
    Audit,
}

impl Class {
    /// Both.
    pub const ALL: [Class; 2] = [Class::Operational, Class::Audit];

    /// The word in its files' names.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Operational => "events",
            Class::Audit => "audit",
        }
    }
}

/// The name of a segment: its class, and a number that none of its entries is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The class.
    pub class: Class,
    /// The number.
    pub first: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:020}.jsonl", self.class.name(), self.first)
    }
}

/// Not the name of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSegment;

impl FromStr for SegmentName {
    type Err = NoSegment;

    fn from_str(name: &str) -> Result<Self, NoSegment> {
        let (class, first) = name.strip_suffix(".jsonl").and_then(|n| n.split_once('-')).ok_or(NoSegment)?;
        let class = Class::ALL.into_iter().find(|c| c.name() == class).ok_or(NoSegment)?;
        let first = first.parse().map_err(|_| NoSegment)?;
        let segment = SegmentName { class, first };
        if segment.to_string() == name { Ok(segment) } else { Err(NoSegment) }
    }
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// Its entries: their numbers rise.
    pub entries: Vec<Entry>,
    /// Lines that are damaged, or whose number isn't above the one before.
    pub damaged: u64,
    /// Whether it ends in the middle of a line, or with a damaged one: a power cut in a write leaves that. Nothing may be
    /// appended to it.
    pub torn: bool,
}

impl Segment {
    /// Read a segment's bytes. A torn end isn't counted as damage.
    pub fn parse(bytes: &[u8]) -> Segment {
        let mut segment = Segment::default();
        // Lines behind the last entry: only the end of the file decides whether they are a torn end.
        let mut behind = 0;
        let mut lines = bytes.split(|b| *b == b'\n');
        let rest = lines.next_back().unwrap_or_default();
        for line in lines.filter(|line| !is_blank(line)) {
            let last = segment.entries.last().map(|entry| entry.seq);
            match Entry::read(line) {
                Some(entry) if last.is_none_or(|last| entry.seq > last) => {
                    segment.damaged += std::mem::take(&mut behind);
                    segment.entries.push(entry);
                }
                _ => behind += 1,
            }
        }
        segment.torn = behind > 0 || !is_blank(rest);
        // One write is torn at a time, and it may have had several lines: all that is behind the last whole one goes.
        segment
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| *b == b' ')
}

/// Lines as they are appended: the blanks at the end fill a block, so that no later write touches a block in which something
/// durable lies.
pub fn padded(mut lines: Vec<u8>) -> Vec<u8> {
    let rest = lines.len() % BLOCK;
    if rest > 0 && lines.pop() == Some(b'\n') {
        lines.resize(lines.len() + BLOCK - rest, b' ');
        lines.push(b'\n');
    }
    lines
}

/// A segment that nothing is appended to any more needs no blanks, and no damaged lines.
pub fn packed(entries: &[Entry]) -> Vec<u8> {
    entries.iter().filter_map(Entry::line).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;
    use proptest::prelude::*;

    fn lines(seqs: &[u64]) -> Vec<u8> {
        seqs.iter().flat_map(|seq| padded(entry(*seq, "x").line().unwrap())).collect()
    }

    fn seqs(segment: &Segment) -> Vec<u64> {
        segment.entries.iter().map(|entry| entry.seq).collect()
    }

    #[test]
    fn names_come_back_and_nothing_else_is_one() {
        for class in Class::ALL {
            let name = SegmentName { class, first: 42 };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for other in
            ["", "lock", "fold.json", "events-1.jsonl", "events-00000000000000000001.jsonl.new", "x-1"]
        {
            assert_eq!(other.parse::<SegmentName>(), Err(NoSegment), "{other}");
        }
    }

    #[test]
    fn blocks_are_filled() {
        assert_eq!(lines(&[1, 2]).len(), 2 * BLOCK);
        let whole = [vec![b'x'; BLOCK - 1], vec![b'\n']].concat();
        assert_eq!(padded(whole.clone()), whole);
    }

    #[test]
    fn damage_in_the_middle_is_counted_and_a_torn_end_is_not() {
        let mut bytes = lines(&[1, 2, 3, 4]);
        bytes[BLOCK + 5] ^= 1;
        let segment = Segment::parse(&bytes);
        assert_eq!((seqs(&segment), segment.damaged, segment.torn), (vec![1, 3, 4], 1, false));
        bytes.truncate(3 * BLOCK + 40);
        let segment = Segment::parse(&bytes);
        assert_eq!((seqs(&segment), segment.damaged, segment.torn), (vec![1, 3], 1, true));
        // A number that doesn't rise is damage, too.
        let segment = Segment::parse(&lines(&[5, 5, 4, 6]));
        assert_eq!((seqs(&segment), segment.damaged, segment.torn), (vec![5, 6], 2, false));
    }

    proptest! {
        #[test]
        fn of_any_prefix_all_whole_lines_are_read(cut in 0..4 * BLOCK) {
            let all = lines(&[1, 2, 3, 4]);
            let segment = Segment::parse(&all[..cut]);
            let line = entry(1, "x").line().unwrap().len() - 1;
            let whole = (0..4).filter(|i| cut > i * BLOCK + line).count() as u64;
            // A line whose blanks are cut is whole, and its newline is missing: it isn't believed.
            let read = segment.entries.len() as u64;
            prop_assert!(read == whole || read + 1 == whole && segment.torn);
            prop_assert_eq!(segment.damaged, 0);
            prop_assert_eq!(segment.torn, !cut.is_multiple_of(BLOCK));
        }

        #[test]
        fn what_is_packed_holds_the_same(seqs in prop::collection::btree_set(1..1000_u64, 0..20)) {
            let seqs: Vec<u64> = seqs.into_iter().collect();
            let segment = Segment::parse(&lines(&seqs));
            let again = Segment::parse(&packed(&segment.entries));
            prop_assert_eq!(segment, again);
        }
    }
}
