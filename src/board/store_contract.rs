//! What each store of components must do: the one in folders, and its twin in memory.
use super::{
    ComponentFolder, Meter,
    memory::{Loss, MemoryStore, Supply},
};
use crate::ports::{ComponentStore, StoredVersion};
use bistable_format::archive::{Entry, EntryKind};
use std::path::Path;

fn entry<'a>(path: &'a str, kind: EntryKind<'a>, bytes: u64) -> Entry<'a> {
    let mode = if kind == EntryKind::Directory { 0o555 } else { 0o640 };
    Entry { path: path.as_bytes(), kind, mode, mtime: 1_700_000_000, bytes }
}

fn unpack(store: &mut dyn ComponentStore, version: &str, text: &[u8]) {
    let mut tree = store.begin("core", version).unwrap();
    tree.begin(&entry("lib", EntryKind::Directory, 0)).unwrap();
    tree.begin(&entry("lib/main", EntryKind::File, text.len() as u64)).unwrap();
    text.chunks(3).for_each(|piece| tree.content(piece).unwrap());
    tree.end().unwrap();
    tree.begin(&entry("run", EntryKind::Symlink(b"lib/main"), 0)).unwrap();
    drop(tree);
    store.keep_release("core", version, b"signed").unwrap();
}

fn names(store: &mut dyn ComponentStore) -> Vec<(String, bool)> {
    let versions = store.versions("core").unwrap();
    versions.into_iter().map(|StoredVersion { name, is_complete }| (name, is_complete)).collect()
}

fn contract(store: &mut dyn ComponentStore) {
    // Nothing is there.
    assert_eq!(names(store), []);
    assert_eq!(store.components().unwrap(), [""; 0]);
    assert_eq!((store.current("core").unwrap(), store.shown("core").unwrap()), (None, None));
    store.release("core", "aa").unwrap_err();
    store.remove("core", "aa").unwrap();
    store.set_current("core", None).unwrap();
    store.show("core", None).unwrap();
    assert!(store.free_bytes().unwrap() > 0);

    // A version is not complete before it is said so, and an attempt replaces the one before.
    unpack(store, "aa", b"the first attempt");
    assert_eq!(names(store), [("aa".into(), false)]);
    unpack(store, "aa", b"hello");
    store.sync().unwrap();
    store.complete("core", "aa").unwrap();
    assert_eq!(names(store), [("aa".into(), true)]);
    assert_eq!(store.release("core", "aa").unwrap(), b"signed");

    assert_eq!(store.components().unwrap(), ["core"]);

    // Both names lead where they were led, each by itself.
    store.set_current("core", Some("aa")).unwrap();
    assert_eq!((store.current("core").unwrap(), store.shown("core").unwrap()), (Some("aa".into()), None));
    unpack(store, "bb", b"world");
    store.complete("core", "bb").unwrap();
    store.show("core", Some("bb")).unwrap();
    store.show("core", Some("aa")).unwrap();
    store.show("core", Some("bb")).unwrap();
    assert_eq!(store.shown("core").unwrap(), Some("bb".into()));
    assert_eq!(store.current("core").unwrap(), Some("aa".into()));
    store.set_current("core", Some("bb")).unwrap();
    assert_eq!(store.current("core").unwrap(), Some("bb".into()));

    // A configuration lies beside its version, and one name leads to both.
    let mut folder = store.begin("core", "bb-1").unwrap();
    folder.begin(&entry("environment", EntryKind::File, 4)).unwrap();
    folder.content(b"A=1\n").unwrap();
    folder.end().unwrap();
    drop(folder);
    store.sync().unwrap();
    store.complete("core", "bb-1").unwrap();
    assert_eq!(store.file("core", "bb-1", "environment").unwrap(), b"A=1\n");
    store.file("core", "bb-1", "values").unwrap_err();
    for name in ["bb-1", "bb", "bb-1"] {
        store.show("core", Some(name)).unwrap();
        assert_eq!(store.shown("core").unwrap().as_deref(), Some(name));
        store.set_current("core", Some(name)).unwrap();
        assert_eq!(store.current("core").unwrap().as_deref(), Some(name));
    }
    store.show("core", Some("bb")).unwrap();
    store.set_current("core", Some("bb")).unwrap();
    store.remove("core", "bb-1").unwrap();
    assert_eq!(store.values("core").unwrap(), b"");
    for values in [&b"{}"[..], b"{\"A\":\"1\"}", b"", b""] {
        store.keep_values("core", values).unwrap();
        assert_eq!(store.values("core").unwrap(), values);
    }

    // What is complete is unpacked again from nothing, and what is removed is gone with its release.
    unpack(store, "aa", b"again");
    assert_eq!(names(store), [("aa".into(), false), ("bb".into(), true)]);
    store.remove("core", "aa").unwrap();
    assert_eq!(names(store), [("bb".into(), true)]);
    store.release("core", "aa").unwrap_err();
    store.show("core", None).unwrap();
    assert_eq!(store.shown("core").unwrap(), None);
}

#[test]
fn the_store_in_memory_keeps_the_contract() {
    contract(&mut MemoryStore::new(Supply::new()));
}

#[test]
fn the_store_in_folders_keeps_the_contract_and_has_what_was_unpacked() {
    use std::os::unix::fs::PermissionsExt as _;
    let top = tempfile::tempdir().unwrap();
    let (persistent, run) = (top.path().join("persistent"), top.path().join("run"));
    let mut store = ComponentFolder::new(top.path(), Some(&persistent), &run, Meter::default());
    contract(&mut store);
    store.show("core", Some("bb")).unwrap();
    let link = run.join("bistable/components/core");
    assert_eq!(std::fs::read(link.join("run")).unwrap(), b"world");
    let metadata = std::fs::metadata(link.join("lib/main")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(modified.as_secs(), 1_700_000_000);
    assert_eq!(std::fs::metadata(link.join("lib")).unwrap().permissions().mode() & 0o777, 0o555);
    store.remove("core", "bb").unwrap();
    assert!(
        !persistent.join("bistable/components/core/bb").exists(),
        "a folder without permission to write goes, too"
    );
}

#[test]
fn the_path_that_people_use_is_the_link_or_leads_to_it() {
    let top = tempfile::tempdir().unwrap();
    let mut store = ComponentFolder::new(top.path(), None, &top.path().join("run"), Meter::default());
    std::fs::create_dir_all(top.path().join("opt/other")).unwrap();
    std::os::unix::fs::symlink("/run/bistable/components/core", top.path().join("opt/core")).unwrap();
    std::os::unix::fs::symlink("/srv", top.path().join("opt/away")).unwrap();
    for (path, holds) in [
        ("/run/bistable/components/core", true),
        ("/opt/core", true),
        ("/opt/away", false),
        ("/opt/other", false),
        ("/opt/missing", false),
        ("/run/bistable/components/other", false),
    ] {
        assert_eq!(store.is_reached_by("core", Path::new(path)).unwrap(), holds, "{path}");
    }
    // The partition isn't there: everything that needs it says so.
    let text = store.versions("core").unwrap_err().to_string();
    assert!(text.contains("is not mounted"), "{text}");
}

/// What was measured of ext4: names come through a power cut, data that was not synced doesn't.
#[test]
fn a_power_cut_leaves_names_of_empty_files_unless_they_were_synced() {
    for (synced, expected) in [(false, &b""[..]), (true, b"hello")] {
        let mut store = MemoryStore::new(Supply::new());
        unpack(&mut store, "aa", b"hello");
        if synced {
            store.sync().unwrap();
        }
        store.complete("core", "aa").unwrap();
        store.show("core", Some("aa")).unwrap();
        store.lose(Loss::All);
        assert_eq!(store.stored("core", "aa").unwrap().files["lib/main"], expected);
        assert_eq!(store.shown("core").unwrap(), None, "what lies in memory is gone");
    }
}
