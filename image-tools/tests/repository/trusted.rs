//! Attacks by whoever can write to the store, without a key: nothing is signed, whichever verb is used.
use crate::cli::{at, on, state_of};
use crate::life::Life;
use crate::product::key;
use bistable_format::{Key, Role};
use bistable_image::root::{self, RootOptions};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SECOND: &str = "channels/staging/00000002.channel";

/// Every file of the repository, so that any new or changed one is found.
fn files(repo: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, all);
            } else {
                all.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    add(Path::new(repo), &mut all);
    all
}

/// Every verb that signs for a repository with releases 1.1.0 and 1.2.0 in staging ends with 5 and this text, and writes nothing.
#[track_caller]
fn nothing_is_signed(life: &Life, more: &[&str], text: &str) {
    let (channel, bundle, demand) =
        (life.path("channel.key"), life.bundle(3), format!("ok={}", life.path("channel.pub")));
    let bundle = bundle.to_str().unwrap();
    let before = files(&life.repo);
    for verb in [
        &["publish", bundle, "--progress", "quiet"][..],
        &["promote", "staging", "production"],
        &["rollout", "staging", "1.1.0", "set", "--waves", "1%"],
        &["rollout", "staging", "1.1.0", "pause"],
        &["rollout", "staging", "1.1.0", "halt"],
        &["withdraw", "staging", "1.1.0", "--reason", "bad"],
        &["channel", "refresh", "staging"],
        &["channel", "gates", "staging", "--min-age", "1h", "--require", &demand],
        &["channel", "pin", "staging", "1.1.0"],
        &["channel", "unpin", "staging", "1.1.0"],
        &["channel", "barrier", "staging", "1.1.0"],
        &["attest", "staging", "1.1.0", "--kind", "ok"],
        &["prune"],
    ] {
        let (_, stderr) = life.ends(&[verb, more, &["--key", &channel]].concat(), 5);
        assert!(stderr.contains(text), "{verb:?}: {stderr}");
        assert!(files(&life.repo) == before, "{verb:?} changed the repository");
    }
}

/// A life with two releases whose second channel file, its hint and its record an attacker then deletes.
fn behind() -> (Life, Vec<u8>) {
    let life = Life::new(2);
    let folder = Path::new(&life.repo);
    let deleted = fs::read(folder.join(SECOND)).unwrap();
    for file in [SECOND, "channels/staging/latest", "audit/00000003.json", "audit/latest"] {
        fs::remove_file(folder.join(file)).unwrap();
    }
    (life, deleted)
}

#[test]
fn store_that_lost_its_newest_channel_file_gets_no_other_of_that_number() {
    let (life, deleted) = behind();
    nothing_is_signed(
        &life,
        &[],
        "its newest number of channel staging is 1, but this computer has seen number 2",
    );
    // As the message says: restored, all continues.
    fs::write(Path::new(&life.repo).join(SECOND), deleted).unwrap();
    let (refreshed, _) = life.acts(&["channel", "refresh", "staging"], 0);
    assert!(refreshed.contains("now number 3"), "{refreshed}");
    life.ok(&["audit", "verify"]);
}

#[test]
fn store_that_lost_a_whole_channel_does_not_begin_it_again() {
    let life = Life::new(2);
    fs::remove_dir_all(Path::new(&life.repo).join("channels/staging")).unwrap();
    fs::remove_dir_all(Path::new(&life.repo).join("audit")).unwrap();
    nothing_is_signed(&life, &[], "its newest number of channel staging is 0");
}

#[test]
fn store_whose_channel_file_was_replaced_is_refused_by_who_saw_the_first() {
    let (life, _) = behind();
    let grace = life.folder.path().join("grace");
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    // Another person's computer never saw number 2, and signs one: its own memory can't help.
    on(&grace, &life.repo, &refresh, 0);
    nothing_is_signed(
        &life,
        &[],
        "number 2 of channel staging is not the signed file of that number that this computer has seen",
    );
    on(&grace, &life.repo, &refresh, 0);
    nothing_is_signed(
        &life,
        &[],
        "number 2 of channel staging is not the signed file of that number that this computer has seen",
    );
}

#[test]
fn mirror_and_moved_repository_are_compared_with_the_same_memory() {
    let life = Life::new(1);
    let (old, moved) = (life.path("old"), life.path("moved"));
    life.ok(&["sync", &old, "--everything"]);
    fs::remove_file(Path::new(&old).join("mirror")).unwrap();
    life.acts(&["channel", "refresh", "staging"], 0);
    fs::rename(&life.repo, &moved).unwrap();
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    let state = state_of(&life.repo);
    let (_, behind) = on(&state, &old, &refresh, 5);
    assert!(behind.contains("is 1, but this computer has seen number 2"), "{behind}");
    let (_, silent) = on(&state, &moved, &refresh, 0);
    assert_eq!(silent, "", "a repository that is known is no first use");
}

/// The attacker's own root, with a key that they have.
fn attackers_root(life: &Life) -> Vec<u8> {
    attackers_root_of(life, vec![key(66).public()])
}

/// The same with these root keys, of which one is enough.
fn attackers_root_of(life: &Life, root_keys: Vec<Key>) -> Vec<u8> {
    let product = &life.product;
    let made = root::create(&RootOptions {
        root_keys,
        release_keys: vec![product.release_key.public(), key(66).public()],
        channel_keys: vec![product.channel_key.public()],
        thresholds: vec![(Role::Root, 1)],
        sign: vec![key(66)],
        ..RootOptions::default()
    });
    made.unwrap().bytes
}

#[test]
fn replaced_first_root_is_refused_by_every_verb_that_signs() {
    let life = Life::new(2);
    let root = Path::new(&life.repo).join("roots/1.root");
    fs::write(&root, attackers_root(&life)).unwrap();
    nothing_is_signed(&life, &[], "shows another first root");
    let (_, refused) = life.ends(&["repo", "root", &life.path("1.root")], 5);
    assert!(refused.contains("shows another first root"), "{refused}");
    // A computer that never saw it is told the root by an option.
    let fresh = life.path("fresh");
    let refresh =
        ["channel", "refresh", "staging", "--key", &life.path("channel.key"), "--root", &life.path("1.root")];
    let before = files(&life.repo);
    let (_, refused) = on(Path::new(&fresh), &life.repo, &refresh, 5);
    assert!(refused.contains("belongs to another product"), "{refused}");
    assert!(files(&life.repo) == before);
    fs::write(&root, &life.product.root.bytes).unwrap();
    nothing_is_wrong(&life);
}

#[track_caller]
fn nothing_is_wrong(life: &Life) {
    let (_, stderr) = life.acts(&["channel", "refresh", "staging"], 0);
    assert_eq!(stderr, "");
}

#[test]
fn removed_and_replaced_newest_roots_are_refused_until_they_are_given_back() {
    let life = Life::new(2);
    let next = |releaser: u8, name: &str| {
        let made = life.product.next_root(vec![life.product.release_key.public(), key(releaser).public()]);
        fs::write(life.path(name), &made.bytes).unwrap();
        life.path(name)
    };
    let (second, other) = (next(9, "2.root"), next(10, "other.root"));
    life.ok(&["repo", "root", &second]);
    life.acts(&["channel", "refresh", "staging"], 0);
    let there = Path::new(&life.repo).join("roots/2.root");
    fs::remove_file(&there).unwrap();
    nothing_is_signed(&life, &[], "shows root 1, but this computer has seen root 2");
    let (_, refused) = life.ends(&["repo", "root", &other], 5);
    assert!(refused.contains("root 2 of") && !there.exists(), "{refused}");
    fs::copy(&other, &there).unwrap();
    nothing_is_signed(&life, &[], "is another one than this computer has seen");
    fs::remove_file(&there).unwrap();
    life.ok(&["repo", "root", &second]);
    nothing_is_wrong(&life);
}

#[test]
fn first_use_is_reported_once_with_and_without_a_given_root() {
    let life = Life::new(1);
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    let fresh = |name: &str| life.folder.path().join(name);
    let (_, first) = on(&fresh("one"), &life.repo, &refresh, 0);
    assert!(first.starts_with("trusting root 1 (") && first.lines().count() == 1, "{first}");
    let (_, second) = on(&fresh("one"), &life.repo, &refresh, 0);
    assert_eq!(second, "");
    let (_, given) =
        on(&fresh("two"), &life.repo, &[&refresh[..], &["--root", &life.path("1.root")]].concat(), 0);
    assert!(given.starts_with("trusting root 1 (") && given.lines().count() == 1, "{given}");
}

#[test]
fn repository_that_is_made_again_is_pinned_by_init() {
    let life = Life::new(2);
    fs::remove_dir_all(&life.repo).unwrap();
    fs::write(life.path("again.root"), attackers_root(&life)).unwrap();
    let (_, told) = life.ends(&["repo", "init", "--root", &life.path("again.root")], 0);
    let old = life.product.root.mark().digest;
    assert!(told.ends_with(&format!("instead of the repository with the first root {old:.12}\n")), "{told}");
    let (begun, silent) = life.acts(&["channel", "gates", "staging", "--min-age", "1h"], 0);
    assert!(begun.contains("channel staging is new") && silent.is_empty(), "{begun}{silent}");
}

#[test]
fn repository_that_is_made_again_with_the_same_root_is_signed_for_after_its_channels_are_forgotten() {
    let life = Life::new(2);
    fs::remove_dir_all(&life.repo).unwrap();
    let (_, warned) = life.ends(&["repo", "init", "--root", &life.path("1.root")], 0);
    assert!(warned.contains("has signed channels of this repository (staging)"), "{warned}");
    let gates = ["channel", "gates", "staging", "--min-age", "1h"];
    let (_, refused) = life.acts(&gates, 5);
    assert!(refused.contains("is behind"), "{refused}");
    assert!(life.ok(&["repo", "forget"]).contains("forgot staging (number 2)"));
    life.acts(&gates, 0);
}

#[test]
fn damaged_memory_is_never_a_first_use() {
    let life = Life::new(1);
    let state = state_of(&life.repo);
    for (path, bytes) in files(state.to_str().unwrap()) {
        if path.extension().is_some_and(|e| e == "json") {
            fs::write(&path, "").unwrap();
            let (_, stderr) = life.acts(&["channel", "refresh", "staging"], 1);
            assert!(stderr.contains("is damaged") && stderr.contains("--root FILE"), "{stderr}");
            fs::write(&path, bytes).unwrap();
        }
    }
    nothing_is_wrong(&life);
}

#[test]
fn verbs_that_only_read_need_no_memory() {
    let life = Life::new(1);
    let file = life.path("1.root");
    for verb in [&["channel", "show"][..], &["list"], &["fsck"], &["audit", "verify"]] {
        // A file is no folder: to read or write anything there fails.
        on(Path::new(&file), &life.repo, verb, 0);
    }
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    on(Path::new(&file), &life.repo, &refresh, 1);
    at(&life.repo, &refresh, 0);
}

/// What a person does after a backup was restored and no copy has the later files.
#[test]
fn channel_whose_files_are_lost_continues_above_every_number_that_was_seen() {
    for kept in [2, 0] {
        let life = Life::new(2);
        for _ in 3..=5 {
            life.acts(&["channel", "refresh", "staging"], 0);
        }
        let path = |file: &str| Path::new(&life.repo).join(file);
        for n in kept + 1..=5 {
            fs::remove_file(path(&format!("channels/staging/{n:08}.channel"))).unwrap();
            fs::remove_file(path(&format!("audit/{:08}.json", n + 1))).unwrap();
        }
        fs::remove_file(path("audit/latest")).unwrap();
        fs::remove_file(path("channels/staging/latest")).unwrap();
        let on_after = |after: &str, code| {
            life.acts(&["channel", "refresh", "staging", "--continue-after", after], code)
        };
        let (_, behind) = life.acts(&["channel", "refresh", "staging"], 5);
        assert!(behind.contains("channel refresh staging --continue-after N"), "{behind}");
        let before = files(&life.repo);
        for (after, why) in [("4", "this computer has seen number 5"), ("99999", "more than 10000 numbers")] {
            let (_, refused) = on_after(after, 2);
            assert!(refused.contains(why), "{refused}");
        }
        assert!(files(&life.repo) == before);
        // Another computer may have seen number 7.
        let (continued, _) = on_after("7", 0);
        assert!(continued.contains(if kept == 0 { "number 8" } else { "is now number 8" }), "{continued}");
        let (_, again) = on_after("7", 2);
        assert!(again.contains("number 8 is there"), "{again}");
        life.acts(&["channel", "gates", "staging", "--min-age", "1h"], 0);
        // Without the hint, too, it is found.
        fs::remove_file(path("channels/staging/latest")).unwrap();
        life.acts(&["channel", "refresh", "staging"], 0);
        assert!(life.ok(&["channel", "show", "staging"]).starts_with("channel staging, number 10\n"));
        let verified = life.ok(&["audit", "verify"]);
        assert!(verified.contains("staging: recorded up to number 10"), "{verified}");
        assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n") || kept == 0, "{verified}");
        let mirror = life.path("mirror");
        life.ok(&["sync", &mirror, "--everything"]);
        assert!(at(&mirror, &["audit", "verify"], 0).0.contains("staging: recorded up to number 10"));
        // A mark in place of a file that isn't lost is found: the file after it names it.
        let mark = fs::read(path("channels/staging/00000005.channel")).unwrap();
        let newest = path("channels/staging/00000010.channel");
        let signed = fs::read(&newest).unwrap();
        fs::write(&newest, &mark).unwrap();
        let (_, marked) = life.acts(&["channel", "refresh", "staging"], 5);
        assert!(marked.contains("number 10 of channel staging is not the signed file"), "{marked}");
        assert!(life.fsck(&life.repo, &[], 5).contains("is marked as lost"));
        fs::write(&newest, signed).unwrap();
        fs::write(path("channels/staging/00000009.channel"), mark).unwrap();
        assert!(life.fsck(&life.repo, &[], 5).contains("number 10 of channel staging does not follow"));
    }
}

#[test]
fn number_that_is_there_is_not_given_up() {
    let life = Life::new(2);
    life.acts(&["channel", "refresh", "staging"], 0);
    let folder = Path::new(&life.repo).join("channels/staging");
    fs::remove_file(folder.join("00000002.channel")).unwrap();
    fs::remove_file(folder.join("latest")).unwrap();
    let before = files(&life.repo);
    let (_, refused) = life.acts(&["channel", "refresh", "staging", "--continue-after", "3"], 2);
    assert!(refused.contains("number 3 is there"), "{refused}");
    assert!(files(&life.repo) == before);
}

#[test]
fn later_root_does_not_establish_or_change_whose_repository_a_place_is() {
    let life = Life::new(2);
    let second = life.product.next_root(vec![life.product.release_key.public(), key(9).public()]);
    fs::write(life.path("2.root"), &second.bytes).unwrap();
    life.ok(&["repo", "root", &life.path("2.root")]);
    let refresh =
        ["channel", "refresh", "staging", "--key", &life.path("channel.key"), "--root", &life.path("2.root")];
    let (_, silent) = life.ends(&refresh, 0);
    assert_eq!(silent, "");
    for file in ["channels/staging/00000003.channel", "channels/staging/latest", "audit/latest"] {
        fs::remove_file(Path::new(&life.repo).join(file)).unwrap();
    }
    let first = Path::new(&life.repo).join("roots/1.root");
    // It names the product's root key, too, so that the genuine second root follows it.
    let attackers = attackers_root_of(&life, vec![life.product.root_key.public(), key(66).public()]);
    fs::write(&first, &attackers).unwrap();
    nothing_is_signed(&life, &["--root", &life.path("2.root")], "the root is of repository");
    // The genuine second root names the genuine first one, so a computer that knows nothing of the place sees it, too.
    let fresh = life.folder.path().join("fresh");
    for (root, exit, text) in [
        (attackers, 5, "the root is of repository"),
        (life.product.root.bytes.clone(), 2, "first root (version 1)"),
    ] {
        fs::write(&first, root).unwrap();
        let (_, refused) = on(&fresh, &life.repo, &refresh, exit);
        assert!(refused.contains(text), "{refused}");
    }
}

#[test]
fn repository_that_was_moved_away_behind_a_link_is_compared_with_the_pin_of_its_path() {
    let life = Life::new(2);
    let moved = life.path("moved");
    fs::rename(&life.repo, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &life.repo).unwrap();
    let first = Path::new(&moved).join("roots/1.root");
    fs::write(&first, attackers_root(&life)).unwrap();
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    for repo in [life.repo.clone(), format!("file://{}/", life.repo)] {
        let (_, refused) = on(&state_of(&life.repo), &repo, &refresh, 5);
        assert!(refused.contains("shows another first root"), "{refused}");
    }
    fs::write(&first, &life.product.root.bytes).unwrap();
    nothing_is_wrong(&life);
    // The place without links is pinned from now on, too.
    fs::write(&first, attackers_root(&life)).unwrap();
    let (_, refused) = on(&state_of(&life.repo), &moved, &refresh, 5);
    assert!(refused.contains("shows another first root"), "{refused}");
}

#[test]
fn lost_record_is_replaced_by_a_given_first_root_only() {
    let life = Life::new(1);
    let state = state_of(&life.repo);
    for path in files(state.to_str().unwrap()).into_keys() {
        if path.ends_with("record.json") {
            fs::remove_file(path).unwrap();
        }
    }
    let refresh = ["channel", "refresh", "staging", "--key", &life.path("channel.key")];
    let (_, refused) = life.ends(&refresh, 1);
    assert!(refused.contains("record.json") && refused.contains("--root FILE"), "{refused}");
    let (_, told) = life.ends(&[&refresh[..], &["--root", &life.path("1.root")]].concat(), 0);
    assert!(told.starts_with("trusting root 1 ("), "{told}");
    nothing_is_wrong(&life);
}

#[test]
fn numbers_are_not_forgotten_while_the_store_has_a_file_of_the_channel() {
    let (life, _) = behind();
    let (_, refused) = life.ends(&["repo", "forget"], 2);
    assert!(refused.contains("has files of channel staging"), "{refused}");
    nothing_is_signed(&life, &[], "this computer has seen number 2");
}

#[test]
fn mark_in_place_of_a_file_that_this_computer_has_seen_is_no_reason_to_continue() {
    let (life, _) = behind();
    let mark = b"This number of the channel was lost. The channel continues above it.\n";
    fs::write(Path::new(&life.repo).join(SECOND), mark).unwrap();
    nothing_is_signed(&life, &[], "number 2 of channel staging is not the signed file of that number");
    let (_, told) = life.acts(&["channel", "refresh", "staging", "--continue-after", "2"], 0);
    assert!(told.contains("with what number 1 says (releases on offer: 1, withdrawn: 0)"), "{told}");
    nothing_is_wrong(&life);
}

#[test]
fn channel_that_never_was_is_not_continued() {
    let life = Life::new(1);
    let before = files(&life.repo);
    let (_, refused) = life.acts(&["channel", "refresh", "stagign", "--continue-after", "5"], 1);
    assert!(refused.contains("has no channel stagign"), "{refused}");
    assert!(files(&life.repo) == before);
}

#[test]
fn signed_file_that_was_not_created_is_finished_by_the_next_change_of_its_channel_and_by_no_other_verb() {
    let life = Life::new(2);
    let third = Path::new(&life.repo).join("channels/staging/00000003.channel");
    let (repo, state) = (files(&life.repo), files(state_of(&life.repo).to_str().unwrap()));
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "bad"], 0);
    let signed = fs::read(&third).unwrap();
    // As if the store had failed when the file was signed.
    for new in files(&life.repo).into_keys().filter(|path| !repo.contains_key(path)) {
        fs::remove_file(new).unwrap();
    }
    for (path, bytes) in repo.iter().chain(&state) {
        fs::write(path, bytes).unwrap();
        if path.ends_with("record.json") {
            fs::write(path.with_file_name("staging.pending"), &signed).unwrap();
        }
    }
    life.acts(&["promote", "staging", "production", "1.2.0"], 0);
    life.acts(&["attest", "staging", "1.2.0", "--kind", "ok"], 0);
    assert!(!third.exists());
    let (refreshed, told) = life.acts(&["channel", "refresh", "staging"], 0);
    assert_eq!(told, "finishing number 3 of channel staging (withdraw hub 1.1.0: bad)\n");
    assert!(refreshed.contains("now number 4") && third.exists(), "{refreshed}");
}

#[test]
fn copy_takes_no_mark_that_no_signed_file_vouches_for() {
    let life = Life::new(1);
    for _ in 2..=4 {
        life.acts(&["channel", "refresh", "staging"], 0);
    }
    let mark = b"This number of the channel was lost. The channel continues above it.\n";
    let file = |n: u64| format!("channels/staging/{n:08}.channel");
    for marked in [&[1][..], &[1, 2], &[2], &[1, 2, 3]] {
        let kept: Vec<_> =
            marked.iter().map(|n| fs::read(Path::new(&life.repo).join(file(*n))).unwrap()).collect();
        for n in marked {
            fs::write(Path::new(&life.repo).join(file(*n)), mark).unwrap();
        }
        let copy = life.path(&format!("copy {marked:?}"));
        let (_, refused) = life.ends(&["sync", &copy, "--everything"], 5);
        assert!(refused.contains("does not follow the file before it"), "{refused}");
        let copied = marked.iter().filter(|n| Path::new(&copy).join(file(**n)).exists()).count();
        assert_eq!(copied, 0, "{marked:?}");
        for (n, bytes) in marked.iter().zip(kept) {
            fs::write(Path::new(&life.repo).join(file(*n)), bytes).unwrap();
        }
    }
    life.ok(&["sync", &life.path("whole"), "--everything"]);
}
