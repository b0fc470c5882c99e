//! The real board, on folders that stand for Raspberry Pis.
use crate::{
    fixture::product,
    sysroot::{Kind, PI3_QEMU, PI4, PI4_USB, PI5_NVME, Sys, write},
};
use bistable::{
    board::{Access, CardError, pi::PiError},
    config::BoardSettings,
    ports::{Fault, Support, WallClock},
};
use bistable_boot::{Slot, layout::Partition};
use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::Stdio,
};

#[test]
fn good_boards_are_understood() {
    let said = |s: Support| match s {
        Support::Supported(s) => format!("supported: {s}"),
        Support::Note(s) => format!("note: {s}"),
    };
    let table: [(Kind, &str, &str); 4] = [
        (PI4, "pi4", "supported: EEPROM of 2025-09-01"),
        (PI5_NVME, "pi5", "supported: EEPROM of 2025-09-01"),
        (
            PI3_QEMU,
            "pi3",
            "note: this board has no boot EEPROM: switching slots by autoboot.txt isn't verified",
        ),
        (PI4_USB, "pi4", "supported: EEPROM of 2025-09-01"),
    ];
    for (kind, name, support) in table {
        for access in [Access::ReadOnly, Access::Exclusive] {
            let sys = Sys::new(kind);
            if name == "pi5" {
                // It is unknown what these bits are there.
                sys.number("capabilities", 0);
            }
            let mut pi = sys.open(access).unwrap();
            let board = &mut pi.board;
            assert_eq!((board.name.as_str(), board.boot.booted()), (name, Slot::A), "{kind:?}");
            assert_eq!(board.boot.default_slot().unwrap(), Slot::A);
            let found = said(board.boot.support().unwrap());
            assert!(found.starts_with(support), "{found}");
            assert_eq!(board.host.boot_id(), sys.boot_id());
            assert_eq!(board.host.wall_clock().unwrap(), WallClock::Synchronized);
            assert!(board.host.free_bytes().unwrap() > 0);
            for partition in Partition::ALL {
                let range = product().range(partition);
                assert_eq!(board.partitions.open(partition).unwrap().bytes(), range.end - range.start);
            }
        }
    }
}

#[test]
fn a_board_may_be_named() {
    let sys = Sys::new(PI4);
    sys.text("proc/device-tree/compatible", "linux,dummy-virt\0");
    assert!(sys.refused().starts_with("unknown board (linux,dummy-virt)"));
    let settings = BoardSettings { name: Some("pi4".into()), disk: None };
    assert_eq!(sys.open_with(&settings, Access::ReadOnly).unwrap().board.name, "pi4");
}

/// What is wrong with a Pi, and what is said about it.
#[test]
fn what_is_wrong_is_told() {
    type Case = (&'static str, fn(&Sys), &'static str);
    #[rustfmt::skip]
    let table: [Case; 21] = [
        ("no device tree", |s| fs::remove_dir_all(s.path("proc/device-tree")).unwrap(), "this is not a Raspberry Pi: there is no "),
        ("no bootloader node", |s| fs::remove_dir_all(s.path("proc/device-tree/chosen")).unwrap(), "so it isn't known which slot was booted"),
        ("a bootloader node of another size", |s| fs::write(s.bootloader("partition"), [0; 8]).unwrap(), "has 8 bytes, and is not a 32-bit number"),
        ("no slot's partition", |s| s.number("partition", 1), "the firmware booted partition 1, which does not belong to a slot: slots boot from 2 and 3"),
        ("little-endian", |s| fs::write(s.bootloader("partition"), [2, 0, 0, 0]).unwrap(), "booted partition 33554432"),
        ("root of the other slot", |s| s.number("partition", 3), "slot B was booted, but / is on mmcblk0p4, not on partition 5 (system_b)"),
        ("root of the other slot, U-Boot", |s| s.text("proc/cmdline", "bistable.slot=B bistable.trial=1"), "slot B was booted, but / is on mmcblk0p4"),
        ("half a word of U-Boot", |s| s.text("proc/cmdline", "bistable.slot=B quiet"), "the kernel's command line has bistable.slot=B, and must have"),
        ("root on a data partition", |s| s.mounts(&["179:6 / / rw - ext4 /dev/root rw"]), "/ is on mmcblk0p6, not on partition 4 (system_a)"),
        ("root on an overlay", |s| s.mounts(&["0:31 / / rw - overlay overlay rw"]), "/ is on overlay (overlay), and there is no"),
        ("root nowhere", |s| s.mounts(&[]), "/ is on nothing"),
        ("no list of mounts", |s| fs::remove_file(s.path("proc/self/mountinfo")).unwrap(), "mountinfo: is missing"),
        ("root on another disk", foreign_root, "foreign is not a card: it has no GPT"),
        ("no boot id", |s| fs::remove_file(s.path("proc/sys/kernel/random/boot_id")).unwrap(), "boot_id: is missing or empty"),
        ("a partition that the kernel doesn't know", |s| fs::remove_dir_all(s.path(&s.sysfs(Partition::State))).unwrap(), "partition 7 (state) of mmcblk0: the kernel doesn't know it"),
        ("a table that was changed", |s| s.text(&format!("{}/start", s.sysfs(Partition::Boot(Slot::B))), "8\n"), "partition 3 (boot_b) of mmcblk0: the table has bytes"),
        ("a name that was changed", |s| s.text(&format!("{}/uevent", s.sysfs(Partition::State)), "DEVNAME=mmcblk0p7\nPARTNAME=swap\n"), "partition 7 (state) of mmcblk0: the kernel calls it \"swap\""),
        ("a node somewhere else", |s| s.text(&format!("{}/uevent", s.sysfs(Partition::State)), "DEVNAME=../etc/passwd\n"), "uevent: is missing or makes no sense"),
        ("no node", |s| fs::remove_file(s.node(Partition::State)).unwrap(), "mmcblk0p7: No such file"),
        ("a node of another size", |s| OpenOptions::new().write(true).open(s.node(Partition::Bootconfig)).unwrap().set_len(512).unwrap(), "partition bootconfig (mmcblk0p1) has 512 bytes, and the kernel says"),
        ("no table", |s| fs::write(s.path("dev/mmcblk0"), [0; 1 << 20]).unwrap(), "mmcblk0 is not a card: it has no GPT"),
    ];
    for (case, change, expected) in table {
        let sys = Sys::new(PI4);
        change(&sys);
        let said = sys.refused();
        assert!(said.contains(expected), "{case}: {said}");
    }
}

/// A stick that was put in, with a root file system on its only partition.
fn foreign_root(s: &Sys) {
    let disk = "sys/devices/usb/block/foreign";
    s.device(disk, "foreign", "8:16", "DEVTYPE=disk");
    s.device(&format!("{disk}/foreign1"), "foreign1", "8:17", "DEVTYPE=partition");
    s.text(&format!("{disk}/foreign1/partition"), "1\n");
    fs::write(s.path("dev/foreign"), [0; 1 << 20]).unwrap();
    s.mounts(&["8:17 / / rw - ext4 /dev/foreign1 rw"]);
}

#[test]
fn the_disk_is_found_below_what_hides_it() {
    let overlay: &[&str] = &["0:31 / / rw - overlay overlay rw"];
    let mapped = |s: &Sys, slaves: &[&str]| {
        s.device("sys/devices/virtual/block/dm-0", "dm-0", "254:0", "DEVTYPE=disk");
        let folder = s.folder("sys/devices/virtual/block/dm-0/slaves");
        for name in slaves {
            let to = Path::new("../../../../../class/block").join(name);
            symlink(to, folder.join(name)).unwrap();
        }
        s.mounts(&["254:0 / / ro - ext4 /dev/dm-0 ro"]);
    };
    // A link of the running slot.
    let sys = Sys::new(PI4);
    sys.mounts(overlay);
    symlink("../../../mmcblk0p4", sys.folder("dev/disk/by-slot/active").join("system")).unwrap();
    assert_eq!(sys.open(Access::ReadOnly).unwrap().board.boot.booted(), Slot::A);
    sys.number("partition", 3);
    assert!(sys.refused().starts_with("slot B was booted, but / is on mmcblk0p4"));
    // dm-verity with the hash tree behind the data, and apart from it.
    let sys = Sys::new(PI5_NVME);
    mapped(&sys, &["nvme0n1p4"]);
    assert!(sys.open(Access::Exclusive).is_ok());
    sys.number("partition", 3);
    assert!(sys.refused().starts_with("slot B was booted, but / is on nvme0n1p4"));
    let sys = Sys::new(PI5_NVME);
    mapped(&sys, &["nvme0n1p4", "nvme0n1p6"]);
    assert!(
        sys.refused().starts_with("the disk of the running system can't be found: / is on /dev/dm-0 (ext4)")
    );
    // The setting, which may be a link.
    let sys = Sys::new(PI4);
    sys.mounts(overlay);
    symlink("../../mmcblk0", sys.folder("dev/disk/by-id").join("mmc-x")).unwrap();
    let disk = |path: &str| BoardSettings { name: None, disk: Some(path.into()) };
    for path in ["/dev/mmcblk0", "/dev/disk/by-id/mmc-x"] {
        assert!(sys.open_with(&disk(path), Access::Exclusive).is_ok(), "{path}");
    }
    let refused = |path: &str| sys.open_with(&disk(path), Access::ReadOnly).err().unwrap().to_string();
    assert_eq!(refused("/dev/sdb"), "[board] disk: /dev/sdb does not exist");
    assert!(refused("/dev/mmcblk0p4").contains("is a partition: name the disk"));
    assert!(refused("/dev/disk").contains("is not a disk"));
    // It never overrules what is known.
    sys.boots(Slot::A);
    sys.device("sys/devices/usb/block/sda", "sda", "8:0", "");
    fs::write(sys.path("dev/sda"), "").unwrap();
    let said = refused("/dev/sda");
    assert!(said.starts_with("[board] disk is sda, but the system runs from mmcblk0"), "{said}");
}

/// A card in a reader looks like the one that runs.
#[test]
fn of_two_such_disks_a_person_names_the_right_one() {
    let sys = Sys::new(PI4);
    sys.mounts(&["0:31 / / rw - overlay overlay rw"]);
    let link = sys.folder("dev/disk/by-slot/active").join("system");
    symlink("../../../mmcblk0p4", &link).unwrap();
    // Another disk is none of ours.
    let other = |part: u32, name: &str| {
        let (disk, node) = ("sys/devices/usb/block/sda", format!("sda{part}"));
        let folder = format!("{disk}/{node}");
        sys.device(&folder, &node, &format!("8:{part}"), &format!("DEVTYPE=partition\nPARTNAME={name}"));
        sys.text(&format!("{folder}/partition"), &format!("{part}\n"));
        sys.text(&format!("{folder}/start"), "8192\n");
        sys.text(&format!("{folder}/size"), "8192\n");
    };
    sys.device("sys/devices/usb/block/sda", "sda", "8:0", "DEVTYPE=disk");
    fs::write(sys.path("dev/sda"), "").unwrap();
    other(4, "system_a");
    assert!(sys.open(Access::Exclusive).is_ok());
    other(7, "state");
    let several =
        "can't be told: / is on overlay (overlay), and mmcblk0 and sda each have a partition named \"state\"";
    for to in ["../../../mmcblk0p4", "../../../sda4"] {
        fs::remove_file(&link).unwrap();
        symlink(to, &link).unwrap();
        fs::write(sys.path("dev/sda4"), "").unwrap();
        let said = sys.refused();
        assert!(said.contains(several) && said.contains("`[board] disk = "), "{said}");
        // The setting decides, wherever the link leads.
        let settings = BoardSettings { name: None, disk: Some("/dev/mmcblk0".into()) };
        assert!(sys.open_with(&settings, Access::Exclusive).is_ok(), "{to}");
    }
    // What is seen needs no link.
    sys.boots(Slot::A);
    assert!(sys.open(Access::Exclusive).is_ok());
}

#[test]
fn only_what_may_be_written_is_opened_for_writing() {
    let sys = Sys::new(PI4);
    let before: Vec<Vec<u8>> = Partition::ALL.map(|p| sys.bytes(p)).into();
    let mut pi = sys.open(Access::Exclusive).unwrap();
    for partition in Partition::ALL {
        let may = !matches!(
            partition,
            Partition::Boot(Slot::A) | Partition::System(Slot::A) | Partition::Persistent
        );
        let done = write(&mut *pi.board.partitions, partition);
        assert_eq!(done.is_ok(), may, "{partition:?}: {done:?}");
    }
    drop(pi);
    // The default slot isn't written either, whatever runs.
    sys.boots(Slot::B);
    let mut pi = sys.open(Access::Exclusive).unwrap();
    for slot in Slot::ALL {
        for partition in [Partition::Boot(slot), Partition::System(slot)] {
            let done = write(&mut *pi.board.partitions, partition);
            assert!(done.unwrap_err().to_string().contains("opened to look at it only"), "{partition:?}");
        }
    }
    drop(pi);
    let mut pi = sys.open(Access::ReadOnly).unwrap();
    for partition in Partition::ALL {
        let done = write(&mut *pi.board.partitions, partition);
        assert!(done.unwrap_err().to_string().contains("opened to look at it only"), "{partition:?}");
    }
    assert!(pi.board.boot.make_default(Slot::B).is_err());
    drop(pi);
    let after: Vec<Vec<u8>> = Partition::ALL.map(|p| sys.bytes(p)).into();
    assert!(before == after, "something was written");
}

#[test]
fn what_is_mounted_is_never_written() {
    let sys = Sys::new(PI4);
    let mut pi = sys.open(Access::Exclusive).unwrap();
    let (boot_b, system_b) = (Partition::Boot(Slot::B), Partition::System(Slot::B));
    write(&mut *pi.board.partitions, boot_b).unwrap();
    sys.mount("179:3 / /mnt/other\\040slot ro - vfat /dev/mmcblk0p3 ro");
    let said = write(&mut *pi.board.partitions, boot_b).unwrap_err().to_string();
    assert!(
        said.starts_with("partition boot_b (mmcblk0p3) is mounted on /mnt/other slot: unmount it first"),
        "{said}"
    );
    write(&mut *pi.board.partitions, system_b).unwrap();
    // The boot flag: reading is always fine, writing unless a file system may write, too.
    sys.mount("179:1 / /boot/config ro - vfat /dev/mmcblk0p1 ro");
    pi.board.boot.make_default(Slot::B).unwrap();
    assert_eq!(pi.board.boot.default_slot().unwrap(), Slot::B);
    let before = sys.bytes(Partition::Bootconfig);
    sys.mount("179:1 / /mnt/flag ro - vfat /dev/mmcblk0p1 rw");
    let said = pi.board.boot.make_default(Slot::A).unwrap_err().to_string();
    assert!(said.contains("is mounted read-write on /mnt/flag") && said.contains("remount,ro"), "{said}");
    assert_eq!(pi.board.boot.default_slot().unwrap(), Slot::B);
    assert!(sys.bytes(Partition::Bootconfig) == before);
    // The journal belongs to this process alone.
    drop(pi);
    sys.mount("179:7 / /mnt/state ro - ext4 /dev/mmcblk0p7 ro");
    let mut pi = sys.open(Access::Exclusive).unwrap();
    let said = pi.board.partitions.open(Partition::State).err().unwrap().to_string();
    assert!(said.starts_with("partition state (mmcblk0p7) is mounted on /mnt/state"), "{said}");
}

#[test]
fn one_process_works_and_any_number_looks() {
    let sys = Sys::new(PI4);
    let pi = sys.open(Access::Exclusive).unwrap();
    let busy = sys.open_now(&BoardSettings::default(), Access::Exclusive).err().unwrap();
    assert!(
        matches!(&busy, PiError::Card(CardError::Busy { path }) if path.ends_with("mmcblk0p7")),
        "{busy}"
    );
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    // All at once, for each waits a while.
    let verbs = ["self-test", "arm", "commit", "revert", "repair", "update good.bundle"];
    let started = verbs.map(|verb| {
        let mut command = sys.command(verb);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (verb, command.spawn().unwrap())
    });
    for (verb, child) in started {
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(75), "{verb}: {said}");
        assert!(said.contains("is in use by another process"), "{verb}: {said}");
    }
    for verb in ["status", "history", "preflight", "install -n good.bundle", "update -n good.bundle"] {
        sys.run(verb).must(0, &[]);
    }
    assert!(sys.open(Access::ReadOnly).is_ok());
    drop(pi);
    assert!(sys.open(Access::Exclusive).is_ok());
}

/// What decides a trial, or tells of it, must not fail because a program that watches over the device was quicker.
#[test]
fn resume_and_health_wait_for_their_turn() {
    let sys = Sys::new(PI4);
    let plan = "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/bin/true']\n";
    sys.text("etc/bistable/self-test.toml", plan);
    sys.text("etc/bistable/health.toml", "deadline_s = 1\nsettle_s = 0\n");
    for (verb, says) in [("resume", "at rest: slot A runs 1.0.0"), ("health", "healthy")] {
        let pi = sys.open(Access::Exclusive).unwrap();
        let mut child = sys
            .command(verb)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = err.next().unwrap().unwrap();
        assert!(first.starts_with("another process works on ") && first.contains("mmcblk0p7"), "{first}");
        drop(pi);
        let rest: Vec<String> = err.map(Result::unwrap).collect();
        assert!(!rest.iter().any(|line| line.contains("another process")), "{rest:?}");
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{rest:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), says);
    }
}

#[test]
fn a_reboot_of_what_is_not_the_running_system_fails() {
    let sys = Sys::new(PI4);
    sys.folder("run/systemd/system");
    let mut pi = sys.open(Access::Exclusive).unwrap();
    pi.board.boot.try_once(Slot::B).unwrap();
    let failed = pi.board.host.reboot().unwrap_err();
    assert!(matches!(failed, Fault::Io { .. }), "{failed}");
    let request = sys.path("run/systemd/reboot-param");
    assert!(!request.exists(), "the next boot is not a trial");
    // Nor is it one after another process left the request there.
    fs::write(&request, "0 tryboot\n").unwrap();
    pi.board.boot.try_once(Slot::A).unwrap();
    assert!(!request.exists());
    assert!(pi.board.host.reboot().is_err());
}

const MOUNTED: &str = "179:1 / /boot/config rw - vfat /dev/mmcblk0p1 rw";

/// A Pi on which 1.1.0 runs on trial in slot B. The health check says what it finds in a file.
fn on_trial() -> Sys {
    let sys = Sys::new(PI4);
    sys.text(
        "etc/bistable/self-test.toml",
        "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/bin/true']\n",
    );
    let profile =
        "deadline_s = 1\nsettle_s = 0\n[[check]]\nname = 'app'\nkind = 'command'\nrun = ['/bin/true']\n";
    sys.text("etc/bistable/health.toml", profile);
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    sys.boots(Slot::B);
    sys.number("tryboot", 1);
    sys
}

/// A script that this system can't run says nothing about the release.
#[test]
fn a_script_without_its_interpreter_is_named_and_rejects_nothing() {
    for (script, words) in [
        ("#!/bin/sh\r\nexit 0\r\n", "its lines end with CR LF"),
        ("#!/opt/gone/python3\nexit 0\n", "its interpreter /opt/gone/python3 does not exist"),
    ] {
        let sys = on_trial();
        let path = sys.path("check.sh");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let (test, profile) = ("etc/bistable/self-test.toml", "etc/bistable/health.toml");
        let before = [test, profile].map(|file| fs::read_to_string(sys.path(file)).unwrap());
        let by_script = |text: &String| text.replace("/bin/true", path.to_str().unwrap());
        sys.text(profile, &by_script(&before[1]));
        sys.run("resume").must(8, &[words]);
        sys.boots(Slot::A);
        sys.number("tryboot", 0);
        sys.run("resume").must(0, &["reverted"]);
        let status = sys.run("status --json").json();
        assert_eq!((&status["state"], &status["rejected"]), (&"idle".into(), &serde_json::json!([])));
        // Nor does a self-test before the trial.
        sys.text(profile, &before[1]);
        sys.text(test, &by_script(&before[0]));
        sys.run("install good.bundle").must(0, &[]);
        sys.run("arm").must(7, &[words]);
        let status = sys.run("status --json").json();
        assert_eq!((&status["state"], &status["rejected"]), (&"idle".into(), &serde_json::json!([])));
        sys.text(test, &before[0]);
        sys.run("update good.bundle").must(0, &["booting slot B once"]);
    }
}

#[test]
fn no_update_begins_while_the_boot_flag_is_mounted_for_writing() {
    let sys = Sys::new(PI4);
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    sys.mount(MOUNTED);
    let words = ["partition bootconfig (mmcblk0p1) is mounted read-write on /boot/config", "remount,ro"];
    for verb in ["preflight", "update good.bundle", "install -n good.bundle"] {
        sys.run(verb).must(75, &words);
    }
    assert_eq!(sys.run("status --json").json()["state"], "idle");
    let mut pi = sys.open(Access::Exclusive).unwrap();
    let flag = pi.board.boot.read().unwrap();
    assert!(matches!(flag.check(), Err(Fault::InUse(_))));
    flag.check_content().unwrap();
    drop(pi);
    // It isn't lost.
    sys.run("repair").must(3, &["nothing to repair"]);
    sys.boots(Slot::A);
    sys.mount(&MOUNTED.replace(" rw", " ro"));
    sys.run("install -n good.bundle").must(0, &[]);
}

#[test]
fn a_commit_waits_for_a_boot_flag_that_is_in_use() {
    let sys = on_trial();
    let flag = sys.bytes(Partition::Bootconfig);
    sys.mount(MOUNTED);
    let state = |sys: &Sys| sys.run("status --json").must(0, &[]).json()["state"].clone();
    for _ in 0..2 {
        sys.run("resume")
            .must(75, &["healthy", "state: committing", "is mounted read-write on /boot/config"]);
        assert_eq!(state(&sys), "committing");
        assert!(sys.bytes(Partition::Bootconfig) == flag, "the flag was written");
    }
    // Whoever had it has gone.
    sys.boots(Slot::B);
    sys.run("resume").must(0, &["healthy", "slot B is the default now"]);
    assert_eq!(state(&sys), "idle");
    assert_eq!(sys.run("status --json").json()["default"], "B");
}

/// What mounts it at each boot costs the attempts that there are, and no more.
#[test]
fn a_boot_flag_that_stays_in_use_ends_the_update() {
    let sys = on_trial();
    for attempt in 1..=3 {
        sys.boots(Slot::B);
        sys.mount(MOUNTED);
        sys.run("resume").must(75, &["healthy", "is mounted read-write"]);
        // What watches over the trial resets the machine.
        sys.boots(Slot::A);
        sys.number("tryboot", 0);
        let said: &[&str] = if attempt < 3 { &["booting slot B once"] } else { &["reverted"] };
        sys.run("resume").must(0, said);
    }
    let status = sys.run("status --json").json();
    assert_eq!([&status["state"], &status["booted"], &status["default"]], ["idle", "A", "A"]);
}

#[test]
fn the_way_back_needs_no_boot_flag_that_can_be_written() {
    let sys = on_trial();
    sys.mount(MOUNTED);
    sys.run("revert").must(0, &["state: reverting"]);
    sys.boots(Slot::A);
    sys.mount(MOUNTED);
    sys.run("resume").must(0, &["reverted: release 1.1.0"]);
}

/// Nor is one that is lost written while it is mounted, and the release pays nothing for it.
#[test]
fn a_lost_boot_flag_that_is_in_use_costs_no_release() {
    let sys = on_trial();
    let sound = sys.bytes(Partition::Bootconfig);
    let at = sound.windows(5).position(|w| w == b"[all]").unwrap();
    let mut lost = sound;
    lost[at..at + 512].fill(0);
    fs::write(sys.node(Partition::Bootconfig), &lost).unwrap();
    sys.mount(MOUNTED);
    sys.run("resume").must(75, &["is mounted read-write on /boot/config"]);
    assert_eq!(sys.run("status --json").json()["state"], "on trial");
    assert!(sys.bytes(Partition::Bootconfig) == lost, "the flag was written");
    sys.boots(Slot::B);
    sys.run("resume").must(0, &["healthy", "slot B is the default now"]);
}

/// The program itself, from an offer to a commit. Nothing reboots here: the test does what firmware and kernel would.
#[test]
fn an_update_on_the_real_board() {
    let sys = Sys::new(PI4);
    sys.text(
        "etc/bistable/self-test.toml",
        "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/bin/true']\n",
    );
    let profile = "deadline_s = 20\nsettle_s = 0\n[[check]]\nname = 'app'\nkind = 'command'\nrun = ['/bin/sh', '-c', 'exit 0']\n";
    sys.text("etc/bistable/health.toml", profile);
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    let slot_a = sys.slot(Slot::A);

    let preflight = sys
        .run("preflight --json")
        .must(0, &["ok   boot loader: EEPROM of 2025-09-01", "ok   persistent volume: "]);
    assert_eq!(preflight.json()["verdict"], "ready");
    let health = sys.run("health --json").must(0, &["ok   health app (command): exit code 0"]).json();
    assert_eq!((&health["verdict"], &health["reason"]), (&"healthy".into(), &serde_json::Value::Null));
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    let status = sys.run("status --json").must(0, &[]).json();
    assert_eq!(
        [&status["state"], &status["once"], &status["booted"], &status["board"]],
        ["armed", "B", "A", "pi4"]
    );

    // The kernel hands the argument to the firmware, and the firmware boots the other slot.
    sys.boots(Slot::B);
    sys.number("tryboot", 1);
    let resumed = sys.run("resume --json").must(0, &["healthy", "slot B is the default now"]).json();
    assert_eq!([&resumed["state"], &resumed["slot"], &resumed["running"]], ["idle", "B", "1.1.0"]);
    let status = sys.run("status --json").must(0, &[]).json();
    assert_eq!([&status["booted"], &status["default"]], ["B", "B"]);
    assert!(sys.slot(Slot::A) == slot_a, "slot A changed");

    // A system that isn't healthy says so, and nothing else happens.
    sys.text(
        "etc/bistable/health.toml",
        &profile.replace("exit 0", "echo no modem; exit 4").replace("20", "1"),
    );
    let sick = sys.run("health --json").must(8, &["FAIL health app (command): exit code 4: no modem"]).json();
    assert_eq!((&sick["verdict"], &sick["exit"]), (&"unhealthy".into(), &8.into()));
    assert_eq!(sys.run("status --json").json()["state"], "idle");
}

#[test]
fn preflight_stops_where_the_firmware_is_too_old_or_the_slot_is_in_use() {
    let sys = Sys::new(PI4);
    sys.number("build-timestamp", 1_600_000_000);
    sys.mounts(&["179:4 / / ro - ext4 /dev/root ro", "179:5 / /mnt ro - ext4 /dev/mmcblk0p5 ro"]);
    fs::remove_file(sys.path("run/systemd/timesync/synchronized")).unwrap();
    let words = [
        "STOP boot loader: the boot EEPROM was built on 2020-09-13",
        "ok   inactive boot volume (B)",
        "STOP inactive system volume (B): partition system_b (mmcblk0p5) is mounted on /mnt",
        "note persistent volume: not mounted",
        "note wall clock: not synchronized",
    ];
    sys.run("preflight").must(1, &words);
}

/// A second disk, with a partition of this name.
fn second_disk(s: &Sys, disk: &str, partition: &str) {
    let folder = format!("sys/devices/usb/block/{disk}");
    s.device(&folder, disk, "8:32", "DEVTYPE=disk");
    let name = format!("{disk}4");
    s.device(&format!("{folder}/{name}"), &name, "8:36", &format!("DEVTYPE=partition\nPARTNAME={partition}"));
    s.text(&format!("{folder}/{name}/partition"), "4\n");
}

#[test]
fn preflight_stops_at_a_disk_that_an_update_would_not_be_booted_from() {
    type Case = (&'static str, Kind, fn(&Sys), u8, &'static str);
    let table: [Case; 16] = [
        ("no boot mode", PI4, |_| {}, 0, "ok   boot loader"),
        ("SD card", PI4, |s| s.number("boot-mode", 1), 0, "ok   boot loader"),
        ("USB", PI4_USB, |s| s.number("boot-mode", 4), 0, "ok   boot loader"),
        ("NVMe", PI5_NVME, |s| s.number("boot-mode", 6), 0, "ok   boot loader"),
        (
            "/ on a stick",
            PI4_USB,
            |s| s.number("boot-mode", 1),
            1,
            "booted from an SD card or eMMC, and / is on sda",
        ),
        (
            "/ on the card",
            PI4,
            |s| s.number("boot-mode", 4),
            1,
            "booted from a USB disk, and / is on mmcblk0",
        ),
        ("/ on NVMe", PI5_NVME, |s| s.number("boot-mode", 1), 1, "and / is on nvme0n1"),
        ("network", PI4, |s| s.number("boot-mode", 2), 1, "booted from the network, and / is on mmcblk0"),
        ("a stick", PI4, |s| second_disk(s, "sdb", "backup"), 0, "ok   boot loader"),
        (
            "same system",
            PI4,
            |s| second_disk(s, "sdb", "system_a"),
            1,
            "sdb has a partition \"system_a\", too",
        ),
        (
            "same data",
            PI4,
            |s| second_disk(s, "sdb", "persistent"),
            1,
            "sdb has a partition \"persistent\", too",
        ),
        ("same flag", PI4, |s| second_disk(s, "sdb", "bootconfig"), 1, "STOP disk: sdb has a partition"),
        (
            "read-only disk",
            PI4,
            |s| s.text(&format!("{}/ro", s.sysfs_disk()), "1\n"),
            75,
            "mmcblk0 is read-only",
        ),
        (
            "read-only partition",
            PI4,
            |s| s.text(&format!("{}/ro", s.sysfs(Partition::State)), "1\n"),
            75,
            "is read-only: the card is write-protected",
        ),
        ("no protective MBR", PI4, |s| zero(s, 0), 1, "the protective MBR of"),
        ("no table", PI4, |s| zero(s, 1), 1, "the first copy of the partition table of"),
    ];
    for (case, kind, change, code, words) in table {
        let sys = Sys::new(kind);
        fs::write(sys.path("good.bundle"), &product().good).unwrap();
        change(&sys);
        let before = sys.slot(Slot::B);
        let ended = sys.run("preflight");
        assert!(i32::from(code) == ended.code && ended.err.contains(words), "{case}: {ended:#?}");
        if code != 0 {
            let ended = sys.run("update good.bundle");
            assert!(i32::from(code) == ended.code, "{case}: {ended:#?}");
            assert!(sys.slot(Slot::B) == before, "{case}");
            // A boot without an update in flight is none of it.
            sys.run("resume").must(0, &[]);
        }
    }
    // The operator named the disk, so nothing is found by the names.
    let sys = Sys::new(PI4);
    second_disk(&sys, "sdb", "system_a");
    sys.text("etc/bistable/config.d/50.toml", "[board]\ndisk = \"/dev/mmcblk0\"\n");
    sys.run("preflight").must(0, &[]);
}

/// Erase a sector of the disk.
fn zero(s: &Sys, sector: u64) {
    let disk = OpenOptions::new().write(true).open(s.path("dev").join(s.kind.disk)).unwrap();
    disk.write_all_at(&[0; 512], sector * 512).unwrap();
}

#[test]
fn an_eeprom_that_does_not_say_what_it_booted_is_named() {
    for (kind, words) in [
        (
            PI4,
            "this boot EEPROM, built on 2025-09-01, doesn't say which partition it booted (it says 0): update it, but new",
        ),
        (
            PI5_NVME,
            "doesn't say which partition it booted (it says 0): update it with `RPI_EEPROM_USE_FLASHROM=1",
        ),
        (
            PI3_QEMU,
            "this firmware doesn't say which partition it booted (it says 0): update the firmware files",
        ),
    ] {
        let sys = Sys::new(kind);
        sys.number("partition", 0);
        for verb in ["preflight", "status", "resume"] {
            sys.run(verb).must(1, &[words]);
        }
    }
}

#[test]
fn preflight_stops_where_a_trial_could_not_come_about() {
    for kind in [PI4, PI5_NVME] {
        let sys = Sys::new(kind);
        fs::remove_file(sys.path("dev/vcio")).unwrap();
        sys.run("preflight").must(1, &["STOP boot loader: /dev/vcio is missing", "the boot flow uboot"]);
    }
    let sys = Sys::new(PI3_QEMU);
    fs::remove_file(sys.path("dev/vcio")).unwrap();
    sys.run("preflight").must(0, &["note boot loader: this board has no boot EEPROM", "without /dev/vcio"]);
    // U-Boot needs no word to the firmware.
    let sys = Sys::new(PI4);
    fs::remove_file(sys.path("dev/vcio")).unwrap();
    sys.text("proc/cmdline", "bistable.slot=A bistable.trial=0");
    let mut pi = sys.open(Access::Exclusive).unwrap();
    assert_eq!(pi.board.boot.support().unwrap(), Support::Supported("U-Boot, with our script".into()));
    drop(pi);
    // 2025-03-09, which chooses no command line by the slot on a Pi 5.
    let sys = Sys::new(PI5_NVME);
    sys.number("build-timestamp", 1_741_500_000);
    let words = [
        "STOP boot loader: the boot EEPROM was built on 2025-03-09",
        "rpi-eeprom-update -a`, which leaves no recovery.bin",
    ];
    sys.run("preflight").must(1, &words);
}

#[test]
fn the_command_line_chooses_the_board() {
    let sys = Sys::new(PI4);
    sys.run("sim world").must(2, &["`sim` changes a simulated Pi: name its card"]);
    sys.run("status --board sim").must(2, &["no card given"]);
    sys.run("status --board pi --card x.img").must(0, &[]);
    sys.run("history").must(0, &[]);
    sys.text("etc/bistable/config.d/a.toml", "[board]\nname = 'pi400'\n");
    assert_eq!(sys.run("status --json").json()["board"], "pi400");
    sys.text("etc/bistable/config.d/b.toml", "typo = 1\n");
    let status = sys.run("status --json").must(0, &["warning: configuration: "]).json();
    assert_eq!(status["board"], "pi400", "looking works with what can be read");
    sys.run("preflight").must(1, &["unknown key \"typo\""]);
    fs::remove_dir_all(sys.path("proc/device-tree")).unwrap();
    sys.run("status").must(2, &["this is not a Raspberry Pi", "--card FILE or BISTABLE_CARD"]);
    sys.run("status --board pi").must(1, &["this is not a Raspberry Pi"]);
}

#[test]
fn the_root_of_the_running_system_is_read_from_its_file() {
    let sys = Sys::new(PI4);
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    assert_eq!(sys.open(Access::ReadOnly).unwrap().board.host.system_root(), Ok(None));
    assert_eq!(sys.run("status --json").json()["system_root"], false);
    sys.folder("usr/share/bistable");
    let place = sys.path("usr/share/bistable/root.root");
    fs::write(&place, &product().root.bytes).unwrap();
    let read = sys.open(Access::ReadOnly).unwrap().board.host.system_root();
    assert_eq!(read, Ok(Some(product().root.bytes.clone())));
    assert_eq!(sys.run("status --json").json()["system_root"], true);
    sys.run("install -n good.bundle").must(0, &[]);
    // What is stored is another root than this system's.
    let strangers = crate::shop::root_of(1, &[77, 78], &[77], &[77]);
    let strangers =
        crate::shop::sealed(bistable_format::Role::Root, &crate::shop::payload(&strangers), &[77, 78]);
    fs::write(&place, strangers).unwrap();
    sys.run("install -n good.bundle").must(5, &["does not descend from the root of the running system"]);
    fs::write(&place, &product().root.bytes[..50]).unwrap();
    sys.run("install -n good.bundle").must(5, &["the root in the running system", "root.root"]);
}
