//! Cards that are none, that are damaged, and that another process uses.
use crate::{
    fixture::{noise, product},
    pi::{Pi, end},
};
use bistable_boot::{
    Autoboot, COPY_BYTES, SECTOR, Slot,
    layout::{BOOT_PARTITIONS, JOURNAL, METADATA_BYTES, Partition, RELEASE, ROOT},
};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    process::Command,
};

/// Verbs that need the card for themselves. `status` only looks, and so works whenever there is something to see.
const VERBS: [&str; 5] = ["preflight", "install @good.bundle", "resume", "repair", "sim power cycle"];

/// What was done to the card's file, and words of the message.
type Case = (&'static str, fn(&Pi), &'static [&'static str]);

const NONE: &[Case] = &[
    (
        "missing",
        |pi| fs::remove_file(&pi.card).unwrap(),
        &["there is no card", "card.img", "bistable-image card"],
    ),
    (
        "a-folder",
        |pi| {
            fs::remove_file(&pi.card).unwrap();
            fs::create_dir(&pi.card).unwrap();
        },
        &["card.img is a folder, not a card", "bistable-image card"],
    ),
    ("empty", |pi| fs::write(&pi.card, []).unwrap(), &["is not a card", "bistable-image card"]),
    ("zeros", |pi| fs::write(&pi.card, vec![0; 1 << 20]).unwrap(), &["is not a card"]),
    ("noise", |pi| fs::write(&pi.card, noise(3, 1 << 20)).unwrap(), &["is not a card"]),
    (
        "one-of-its-volumes",
        |pi| {
            let boot = pi.partition(Partition::Boot(Slot::A));
            fs::write(&pi.card, boot).unwrap();
        },
        &["is not a card"],
    ),
    (
        "both-tables-damaged",
        |pi| {
            let file = OpenOptions::new().write(true).open(&pi.card).unwrap();
            file.write_all_at(&noise(1, 34 * 512), 0).unwrap();
            let end = file.metadata().unwrap().len();
            file.write_all_at(&noise(2, 33 * 512), end - 33 * 512).unwrap();
        },
        &["is not a card"],
    ),
    (
        "truncated-in-a-slot",
        |pi| truncate(pi, product().range(Partition::System(Slot::B)).start + 512),
        &["\"system_b\"", "truncated or too small"],
    ),
    (
        "truncated-at-the-end",
        |pi| truncate(pi, product().range(Partition::Persistent).end - 512),
        &["\"persistent\"", "truncated or too small"],
    ),
    ("truncated-in-the-table", |pi| truncate(pi, 20 * 512), &["is not a card"]),
    (
        "a-partition-renamed",
        |pi| {
            // UTF-16: "state" becomes "slate", in the first table's seventh entry; its checksum no longer fits, and in
            // the second table, too.
            let file = OpenOptions::new().write(true).open(&pi.card).unwrap();
            let end = file.metadata().unwrap().len();
            for table in [2 * 512, end - 33 * 512] {
                file.write_all_at(b"l", table + 6 * 128 + 56 + 2).unwrap();
            }
        },
        &["is not a card"],
    ),
];

fn truncate(pi: &Pi, bytes: u64) {
    OpenOptions::new().write(true).open(&pi.card).unwrap().set_len(bytes).unwrap();
}

#[test]
fn what_is_no_card_is_refused_by_every_verb() {
    for (name, damage, words) in NONE {
        let pi = Pi::new();
        pi.good();
        damage(&pi);
        eprintln!("{name}");
        let before = fs::read(&pi.card).ok();
        pi.run("status").must(1, words);
        for verb in VERBS {
            pi.run(verb).must(1, words);
        }
        assert!(fs::read(&pi.card).ok() == before, "{name}");
    }
}

#[test]
fn a_read_only_card_is_named_so() {
    let pi = Pi::new();
    pi.good();
    fs::set_permissions(&pi.card, Permissions::from_mode(0o444)).unwrap();
    for verb in VERBS {
        pi.run(verb).must(75, &["card.img is read-only", "make it writable"]);
    }
    pi.is_unharmed();
    fs::set_permissions(&pi.card, Permissions::from_mode(0o644)).unwrap();
    pi.takes_the_good_update();
}

/// Whoever may not write it, though it isn't marked read-only.
#[test]
fn card_in_use_by_another_process_is_read_only() {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let pi = Pi::new();
    fs::set_permissions(pi.path(""), Permissions::from_mode(0o755)).unwrap();
    let program = pi.path("bistable");
    // By another process: a program that is open for writing here, in whatever another test forks, can't be started.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_bistable")).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.arg("--card").arg(&pi.card).arg("resume");
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: no setpriv");
        return;
    }
    end(command, "resume").must(75, &["card.img is read-only", "make it writable"]);
}

#[test]
fn a_card_in_use_is_for_later() {
    let pi = Pi::new();
    pi.good();
    let file = File::open(&pi.card).unwrap();
    file.try_lock().unwrap();
    for verb in VERBS {
        pi.run(verb).must(75, &["card.img is in use by another process", "try again later"]);
    }
    pi.is_unharmed();
    file.unlock().unwrap();
    // Whoever was starting a program at that moment has it for as long as that takes.
    drop(file);
    pi.takes_the_good_update();
}

/// Only a program that is told to reads the copy at the end.
#[test]
fn a_damaged_copy_of_the_table_is_no_matter() {
    let pi = Pi::new();
    let file = OpenOptions::new().write(true).open(&pi.card).unwrap();
    let at = file.metadata().unwrap().len() - 33 * 512;
    file.write_all_at(&noise(1, 33 * 512), at).unwrap();
    drop(file);
    pi.rests("A", "1.0.0");
    pi.takes_the_good_update();
}

/// The system runs, and the next boot would find no partitions. What the message says ends it.
#[test]
fn a_damaged_table_stops_an_update_and_the_command_is_named() {
    let cases: [(u64, usize, &str); 3] = [
        (0, 512, "the protective MBR of"),
        (512, 512, "the first copy of the partition table of"),
        (1024, 32 * 512, "the first copy of the partition table of"),
    ];
    for (at, bytes, words) in cases {
        let pi = Pi::new();
        pi.good();
        let before = fs::read(&pi.card).unwrap();
        let file = OpenOptions::new().write(true).open(&pi.card).unwrap();
        file.write_all_at(&noise(1, bytes), at).unwrap();
        drop(file);
        pi.rests("A", "1.0.0");
        for verb in ["preflight", "update @good.bundle"] {
            pi.run(verb).must(1, &[words, "`sgdisk -e "]);
        }
        pi.run("resume").must(0, &[]);
        pi.is_unharmed();
        match Command::new("sgdisk").arg("-e").arg(&pi.card).output() {
            Ok(done) => assert!(done.status.success(), "{done:?}"),
            Err(_) => {
                eprintln!("no sgdisk: written back by hand");
                let file = OpenOptions::new().write(true).open(&pi.card).unwrap();
                file.write_all_at(&before[..34 * 512], 0).unwrap();
            }
        }
        pi.takes_the_good_update();
    }
}

fn byte(at: bistable_boot::Lba) -> u64 {
    at.0 * SECTOR as u64
}

#[test]
fn one_damaged_journal_copy_is_repaired_by_the_next_save() {
    for copy in [0, 1] {
        let pi = Pi::new();
        pi.scribble(Partition::State, byte(JOURNAL[copy]) + 100, &[0xa5; 16]);
        assert_eq!(pi.status()["journal"]["copies"][copy], serde_json::Value::Null);
        pi.run("preflight").must(0, &["one copy is damaged; the next save repairs it"]);
        pi.takes_the_good_update();
        let copies = pi.status()["journal"]["copies"].clone();
        assert!(copies[0].is_u64() && copies[1].is_u64(), "{copies}");
    }
}

#[test]
fn both_journal_copies_damaged_is_said_and_repaired() {
    let pi = Pi::new();
    pi.good();
    for at in JOURNAL {
        pi.scribble(Partition::State, byte(at), &noise(4, COPY_BYTES));
    }
    for verb in ["history", "preflight", "install @good.bundle", "update @good.bundle", "resume"] {
        pi.run(verb).must(1, &["both journal copies are damaged", "bistable repair"]);
    }
    let status = pi.status();
    assert_eq!((&status["state"], &status["slots"]["a"]["version"]), (&"lost".into(), &"1.0.0".into()));
    assert!(status["advice"].as_str().unwrap().contains("until `bistable repair`"), "{status:#}");
    pi.slot_a_is_untouched();
    pi.run("sim power cycle").must(0, &["slot A"]);
    pi.run("repair").must(0, &[]);
    let status = pi.rests("A", "1.0.0");
    assert_eq!(status["floors"]["security_version"], 2, "floors survive");
    pi.run("repair").must(3, &["nothing to repair"]);
    pi.takes_the_good_update();
}

#[test]
fn repair_in_the_middle_of_things() {
    // On trial: the running slot isn't the default one.
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    for at in JOURNAL {
        pi.scribble(Partition::State, byte(at), &[0; COPY_BYTES]);
    }
    pi.run("repair").must(75, &["slot B is running and A is the default: reboot first"]);
    pi.run("sim power cycle").must(0, &["slot A"]);
    pi.run("repair").must(0, &[]);
    pi.is_unharmed();
    pi.takes_the_good_update();
    // After a commit: slot B.
    for at in JOURNAL {
        pi.scribble(Partition::State, byte(at), &[0; COPY_BYTES]);
    }
    pi.run("repair").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn one_damaged_root_copy_is_no_matter_and_two_refuse_everything() {
    for copy in [0, 1] {
        let pi = Pi::new();
        pi.scribble(Partition::State, byte(ROOT[copy]) + 40, &[0xa5; 16]);
        pi.takes_the_good_update();
    }
    let mut pi = Pi::new();
    pi.without_system_root();
    pi.good();
    for at in ROOT {
        pi.scribble(Partition::State, byte(at) + 40, &[0xa5; 16]);
    }
    let status = pi.rests("A", "1.0.0");
    assert!(status["root"]["problem"].as_str().unwrap().contains("no root of trust"), "{status:#}");
    for verb in ["install -n @good.bundle", "install @good.bundle", "update @good.bundle"] {
        pi.run(verb).must(5, &["no root of trust"]);
    }
    pi.run("preflight").must(1, &["no root of trust"]);
    pi.is_unharmed();
    pi.file("product.root", &product().root.bytes);
    pi.run("repair").must(5, &["no root of trust", "bistable repair --root-file FILE"]);
    pi.run("repair --root-file @product.root").must(0, &[]);
    pi.takes_the_good_update();
}

#[test]
fn a_damaged_stored_release_is_never_committed() {
    let damage = |pi: &Pi, slot| pi.scribble(Partition::State, byte(RELEASE[slot]) + 60, &[0xa5; 8]);
    // On trial: what healthy means is unknown.
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    damage(&pi, Slot::B);
    pi.run("resume").must(5, &["the release stored for slot B"]);
    pi.run("resume").must(0, &[]);
    pi.is_unharmed();
    pi.run_on("update --retry-rejected", &pi.good()).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");

    // Staged: what to test is unknown. That is not the release's fault.
    let pi = Pi::new();
    pi.run_on("install", &pi.good()).must(0, &[]);
    damage(&pi, Slot::B);
    pi.run("arm").must(5, &["the release stored for slot B"]);
    pi.is_unharmed();
    pi.takes_the_good_update();

    // The running one's: an update needs it for nothing.
    let pi = Pi::new();
    damage(&pi, Slot::A);
    pi.run("self-test").must(5, &["the release stored for slot A"]);
    pi.takes_the_good_update();
    // But there is no way back any more.
    pi.run("revert").must(5, &["the release stored for slot A"]);
    pi.rests("B", "1.1.0");

    // Wholly gone, with the journal: nothing says what runs.
    let pi = Pi::new();
    pi.scribble(Partition::State, byte(RELEASE.a), &vec![0; METADATA_BYTES]);
    for at in JOURNAL {
        pi.scribble(Partition::State, byte(at), &[0; COPY_BYTES]);
    }
    pi.run("repair")
        .must(2, &["the release stored for slot A is lost, too", "bistable repair --release FILE"]);
    pi.slot_a_is_untouched();
}

/// Where the sector of `autoboot.txt` is, in `bootconfig`.
fn flag(pi: &Pi) -> u64 {
    let bytes = pi.partition(Partition::Bootconfig);
    let text = b"[all]\ntryboot_a_b=1";
    let at = bytes.chunks(SECTOR).position(|sector| sector.starts_with(text)).unwrap();
    (at * SECTOR) as u64
}

#[test]
fn a_torn_boot_flag_is_repaired_before_it_matters() {
    let text = |default| Autoboot { partitions: BOOT_PARTITIONS, default }.render();
    // Every byte-wise mix of A and B reads as one of the four of their two digits.
    for cut in [0, 40, 100, 512] {
        for (old, new) in [(Slot::A, Slot::B), (Slot::B, Slot::A)] {
            let pi = Pi::new();
            let mut mix = text(old);
            mix[..cut].copy_from_slice(&text(new)[..cut]);
            let default = Autoboot::read(&mix).default_slot(BOOT_PARTITIONS).unwrap();
            if default == Slot::B {
                pi.takes_the_good_update();
            }
            pi.scribble(Partition::Bootconfig, flag(&pi), &mix);
            pi.run("sim power cycle").must(0, &[&format!("slot {default}")]);
            let s = pi.status();
            assert_eq!(s["booted"], s["default"], "{s:#}");
            let next = pi.file("next.bundle", &product().draft().pack(&[&product().release_key]));
            let torn = Autoboot::read(&mix).is_torn();
            let updated = pi.run_on("update", &next).must(0, &[]);
            assert_eq!(updated.err.contains("torn"), torn, "{cut} {default}: {updated:#?}");
            pi.run("resume").must(0, &[]);
            pi.rests(if default == Slot::A { "B" } else { "A" }, "1.2.0");
        }
    }
}

#[test]
fn a_foreign_boot_flag_stops_an_update_before_it_begins() {
    let fits = |text: &str| {
        let mut sector = [b'\n'; SECTOR];
        sector[..text.len()].copy_from_slice(text.as_bytes());
        sector
    };
    let foreign = [
        fits("[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n# by hand\n"),
        fits("boot_partition=2\n"),
        fits("boot_partition=9\n"),
        [0; SECTOR],
        [0xff; SECTOR],
    ];
    for text in foreign {
        let pi = Pi::new();
        let at = flag(&pi);
        pi.scribble(Partition::Bootconfig, at, &text);
        pi.good();
        for verb in ["preflight", "install @good.bundle", "update @good.bundle"] {
            pi.run(verb).must(1, &["autoboot.txt"]);
        }
        pi.slot_a_is_untouched();
        assert_eq!(pi.partition(Partition::Bootconfig)[at as usize..][..SECTOR], text);
        assert_eq!(pi.status()["state"], "idle");
        pi.run("sim power cycle").must(0, &["slot A"]);
        let right = Autoboot { partitions: BOOT_PARTITIONS, default: Slot::A }.render();
        pi.scribble(Partition::Bootconfig, at, &right);
        pi.takes_the_good_update();
    }
}

#[test]
fn a_boot_configuration_without_its_file_stops_an_update() {
    let pi = Pi::new();
    pi.good();
    pi.scribble(Partition::Bootconfig, 0, &[0; 4096]);
    for verb in ["preflight", "install @good.bundle"] {
        pi.run(verb).must(1, &["bootconfig"]);
    }
    assert_eq!(pi.status()["default"], serde_json::Value::Null);
    pi.run("sim power cycle").must(0, &["looking for a slot that boots", "slot A"]);
    pi.slot_a_is_untouched();
}

#[test]
fn nothing_that_boots_is_said() {
    let pi = Pi::new();
    pi.scribble(Partition::Boot(Slot::A), 0, &[0; 8192]);
    pi.run("sim power cycle").must(1, &["does not boot", "no boot partition looks bootable"]);
}
