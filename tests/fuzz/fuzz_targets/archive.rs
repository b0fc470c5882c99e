//! Any entries as an archive of a component: what is accepted are different paths, each with its folder before it, and links that
//! stay in the tree however they lead through each other. Any bytes as an archive: what is read is written back to the bit.
#![no_main]
use bistable_format::archive::{ArchiveReader, ArchiveRules, END_BYTES, Entry, EntryKind, Sink};
use bistable_format::bundle::BLOCK;
use bistable_format::limits;
use bistable_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What was accepted: a link with its target, a folder, or a file.
#[derive(PartialEq)]
enum Node {
    Folder,
    File,
    Link(String),
}

fuzz_target!(|data: &[u8]| {
    read(data);
    let mut input = Input(data);
    let mut rules = ArchiveRules::new();
    let mut tree: BTreeMap<String, Node> = BTreeMap::new();
    while !input.0.is_empty() {
        let (kind, path, target) = (input.byte(), input.counted(), input.counted());
        let mode = if kind & 0x80 == 0 { 0o644 } else { u32::from(input.byte()) << 5 };
        let (kind, node) = match kind % 3 {
            0 => (EntryKind::Directory, Node::Folder),
            1 => (EntryKind::File, Node::File),
            _ => (EntryKind::Symlink(target), Node::Link(String::from_utf8_lossy(target).into())),
        };
        let bytes = if kind == EntryKind::File { input.below(1 << 20) } else { 0 };
        if let Err(error) = rules.clone().entry(path, kind, mode, bytes) {
            assert!(bistable_format::text::is_printable(&error.to_string(), &[]), "{error:?}");
            // A builder leaves it out, and continues.
            continue;
        }
        rules.entry(path, kind, mode, bytes).expect("it was accepted");
        let path = String::from_utf8(path.to_vec()).expect("names are UTF-8");
        assert!(mode & !0o777 == 0 && path.len() <= limits::ARCHIVE_PATH);
        if let Some((folder, _)) = path.rsplit_once('/') {
            assert!(tree.get(folder) == Some(&Node::Folder), "{path:?} has no folder");
        }
        assert!(tree.insert(path, node).is_none(), "a path twice");
    }
    for (path, node) in &tree {
        if let Node::Link(target) = node {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let _ = lead(&tree, folder.split('/').filter(|p| !p.is_empty()).collect(), target, 40);
        }
    }
});

/// Follow a target as Linux does. Never above the root.
fn lead<'a>(
    tree: &'a BTreeMap<String, Node>,
    mut at: Vec<&'a str>,
    target: &'a str,
    left: usize,
) -> Option<Vec<&'a str>> {
    assert!(!target.starts_with('/'));
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            assert!(at.pop().is_some(), "a link leads out of the tree");
            continue;
        }
        let path = [&at[..], &[part]].concat().join("/");
        match tree.get(&path)? {
            Node::Folder | Node::File => at.push(part),
            Node::Link(next) => at = lead(tree, at, next, left.checked_sub(1)?)?,
        }
    }
    Some(at)
}

/// Writes back what is read.
#[derive(Default)]
struct Again {
    archive: Vec<u8>,
    padding: usize,
}

impl Sink for Again {
    type Error = Infallible;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Infallible> {
        self.archive.extend(entry.encode());
        self.padding = entry.padding();
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.archive.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Infallible> {
        self.archive.resize(self.archive.len() + self.padding, 0);
        Ok(())
    }
}

/// Any bytes as an archive: what is read is written back to the bit, in whatever pieces it came.
fn read(data: &[u8]) {
    let mut archive = data.to_vec();
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        // What says that it is a header gets its checksum, which a fuzzer doesn't guess.
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive.resize(archive.len().next_multiple_of(BLOCK) + END_BYTES, 0);
    let mut results = Vec::new();
    for piece in [BLOCK + 7, archive.len()] {
        let (mut reader, mut again) = (ArchiveReader::new(), Again::default());
        let pushed = archive.chunks(piece).try_for_each(|bytes| reader.push(bytes, &mut again));
        let result = pushed.and_then(|()| reader.finish());
        if result.is_ok() {
            again.archive.resize(again.archive.len() + END_BYTES, 0);
            assert!(again.archive == archive, "another archive reads as the same");
        }
        results.push(result);
    }
    assert_eq!(results[0], results[1]);
}
