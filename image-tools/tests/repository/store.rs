//! Every store keeps the contract; those that don't are found.
use crate::places;
use bistable_image::repository::Store;
use bistable_image::repository::store::{
    Claim, Faults, Faulty, Memory, Missing, Operation, StoreError, contract,
};
use std::fs;
use std::sync::{Arc, Barrier};

#[test]
fn every_place_keeps_the_contract() {
    for place in places::all() {
        if let Err(breach) = contract::check(&place.store, "contract") {
            panic!("{}: {breach:?}", place.name);
        }
    }
}

#[test]
fn the_contract_finds_liars() {
    let overwrites = Faults { overwrites: true, ..Faults::default() };
    let breach = contract::check(&Store::new(Faulty::new(Memory::new(), overwrites)), "x").unwrap_err();
    assert_eq!(breach.clause, "a taken name exists");

    // All eight have looked before the first one writes.
    let all = Arc::new(Barrier::new(8));
    let before = move |operation, path: &str| {
        if operation == Operation::Size && path.contains("race") {
            all.wait();
        }
    };
    let looks_first = Faults { looks_first: true, before: Some(Arc::new(before)), ..Faults::default() };
    let breach = contract::check(&Store::new(Faulty::new(Memory::new(), looks_first)), "x").unwrap_err();
    assert_eq!(breach.clause, "exactly one creates");
}

#[test]
fn a_claim_whose_answer_got_lost_is_found_to_be_ours() {
    let memory = Memory::new();
    let lossy = Faults { loses_answers: Some(1), ..Faults::default() };
    let store = Store::new(Faulty::new(memory.clone(), lossy));
    assert!(store.create("a", b"x").is_err());
    assert_eq!(store.claim("a", b"x", 9).unwrap(), Claim::Ours);
    assert_eq!(store.claim("a", b"y", 9).unwrap(), Claim::Theirs(b"x".to_vec()));
    assert_eq!(store.claim("b", b"y", 9).unwrap(), Claim::Ours);
}

#[test]
fn a_directory_is_left_with_its_files_and_nothing_else() {
    let place = places::directory();
    let _ = place.store.create("channels/staging/00000001.channel", b"x").unwrap();
    let _ = place.store.create("channels/staging/00000001.channel", b"y").unwrap();
    let root = std::path::PathBuf::from(place.url.unwrap());
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["channels"]);
    assert_eq!(names("channels/staging"), ["00000001.channel"]);
}

/// The whole repository could be lost otherwise: what lies there belongs to others.
#[test]
fn a_file_in_the_way_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo");
    fs::write(&path, b"").unwrap();
    assert!(matches!(Store::open(path.to_str().unwrap(), Missing::Create), Err(StoreError::Place { .. })));
    fs::remove_file(&path).unwrap();
    let store = Store::open(path.to_str().unwrap(), Missing::Create).unwrap();
    fs::write(path.join("audit"), b"").unwrap();
    let error = store.create("audit/00000001.json", b"{}").unwrap_err();
    assert!(error.to_string().contains("audit/00000001.json"), "{error}");
}

/// `/dev/full` is no file system; a tiny tmpfs is. Needs root.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "mounts a small tmpfs: needs root"]
fn a_full_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(mounted.success());
    let store = Store::open(folder.path().to_str().unwrap(), Missing::Refuse).unwrap();
    let error = store.create("big", &vec![0; 1 << 20]).unwrap_err();
    let left = store.list("").unwrap();
    std::process::Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(left, []);
}
