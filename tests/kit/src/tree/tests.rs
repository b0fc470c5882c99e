#![allow(clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A member for [`tar_file`]: header fields, PAX records, data.
struct Member<'a> {
    name: &'a str,
    kind: ::tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    link: &'a str,
    device: (u32, u32),
    pax: Vec<(&'a str, Vec<u8>)>,
    data: &'a [u8],
}

impl<'a> Member<'a> {
    fn new(name: &'a str, kind: ::tar::EntryType) -> Self {
        Self { name, kind, mode: 0o755, owner: (0, 0), link: "", device: (0, 0), pax: vec![], data: b"" }
    }
}

fn header(kind: ::tar::EntryType, size: usize) -> ::tar::Header {
    let mut header = ::tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header
}

fn tar_file(dir: &TempDir, members: &[Member<'_>]) -> PathBuf {
    let mut builder = ::tar::Builder::new(Vec::new());
    for member in members {
        if !member.pax.is_empty() {
            let records: Vec<u8> = member.pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            let mut pax = header(::tar::EntryType::XHeader, records.len());
            pax.set_path("pax").unwrap();
            pax.set_cksum();
            builder.append(&pax, records.as_slice()).unwrap();
        }
        let mut header = header(member.kind, member.data.len());
        header.as_ustar_mut().unwrap().name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.as_ustar_mut().unwrap().linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_device_major(member.device.0).unwrap();
        header.set_device_minor(member.device.1).unwrap();
        header.set_cksum();
        builder.append(&header, member.data).unwrap();
    }
    let path = dir.path().join("system.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    path
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..).map(|digits| rest + digits).find(|n| n.to_string().len() + rest == *n).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn get<'a>(tree: &'a Tree, path: &str) -> &'a Entry {
    tree.entries().get(path.as_bytes()).unwrap_or_else(|| panic!("no /{path}"))
}

#[test]
fn tar_members_become_entries() {
    let dir = TempDir::new().unwrap();
    use ::tar::EntryType as T;
    // Byte 10 inside a value: where records are cut at line breaks, everything after it is lost.
    let capability = vec![1, 0, 0, 2, 10, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let path = tar_file(
        &dir,
        &[
            Member::new("./", T::Directory),
            Member::new("./bin/", T::Directory),
            Member {
                mode: 0o4755,
                owner: (0, 42),
                data: b"elf",
                pax: vec![
                    ("SCHILY.xattr.security.capability", capability.clone()),
                    ("mtime", b"1600000000.25".to_vec()),
                    ("uid", b"3000000".to_vec()),
                ],
                ..Member::new("./bin/ping", T::Regular)
            },
            Member { link: "./bin/ping", ..Member::new("./bin/also", T::Link) },
            Member { link: "../x y", mode: 0o777, ..Member::new("./bin/link", T::Symlink) },
            Member { device: (5, 1), mode: 0o600, ..Member::new("./console", T::Char) },
            Member { device: (8, 300), ..Member::new("./sda", T::Block) },
            Member::new("./pipe", T::Fifo),
            Member { pax: vec![("path", "lö ng".as_bytes().to_vec())], ..Member::new("short", T::Regular) },
        ],
    );
    let tree = Tree::from_tar(&path).unwrap();
    assert_eq!(tree.entries().len(), 9);
    let ping = get(&tree, "bin/ping");
    assert_eq!((ping.mode, ping.uid, ping.gid), (0o4755, 3_000_000, 42));
    assert_eq!(ping.mtime, Mtime { seconds: 1_600_000_000, nanos: 250_000_000 });
    assert_eq!(ping.xattrs.get(b"security.capability".as_slice()), Some(&capability));
    assert_eq!(ping.hard_link.as_deref(), Some(b"bin/also".as_slice()));
    assert!(ping.is_privileged());
    assert_eq!(get(&tree, "bin/also"), ping);
    assert_eq!(get(&tree, "bin/link").kind, Kind::Symlink(b"../x y".to_vec()));
    assert_eq!(get(&tree, "console").kind, Kind::CharDevice(Device { major: 5, minor: 1 }));
    assert_eq!(get(&tree, "sda").kind, Kind::BlockDevice(Device { major: 8, minor: 300 }));
    assert_eq!(get(&tree, "pipe").kind, Kind::Fifo);
    assert_eq!(get(&tree, "lö ng").hard_link, None);
    assert_eq!(get(&tree, "").kind, Kind::Directory);
}

#[test]
fn a_later_member_replaces_an_earlier_one() {
    let dir = TempDir::new().unwrap();
    let file = |data| Member { data, ..Member::new("a", ::tar::EntryType::Regular) };
    let tree = Tree::from_tar(&tar_file(&dir, &[file(b"old"), file(b"newer")])).unwrap();
    assert!(matches!(get(&tree, "a").kind, Kind::File { size: 5, .. }));
}

#[test]
fn bad_tars_are_refused() {
    use ::tar::EntryType as T;
    let long = Member { pax: vec![("size", b"7".to_vec())], ..Member::new("a", T::Regular) };
    let sparse = Member { pax: vec![("GNU.sparse.major", b"1".to_vec())], ..Member::new("a", T::Regular) };
    let broken = Member { pax: vec![("mtime", b"soon".to_vec())], ..Member::new("a", T::Regular) };
    let dangling = Member { link: "nowhere", ..Member::new("a", T::Link) };
    let table: [(Member<'_>, &str); 4] = [
        (long, "a size that only PAX gives"),
        (sparse, "a sparse member"),
        (broken, "a malformed time"),
        (dangling, "a hard link to a path that did not come before"),
    ];
    for (member, want) in table {
        let dir = TempDir::new().unwrap();
        let error = Tree::from_tar(&tar_file(&dir, &[member])).unwrap_err().to_string();
        assert!(error.contains(want), "{error} instead of {want}");
    }
}

#[test]
fn every_field_can_differ() {
    let entry = |kind| Entry {
        kind,
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: Mtime { seconds: 3, nanos: 4 },
        xattrs: BTreeMap::from([(b"user.a".to_vec(), b"1".to_vec())]),
        hard_link: None,
    };
    let base = entry(Kind::Fifo);
    let tree = |entry: Option<&Entry>| Tree {
        entries: entry.into_iter().map(|e| (b"p".to_vec(), e.clone())).collect(),
    };
    type Edit = fn(&mut Entry);
    let table: [(Edit, &str); 9] = [
        (|e| e.kind = Kind::Socket, "/p: fifo | socket"),
        (|e| e.mode = 0o4644, "/p: mode 0644 | 4644"),
        (|e| e.uid = 9, "/p: owner 1:2 | 9:2"),
        (|e| e.gid = 9, "/p: owner 1:2 | 1:9"),
        (|e| e.mtime.nanos = 5, "/p: mtime 3.000000004 | 3.000000005"),
        (|e| e.hard_link = Some(b"q".to_vec()), "/p: hard link with none | /q"),
        (|e| e.xattrs.clear(), "/p: xattr user.a 31 | none"),
        (|e| drop(e.xattrs.insert(b"user.a".to_vec(), vec![0])), "/p: xattr user.a 31 | 00"),
        (|e| drop(e.xattrs.insert(b"user.b".to_vec(), vec![0])), "/p: xattr user.b none | 00"),
    ];
    assert_eq!(diff(&tree(Some(&base)), &tree(Some(&base))), []);
    for (edit, want) in table {
        let mut changed = base.clone();
        edit(&mut changed);
        let found = diff(&tree(Some(&base)), &tree(Some(&changed)));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [want]);
    }
    assert_eq!(diff(&tree(Some(&base)), &tree(None))[0].to_string(), "/p: only left");
    assert_eq!(diff(&tree(None), &tree(Some(&base)))[0].to_string(), "/p: only right");
}

/// `mke2fs -d`, the reference program, makes an image of a folder; `None` where it isn't installed.
fn mke2fs(dir: &TempDir, options: &[&str]) -> Option<PathBuf> {
    let image = dir.path().join("system.img");
    let Some(program) =
        ["/usr/sbin/mke2fs", "/sbin/mke2fs"].into_iter().find(|path| Path::new(path).exists())
    else {
        eprintln!("skipped: e2fsprogs is not installed");
        return None;
    };
    let made = Command::new(program)
        .args(["-q", "-t", "ext4", "-d"])
        .arg(dir.path().join("source"))
        .args(options)
        .arg(&image)
        .arg("32M")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(image)
}

fn debugfs(image: &Path, commands: &str) {
    let script = image.with_extension("debugfs");
    fs::write(&script, commands).unwrap();
    let done = Command::new("/usr/sbin/debugfs").arg("-w").arg("-f").arg(script).arg(image).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && errors.lines().count() <= 1, "{errors}");
}

/// A source folder with what needs no root, and the names in it.
fn source(dir: &TempDir) -> PathBuf {
    let root = dir.path().join("source");
    fs::create_dir_all(root.join("etc/many")).unwrap();
    fs::write(root.join("etc/a"), b"content").unwrap();
    fs::set_permissions(root.join("etc/a"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(root.join("etc/a"), root.join("etc/b")).unwrap();
    fs::write(root.join("etc/empty"), b"").unwrap();
    fs::write(root.join("etc/large"), vec![7; 3 << 20]).unwrap();
    // A hole between two pieces of data.
    let hole = fs::File::create(root.join("etc/hole")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"end", 1 << 20).unwrap();
    symlink("short", root.join("etc/short")).unwrap();
    symlink("l/".repeat(60), root.join("etc/long")).unwrap();
    for n in 0..400 {
        fs::write(root.join(format!("etc/many/a-rather-long-name-to-fill-blocks-{n}")), [0; 1]).unwrap();
    }
    root
}

#[test]
fn ext4_shows_what_mke2fs_and_debugfs_wrote() {
    let dir = TempDir::new().unwrap();
    let root = source(&dir);
    for options in [&[][..], &["-b", "1024"], &["-O", "^64bit,^metadata_csum", "-I", "128"]] {
        let Some(image) = mke2fs(&dir, options) else { return };
        debugfs(
            &image,
            "mknod null c 1 3\nmknod disk b 259 700\nmknod pipe p\nsif null mode 020666\n\
             sif etc/a uid 70000\nsif etc/a gid 100001\nsif etc/a mtime @1600000000\n\
             ea_set etc/empty user.note spoken\n",
        );
        let tree = Tree::from_ext4(&image).unwrap();
        assert_eq!(get(&tree, "null").kind, Kind::CharDevice(Device { major: 1, minor: 3 }), "{options:?}");
        assert_eq!(get(&tree, "null").mode, 0o666);
        assert_eq!(get(&tree, "disk").kind, Kind::BlockDevice(Device { major: 259, minor: 700 }));
        assert_eq!(get(&tree, "pipe").kind, Kind::Fifo);
        let a = get(&tree, "etc/a");
        assert_eq!((a.mode, a.uid, a.gid, a.mtime.seconds), (0o4750, 70_000, 100_001, 1_600_000_000));
        assert_eq!(a.hard_link.as_deref(), Some(b"etc/a".as_slice()));
        assert_eq!(get(&tree, "etc/b"), a);
        assert_eq!(get(&tree, "etc/empty").xattrs.get(b"user.note".as_slice()), Some(&b"spoken".to_vec()));
        assert_eq!(get(&tree, "etc/short").kind, Kind::Symlink(b"short".to_vec()));
        assert_eq!(get(&tree, "etc/long").kind, Kind::Symlink("l/".repeat(60).into_bytes()));
        assert!(!tree.entries().contains_key(b"lost+found".as_slice()));
        assert_eq!(tree.entries().len(), 1 + 1 + 1 + 400 + 7 + 3, "{options:?}");
        // A second reader, by other people, agrees on all content.
        let other = ext4_view::Ext4::load_from_path(&image).unwrap();
        for (path, entry) in tree.entries() {
            if let Kind::File { size, sha256 } = &entry.kind {
                use sha2::Digest as _;
                let content = other.read([b"/", path.as_slice()].concat().as_slice()).unwrap();
                assert_eq!((*size, *sha256), (content.len() as u64, sha2::Sha256::digest(&content).into()));
                assert_eq!(fs::metadata(root.join(std::str::from_utf8(path).unwrap())).unwrap().len(), *size);
            }
        }
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn a_folder_is_the_same_tree_as_tar_and_as_image() {
    let dir = TempDir::new().unwrap();
    source(&dir);
    let tar = dir.path().join("source.tar");
    let from = dir.path().join("source");
    let made =
        Command::new("tar").arg("--format=pax").arg("-cf").arg(&tar).arg("-C").arg(from).arg(".").status();
    assert!(made.unwrap().success());
    let Some(image) = mke2fs(&dir, &[]) else { return };
    let (tar, image) = (Tree::from_tar(&tar).unwrap(), Tree::from_ext4(&image).unwrap());
    // mke2fs drops the nanoseconds, and makes the root folder now; nothing else may differ.
    let whole = |tree: &Tree| {
        let mut tree = tree.clone();
        tree.entries.values_mut().for_each(|entry| entry.mtime.nanos = 0);
        let (_, root) = tree.entries.iter_mut().next().unwrap();
        root.mtime.seconds = 0;
        tree
    };
    let different: Vec<String> = diff(&whole(&tar), &whole(&image)).iter().map(ToString::to_string).collect();
    assert_eq!(different, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bytes a damaged image or tar holds: an error or a tree, never a panic.
    #[test]
    fn damaged_files_never_panic(damage in prop::collection::vec((0_usize..400_000, any::<u8>()), 1..200)) {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("source/d")).unwrap();
        fs::write(dir.path().join("source/d/f"), b"x").unwrap();
        if let Some(image) = mke2fs(&dir, &[]) {
            let mut bytes = fs::read(&image).unwrap();
            for (at, byte) in &damage {
                bytes[*at] = *byte;
            }
            fs::write(&image, bytes).unwrap();
            let _ = Tree::from_ext4(&image);
        }
        let path = tar_file(&dir, &[Member { data: &[1; 600], ..Member::new("a", ::tar::EntryType::Regular) }]);
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in &damage {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        fs::write(&path, bytes).unwrap();
        let _ = Tree::from_tar(&path);
    }

    /// Any value survives the PAX records, whatever bytes it holds.
    #[test]
    fn attributes_of_any_bytes_survive(value in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = TempDir::new().unwrap();
        let member = Member {
            pax: vec![("SCHILY.xattr.user.x", value.clone()), ("gid", b"77".to_vec())],
            ..Member::new("a", ::tar::EntryType::Regular)
        };
        let tree = Tree::from_tar(&tar_file(&dir, &[member])).unwrap();
        prop_assert_eq!(get(&tree, "a").xattrs.get(b"user.x".as_slice()), Some(&value));
        prop_assert_eq!(get(&tree, "a").gid, 77);
    }
}
