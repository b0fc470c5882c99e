//! Rare turns that must not leave a device needing a hand: a slot that rots, a verdict of another boot, a flag that
//! can't be written, a new system that can't even be configured.
use crate::{fixture::WORLD, pi::Pi};
use bistable_boot::Slot;
use bistable_boot::layout::Partition;

/// What the new release's application says on the next boots.
fn application_fails(pi: &Pi) {
    pi.world(&format!(
        "{WORLD}\n[[system]]\nversion = \"1.1.0\"\n[system.units]\n\"app.service\" = \"failed\"\n"
    ));
}

/// A slot whose boot volume can't be read any more.
fn rot(pi: &Pi, slot: Slot) {
    pi.scribble(Partition::Boot(slot), 0, &[0; 512]);
}

#[test]
fn a_failed_trial_says_so_by_its_exit_code() {
    for verb in ["resume", "commit"] {
        let pi = Pi::new();
        application_fails(&pi);
        pi.run_on("update", &pi.good()).must(0, &[]);
        pi.run(verb).must(8, &["health check failed", "boots partition 2, slot A"]);
        pi.run("resume").must(0, &["reverted"]);
        pi.is_unharmed();
    }
}

#[test]
fn a_verdict_counts_for_its_own_boot_only() {
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    // The second write of `resume` is the flag's: committing, then the flag.
    pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
    pi.run("resume").must(1, &["power lost"]);
    assert_eq!(pi.status()["state"], "committing");
    // The default slot is gone when the power comes back, so the firmware walks to the new one; and by now its
    // application fails.
    rot(&pi, Slot::A);
    application_fails(&pi);
    pi.run("sim power on").must(0, &["slot B", "partition 2 does not look bootable"]);
    pi.run("resume").must(8, &["health check failed"]);
    let status = pi.status();
    assert_eq!((&status["default"], &status["state"]), (&"A".into(), &"reverting".into()), "{status:#}");
}

#[test]
fn a_healthy_system_that_the_firmware_walked_to_is_committed_after_all() {
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
    pi.run("resume").must(1, &["power lost"]);
    rot(&pi, Slot::A);
    pi.run("sim power on").must(0, &["slot B"]);
    pi.run("resume").must(0, &["healthy", "slot B is the default now"]);
    pi.rests("B", "1.1.0");
}

#[test]
fn going_back_to_a_slot_that_does_not_boot_ends() {
    let pi = Pi::new();
    application_fails(&pi);
    pi.run_on("update", &pi.good()).must(0, &[]);
    rot(&pi, Slot::A);
    pi.run("resume").must(8, &["boots partition 3, slot B"]);
    let mut reboots = 1;
    while pi.run("--reboot-exit-code resume").code == 4 {
        reboots += 1;
        assert!(reboots <= 3, "it would reboot forever");
    }
    assert_eq!(reboots, 3);
    // The device stays up where it is, and says what is wrong.
    pi.run("resume").must(75, &["slot A does not boot", "stays in slot B"]);
    assert_eq!(pi.status()["state"], "reverting");
}

#[test]
fn a_default_slot_that_rots_is_replaced_by_the_one_that_runs() {
    let pi = Pi::new();
    pi.takes_the_good_update();
    rot(&pi, Slot::B);
    pi.run("sim power cycle").must(0, &["boots partition 2, slot A (partition 3 does not look bootable)"]);
    pi.run_on("update --retry-rejected", &pi.good()).must(1, &["B is the default", "bistable commit"]);
    pi.run("revert").must(75, &["slot B is the default already"]);
    pi.run("commit").must(0, &["self-test relay", "healthy", "slot A is the default now"]);
    pi.rests("A", "1.0.0");
    pi.slot_a_is_untouched();
    // From here on everything is as ever.
    pi.run_on("update --retry-rejected", &pi.good()).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

/// The firmware reads a longer file all the same; it can't be written as one sector, and on a full volume no other file takes its
/// place. That is no verdict on the release (I16), so it may be installed again; but the third trial that ends like this is its last (I11).
#[test]
fn unwritable_flag_ends_the_trial_and_rejects_nothing_twice() {
    let pi = Pi::new();
    for trial in 1..=3 {
        pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
        let volume = pi.partition(Partition::Bootconfig);
        let bytes = volume.windows(11).position(|w| w == b"AUTOBOOTTXT").unwrap() as u64 + 28;
        // Both tables, from the second cluster's entry on: see the boot sector of a FAT12 or FAT16 volume.
        let word = |at: usize| usize::from(u16::from_le_bytes([volume[at], volume[at + 1]]));
        let tables = word(14) * 512..(word(14) + usize::from(volume[16]) * word(22)) * 512;
        for table in tables.clone().step_by(word(22) * 512) {
            pi.scribble(Partition::Bootconfig, table as u64 + 4, &vec![0xFF; word(22) * 512 - 4]);
        }
        pi.scribble(Partition::Bootconfig, bytes, &600u32.to_le_bytes());
        pi.run("resume").must(75, &["healthy", "the boot flag can't be written", "slot A"]);
        pi.scribble(Partition::Bootconfig, bytes, &512u32.to_le_bytes());
        pi.scribble(Partition::Bootconfig, tables.start as u64, &volume[tables]);
        pi.run("sim power cycle").must(0, &["slot A"]);
        pi.run("resume").must(0, &["reverted"]);
        pi.is_unharmed();
        let rejected = pi.status()["rejected"].as_array().unwrap().len();
        assert_eq!(rejected, usize::from(trial == 3), "after trial {trial}");
    }
    pi.run_on("update", &pi.good()).must(6, &["rejected", "out of attempts: the boot flag can't be written"]);
}

#[test]
fn a_new_system_that_cannot_be_configured_goes_back_and_is_not_rejected() {
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    let before = std::fs::read_to_string(pi.path("card.img.sim/root/etc/bistable/config.d/50-test.toml"));
    pi.config("no_such_key = 1\n");
    pi.run("resume").must(1, &["no_such_key", "boots partition 2, slot A"]);
    // The old system has its own configuration.
    pi.config(&before.unwrap_or_default());
    pi.run("resume").must(0, &["reverted"]);
    pi.is_unharmed();
    assert_eq!(pi.status()["rejected"], serde_json::json!([]));
    assert!(pi.run("history").must(0, &[]).out.contains("no_such_key"));
}

#[test]
fn a_damaged_copy_of_the_root_is_mended_by_the_next_install() {
    for copy in bistable_boot::layout::ROOT {
        let pi = Pi::new();
        let at = copy.0 * 512;
        let before = pi.partition(Partition::State);
        pi.scribble(Partition::State, at, &[0xFF; 512]);
        pi.run("preflight").must(0, &["root of trust", "one copy is damaged"]);
        pi.takes_the_good_update();
        let at = usize::try_from(at).unwrap();
        assert_eq!(pi.partition(Partition::State)[at..at + 4096], before[at..at + 4096]);
        assert!(!pi.run("preflight").must(0, &[]).err.contains("one copy is damaged"));
    }
}

#[test]
fn a_way_back_that_was_given_up_is_still_there() {
    let pi = Pi::new();
    pi.takes_the_good_update();
    // A wire is off: the self-tests refuse, and that says nothing against a release that ran here for long.
    pi.run("sim unwire 17").must(0, &[]);
    pi.run("revert").must(7, &["relay"]);
    pi.run("sim wire 17 27").must(0, &[]);
    // Given up in the middle of its trial.
    pi.run("revert").must(0, &["booting slot A once"]);
    pi.run("sim power cycle").must(0, &["slot B"]);
    pi.run("revert").must(0, &[]);
    let status = pi.rests("B", "1.1.0");
    assert_eq!(status["rejected"], serde_json::json!([]));
    pi.slot_a_is_untouched();
    // And now for good, and forward again.
    pi.run("revert").must(0, &[]);
    pi.run("resume").must(0, &["slot A is the default now"]);
    pi.rests("A", "1.0.0");
    pi.run("revert").must(0, &["booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn another_card_of_the_same_name_is_put_in_without_power() {
    let pi = Pi::new();
    let new_card = std::fs::read(&pi.card).unwrap();
    pi.takes_the_good_update();
    let other = pi.file("other.img", &new_card);
    std::fs::rename(other, &pi.card).unwrap();
    pi.rests("A", "1.0.0");
    pi.takes_the_good_update();
}
