//! Properties for a flattened device tree: what the Pi's firmware tells the kernel in `/chosen/bootloader`.
//!
//! ```text
//! header: magic, total size, struct at, strings at, reservations at, version 17, 16, cpu, strings size, struct size
//! struct: 1 name\0 = begin of a node · 3 length name-at value = property · 4 = nothing · 2 = end of a node · 9 = end
//! ```
//! All numbers are big-endian u32 (Devicetree Specification 0.4, chapter 5). Our node goes in front of the end of
//! `/chosen`, its names behind the old strings.

const MAGIC: u32 = 0xd00d_feed;
const HEADER: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;
const END: u32 = 9;
const NODE: &str = "bootloader";

/// Why a tree can't be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FdtError {
    /// Not a device tree of version 17.
    #[error("no flattened device tree of version 17")]
    NotATree,
    /// It contradicts itself.
    #[error("a damaged device tree: {0}")]
    Damaged(&'static str),
    /// There is no `/chosen`.
    #[error("the device tree has no /chosen")]
    NoChosen,
    /// There is already `/chosen/bootloader` already.
    #[error("the device tree has /chosen/bootloader already")]
    There,
}

/// The same tree with `/chosen/bootloader` and these numbers in it.
///
/// # Errors
/// [`FdtError`].
pub fn with_bootloader(tree: &[u8], numbers: &[(&str, u32)]) -> Result<Vec<u8>, FdtError> {
    let field = |n: usize| number(tree, n * 4).map(|v| v as usize).ok_or(FdtError::NotATree);
    if number(tree, 0) != Some(MAGIC) || field(5)? != 17 {
        return Err(FdtError::NotATree);
    }
    let (total, structure, strings) = (field(1)?, field(2)?, field(3)?);
    let (strings_bytes, structure_bytes) = (field(8)?, field(9)?);
    let part = |at: usize, bytes: usize| {
        at.checked_add(bytes).filter(|end| *end <= total).and_then(|end| tree.get(at..end))
    };
    let old = part(structure, structure_bytes).ok_or(FdtError::Damaged("its structure lies outside"))?;
    let names = part(strings, strings_bytes).ok_or(FdtError::Damaged("its strings lie outside"))?;
    // What is in front of the structure: header and reserved memory.
    let front = structure.min(strings);
    let front = tree.get(HEADER..front).ok_or(FdtError::Damaged("its parts overlap"))?;

    let at = end_of_chosen(old)?;
    let mut node = words(&[BEGIN_NODE]);
    node.extend(padded(NODE.as_bytes()));
    let mut names = names.to_vec();
    for (name, value) in numbers {
        let place = u32::try_from(names.len()).map_err(|_| FdtError::Damaged("too many strings"))?;
        node.extend(words(&[PROPERTY, 4, place, *value]));
        names.extend(name.as_bytes());
        names.push(0);
    }
    node.extend(words(&[END_NODE]));
    let (before, behind) = old.split_at_checked(at).ok_or(FdtError::Damaged("it ends early"))?;
    let new_structure = [before, &node, behind].concat();

    let structure_at = HEADER + front.len();
    let strings_at = structure_at + new_structure.len();
    let mut new = tree.get(..HEADER).unwrap_or_default().to_vec();
    let sizes = [
        (1, strings_at + names.len()),
        (2, structure_at),
        (3, strings_at),
        (8, names.len()),
        (9, new_structure.len()),
    ];
    for (n, value) in sizes {
        let value = u32::try_from(value).map_err(|_| FdtError::Damaged("it gets too large"))?;
        new.splice(n * 4..n * 4 + 4, value.to_be_bytes());
    }
    new.extend(front);
    new.extend(new_structure);
    new.extend(names);
    Ok(new)
}

/// Where in the structure the end of `/chosen` is.
fn end_of_chosen(structure: &[u8]) -> Result<usize, FdtError> {
    let mut at = 0;
    let mut path: Vec<&[u8]> = Vec::new();
    loop {
        let token = number(structure, at).ok_or(FdtError::Damaged("its structure has no end"))?;
        let place = at;
        at += 4;
        match token {
            BEGIN_NODE => {
                let rest = structure.get(at..).unwrap_or_default();
                let end = rest.iter().position(|b| *b == 0).ok_or(FdtError::Damaged("a name has no end"))?;
                path.push(rest.get(..end).unwrap_or_default());
                if path[..] == [&b""[..], b"chosen", NODE.as_bytes()] {
                    return Err(FdtError::There);
                }
                at = (at + end + 1).next_multiple_of(4);
            }
            PROPERTY => {
                let bytes = number(structure, at).ok_or(FdtError::Damaged("a property has no length"))?;
                at = (at + 8).saturating_add(bytes as usize).next_multiple_of(4);
            }
            END_NODE if path[..] == [&b""[..], b"chosen"] => return Ok(place),
            END_NODE => {
                path.pop().ok_or(FdtError::Damaged("a node ends that never began"))?;
            }
            NOTHING => {}
            END => return Err(FdtError::NoChosen),
            _ => return Err(FdtError::Damaged("an unknown token")),
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// With a zero at its end, filled up to whole numbers.
fn padded(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize((text.len() + 1).next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/ { model = "x"; chosen { a = <5>; sub { }; }; soc { }; }`
    fn tree() -> Vec<u8> {
        let node = |name: &str| [words(&[BEGIN_NODE]), padded(name.as_bytes())].concat();
        let structure = [
            node(""),
            words(&[PROPERTY, 2, 0]),
            padded(b"x"),
            node("chosen"),
            words(&[PROPERTY, 4, 6, 5]),
            node("sub"),
            words(&[END_NODE, END_NODE, NOTHING]),
            node("soc"),
            words(&[END_NODE, END_NODE, END]),
        ]
        .concat();
        let strings = b"model\0a\0";
        let reserved = [0; 16];
        let at = HEADER + reserved.len();
        let fields = [
            MAGIC as usize,
            at + structure.len() + strings.len(),
            at,
            at + structure.len(),
            HEADER,
            17,
            16,
            0,
            strings.len(),
            structure.len(),
        ];
        let header = words(&fields.map(|f| u32::try_from(f).unwrap()));
        [&header[..], &reserved, &structure, strings].concat()
    }

    #[test]
    fn the_node_is_put_in_and_all_else_stays() {
        let new = with_bootloader(&tree(), &[("partition", 3), ("tryboot", 1)]).unwrap();
        assert_eq!(number(&new, 4), Some(u32::try_from(new.len()).unwrap()));
        let text = String::from_utf8_lossy(&new);
        for word in ["model\0a\0partition\0tryboot\0", "chosen", "bootloader", "sub", "soc"] {
            assert!(text.contains(word), "{word}");
        }
        // name-at, value
        let property = words(&[PROPERTY, 4, 8, 3, PROPERTY, 4, 18, 1, END_NODE, END_NODE]);
        assert!(new.windows(property.len()).any(|w| w == property));
        assert_eq!(with_bootloader(&new, &[]), Err(FdtError::There));
    }

    #[test]
    #[ignore = "needs device-tree-compiler"]
    fn fdtget_reads_what_was_put_in() {
        let new = with_bootloader(&tree(), &[("partition", 3), ("tryboot", 1)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), &new).unwrap();
        let get = |name: &str| {
            let out = std::process::Command::new("fdtget")
                .arg(file.path())
                .args(["/chosen/bootloader", name])
                .output();
            String::from_utf8(out.unwrap().stdout).unwrap()
        };
        assert_eq!((get("partition").trim(), get("tryboot").trim()), ("3", "1"));
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let good = tree();
        for end in 0..good.len() {
            assert!(with_bootloader(&good[..end], &[("a", 1)]).is_err(), "{end}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = with_bootloader(&bad, &[("a", 1)]);
            }
        }
        let mut no_chosen = good.clone();
        let place = good.windows(6).position(|w| w == b"chosen").unwrap();
        no_chosen[place] = b'C';
        assert_eq!(with_bootloader(&no_chosen, &[]), Err(FdtError::NoChosen));
    }
}
