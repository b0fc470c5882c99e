//! What leads out of a directory, and what else has no business in it.
#![allow(clippy::disallowed_methods, reason = "tests write files that need not survive a power cut")]
use super::*;
use crate::repository::store::{Missing, Store, contract};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

const SECRET: &str = "the operator's secret";

/// A repository's folder with a secret beside it.
fn folders() -> (tempfile::TempDir, PathBuf, Store) {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("repository");
    fs::create_dir_all(folder.join("channels/staging")).unwrap();
    fs::create_dir(outer.path().join("elsewhere")).unwrap();
    for secret in ["secret", "elsewhere/secret"] {
        fs::write(outer.path().join(secret), SECRET).unwrap();
    }
    let store = Store::open(folder.to_str().unwrap(), Missing::Refuse).unwrap();
    (outer, folder, store)
}

fn is_irregular<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Irregular { .. }))
}

#[test]
fn a_directory_keeps_the_contract_of_stores() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Missing::Refuse).unwrap();
    contract::check(&store, "channels").unwrap();
}

#[test]
fn no_link_is_followed_by_any_operation() {
    for (link, target, file) in [
        ("channels/staging/latest", "../../../secret", "channels/staging/latest"),
        ("channels/production", "../../elsewhere", "channels/production/secret"),
        ("audit", "../elsewhere", "audit/secret"),
        // Within the folder, too: nothing that wrote here makes links.
        ("versions", "channels", "versions/staging/x"),
        ("roots", "nowhere", "roots/1.root"),
    ] {
        let (outer, folder, store) = folders();
        symlink(target, folder.join(link)).unwrap();
        assert!(is_irregular(&store.get(file, 999)), "{link}");
        assert!(is_irregular(&store.size(file)), "{link}");
        assert!(is_irregular(&store.range(file, 0..3)), "{link}");
        assert!(is_irregular(&store.read(file)), "{link}");
        let (parent, _) = file.rsplit_once('/').unwrap();
        assert!(is_irregular(&store.list(parent)), "{link}");
        assert!(is_irregular(&store.folders(parent)), "{link}");
        if link == file {
            // The link is replaced, never what it leads to.
            store.put(file, b"new").unwrap();
            assert_eq!(store.get(file, 9).unwrap().unwrap(), b"new");
        } else {
            assert!(is_irregular(&store.put(file, b"new")), "{link}");
            assert!(is_irregular(&store.create(file, b"new")), "{link}");
            assert!(is_irregular(&store.upload(file, &mut &b"new"[..], 3)), "{link}");
            assert!(is_irregular(&store.delete(file)), "{link}");
            assert!(is_irregular(&store.remove_leftover(&format!("{file}#1"))), "{link}");
            assert_eq!(store.foreign().unwrap(), [Foreign { path: link.into(), oddity: Oddity::Link }]);
        }
        for secret in ["secret", "elsewhere/secret"] {
            assert_eq!(fs::read_to_string(outer.path().join(secret)).unwrap(), SECRET, "{link}");
        }
        let elsewhere = fs::read_dir(outer.path().join("elsewhere")).unwrap().count();
        assert_eq!(elsewhere, 1, "{link}");
    }
}

#[test]
fn the_folder_itself_may_be_reached_through_a_link() {
    let (outer, folder, store) = folders();
    store.put("audit/latest", b"1").unwrap();
    symlink(&folder, outer.path().join("link")).unwrap();
    let store = Store::open(outer.path().join("link").to_str().unwrap(), Missing::Refuse).unwrap();
    assert_eq!(store.get("audit/latest", 9).unwrap().unwrap(), b"1");
}

#[test]
fn nothing_but_an_ordinary_file_is_read_and_nothing_waits() {
    let (_outer, folder, store) = folders();
    nix::unistd::mkfifo(&folder.join("channels/staging/latest"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(folder.join("mirror")).unwrap();
    for path in ["channels/staging/latest", "mirror", "channels/staging", "channels"] {
        assert!(is_irregular(&store.get(path, 99)), "{path}");
        assert!(is_irregular(&store.size(path)), "{path}");
    }
    assert!(is_irregular(&store.list("channels")));
    let oddities: Vec<_> = store.foreign().unwrap().into_iter().map(|f| (f.path, f.oddity)).collect();
    let wanted = ["channels/staging/latest", "mirror"].map(|path| (path.to_owned(), Oddity::Special));
    assert_eq!(oddities, wanted);
}

#[test]
fn impossible_names_are_left_out_and_reported() {
    use std::os::unix::ffi::OsStrExt;
    let (_outer, folder, store) = folders();
    for name in [&b"\x1b[31mred"[..], b"\xff\xfe", b"a b", "\u{202e}".as_bytes(), b"x:y"] {
        let name = std::ffi::OsStr::from_bytes(name);
        fs::create_dir(folder.join("channels").join(name)).unwrap();
        fs::write(folder.join("channels/staging").join(name), "x").unwrap();
        // Beside the repository's folders it doesn't matter.
        fs::write(folder.join(name), "x").unwrap();
    }
    fs::write(folder.join("channels/.DS_Store"), "x").unwrap();
    symlink("/etc", folder.join("www")).unwrap();
    assert_eq!(store.folders("channels").unwrap(), ["staging"]);
    assert_eq!(store.list("").unwrap(), []);
    let foreign = store.foreign().unwrap();
    assert_eq!(foreign.len(), 10, "{foreign:?}");
    assert!(foreign.iter().all(|f| f.oddity == Oddity::Name), "{foreign:?}");
}

/// As on a FAT. Its own name and what a killed program leaves are those of other writes, too.
#[test]
fn a_rename_creates_a_file_once_as_a_hard_link_does() {
    let (_outer, folder, store) = folders();
    let directory = crate::repository::store::place::directory(&folder, Missing::Refuse).unwrap();
    let create = |path: &str, bytes: &[u8]| directory.create_by_rename(path, bytes).unwrap();
    assert_eq!(create("channels/new/1.channel", b"first"), Created::Created);
    assert_eq!(create("channels/new/1.channel", b"second"), Created::Exists);
    assert_eq!(store.get("channels/new/1.channel", 9).unwrap().unwrap(), b"first");
    let made: Vec<Created> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|n| scope.spawn(move || create("roots/1.root", &[n]))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|made| **made == Created::Created).count(), 1, "{made:?}");
    assert_eq!(store.leftovers().unwrap(), []);
    fs::write(folder.join("roots/2.root#1000001"), "half").unwrap();
    assert_eq!(store.leftovers().unwrap().len(), 1);
}

#[test]
fn asking_whether_files_can_be_created_leaves_nothing() {
    let (_outer, folder, store) = folders();
    store.check_create().unwrap();
    assert!(!folder.join("probe").exists());
    fs::write(folder.join("probe"), "in the way").unwrap();
    store.check_create().unwrap_err();
}
