//! An entry as the archive has it, to the byte: a POSIX ustar header, and before it a PAX header if the names or numbers need one.
use super::EntryKind;
use crate::bundle::BLOCK;
use alloc::{format, string::String, vec::Vec};

/// Bytes of a name or a link's target that a header holds.
const NAME: usize = 100;
/// The largest number that eleven octal digits write.
const NUMBER: u64 = (1 << 33) - 1;
/// What stands in a header for a name or a target that the PAX header has.
const LONG: &[u8] = b"long";
/// What a PAX header is called.
const PAX: &[u8] = b"pax";

/// All that an archive says of an entry. Its owner is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path, without a slash at either end.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed last, in seconds since 1970.
    pub mtime: u64,
    /// Bytes of a file's content.
    pub bytes: u64,
}

impl Entry<'_> {
    /// All blocks before the content. The content follows, and then [`padding`](Self::padding).
    pub fn encode(&self) -> Vec<u8> {
        let target = match self.kind {
            EntryKind::Symlink(target) => target,
            EntryKind::Directory | EntryKind::File => &[],
        };
        let is_short = |text: &[u8]| text.len() <= NAME && text.is_ascii();
        let mut records = Vec::new();
        if !is_short(target) {
            record(&mut records, "linkpath", target);
        }
        if self.mtime > NUMBER {
            record(&mut records, "mtime", format!("{}", self.mtime).as_bytes());
        }
        if !is_short(self.path) {
            record(&mut records, "path", self.path);
        }
        if self.bytes > NUMBER {
            record(&mut records, "size", format!("{}", self.bytes).as_bytes());
        }
        let mut blocks = Vec::new();
        if !records.is_empty() {
            blocks.extend(header(b'x', PAX, 0o644, records.len() as u64, 0, &[]));
            blocks.append(&mut records);
            blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        }
        let kind = match self.kind {
            EntryKind::File => b'0',
            EntryKind::Symlink(_) => b'2',
            EntryKind::Directory => b'5',
        };
        let shown = |text| if is_short(text) { text } else { LONG };
        let number = |number| if number > NUMBER { 0 } else { number };
        blocks.extend(header(
            kind,
            shown(self.path),
            self.mode,
            number(self.bytes),
            number(self.mtime),
            shown(target),
        ));
        blocks
    }

    /// Zero bytes after the content.
    pub fn padding(&self) -> usize {
        padding(self.bytes)
    }
}

/// Zero bytes after so much content.
pub(super) fn padding(bytes: u64) -> usize {
    let over = usize::try_from(bytes % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

/// A block of names and numbers that fit.
fn header(kind: u8, name: &[u8], mode: u32, bytes: u64, mtime: u64, target: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        if let Some(to) = block.get_mut(at..at + text.len()) {
            to.copy_from_slice(text);
        }
    };
    put(0, name);
    put(100, format!("{:07o}", mode & 0o7777).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{bytes:011o}").as_bytes());
    put(136, format!("{mtime:011o}").as_bytes());
    put(156, &[kind]);
    put(157, target);
    put(257, b"ustar\x0000");
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A PAX record: `length key=value\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + format!("{length}").len() {
        length = rest + format!("{length}").len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// An entry that was read. The reader compares its bytes with the entry's own encoding, so this parser need not be strict.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) kind: u8,
    path: Vec<u8>,
    target: Vec<u8>,
    mode: u32,
    pub(super) bytes: u64,
    mtime: u64,
}

impl Read {
    /// Of a header, and of the records of the PAX header before it.
    pub(super) fn new(block: &[u8; BLOCK], records: &[u8]) -> Read {
        let text = |from: usize, to: usize| {
            let field = block.get(from..to).unwrap_or_default();
            field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        };
        let number =
            |from, to| u64::from_str_radix(&String::from_utf8_lossy(&text(from, to)), 8).unwrap_or(0);
        let mut read = Read {
            kind: block[156],
            path: text(0, NAME),
            target: text(157, 257),
            mode: u32::try_from(number(100, 108)).unwrap_or(0),
            bytes: number(124, 136),
            mtime: number(136, 148),
        };
        let mut rest = records;
        while let Some((key, value, after)) = next_record(rest) {
            let number = || String::from_utf8_lossy(value).parse().unwrap_or(0);
            match key {
                b"linkpath" => read.target = value.to_vec(),
                b"mtime" => read.mtime = number(),
                b"path" => read.path = value.to_vec(),
                b"size" => read.bytes = number(),
                _ => {}
            }
            rest = after;
        }
        read
    }

    /// As an entry, if it is of a kind that archives have.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let kind = match self.kind {
            b'0' => EntryKind::File,
            b'2' => EntryKind::Symlink(&self.target),
            b'5' => EntryKind::Directory,
            _ => return None,
        };
        Some(Entry { path: &self.path, kind, mode: self.mode, mtime: self.mtime, bytes: self.bytes })
    }
}

/// Key, value, and what follows.
fn next_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = core::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, records.get(length..)?))
}
