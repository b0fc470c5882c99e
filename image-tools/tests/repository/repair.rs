//! What fsck finds and repairs, verb by verb, as a person types it.
use crate::cli::at;
use crate::life::Life;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn blobs(repo: &str) -> Vec<PathBuf> {
    fs::read_dir(Path::new(repo).join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect()
}

/// Turn one bit.
fn rot(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let last = file.metadata().unwrap().len() - 1;
    let mut byte = [0];
    file.read_exact_at(&mut byte, last).unwrap();
    file.write_all_at(&[byte[0] ^ 1], last).unwrap();
}

/// Without its signed release a release's other blobs are unreferenced: `publish` must not find rotten ones there.
#[test]
fn release_that_is_rotten_as_a_whole_is_published_again() {
    let life = Life::new(1);
    let mut rotten = blobs(&life.repo);
    rotten.retain(|path| !fs::read(path).unwrap().starts_with(b"BISTCAT1"));
    rotten.iter().for_each(|path| rot(path));
    let (told, _) = at(&life.repo, &["fsck", "--deep", "--json"], 5);
    let told = bistable_schema::object(&told);
    assert_eq!(
        (&told["clean"], &told["code"], &told["exit"]),
        (&false.into(), &"untrusted".into(), &5.into())
    );
    let (removed, _) = at(&life.repo, &["fsck", "--deep", "--repair"], 5);
    assert!(removed.contains(&format!("{} damaged files removed", rotten.len())), "{removed}");
    life.acts(&["publish", life.bundle(1).to_str().unwrap(), "--progress", "quiet"], 0);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
}

#[test]
fn rotten_stick_is_copied_again() {
    let life = Life::new(1);
    let stick = life.path("stick");
    life.ok(&["sync", &stick]);
    let rotten = blobs(&stick).into_iter().max_by_key(|p| fs::metadata(p).unwrap().len()).unwrap();
    rot(&rotten);
    let (_, advice) = at(&stick, &["fsck", "--deep"], 5);
    assert!(advice.contains("`bistable-image fsck --deep --repair`"), "{advice}");
    let (removed, _) = at(&stick, &["fsck", "--deep", "--repair"], 5);
    assert!(removed.contains("1 damaged file removed") && removed.starts_with("missing    "), "{removed}");
    assert!(!rotten.exists());
    life.ok(&["sync", &stick]);
    assert!(life.fsck(&stick, &["--deep"], 0).ends_with("no problems\n"));
}

/// Else another release could be published under it.
#[test]
fn a_versions_name_is_kept_again() {
    let life = Life::new(2);
    let name = Path::new(&life.repo).join("versions/hub/1.1.0");
    let text = fs::read(&name).unwrap();
    fs::remove_file(&name).unwrap();
    let told = life.fsck(&life.repo, &[], 0);
    assert!(
        told.starts_with("unnamed    versions/hub/1.1.0  is gone") && told.contains("--repair"),
        "{told}"
    );
    life.fsck(&life.repo, &["--repair"], 0);
    assert_eq!(fs::read(&name).unwrap(), text);
    assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n"));
    // A copy of what is on offer has only the names of that.
    life.acts(&["withdraw", "staging", "1.1.0", "--reason", "bad"], 0);
    let stick = life.path("stick");
    life.ok(&["sync", &stick]);
    assert!(life.fsck(&stick, &[], 0).ends_with("no problems\n"));
}

#[test]
fn acts_without_a_record_are_told() {
    let life = Life::new(2);
    for file in ["audit/00000003.json", "audit/latest"] {
        fs::remove_file(Path::new(&life.repo).join(file)).unwrap();
    }
    life.fsck(&life.repo, &["--repair"], 0);
    let told = life.fsck(&life.repo, &[], 0);
    assert!(told.starts_with("unrecorded  channels/staging  1 ") && told.contains("audit repair"), "{told}");
    life.ok(&["audit", "repair"]);
    assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n"));
}

#[test]
fn what_does_not_belong_there_is_told() {
    let life = Life::new(2);
    let key = life.path("channel.key");
    life.ok(&["attest", "staging", "1.2.0", "--kind", "tested", "--note", "rig", "--key", &key]);
    let path = |name: &str| Path::new(&life.repo).join(name);
    let folder = fs::read_dir(path("attestations")).unwrap().next().unwrap().unwrap().path();
    let good = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert!(life.fsck(&life.repo, &[], 0).ends_with("no problems\n"));
    let other = fs::read(path("versions/hub/1.2.0")).unwrap();
    fs::write(path("versions/hub/1.1.0"), other).unwrap();
    fs::write(path("versions/hub/1.2.0"), "rubbish").unwrap();
    fs::write(path("versions/hub/one"), "0".repeat(64)).unwrap();
    fs::write(path("versions/notes"), "").unwrap();
    fs::copy(&good, folder.join("burned-in-00.attestation")).unwrap();
    fs::write(path("attestations/readme"), "").unwrap();
    fs::write(&good, "rubbish").unwrap();
    let told = life.fsck(&life.repo, &[], 0);
    assert_eq!(told.matches("foreign    ").count(), 7, "{told}");
    for name in ["versions/hub/1.1.0", "versions/hub/1.2.0", "versions/hub/one", "versions/notes"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    assert!(told.contains("burned-in-00") && told.contains("attestations/readme"), "{told}");
}

#[test]
fn hints_are_mended_whatever_a_channel_is_called() {
    let life = Life::new(1);
    life.acts(&["promote", "staging", "latest"], 0);
    let path = |name: &str| Path::new(&life.repo).join(name);
    fs::write(path("channels/latest/latest"), "7\n").unwrap();
    // Another program's, and no reason to send readers there.
    fs::write(path("channels/staging/99999999.channel"), "x").unwrap();
    fs::remove_file(path("channels/staging/latest")).unwrap();
    let mended = life.fsck(&life.repo, &["--repair"], 0);
    assert!(mended.contains("2 hints recreated") && mended.contains("no problems\n"), "{mended}");
    for hint in ["channels/latest/latest", "channels/staging/latest"] {
        assert_eq!(fs::read_to_string(path(hint)).unwrap(), "1\n", "{hint}");
    }
}

#[test]
fn what_a_stopped_upload_left_is_removed_after_a_day() {
    let life = Life::new(1);
    let blobs = Path::new(&life.repo).join("blobs/sha256");
    let [old, young] = ["1", "2"].map(|n| blobs.join(format!("{}#{n}", "0".repeat(64))));
    for (path, age) in [(&old, 90_000), (&young, 80_000)] {
        fs::write(path, "half").unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    let told = life.fsck(&life.repo, &[], 0);
    assert!(told.starts_with("leftover   blobs/sha256/000") && told.ends_with("1 problem\n"), "{told}");
    let mended = life.fsck(&life.repo, &["--repair"], 0);
    assert!(mended.contains("no problems\n") && mended.contains("1 leftover file removed"), "{mended}");
    assert!(!old.exists() && young.exists());
}

#[test]
fn what_other_programs_leave_in_a_folder_stops_no_verb() {
    let life = Life::new(2);
    for folder in
        ["", "versions", "versions/hub", "holds", "blobs/sha256", "channels/staging", "audit", "prune"]
    {
        let folder = Path::new(&life.repo).join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(".DS_Store"), "x").unwrap();
    }
    life.ok(&["sync", "--everything", &life.path("mirror")]);
    life.acts(&["prune"], 0);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
}

/// Each finding names what ends it, and nothing that doesn't.
#[test]
fn a_damaged_channel_and_a_removed_record_end_as_fsck_says() {
    let life = Life::new(2);
    let newest = Path::new(&life.repo).join("channels/staging/00000002.channel");
    let whole = fs::read(&newest).unwrap();
    rot(&newest);
    for args in [&["fsck"][..], &["fsck", "--deep", "--repair"], &["fsck", "--deep"]] {
        let (found, advice) = at(&life.repo, args, 5);
        assert!(
            found.contains(
                "; restore channels/staging/00000002.channel from a mirror or a backup; if none has it, remove it, and \
                 `bistable-image channel refresh staging --continue-after 2` continues above it\n"
            ),
            "{found}"
        );
        // What the channel names is not known.
        assert!(!found.contains("orphan") && !advice.contains("--repair"), "{found}{advice}");
        assert!(advice.ends_with("each of the lines above says what to do\n"), "{advice}");
    }
    // From a copy, and without one.
    let rotten = fs::read(&newest).unwrap();
    fs::write(&newest, whole).unwrap();
    at(&life.repo, &["fsck", "--deep", "--repair"], 0);
    assert!(life.fsck(&life.repo, &["--deep"], 0).ends_with("no problems\n"));
    fs::write(&newest, rotten).unwrap();
    fs::remove_file(&newest).unwrap();
    life.acts(&["channel", "refresh", "staging", "--continue-after", "2"], 0);
    life.acts(&["publish", life.bundle(2).to_str().unwrap(), "--progress", "quiet"], 0);
    // What the lost file alone named.
    let left = life.fsck(&life.repo, &["--deep"], 0);
    let (found, _) = left.trim_end().rsplit_once('\n').unwrap_or_default();
    assert!(found.lines().all(|line| line.starts_with("orphan  ")), "{left}");
    life.ok(&["audit", "verify"]);

    // The history of the channel.
    let older = Path::new(&life.repo).join("channels/staging/00000001.channel");
    let whole = fs::read(&older).unwrap();
    rot(&older);
    let (found, _) = at(&life.repo, &["fsck"], 5);
    assert!(
        found.contains("; restore channels/staging/00000001.channel from a mirror or a backup\n"),
        "{found}"
    );
    fs::write(&older, whole).unwrap();

    let record = Path::new(&life.repo).join("audit/00000002.json");
    let whole = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    for args in [&["audit", "verify"][..], &["audit", "repair"], &["fsck"]] {
        let (said, error) = at(&life.repo, args, 5);
        let text = format!("{said}{error}");
        assert!(text.contains("restore audit/00000002.json from a mirror or a backup"), "{text}");
        assert!(!text.contains("nothing is missing"), "{text}");
    }
    fs::write(&record, whole).unwrap();
    assert_eq!(life.ok(&["audit", "repair"]), "nothing is missing\n");
}
