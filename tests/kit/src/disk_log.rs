//! The log of a disk: what was written and flushed, in order, with the data. The kernel's dm-log-writes format.
//!
//! ```text
//! unit = the log's own sector size, 512 to 4096 bytes; all numbers little-endian
//! │ super block │ entry │ data … │ entry │ data … │ …
//!   1 unit        1 unit  n units
//! super block: magic u64 │ version u64 │ entries u64 │ unit u32
//! entry:       sector u64 │ sectors u64 │ flags u64 │ text length u64 │ text of a mark
//! ```
//! Sectors count in units. A discard has sectors and no data; a mark has text and nothing else.
use bistable_boot::SECTOR;
use std::sync::Arc;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const HEAD: usize = 32;
/// More than any scenario writes.
const MAX_ENTRIES: u64 = 1 << 20;
const MAX_WRITE: u64 = 64 << 20;
/// Bytes on the largest card that makes sense here.
const MAX_DISK: u64 = 1 << 42;

const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// Why bytes are no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It ends too early.
    #[error("the log of the disk ends within {0}")]
    Short(&'static str),
    /// Not the format.
    #[error("not a log of a disk: no magic number")]
    Magic,
    /// An unknown version.
    #[error("version {0} of the format is not known")]
    Version(u64),
    /// A sector size that makes no sense.
    #[error("sectors of {0} bytes make no sense")]
    Unit(u32),
    /// More entries than are allowed.
    #[error("{0} entries are more than make sense")]
    Entries(u64),
    /// Flags that contradict each other or aren't known.
    #[error("entry {at} has the flags {flags:#x}, which make no sense")]
    Flags {
        /// Which one, from 0.
        at: u64,
        /// Its flags.
        flags: u64,
    },
    /// A place or a length that makes no sense.
    #[error("entry {at}: {sectors} sectors at {sector} make no sense")]
    Place {
        /// Which one, from 0.
        at: u64,
        /// First sector.
        sector: u64,
        /// How many.
        sectors: u64,
    },
    /// Bytes after the last entry.
    #[error("{0} bytes follow the last entry")]
    Trailing(usize),
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes were written.
    Write {
        /// First byte on the disk.
        at: u64,
        /// What: whole sectors.
        data: Arc<[u8]>,
        /// All that was written before was durable first.
        flush_before: bool,
        /// This write was durable when it was done.
        durable: bool,
    },
    /// All that was written before became durable.
    Flush,
    /// A range was given up.
    Discard {
        /// First byte on the disk.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// A mark was made.
    Mark(Vec<u8>),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub what: What,
    /// The byte of the log after it and its data.
    pub end: u64,
}

/// Read a whole log.
///
/// # Errors
/// [`LogError`]: strict, for what is misread here would prove nothing.
pub fn parse(log: &[u8]) -> Result<Vec<Entry>, LogError> {
    let magic = number(log, 0).ok_or(LogError::Short("the super block"))?;
    if magic != MAGIC {
        return Err(LogError::Magic);
    }
    let version = number(log, 8).ok_or(LogError::Short("the super block"))?;
    if version != VERSION {
        return Err(LogError::Version(version));
    }
    let entries = number(log, 16).ok_or(LogError::Short("the super block"))?;
    if entries > MAX_ENTRIES {
        return Err(LogError::Entries(entries));
    }
    let unit = log.get(24..28).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let unit = unit.ok_or(LogError::Short("the super block"))?;
    if !unit.is_power_of_two() || !(512..=4096).contains(&unit) {
        return Err(LogError::Unit(unit));
    }
    let mut reader = Reader { log, unit: unit as usize, place: unit as usize };
    if log.len() < reader.place {
        return Err(LogError::Short("the super block"));
    }
    let parsed = (0..entries).map(|at| reader.entry(at)).collect::<Result<_, _>>()?;
    match log.len() - reader.place {
        0 => Ok(parsed),
        more => Err(LogError::Trailing(more)),
    }
}

/// How many entries are complete in a log that still grows, and where the next one begins; to continue from there.
/// Whoever writes it may write entries out of order: one that isn't there yet ends the count.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Complete entries.
    pub entries: u64,
    /// Byte of the log where the next one begins.
    pub place: u64,
}

impl Count {
    /// Of an empty log, with sectors of 512 bytes.
    pub const START: Count = Count { entries: 0, place: SECTOR as u64 };

    /// Continue, if one more entry is complete. `read` gives bytes of the log, or nothing where it doesn't reach.
    pub fn step(&mut self, bytes: u64, read: impl FnOnce(u64, &mut [u8; HEAD]) -> bool) -> bool {
        let mut head = [0; HEAD];
        if self.place + SECTOR as u64 > bytes || !read(self.place, &mut head) {
            return false;
        }
        let (sectors, flags) = (number(&head, 8).unwrap_or(0), number(&head, 16).unwrap_or(0));
        let data = if flags & DISCARD == 0 { sectors.saturating_mul(SECTOR as u64) } else { 0 };
        let end = self.place.saturating_add(SECTOR as u64).saturating_add(data);
        if (sectors == 0 && flags == 0) || end > bytes {
            return false;
        }
        *self = Count { entries: self.entries + 1, place: end };
        true
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
}

struct Reader<'a> {
    log: &'a [u8],
    unit: usize,
    place: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], LogError> {
        let end = self.place.checked_add(bytes).ok_or(LogError::Short(what))?;
        let taken = self.log.get(self.place..end).ok_or(LogError::Short(what))?;
        self.place = end;
        Ok(taken)
    }

    fn entry(&mut self, at: u64) -> Result<Entry, LogError> {
        let head = self.take(self.unit, "an entry")?;
        let field = |i: usize| number(head, i * 8).ok_or(LogError::Short("an entry"));
        let (sector, sectors, flags, text) = (field(0)?, field(1)?, field(2)?, field(3)?);
        let no_place = LogError::Place { at, sector, sectors };
        let (Some(first), Some(bytes)) =
            (sector.checked_mul(self.unit as u64), sectors.checked_mul(self.unit as u64))
        else {
            return Err(no_place);
        };
        if first.checked_add(bytes).is_none_or(|end| end > MAX_DISK) {
            return Err(no_place);
        }
        let what = match flags {
            0 | FLUSH | FUA | 3 if sectors > 0 => {
                let len = usize::try_from(bytes).ok().filter(|_| bytes <= MAX_WRITE).ok_or(no_place)?;
                let data = self.take(len, "the data of a write")?.into();
                What::Write { at: first, data, flush_before: flags & FLUSH != 0, durable: flags & FUA != 0 }
            }
            FLUSH if text == 0 => What::Flush,
            DISCARD if sectors > 0 => What::Discard { at: first, bytes },
            MARK if sectors == 0 => {
                let len = usize::try_from(text).ok().and_then(|n| HEAD.checked_add(n));
                What::Mark(len.and_then(|end| head.get(HEAD..end)).ok_or(LogError::Short("a mark"))?.to_vec())
            }
            flags => return Err(LogError::Flags { at, flags }),
        };
        Ok(Entry { what, end: self.place as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// A log with these entries: sector, sectors, flags, text length, what follows the head in its sector.
    fn log(unit: u32, entries: &[([u64; 4], &[u8])]) -> Vec<u8> {
        let mut log = numbers(&[MAGIC, VERSION, entries.len() as u64]);
        log.extend(unit.to_le_bytes());
        log.resize(unit as usize, 0);
        for (fields, text) in entries {
            let mut head = numbers(fields);
            head.extend_from_slice(text);
            head.resize(unit as usize, 0);
            log.extend(head);
            if fields[2] & (DISCARD | MARK) == 0 {
                let bytes = usize::try_from(fields[1]).unwrap() * unit as usize;
                log.resize(log.len() + bytes, 7);
            }
        }
        log
    }

    #[test]
    fn reads_what_there_is() {
        let bytes = log(
            512,
            &[
                ([3, 8, 0, 0], b""),
                ([0, 0, FLUSH, 0], b""),
                ([1, 1, FUA, 0], b""),
                ([8, 16, DISCARD, 0], b""),
                ([0, 0, MARK, 4], b"here"),
            ],
        );
        let whats: Vec<_> = parse(&bytes).unwrap().into_iter().map(|e| e.what).collect();
        let write = |at, len: usize, durable| What::Write {
            at,
            data: vec![7; len].into(),
            flush_before: false,
            durable,
        };
        let discard = What::Discard { at: 4096, bytes: 8192 };
        let mark = What::Mark(b"here".to_vec());
        assert_eq!(whats, [write(1536, 4096, false), What::Flush, write(512, 512, true), discard, mark]);
        assert_eq!(parse(&bytes).unwrap().last().unwrap().end, bytes.len() as u64);
        assert_eq!(parse(&log(4096, &[([2, 1, 0, 0], b"")])).unwrap()[0].what, write(8192, 4096, false));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let table: [([u64; 4], LogError); 8] = [
            ([0, 0, 0, 0], LogError::Flags { at: 0, flags: 0 }),
            ([0, 0, 16, 0], LogError::Flags { at: 0, flags: 16 }),
            ([0, 1, FUA | DISCARD, 0], LogError::Flags { at: 0, flags: 6 }),
            ([0, 0, FUA, 0], LogError::Flags { at: 0, flags: 2 }),
            ([0, 0, MARK, 481], LogError::Short("a mark")),
            ([0, 0, MARK, u64::MAX], LogError::Short("a mark")),
            ([u64::MAX, 1, DISCARD, 0], LogError::Place { at: 0, sector: u64::MAX, sectors: 1 }),
            ([1 << 33, 1, DISCARD, 0], LogError::Place { at: 0, sector: 1 << 33, sectors: 1 }),
        ];
        for (fields, error) in table {
            assert_eq!(parse(&log(512, &[(fields, b"")])), Err(error));
        }
        let mut huge = log(512, &[([0, 0, FLUSH, 0], b"")]);
        huge[512..544].copy_from_slice(&numbers(&[0, 1 << 20, 0, 0]));
        assert_eq!(parse(&huge), Err(LogError::Place { at: 0, sector: 0, sectors: 1 << 20 }));
    }

    #[test]
    fn refuses_every_prefix_and_every_tail() {
        let whole = log(512, &[([0, 2, 0, 0], b""), ([0, 0, FLUSH, 0], b"")]);
        assert!(parse(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(parse(&longer), Err(LogError::Trailing(1)));
        let change = |at: usize, to: u8| {
            let mut other = whole.clone();
            other[at] = to;
            parse(&other).unwrap_err()
        };
        assert_eq!(change(0, 0), LogError::Magic);
        assert_eq!(change(8, 2), LogError::Version(2));
        assert_eq!(change(18, 0x80), LogError::Entries(0x80_0002));
        assert_eq!(change(24, 1), LogError::Unit(513));
        assert_eq!(change(25, 0), LogError::Unit(0));
    }

    /// Count on, in a log of which this many bytes are there.
    fn step(count: &mut Count, bytes: u64, log: &[u8]) -> bool {
        count.step(bytes, |at, head| {
            let at = usize::try_from(at).unwrap();
            head.copy_from_slice(&log[at..at + HEAD]);
            true
        })
    }

    #[test]
    fn counts_a_log_that_grows() {
        let whole = log(512, &[([0, 2, 0, 0], b""), ([0, 0, FLUSH, 0], b""), ([9, 1, 0, 0], b"")]);
        let ends: Vec<_> = parse(&whole).unwrap().iter().map(|e| e.end).collect();
        let mut count = Count::START;
        for bytes in 0..=whole.len() as u64 {
            while step(&mut count, bytes, &whole) {}
            let complete = ends.iter().filter(|end| **end <= bytes).count();
            assert_eq!(count.entries, complete as u64);
        }
        // A hole, where a later entry was written before this one.
        let mut hole = whole.clone();
        hole[512..544].fill(0);
        assert!(!step(&mut Count::START.clone(), hole.len() as u64, &hole));
    }
}
