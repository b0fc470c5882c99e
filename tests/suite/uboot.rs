//! The same program on a card that U-Boot starts: the flag is the boot block, and U-Boot counts a try on the card.
use crate::{fixture::uboot_product, pi::Pi};
use bistable_boot::{
    BootBlock, SECTOR, Slot,
    bootblock::newest,
    layout::{BOOT_BLOCK, Partition},
};

pub(crate) fn copies(pi: &Pi) -> [Option<BootBlock>; 2] {
    let state = pi.partition(Partition::State);
    BOOT_BLOCK.map(|at| {
        let at = usize::try_from(at.0).unwrap() * SECTOR;
        BootBlock::parse(state[at..at + SECTOR].try_into().unwrap()).ok()
    })
}

fn lose(pi: &Pi, copy: usize) {
    pi.scribble(Partition::State, BOOT_BLOCK[copy].0 * SECTOR as u64, &[0xFF; SECTOR]);
}

fn pi() -> Pi {
    Pi::of(uboot_product())
}

#[test]
fn an_update_and_the_way_back() {
    let pi = pi();
    let ended = pi
        .run_on("update", &pi.good())
        .must(0, &["booting slot B once", "U-Boot: boot block, a try counted"]);
    assert!(!ended.err.contains("autoboot"), "{ended:#?}");
    let (_, block) = newest(copies(&pi)).unwrap();
    assert_eq!((block.default, block.trial.unwrap().left), (Slot::A, 0), "counted before it was booted");
    pi.run("resume").must(0, &["slot B is the default now"]);
    pi.rests("B", "1.1.0");
    pi.run("sim power cycle").must(0, &["U-Boot: boot block: boots slot B"]);
    pi.rests("B", "1.1.0");
    pi.run("revert").must(0, &["booting slot A once"]);
    pi.run("resume").must(0, &["slot A is the default now"]);
    pi.rests("A", "1.0.0");
}

#[test]
fn power_that_goes_before_the_trial_does_not_lose_it_and_in_the_trial_goes_back() {
    let pi = pi();
    pi.run_on("install", &pi.good()).must(0, &[]);
    pi.run("arm").must(0, &[]);
    pi.run("reboot").must(0, &[]);
    assert_eq!(pi.status()["booted"], "B");
    pi.run("sim power cycle").must(0, &["boots slot A"]);
    // The old system tries again, a bounded number of times.
    pi.run("resume").must(0, &["booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn a_sick_release_goes_back_without_a_write_to_the_flag() {
    let pi = pi();
    pi.run("sim unit app.service failed --version 1.1.0").must(0, &[]);
    pi.run_on("update", &pi.good()).must(0, &[]);
    let before = copies(&pi);
    pi.run("resume").must(8, &["unhealthy"]);
    pi.run("resume").must(0, &[]);
    assert_eq!(copies(&pi), before);
    pi.is_unharmed();
}

#[test]
fn one_lost_copy_costs_nothing_and_two_are_repaired_by_hand() {
    for copy in [0, 1] {
        let pi = pi();
        lose(&pi, copy);
        pi.run("preflight").must(0, &["torn by a power cut"]);
        pi.takes_the_good_update();
        assert!(copies(&pi).iter().all(Option::is_some));
    }
    let pi = pi();
    lose(&pi, 0);
    lose(&pi, 1);
    pi.run("sim power cycle").must(0, &["no valid boot block", "boots slot A"]);
    pi.run_on("update", &pi.good()).must(1, &["boot flag", "bistable repair"]);
    pi.run("repair").must(0, &[]);
    pi.takes_the_good_update();
}

/// Before the inactive slot is written no copy of the boot block leads there, not even the older one.
#[test]
fn nothing_is_left_that_names_the_slot_to_be_written() {
    let pi = pi();
    pi.takes_the_good_update();
    let older = 1 - newest(copies(&pi)).unwrap().0;
    assert_eq!(copies(&pi)[older].unwrap().default, Slot::A, "as the update left it");
    let next = pi.file("next.bundle", &uboot_product().draft().pack(&[&uboot_product().release_key]));
    pi.run("sim cut --at-write 4").must(0, &[]);
    pi.run_on("install", &next).must(1, &["power lost"]);
    for block in copies(&pi) {
        assert_eq!((block.unwrap().default, block.unwrap().pending()), (Slot::B, None));
    }
    pi.run("sim power on").must(0, &["boots slot B"]);
}
