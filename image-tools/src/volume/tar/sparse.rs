//! The four ways in which GNU tar stores sparse files: old GNU headers, and PAX records 0.0, 0.1 and 1.0.

use super::header::{Header, TAR_BLOCK, number};
use super::pax::SparseRecords;
use super::stream::Stream;
use crate::volume::data::Range;
use crate::volume::error::VolumeError;

/// A sparse file: the ranges that the archive holds, one after another.
#[derive(Debug)]
pub(super) struct Map {
    /// Size of the file in bytes, holes included.
    pub(super) size: u64,
    /// Ascending, within `size`, not overlapping.
    pub(super) ranges: Vec<Range>,
    /// Bytes behind the last range that belong to the entry but to no range.
    pub(super) rest: u64,
    /// All bytes of the entry's data in the archive, for its padding.
    pub(super) stored: u64,
}

/// Why there is no map.
#[derive(Debug)]
pub(super) enum MapError {
    Stream(VolumeError),
    Wrong(String),
}

impl From<VolumeError> for MapError {
    fn from(error: VolumeError) -> Self {
        Self::Stream(error)
    }
}

/// The longest map of format 1.0, in bytes; the old formats are limited by their headers.
const MAX_MAP: u64 = 64 << 20;

/// The map of an entry by its PAX records; `None` if it isn't sparse.
pub(super) fn pax_map(
    stream: &mut Stream,
    stored: u64,
    records: &SparseRecords,
) -> Result<Option<Map>, MapError> {
    match (records.major, records.minor) {
        (None | Some(0), _) if records.map.is_empty() && records.size.is_none() => Ok(None),
        (None | Some(0), _) => {
            let size = records.size.ok_or_else(|| MapError::Wrong("a sparse map without a size".into()))?;
            Map::new(size, &records.map, stored, 0).map(Some)
        }
        (Some(1), Some(0)) => {
            let size = records.size.ok_or_else(|| MapError::Wrong("a sparse map without a size".into()))?;
            let (numbers, read) = decimal_map(stream, stored)?;
            Map::new(size, &numbers, stored, read).map(Some)
        }
        (major, minor) => Err(MapError::Wrong(format!(
            "GNU sparse format {}.{} is not known",
            major.unwrap_or(0),
            minor.unwrap_or(0)
        ))),
    }
}

/// The map of format 1.0: decimal numbers in lines at the beginning of the data, padded to a block.
fn decimal_map(stream: &mut Stream, stored: u64) -> Result<(Vec<u64>, u64), MapError> {
    let mut numbers = Vec::new();
    let (mut count, mut read, mut current) = (None, 0_u64, None::<u64>);
    loop {
        if count.is_some_and(|count: u64| numbers.len() as u64 == count.saturating_mul(2)) {
            return Ok((numbers, read));
        }
        if read >= stored.min(MAX_MAP) {
            return Err(MapError::Wrong("the sparse map is longer than the entry".into()));
        }
        let block = stream.block()?;
        read += TAR_BLOCK as u64;
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let value =
                        current.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(digit));
                    current = Some(
                        value.ok_or_else(|| MapError::Wrong("a sparse map's number is too large".into()))?,
                    );
                }
                b'\n' => {
                    let value = current
                        .take()
                        .ok_or_else(|| MapError::Wrong("the sparse map has an empty line".into()))?;
                    match count {
                        None => count = Some(value),
                        Some(count) if (numbers.len() as u64) < count.saturating_mul(2) => {
                            numbers.push(value);
                        }
                        Some(_) => {}
                    }
                    if count.is_some_and(|count| numbers.len() as u64 == count.saturating_mul(2)) {
                        break;
                    }
                }
                _ => return Err(MapError::Wrong("the sparse map is not decimal".into())),
            }
        }
    }
}

/// The map of an old GNU sparse entry: four ranges in the header, 21 in each block that follows.
pub(super) fn gnu_map(stream: &mut Stream, header: &Header, stored: u64) -> Result<Map, MapError> {
    let field = |block: &[u8], at: usize| {
        block
            .get(at..at + 12)
            .and_then(number)
            .and_then(|value| u64::try_from(value).ok())
            .ok_or_else(|| MapError::Wrong("the sparse map is not a number".into()))
    };
    let used = |block: &[u8], at: usize| block.get(at).is_some_and(|byte| *byte != 0);
    let block = &header.block[..];
    let mut numbers = Vec::new();
    let mut collect = |block: &[u8], from: usize, count: usize| {
        for at in (0..count).map(|i| from + i * 24) {
            if used(block, at) || used(block, at + 12) {
                numbers.push(field(block, at)?);
                numbers.push(field(block, at + 12)?);
            }
        }
        Ok::<(), MapError>(())
    };
    collect(block, 386, 4)?;
    let mut more = used(block, 482);
    let mut blocks = 0;
    while more {
        let next = stream.block()?;
        blocks += TAR_BLOCK as u64;
        if blocks > MAX_MAP {
            return Err(MapError::Wrong("the sparse map is too long".into()));
        }
        collect(&next, 0, 21)?;
        more = used(&next, 504);
    }
    let size = field(block, 483)?;
    Map::new(size, &numbers, stored, 0)
}

impl Map {
    fn new(size: u64, numbers: &[u64], stored: u64, read: u64) -> Result<Self, MapError> {
        let wrong = |why: &str| MapError::Wrong(why.into());
        let mut ranges = Vec::with_capacity(numbers.len() / 2);
        let (mut end, mut total) = (0_u64, 0_u64);
        for pair in numbers.chunks(2) {
            let &[offset, len] = pair else {
                return Err(wrong("the sparse map has an odd number of fields"));
            };
            let next = offset.checked_add(len).filter(|next| *next <= size);
            let next = next.ok_or_else(|| wrong("the sparse map goes beyond the file's end"))?;
            if offset < end {
                return Err(wrong("the sparse map's ranges overlap or are out of order"));
            }
            end = next;
            total += len;
            if len > 0 {
                ranges.push(Range { offset, len });
            }
        }
        let rest = stored.checked_sub(read).and_then(|left| left.checked_sub(total));
        let rest = rest.ok_or_else(|| wrong("the sparse map names more data than the entry has"))?;
        Ok(Self { size, ranges, rest, stored })
    }
}
