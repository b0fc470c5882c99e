//! The whole partition `state` is lost: `status` shows what can be known, and `repair` ends it, with what a person has at hand.
use crate::{
    fixture::{Product, noise, product, uboot_product},
    pi::Pi,
};
use bistable_boot::{SECTOR, Slot, layout, layout::Partition};

/// Everything that is used of it.
fn lose(pi: &Pi, fill: &dyn Fn(usize) -> Vec<u8>) {
    let bytes = usize::try_from(layout::STATE_BYTES).unwrap();
    pi.scribble(Partition::State, 0, &fill(bytes));
}

fn carry(pi: &Pi, product: &Product) {
    pi.file("card.img.sim/root/usr/share/bistable/root.root", &product.root.bytes);
}

fn old(pi: &Pi, product: &Product) {
    pi.file("old.bundle", &product.old);
}

#[test]
fn status_shows_what_can_be_known_and_how_to_repair_it() {
    let pi = Pi::new();
    carry(&pi, product());
    lose(&pi, &|bytes| vec![0; bytes]);
    let text = pi.run("status").must(0, &[]).out;
    for words in [
        "unknown product on pi4",
        "slot A: an unknown release, running, default",
        "lost: the agent's memory: both journal copies are damaged",
        "anti-rollback floors: lost",
        "root of trust: version 1",
        "`bistable repair --release FILE`",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let status = pi.status();
    let found = [&status["state"], &status["booted"], &status["default"], &status["root"]["version"]];
    assert_eq!(found, [&"lost".into(), &"A".into(), &"A".into(), &serde_json::json!(1)], "{status:#}");
    // Of a journal only, more is known.
    let pi = Pi::new();
    for at in layout::JOURNAL {
        pi.scribble(Partition::State, at.0 * SECTOR as u64, &[0; 4096]);
    }
    let status = pi.status();
    assert_eq!(
        (&status["product"], &status["slots"]["a"]["version"]),
        (&"greenhouse".into(), &"1.0.0".into())
    );
    assert_eq!(status["floors"]["security_version"], 2, "{status:#}");
    pi.run("history").must(1, &["both journal copies are damaged"]);
}

#[test]
fn repair_takes_the_root_from_the_system_and_the_release_from_its_bundle() {
    for fill in [&(|bytes| vec![0u8; bytes]) as &dyn Fn(usize) -> Vec<u8>, &|bytes| noise(5, bytes)] {
        let pi = Pi::new();
        carry(&pi, product());
        old(&pi, product());
        lose(&pi, fill);
        // It says what it needs, and nothing is half done.
        pi.run("repair").must(2, &["--release FILE", "--product NAME"]);
        pi.run("update @good.bundle").must(1, &["both journal copies are damaged"]);
        let answer = pi
            .run("repair --release @old.bundle --json")
            .must(0, &["warning: the anti-rollback floors were lost"])
            .json();
        assert_eq!(
            (&answer["release_known"], &answer["floors_lost"]),
            (&true.into(), &true.into()),
            "{answer:#}"
        );
        let status = pi.rests("A", "1.0.0");
        assert_eq!(status["floors"]["security_version"], 2, "{status:#}");
        pi.run("self-test").must(0, &[]);
        pi.run("preflight").must(0, &[]);
        pi.run("repair").must(3, &["nothing to repair"]);
        pi.takes_the_good_update();
        pi.run("revert").must(0, &["booting slot A once"]);
        pi.run("resume").must(0, &[]);
        pi.rests("A", "1.0.0");
    }
}

#[test]
fn repair_with_the_products_name_only_leaves_what_runs_unknown_and_updates_work() {
    let pi = Pi::new();
    carry(&pi, product());
    lose(&pi, &|bytes| vec![0; bytes]);
    pi.run("repair --product greenhouse").must(0, &["which release runs is not known", "floors were lost"]);
    let status = pi.status();
    let found = [
        &status["state"],
        &status["booted"],
        &status["slots"]["a"]["state"],
        &status["slots"]["a"]["version"],
    ];
    assert_eq!(
        found,
        [&"idle".into(), &"A".into(), &"running".into(), &serde_json::Value::Null],
        "{status:#}"
    );
    let text = pi.run("status").must(0, &[]).out;
    assert!(text.contains("unknown release") && text.contains("bistable repair --release FILE"), "{text}");
    pi.run("health").must(5, &["the release stored for slot A"]);
    pi.takes_the_good_update();
    // What ran before is unknown, so there is nothing to go back to.
    pi.run("revert").must(3, &["holds no complete release"]);

    // Another product's releases are refused, as ever.
    let pi = Pi::new();
    carry(&pi, product());
    lose(&pi, &|bytes| vec![0; bytes]);
    pi.run("repair --product freezer").must(0, &[]);
    pi.run_on("update", &pi.good()).must(6, &["greenhouse"]);
    pi.slot_a_is_untouched();
}

#[test]
fn what_runs_can_be_named_later() {
    let pi = Pi::new();
    carry(&pi, product());
    old(&pi, product());
    lose(&pi, &|bytes| vec![0; bytes]);
    pi.run("repair --product greenhouse").must(0, &[]);
    assert!(pi.run("repair --release @old.bundle").must(0, &[]).out.contains("is known to hold 1.0.0 now"));
    let status = pi.rests("A", "1.0.0");
    assert_eq!(status["floors"]["security_version"], 2, "{status:#}");
    pi.run("health").must(0, &[]);
    pi.run("repair --release @old.bundle").must(3, &["slot A is known to run 1.0.0"]);
    pi.takes_the_good_update();
}

#[test]
fn a_forged_release_names_nothing() {
    let pi = Pi::new();
    carry(&pi, product());
    let forged = crate::shop::made_by("1.0.0", &[crate::shop::STRANGER], |_| {});
    pi.file("forged.release", &forged.signed);
    lose(&pi, &|bytes| vec![0; bytes]);
    pi.run("repair --release @forged.release").must(5, &["was the key retired"]);
    pi.run("repair --product greenhouse").must(0, &[]);
    pi.run("repair --release @forged.release").must(5, &["was the key retired"]);
    assert_eq!(pi.status()["slots"]["a"]["version"], serde_json::Value::Null);
}

#[test]
fn without_a_root_in_the_system_it_takes_a_file() {
    let mut pi = Pi::new();
    pi.without_system_root();
    old(&pi, product());
    pi.file("product.root", &product().root.bytes);
    pi.file("broken.root", &product().root.bytes[..200]);
    lose(&pi, &|bytes| vec![0; bytes]);
    pi.run("repair --release @old.bundle")
        .must(5, &["no root of trust", "`bistable repair --root-file FILE`"]);
    pi.run("repair --release @old.bundle --root-file @broken.root").must(5, &["truncated"]);
    pi.run("repair --release @old.bundle --root-file @product.root").must(0, &[]);
    pi.rests("A", "1.0.0");
    pi.takes_the_good_update();
    // A file is no way around a root that is there.
    let pi = Pi::new();
    let strangers = crate::shop::root_of(1, &[77, 78], &[77], &[77]);
    let signed =
        crate::shop::sealed(bistable_format::Role::Root, &crate::shop::payload(&strangers), &[77, 78]);
    pi.file("strangers.root", &signed);
    pi.run("repair --root-file @strangers.root").must(3, &["nothing to repair"]);
    assert_eq!(pi.status()["root"]["version"], 1);
    pi.takes_the_good_update();
}

/// There, the boot flag lies in `state`, too.
#[test]
fn on_u_boot_the_boot_block_is_written_again() {
    let pi = Pi::of(uboot_product());
    carry(&pi, uboot_product());
    old(&pi, uboot_product());
    lose(&pi, &|bytes| vec![0; bytes]);
    assert_eq!(pi.status()["default"], serde_json::Value::Null);
    let answer = pi.run("repair --release @old.bundle --json").must(0, &[]).json();
    assert_eq!(answer["boot_flag"], "A", "{answer:#}");
    pi.rests("A", "1.0.0");
    let good = pi.good();
    pi.run_on("update", &good).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

/// A release that ran in slot B, and the other slot's stored release still says which product it is.
#[test]
fn the_other_slots_release_says_which_product_it_is() {
    let pi = Pi::new();
    pi.takes_the_good_update();
    let at = layout::RELEASE[Slot::B].0 * SECTOR as u64;
    pi.scribble(Partition::State, at, &vec![0; layout::METADATA_BYTES]);
    for at in layout::JOURNAL {
        pi.scribble(Partition::State, at.0 * SECTOR as u64, &[0; 4096]);
    }
    let repaired = pi.run("repair").must(0, &["which release runs is not known"]);
    assert!(!repaired.err.contains("floors were lost"), "{repaired:#?}");
    let status = pi.status();
    let found = [&status["product"], &status["booted"], &status["slots"]["b"]["version"]];
    assert_eq!(found, [&"greenhouse".into(), &"B".into(), &serde_json::Value::Null], "{status:#}");
}

#[test]
fn the_power_goes_at_any_write_of_a_repair() {
    let mut cuts = 0;
    loop {
        let pi = Pi::new();
        carry(&pi, product());
        old(&pi, product());
        lose(&pi, &|bytes| vec![0; bytes]);
        pi.run(&format!("sim cut --at-write {}", cuts + 1)).must(0, &[]);
        let repaired = pi.run("repair --release @old.bundle");
        if repaired.code == 0 {
            break;
        }
        repaired.must(1, &["power lost"]);
        cuts += 1;
        pi.run("sim power on").must(0, &["slot A"]);
        // It is done again, unless the journal was the last thing that lacked.
        let again = pi.run("repair --release @old.bundle");
        assert!(matches!(again.code, 0 | 3), "after a cut in write {cuts}: {again:#?}");
        let status = pi.rests("A", "1.0.0");
        assert_eq!(status["floors"]["security_version"], 2, "{status:#}");
        pi.run("self-test").must(0, &[]);
        pi.slot_a_is_untouched();
    }
    assert!(cuts >= 7, "a release, two chains, two copies of the floors and two journals are {cuts} writes");
}
