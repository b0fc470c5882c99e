//! No environmental failure rejects a release (I16), in whichever state of an update it comes.
use crate::{attempts, pi::Ended, sysroot::Sys};
use bistable_boot::{Slot, layout::Partition};
use serde_json::{Value, json};
use std::fs;

/// What the machine around the agent does, and how it is undone.
struct Trouble {
    name: &'static str,
    begin: fn(&Sys),
    end: fn(&Sys),
}

const REQUEST: &str = "run/systemd/reboot-param";
const SETTINGS: &str = "etc/bistable/config.d/50.toml";
const MODE: &str = "[update]\nmode = \"reboot\"\n";

fn settings(sys: &Sys, more: &str) {
    sys.text(SETTINGS, &format!("{MODE}{more}"));
}

/// Change the sector of the boot flag behind everybody's back.
fn flag(sys: &Sys, text: &[u8]) {
    let mut bytes = sys.bytes(Partition::Bootconfig);
    if let Some(at) = bytes.windows(5).position(|w| w == b"[all]") {
        bytes[at..at + 512].fill(b'\n');
        bytes[at..at + text.len()].copy_from_slice(text);
        fs::write(sys.node(Partition::Bootconfig), &bytes).unwrap();
    }
}

fn repair(sys: &Sys) {
    let ended = sys.run("repair");
    assert!([0, 3].contains(&ended.code), "{ended:#?}");
}

fn nothing(_: &Sys) {}

const TROUBLES: [Trouble; 9] = [
    Trouble { name: "foreign flag", begin: |s| flag(s, b"[all]\nboot_partition=2\n"), end: repair },
    Trouble { name: "unreadable flag", begin: |s| flag(s, &[0; 512]), end: repair },
    Trouble {
        name: "flag in use",
        begin: |s| s.mount("179:1 / /boot/config rw - vfat /dev/mmcblk0p1 rw"),
        end: |s| {
            let path = s.path("proc/self/mountinfo");
            let mounts = fs::read_to_string(&path).unwrap();
            let without = mounts.lines().filter(|line| !line.contains("/boot/config"));
            fs::write(&path, without.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        },
    },
    Trouble {
        name: "lock that can't be asked",
        begin: |s| settings(s, "fleet_lock = \"http://127.0.0.1:1\"\n"),
        end: |s| settings(s, ""),
    },
    Trouble {
        name: "full /run",
        begin: |s| {
            // What an earlier reboot left is no folder.
            let _ = fs::remove_file(s.path(REQUEST));
            s.folder(&format!("{REQUEST}/full"));
        },
        end: |s| fs::remove_dir_all(s.path(REQUEST)).unwrap(),
    },
    Trouble {
        name: "read-only card",
        begin: |s| s.text(&format!("{}/ro", s.sysfs_disk()), "1\n"),
        end: |s| s.text(&format!("{}/ro", s.sysfs_disk()), "0\n"),
    },
    Trouble {
        name: "mistake in the configuration",
        begin: |s| settings(s, "typo = 1\n"),
        end: |s| settings(s, ""),
    },
    Trouble {
        name: "clock",
        begin: |s| drop(fs::remove_file(s.path("run/systemd/timesync/synchronized"))),
        end: nothing,
    },
    Trouble {
        name: "second disk of the same layout",
        begin: |s| {
            let folder = "sys/devices/usb/block/sdb";
            if !s.path(folder).exists() {
                s.device(folder, "sdb", "8:32", "DEVTYPE=disk");
                s.device(&format!("{folder}/sdb4"), "sdb4", "8:36", "DEVTYPE=partition\nPARTNAME=system_a");
            }
            s.text(&format!("{folder}/sdb4/partition"), "4\n");
        },
        // It isn't a partition any more.
        end: |s| fs::remove_file(s.path("sys/devices/usb/block/sdb/sdb4/partition")).unwrap(),
    },
];

/// A Pi with a release that may be installed, and that is healthy at once.
fn sys() -> Sys {
    let sys = attempts::sys();
    sys.text("run/reboots", "");
    settings(&sys, "");
    sys
}

fn status(sys: &Sys) -> Value {
    sys.run("status --json").must(0, &[]).json()
}

/// Do something, and what firmware and kernel do then.
fn turn(sys: &Sys, verb: &str) -> Ended {
    let ended = sys.run(verb);
    if ended.err.contains("booting slot B once") && ended.code == 0 {
        sys.boots(Slot::B);
        sys.number("tryboot", 1);
    } else if status(sys)["state"] == "reverting" {
        sys.boots(Slot::A);
        sys.number("tryboot", 0);
    }
    ended
}

#[test]
fn no_environmental_failure_rejects_a_release() {
    for trouble in TROUBLES {
        for state in ["idle", "staged", "armed", "on trial"] {
            let case = format!("{}, {state}", trouble.name);
            let sys = sys();
            if state != "idle" {
                sys.run("install good.bundle").must(0, &[]);
            }
            if state == "armed" {
                sys.run("arm").must(0, &[]);
            }
            if state == "on trial" {
                turn(&sys, "resume").must(0, &["booting slot B once"]);
            }
            assert_eq!(status(&sys)["state"], state, "{case}");
            for verb in ["resume", "resume", "update good.bundle", "resume"] {
                (trouble.begin)(&sys);
                let ended = turn(&sys, verb);
                assert!([0, 1, 3, 75].contains(&ended.code), "{case}: {ended:#?}");
                assert_eq!(status(&sys)["rejected"], json!([]), "{case}: {ended:#?}");
            }
            (trouble.begin)(&sys);
            (trouble.end)(&sys);
            // Whatever is left of it ends by itself, or with the command of before.
            for verb in ["resume", "update good.bundle", "resume", "resume"] {
                turn(&sys, verb);
            }
            let status = status(&sys);
            let found =
                [&status["state"], &status["default"], &status["slots"]["b"]["version"], &status["rejected"]];
            assert_eq!(
                found,
                [&json!("idle"), &json!("B"), &json!("1.1.0"), &json!([])],
                "{case}: {status:#}"
            );
        }
    }
}
