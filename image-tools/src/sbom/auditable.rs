//! The crates that a Rust program was built from: `cargo auditable` stores them in a section of the program. A `Cargo.lock` would say
//! less: it names what could be built on any platform, with tests, and not what was.
use super::component::Component;
use serde::Deserialize;
use std::io::{self, Read};

/// The section's name.
const SECTION: &[u8] = b".dep-v0";
/// Bytes of a program's head: all that both kinds of ELF have.
const HEAD: usize = 64;
/// Sections of a program at most.
const SECTIONS: u16 = 4096;
/// Bytes of the sections' names at most.
const NAMES: u64 = 1 << 20;
/// Bytes of the section at most, and of what it decompresses to.
const LIST: u64 = 8 << 20;

/// Why it isn't known what a program was built from.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The section isn't as `cargo auditable` writes it.
    #[error("its list of crates (section .dep-v0) is damaged")]
    Damaged,
}

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    source: String,
    #[serde(default)]
    kind: Option<String>,
}

/// A part of a file: where it begins, and its bytes.
type Range = (u64, u64);

/// The crates of a program of that many bytes; none of a file that isn't a program with a list. `read` fills a buffer from a place on.
///
/// # Errors
/// See [`Unreadable`].
pub(super) fn crates(
    size: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> Result<Option<Vec<Component>>, Unreadable> {
    let mut bytes = |(at, count): Range, most: u64| -> Result<Option<Vec<u8>>, Unreadable> {
        let Some(count) = usize::try_from(count).ok().filter(|_| count <= most) else { return Ok(None) };
        if at.checked_add(count as u64).is_none_or(|end| end > size) {
            return Ok(None);
        }
        let mut into = vec![0; count];
        read(at, &mut into)?;
        Ok(Some(into))
    };
    let Some(head) = bytes((0, HEAD as u64), HEAD as u64)? else { return Ok(None) };
    let Some((sections, names)) = Sections::of(&head) else { return Ok(None) };
    let Some(table) = bytes(sections.range(), u64::MAX)? else { return Ok(None) };
    let Some(names) = sections.section(&table, names) else { return Ok(None) };
    let Some(names) = bytes((names.at, names.bytes), NAMES)? else { return Ok(None) };
    let is_it = |section: &Section| {
        let name = usize::try_from(section.name).ok().and_then(|at| names.get(at..)).unwrap_or_default();
        name.split(|b| *b == 0).next() == Some(SECTION)
    };
    let mut all = (0..sections.count).filter_map(|number| sections.section(&table, number));
    let Some(section) = all.find(is_it) else { return Ok(None) };
    let packed = bytes((section.at, section.bytes), LIST)?.ok_or(Unreadable::Damaged)?;
    let mut json = Vec::new();
    let unpacked = flate2::read::ZlibDecoder::new(&packed[..]).take(LIST + 1).read_to_end(&mut json);
    if unpacked.is_err() || json.len() as u64 > LIST {
        return Err(Unreadable::Damaged);
    }
    let list: List = serde_json::from_slice(&json).map_err(|_| Unreadable::Damaged)?;
    // What only ran while it was built is not in it.
    let built = list.packages.into_iter().filter(|c| c.kind.as_deref() != Some("build"));
    Ok(Some(built.filter_map(|c| Component::krate(&c.name, &c.version, c.source == "crates.io")).collect()))
}

/// Where a program's sections are described.
struct Sections {
    is_64: bool,
    at: u64,
    count: u16,
}

/// A section.
struct Section {
    /// Where its name begins.
    name: u32,
    at: u64,
    bytes: u64,
}

fn number<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

fn u16_at(from: &[u8], at: usize) -> Option<u16> {
    number(from, at).map(u16::from_le_bytes)
}

fn u32_at(from: &[u8], at: usize) -> Option<u32> {
    number(from, at).map(u32::from_le_bytes)
}

/// A number as wide as addresses are.
fn word(from: &[u8], is_64: bool, at_32: usize, at_64: usize) -> Option<u64> {
    if is_64 { number(from, at_64).map(u64::from_le_bytes) } else { u32_at(from, at_32).map(Into::into) }
}

impl Sections {
    /// Of a little-endian ELF, as all Raspberry Pis run; and the number of the section with the names of all.
    fn of(head: &[u8]) -> Option<(Sections, u16)> {
        let is_64 = match head.get(..6)? {
            [0x7f, b'E', b'L', b'F', 1, 1] => false,
            [0x7f, b'E', b'L', b'F', 2, 1] => true,
            _ => return None,
        };
        let (entry, count, names) = if is_64 { (58, 60, 62) } else { (46, 48, 50) };
        let sections = Sections { is_64, at: word(head, is_64, 32, 40)?, count: u16_at(head, count)? };
        let is_possible =
            u16_at(head, entry)? == sections.entry() && (1..=SECTIONS).contains(&sections.count);
        is_possible.then_some(())?;
        Some((sections, u16_at(head, names)?))
    }

    /// Bytes of a description.
    fn entry(&self) -> u16 {
        if self.is_64 { 64 } else { 40 }
    }

    fn range(&self) -> Range {
        (self.at, u64::from(self.entry()) * u64::from(self.count))
    }

    fn section(&self, table: &[u8], number: u16) -> Option<Section> {
        let entry = usize::from(self.entry());
        let from = table.get(entry * usize::from(number)..)?.get(..entry)?;
        Some(Section {
            name: u32_at(from, 0)?,
            at: word(from, self.is_64, 16, 24)?,
            bytes: word(from, self.is_64, 20, 32)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    const LIST_TEXT: &str = r#"{"packages":[
        {"name":"serde","version":"1.0.0","source":"crates.io","dependencies":[1]},
        {"name":"cc","version":"1.1.0","source":"crates.io","kind":"build"},
        {"name":"app","version":"0.1.0","source":"local","root":true}]}"#;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A program with this section: head, names, section, and the table of three sections.
    pub(in super::super) fn program(is_64: bool, section: &[u8]) -> Vec<u8> {
        let names = b"\0.shstrtab\0.dep-v0\0";
        let at = 64 + names.len() + section.len();
        let mut bytes = vec![0; 64];
        let (entry, places) = if is_64 { (64_u16, (40, 58, 60, 62)) } else { (40, (32, 46, 48, 50)) };
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if is_64 { 2 } else { 1 }, 1]);
        bytes[places.0..places.0 + 4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
        bytes[places.1..places.1 + 2].copy_from_slice(&entry.to_le_bytes());
        bytes[places.2..places.2 + 2].copy_from_slice(&3_u16.to_le_bytes());
        bytes[places.3..places.3 + 2].copy_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(names);
        bytes.extend_from_slice(section);
        let sections = [(0, 0, 0), (1, 64, names.len()), (11, 64 + names.len(), section.len())];
        for (name, at, len) in sections {
            let mut entry = vec![0; entry.into()];
            let (offset, size) = if is_64 { (24, 32) } else { (16, 20) };
            entry[..4].copy_from_slice(&u32::try_from(name).unwrap().to_le_bytes());
            entry[offset..offset + 4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
            entry[size..size + 4].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    /// A program that was built from some crates.
    pub(in super::super) fn audited() -> Vec<u8> {
        program(true, &packed(LIST_TEXT.as_bytes()))
    }

    fn of(file: &[u8]) -> Result<Option<Vec<Component>>, Unreadable> {
        crates(file.len() as u64, &mut |at, into| {
            let at = usize::try_from(at).unwrap();
            into.copy_from_slice(&file[at..at + into.len()]);
            Ok(())
        })
    }

    #[test]
    fn the_crates_that_are_in_a_program() {
        for is_64 in [false, true] {
            let found = of(&program(is_64, &packed(LIST_TEXT.as_bytes()))).unwrap().unwrap();
            let shown: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.purl())).collect();
            assert_eq!(shown, [("serde", Some("pkg:cargo/serde@1.0.0".into())), ("app", None)]);
        }
    }

    #[test]
    fn what_is_no_such_program_has_no_crates_whatever_it_claims() {
        let good = audited();
        assert!(of(b"").unwrap().is_none());
        assert!(of(b"#!/bin/sh\n").unwrap().is_none());
        for cut in 0..good.len() {
            assert!(!matches!(of(&good[..cut]), Ok(Some(_))), "cut at {cut}");
        }
        // Any byte of the head, and of the table, with any value: it ends, and reads nothing outside.
        let table = good.len() - 3 * 64;
        for at in (0..64).chain(table..good.len()) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = of(&bad);
            }
        }
        for section in
            [&b"not zlib"[..], &packed(b"{}"), &packed(b"{\"packages\":[7]}"), &packed(&vec![b' '; 9 << 20])]
        {
            assert!(matches!(of(&program(true, section)), Err(Unreadable::Damaged)));
        }
        let failing = crates(1 << 20, &mut |_, _| Err(io::ErrorKind::Other.into()));
        assert!(matches!(failing, Err(Unreadable::Io(_))));
    }
}
