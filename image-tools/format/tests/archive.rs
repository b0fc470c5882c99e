//! Archives of components: what is accepted can be unpacked, and nothing in it leads out of its folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use bistable_format::archive::{
    ArchiveError, ArchiveReader, ArchiveRules, END_BYTES, Entry, EntryKind, LinkError, NameError, ReadError,
    Sink, Totals, says_version,
};
use bistable_format::limits;
use proptest::prelude::*;
use std::collections::BTreeMap;

use EntryKind::{Directory, File, Symlink};

type Given<'a> = (&'a [u8], EntryKind<'a>);

fn try_all(entries: &[Given<'_>]) -> Result<Totals, ArchiveError> {
    let mut rules = ArchiveRules::new();
    for (path, kind) in entries {
        rules.entry(path, *kind, 0o755, if *kind == File { 3 } else { 0 })?;
    }
    rules.finish()
}

fn name_error(path: &[u8]) -> NameError {
    match try_all(&[(path, File)]).unwrap_err() {
        ArchiveError::Name { why, .. } => why,
        other => panic!("{other}"),
    }
}

fn link_error(path: &[u8], target: &[u8]) -> Option<LinkError> {
    let folders: Vec<&[u8]> =
        path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at]).collect();
    let mut entries: Vec<Given<'_>> = folders.into_iter().map(|folder| (folder, Directory)).collect();
    entries.push((path, Symlink(target)));
    match try_all(&entries) {
        Ok(_) => None,
        Err(ArchiveError::Link { why, .. }) => Some(why),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_tree_in_order_is_accepted() {
    let tree: &[Given<'_>] = &[
        (b"VERSION", File),
        (b"a", Directory),
        (b"a/b", Directory),
        (b"a/b/c", File),
        (b"a/b.c", File),
        (b"a-b", File),
        (b"a.d", Directory),
        (b"a.d/l", Symlink(b"../a/b/c")),
        ("ü".as_bytes(), File),
    ];
    assert_eq!(try_all(tree), Ok(Totals { entries: 9, bytes: 15 }));
}

#[test]
fn names_that_no_path_has_are_refused() {
    let long = [b'n'; limits::ARCHIVE_NAME + 1];
    for (path, why) in [
        (&b""[..], NameError::Empty),
        (b"/", NameError::Absolute),
        (b"/etc/passwd", NameError::Absolute),
        (b"a//b", NameError::EmptyName),
        (b"a/", NameError::EmptyName),
        (b".", NameError::Dots),
        (b"./a", NameError::Dots),
        (b"..", NameError::Dots),
        (b"a/../b", NameError::Dots),
        (b"a\xff", NameError::NotUtf8),
        (b"a\nb", NameError::NotPrintable),
        (b"a\x1b[31m", NameError::NotPrintable),
        (b"a\0b", NameError::NotPrintable),
        ("\u{202e}txt.exe".as_bytes(), NameError::NotPrintable),
        (&long, NameError::LongName { bytes: 256 }),
        (&[b'a'; limits::ARCHIVE_PATH + 1], NameError::LongPath { bytes: limits::ARCHIVE_PATH + 1 }),
    ] {
        assert_eq!(name_error(path), why, "{path:?}");
    }
    // The longest that there are.
    assert!(try_all(&[(&long[1..], File)]).is_ok());
    let mut path = vec![b'd'];
    let mut rules = ArchiveRules::new();
    while path.len() < limits::ARCHIVE_PATH {
        rules.entry(&path, Directory, 0o755, 0).unwrap();
        let more = (limits::ARCHIVE_PATH - path.len() - 1).clamp(1, limits::ARCHIVE_NAME - 1);
        path.extend([b"/".to_vec(), vec![b'd'; more]].concat());
    }
    path.truncate(limits::ARCHIVE_PATH);
    rules.entry(&path, File, 0o644, 1).unwrap();
}

#[test]
fn links_lead_into_the_tree_only() {
    let long = vec![b't'; limits::ARCHIVE_PATH + 1];
    for (path, target, expected) in [
        (&b"l"[..], &b"a"[..], None),
        (b"l", b".", None),
        (b"l", b"./a//b/", None),
        (b"l", b"a/...", None),
        (b"a/l", b"..", None),
        (b"a/b/l", b"../../c/d", None),
        (b"a/b/l", b".././../c", None),
        (b"l", b"", Some(LinkError::Empty)),
        (b"l", b"/", Some(LinkError::Absolute)),
        (b"l", b"/usr/bin/python3", Some(LinkError::Absolute)),
        (b"l", b"..", Some(LinkError::Escapes)),
        (b"l", b"./../x", Some(LinkError::Escapes)),
        (b"a/l", b"../..", Some(LinkError::Escapes)),
        (b"a/b/l", b"../../../etc", Some(LinkError::Escapes)),
        // If `s` is a link to the root, this is the folder above it.
        (b"a/b/l", b"s/..", Some(LinkError::Climbs)),
        (b"a/b/l", b"../x/../y", Some(LinkError::Climbs)),
        (b"l", b"a\xff", Some(LinkError::NotUtf8)),
        (b"l", b"a\x07", Some(LinkError::NotPrintable)),
        (b"l", &long, Some(LinkError::Long { bytes: limits::ARCHIVE_PATH + 1 })),
    ] {
        assert_eq!(link_error(path, target), expected, "{path:?} -> {target:?}");
    }
}

#[test]
fn order_parents_and_duplicates() {
    let order = |path: &str, after: &str| ArchiveError::Order { path: path.into(), after: after.into() };
    let parent = |path: &str| ArchiveError::Parent { path: path.into() };
    let twice = |path: &str| ArchiveError::Twice { path: path.into() };
    let table: &[(&[Given<'_>], ArchiveError)] = &[
        (&[], ArchiveError::Empty),
        (&[(b"b", File), (b"a", File)], order("a", "b")),
        (&[(b"a", File), (b"a", File)], twice("a")),
        (&[(b"a", Directory), (b"a", Directory)], twice("a")),
        (&[(b"a/b", File)], parent("a/b")),
        // A file or a link is not a folder.
        (&[(b"a", File), (b"a/b", File)], parent("a/b")),
        (&[(b"a", Symlink(b"c")), (b"a/b", File)], parent("a/b")),
        // The folder was left.
        (&[(b"a", Directory), (b"a/c", File), (b"b", File), (b"a/d", File)], order("a/d", "b")),
        // In the order of the bytes of whole paths, and not of names.
        (&[(b"a", Directory), (b"a-b", File), (b"a/b", File)], order("a/b", "a-b")),
        (&[(b"a", Directory), (b"ab", Directory), (b"abc/d", File)], parent("abc/d")),
        (&[(b"ab", Directory), (b"ab/c", File), (b"abd/c", File)], parent("abd/c")),
    ];
    for (entries, expected) in table {
        assert_eq!(try_all(entries).as_ref(), Err(expected), "{entries:?}");
    }
}

#[test]
fn modes_sizes_and_numbers_have_bounds() {
    let entry = |kind, mode, bytes| ArchiveRules::new().entry(b"x", kind, mode, bytes);
    assert_eq!(entry(File, 0, 0), Ok(()));
    for mode in [0o4755, 0o2755, 0o1777, 0o100_644] {
        assert_eq!(entry(File, mode, 1), Err(ArchiveError::Mode { path: "x".into(), mode }));
    }
    for kind in [Directory, Symlink(b"y")] {
        assert_eq!(entry(kind, 0o777, 1), Err(ArchiveError::Content { path: "x".into(), bytes: 1 }));
    }
    assert_eq!(entry(File, 0o644, limits::VOLUME), Ok(()));
    for bytes in [limits::VOLUME + 1, u64::MAX] {
        assert_eq!(entry(File, 0o644, bytes), Err(ArchiveError::TooLarge { path: "x".into() }));
    }
    let mut rules = ArchiveRules::new();
    rules.entry(b"a", File, 0o644, limits::VOLUME).unwrap();
    assert_eq!(rules.entry(b"b", File, 0o644, u64::MAX), Err(ArchiveError::TooLarge { path: "b".into() }));

    let mut rules = ArchiveRules::new();
    for i in 0..limits::ARCHIVE_ENTRIES {
        rules.entry(format!("{i:07}").as_bytes(), File, 0o644, 0).unwrap();
    }
    assert_eq!(rules.entry(b"x", File, 0o644, 0), Err(ArchiveError::TooMany { path: "x".into() }));
}

#[test]
fn a_version_file_says_exactly_the_version() {
    let version = semver::Version::new(2, 0, 0);
    for (text, says) in [
        (&b"2.0.0"[..], true),
        (b"2.0.0\n", true),
        (b"2.0.0\n\n", false),
        (b"2.0.0\r\n", false),
        (b" 2.0.0", false),
        (b"v2.0.0", false),
        (b"2.0.1", false),
        (b"2.0.0+build", false),
        (b"\xff", false),
        (b"", false),
    ] {
        assert_eq!(says_version(text, &version), says, "{text:?}");
    }
}

#[test]
fn messages_are_one_printable_line() {
    let rude = b"a\x1b[31m\n\xff";
    for error in [
        try_all(&[(rude, File)]).unwrap_err(),
        try_all(&[(b"x", Symlink(rude))]).unwrap_err(),
        try_all(&[(&[b'\n'; 100_000], File)]).unwrap_err(),
        try_all(&[(b"x", Symlink(&[b'\n'; 100_000]))]).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(bistable_format::text::is_printable(&text, &[]), "{text:?}");
        assert!(text.len() < 10 * limits::ARCHIVE_PATH, "{} bytes", text.len());
    }
}

/// A tree of few names, so that they meet: by the parts of their paths, which is the order of an archive.
#[derive(Clone, Debug)]
enum Node {
    Folder,
    File,
    Link(String),
}

fn any_node() -> impl Strategy<Value = Node> {
    let part = prop::sample::select(vec!["a", "b", "a-b", "a.b", "..", ".", ""]);
    let target = prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("/"));
    prop_oneof![3 => Just(Node::Folder), 1 => Just(Node::File), 3 => target.prop_map(Node::Link)]
}

fn any_path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a-b", "a.b"]), 1..5)
}

fn any_tree() -> impl Strategy<Value = BTreeMap<Vec<&'static str>, Node>> {
    prop::collection::btree_map(any_path(), any_node(), 1..24)
}

/// Where a path leads as Linux finds it; `Err` is a way out of the tree, `Ok(None)` nothing or a loop.
fn resolve(
    tree: &BTreeMap<Vec<&'static str>, Node>,
    from: &[&str],
    target: &str,
    left: usize,
) -> Result<Option<Vec<String>>, ()> {
    if left == 0 {
        return Ok(None);
    }
    let mut at: Vec<String> = from.iter().map(|part| (*part).to_owned()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if at.is_empty() => return Err(()),
            ".." => {
                at.pop();
            }
            name => {
                let parts: Vec<&str> = at.iter().map(String::as_str).chain([name]).collect();
                match tree.get(&parts[..]) {
                    None => return Ok(None),
                    Some(Node::Folder | Node::File) => at.push(name.into()),
                    Some(Node::Link(next)) => {
                        let here: Vec<&str> = at.iter().map(String::as_str).collect();
                        match resolve(tree, &here, next, left - 1)? {
                            Some(there) => at = there,
                            None => return Ok(None),
                        }
                    }
                }
            }
        }
    }
    Ok(Some(at))
}

/// The entries of a tree that have a folder to be in, in order.
fn with_parents(tree: BTreeMap<Vec<&'static str>, Node>) -> BTreeMap<Vec<&'static str>, Node> {
    let mut kept: BTreeMap<Vec<&'static str>, Node> = BTreeMap::new();
    for (path, node) in tree {
        let parent = &path[..path.len() - 1];
        if parent.is_empty() || matches!(kept.get(parent), Some(Node::Folder)) {
            kept.insert(path, node);
        }
    }
    kept
}

fn give(rules: &mut ArchiveRules, path: &[&str], node: &Node) -> Result<(), ArchiveError> {
    let path = path.join("/");
    match node {
        Node::Folder => rules.entry(path.as_bytes(), Directory, 0o755, 0),
        Node::File => rules.entry(path.as_bytes(), File, 0o644, 1),
        Node::Link(target) => rules.entry(path.as_bytes(), Symlink(target.as_bytes()), 0o777, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_accepted_link_leads_out(tree in any_tree()) {
        // Links that are refused are left out, as if their builder had removed them.
        let mut kept = with_parents(tree);
        kept.retain(|path, node| match node {
            Node::Link(target) => {
                let mut rules = ArchiveRules::new();
                for depth in 1..path.len() {
                    give(&mut rules, &path[..depth], &Node::Folder).unwrap();
                }
                give(&mut rules, path, &Node::Link(target.clone())).is_ok()
            }
            Node::Folder | Node::File => true,
        });
        let mut rules = ArchiveRules::new();
        for (path, node) in &kept {
            prop_assert_eq!(give(&mut rules, path, node), Ok(()));
        }
        for (path, node) in &kept {
            if let Node::Link(target) = node {
                let led = resolve(&kept, &path[..path.len() - 1], target, 40);
                prop_assert!(led.is_ok(), "{:?} -> {} in {:?}", path, target, kept);
            }
        }
    }

    #[test]
    fn any_other_order_is_refused(
        mut tree in any_tree(), first in any::<prop::sample::Index>(), further in any::<prop::sample::Index>(),
    ) {
        tree.retain(|_, node| !matches!(node, Node::Link(_)));
        tree.extend([(vec!["a"], Node::Folder), (vec!["b"], Node::File)]);
        let kept: Vec<_> = with_parents(tree).into_iter().collect();
        let a = first.index(kept.len());
        let b = (a + 1 + further.index(kept.len() - 1)) % kept.len();
        let accepts = |entries: &[(Vec<&str>, Node)]| {
            let mut rules = ArchiveRules::new();
            entries.iter().all(|(path, node)| give(&mut rules, path, node).is_ok())
        };
        prop_assert!(accepts(&kept));
        let mut moved = kept.clone();
        moved.swap(a, b);
        prop_assert!(!accepts(&moved));
        // And each entry once.
        let mut doubled = kept.clone();
        doubled.insert(b, kept[a].clone());
        prop_assert!(!accepts(&doubled));
    }
}

/// Path, target, mode, time, content.
type Found = (String, Option<String>, u32, u64, Vec<u8>);

/// What an archive has, as its reader hands it over.
#[derive(Default)]
struct Unpacked {
    entries: Vec<Found>,
    is_open: bool,
}

impl Sink for Unpacked {
    type Error = std::convert::Infallible;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error> {
        assert!(!self.is_open);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let target = match entry.kind {
            Symlink(target) => Some(text(target)),
            File | Directory => None,
        };
        self.is_open = entry.kind == File;
        self.entries.push((text(entry.path), target, entry.mode, entry.mtime, Vec::new()));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(self.is_open && !bytes.is_empty());
        self.entries.last_mut().unwrap().4.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Self::Error> {
        assert!(std::mem::take(&mut self.is_open));
        Ok(())
    }
}

fn read(archive: &[u8], piece: usize) -> Result<(Unpacked, Totals), ReadError<std::convert::Infallible>> {
    let (mut reader, mut to) = (ArchiveReader::new(), Unpacked::default());
    archive.chunks(piece).try_for_each(|bytes| reader.push(bytes, &mut to))?;
    let totals = reader.finish()?;
    assert!(!to.is_open);
    Ok((to, totals))
}

/// An archive of these entries; a file's content is its path, as often as it says.
fn write(entries: &[(Entry<'_>, usize)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (entry, times) in entries {
        let content = entry.path.repeat(*times);
        let entry = Entry { bytes: content.len() as u64, ..*entry };
        archive.extend(entry.encode());
        archive.extend(content);
        archive.resize(archive.len() + entry.padding(), 0);
    }
    archive.resize(archive.len() + END_BYTES, 0);
    archive
}

fn entry<'a>(path: &'a [u8], kind: EntryKind<'a>) -> Entry<'a> {
    let mode = if kind == File { 0o640 } else { 0o755 };
    Entry { path, kind, mode, mtime: 1_700_000_000, bytes: 0 }
}

/// A tree with everything that an archive can hold.
fn sample() -> Vec<u8> {
    let (long, deep) = ("n".repeat(200), "t".repeat(150));
    let name = format!("d/{long}");
    write(&[
        (entry(b"VERSION", File), 1),
        (entry(b"d", Directory), 0),
        (entry(b"d/empty", File), 0),
        (entry(b"d/full", File), 512),
        (entry(b"d/link", Symlink(b"../VERSION")), 0),
        (entry(b"d/long-link", Symlink(deep.as_bytes())), 0),
        (entry(name.as_bytes(), File), 3),
        (Entry { mtime: 1 << 40, ..entry("dü".as_bytes(), Symlink("ü/ß".as_bytes())) }, 0),
    ])
}

#[test]
fn an_archive_in_any_pieces_is_the_same() {
    let archive = sample();
    let (whole, totals) = read(&archive, archive.len()).unwrap();
    assert_eq!(totals.entries, 8);
    for piece in [1, 3, 511, 512, 513, 4096] {
        let (pieces, again) = read(&archive, piece).unwrap();
        assert_eq!((&pieces.entries, again), (&whole.entries, totals), "{piece}");
    }
}

#[test]
fn other_programs_read_the_same() {
    let archive = sample();
    let (ours, _) = read(&archive, 1000).unwrap();
    let mut theirs = Vec::new();
    for found in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut found = found.unwrap();
        let path = String::from_utf8(found.path_bytes().to_vec()).unwrap();
        let target = found.link_name_bytes().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let mode = found.header().mode().unwrap();
        assert_eq!((found.header().uid().unwrap(), found.header().gid().unwrap()), (0, 0));
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut found, &mut content).unwrap();
        theirs.push((path, target, mode, content));
    }
    let ours: Vec<_> =
        ours.entries.into_iter().map(|(p, t, mode, _, content)| (p, t, mode, content)).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn every_bit_of_what_is_not_content_counts() {
    let archive = write(&[
        (entry(b"a", Directory), 0),
        (entry("a/ü".as_bytes(), File), 5),
        (entry(b"b", Symlink(b"a")), 0),
    ]);
    let (good, _) = read(&archive, archive.len()).unwrap();
    for at in 0..archive.len() {
        for bit in 0..8 {
            let mut changed = archive.clone();
            changed[at] ^= 1 << bit;
            // Only what an entry says of itself may be another value: then it is another archive.
            if let Ok((other, _)) = read(&changed, changed.len()) {
                assert_ne!(other.entries, good.entries, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn archives_that_are_not_ours_are_refused() {
    let archive = sample();
    let end = archive.len();
    for cut in [0, 1, 511, 512, 700, end - 1024, end - 1] {
        assert_eq!(read(&archive[..cut], 512).err(), Some(ReadError::Truncated { at: cut as u64 }));
    }
    let long = [&archive[..], &[0]].concat();
    assert_eq!(read(&long, 512).err(), Some(ReadError::Trailing { at: end as u64 }));
    let empty = vec![0; END_BYTES];
    assert_eq!(read(&empty, 512).err(), Some(ReadError::Rules(ArchiveError::Empty)));

    // What another program writes of the same tree.
    let mut other = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o640);
    other.append_data(&mut header, "VERSION", &b"1.0"[..]).unwrap();
    let other = other.into_inner().unwrap();
    assert_eq!(read(&other, 512).err(), Some(ReadError::Form { at: 0 }));

    // A PAX header that says nothing new, one that is too long, one without its entry.
    let version = entry(b"VERSION", File).encode();
    let pax = entry("ü".as_bytes(), File).encode();
    let needless = [&pax[..1024], &version, &[0; 1024]].concat();
    assert_eq!(read(&needless, 512).err(), Some(ReadError::Form { at: 0 }));
    let mut endless = pax.clone();
    endless[124..135].copy_from_slice(b"77777777777");
    assert_eq!(read(&endless, 512).err(), Some(ReadError::Form { at: 0 }));
    let alone = [&pax[..1024], &[0; 1024]].concat();
    assert_eq!(read(&alone, 512).err(), Some(ReadError::Form { at: 0 }));
}

#[test]
fn the_rules_hold_for_what_is_read() {
    let archive = write(&[(entry(b"b", File), 1), (entry(b"a", File), 1)]);
    let order = ArchiveError::Order { path: "a".into(), after: "b".into() };
    assert_eq!(read(&archive, 512).err(), Some(ReadError::Rules(order)));
    let archive = write(&[(Entry { mode: 0o4755, ..entry(b"su", File) }, 1)]);
    let mode = ArchiveError::Mode { path: "su".into(), mode: 0o4755 };
    assert_eq!(read(&archive, 512).err(), Some(ReadError::Rules(mode)));
    let archive = write(&[(entry(b"l", Symlink(b"/etc")), 0)]);
    assert!(matches!(read(&archive, 512).err(), Some(ReadError::Rules(ArchiveError::Link { .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_entry_is_read_as_it_was_written(
        name in "[a-zä]{1,160}", target in "[a-zß]{1,160}", mode in 0..=0o777_u32, mtime in any::<u64>(), times in 0_usize..20,
    ) {
        for kind in [File, Directory, Symlink(target.as_bytes())] {
            let one = Entry { mode, mtime, ..entry(name.as_bytes(), kind) };
            let times = if kind == File { times } else { 0 };
            let (found, _) = read(&write(&[(one, times)]), 100).unwrap();
            let target = matches!(kind, Symlink(_)).then(|| target.clone());
            prop_assert_eq!(&found.entries, &vec![(name.clone(), target, mode, mtime, name.repeat(times).into_bytes())]);
        }
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece in 1_usize..600) {
        let _ = read(&bytes, piece);
    }
}
