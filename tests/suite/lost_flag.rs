//! The boot flag's sector holds nothing of use after a power cut in the middle of its write: the device continues by
//! itself when it was its own write, and a person has it repaired when it wasn't.
use crate::{
    fixture::{WORLD, noise, product},
    pi::Pi,
    rig::Rig,
};
use bistable::{agent::is_reboot, steps::install::Overrides};
use bistable_boot::{
    Autoboot, COPY_BYTES, SECTOR, Slot,
    layout::{BOOT_PARTITIONS, JOURNAL, Partition},
};

fn text(default: Slot) -> [u8; SECTOR] {
    Autoboot { partitions: BOOT_PARTITIONS, default }.render()
}

/// Where the sector of `autoboot.txt` is, in `bootconfig`, while it holds what it should.
pub(crate) fn flag(pi: &Pi) -> u64 {
    let bytes = pi.partition(Partition::Bootconfig);
    (bytes.chunks(SECTOR).position(|sector| sector.starts_with(&text(Slot::A)[..30])).unwrap() * SECTOR)
        as u64
}

/// What may be left of the write of `new`.
fn lost(new: Slot) -> Vec<Vec<u8>> {
    let half = |rest: Vec<u8>| [&text(new)[..SECTOR / 2], &rest[SECTOR / 2..]].concat();
    vec![
        vec![0; SECTOR],
        vec![0xFF; SECTOR],
        noise(3, SECTOR),
        half(vec![0xFF; SECTOR]),
        half(noise(4, SECTOR)),
        [vec![0; SECTOR / 2], text(new)[SECTOR / 2..].to_vec()].concat(),
    ]
}

pub(crate) fn next(pi: &Pi) -> std::path::PathBuf {
    pi.file("next.bundle", &product().draft().pack(&[&product().release_key]))
}

/// On trial in `slot`; the power goes in the write of the flag, of which `left` is left.
fn cut_in_the_commit(slot: Slot, left: &[u8]) -> Pi {
    let pi = Pi::new();
    let at = flag(&pi);
    if slot == Slot::A {
        pi.takes_the_good_update();
    }
    pi.run_on("update", &next(&pi)).must(0, &[&format!("booting slot {slot} once")]);
    pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
    pi.run("resume").must(1, &["power lost"]);
    pi.scribble(Partition::Bootconfig, at, left);
    pi
}

/// What the boot unit does at each boot, until there is nothing to do.
fn settle(pi: &Pi) {
    for _ in 0..8 {
        let ended = pi.run("resume");
        assert!([0, 8].contains(&ended.code), "{ended:#?}");
        if pi.status()["state"] == "idle" {
            return;
        }
    }
    panic!("does not settle: {:#}", pi.status());
}

#[test]
fn a_flag_lost_in_the_commit_is_survived_whichever_slot_the_firmware_finds() {
    // It finds slot A first: the old slot in one case, the new one in the other.
    for new in [Slot::B, Slot::A] {
        for left in lost(new) {
            let pi = cut_in_the_commit(new, &left);
            pi.run("sim power on").must(0, &[]);
            let ended = pi.run("resume").must(0, &["written whole"]);
            if pi.status()["state"] != "idle" {
                settle(&pi);
            } else {
                assert!(ended.err.contains("healthy"), "only what is proven on this boot: {ended:#?}");
            }
            let status = pi.rests(&new.to_string(), "1.2.0");
            assert_eq!(status["rejected"], serde_json::json!([]));
            assert_eq!(pi.partition(Partition::Bootconfig)[flag(&pi) as usize..][..SECTOR], text(new));
            pi.run("repair").must(3, &["nothing to repair"]);
        }
    }
}

#[test]
fn a_flag_lost_twice_is_survived_too() {
    for new in [Slot::B, Slot::A] {
        let pi = cut_in_the_commit(new, &[0; SECTOR]);
        let at = {
            let right = Pi::new();
            flag(&right)
        };
        for _ in 0..2 {
            pi.run("sim power on").must(0, &[]);
            // The first write of all is the flag's.
            pi.run("sim cut --at-write 1 --at-byte 0").must(0, &[]);
            pi.run("resume").must(1, &["power lost"]);
            pi.scribble(Partition::Bootconfig, at, &[0xFF; SECTOR]);
        }
        pi.run("sim power on").must(0, &[]);
        settle(&pi);
        pi.rests(&new.to_string(), "1.2.0");
    }
}

#[test]
fn after_a_lost_flag_a_release_that_hangs_is_given_up_in_the_end() {
    // Slot A is the new one, and the one that the firmware finds without a flag.
    let pi = cut_in_the_commit(Slot::A, &[0; SECTOR]);
    pi.run("sim power on").must(0, &["slot A"]);
    // It says nothing, and something resets the machine before it is committed.
    pi.run("status").must(0, &[]);
    pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
    pi.run("resume").must(1, &["power lost"]);
    pi.world(&format!("{WORLD}\n[[system]]\nversion = \"1.2.0\"\nboots = \"hang\"\n"));
    pi.run("sim power on").must(0, &["slot B"]);
    settle(&pi);
    let status = pi.rests("B", "1.1.0");
    assert_eq!(status["rejected"][0]["version"], "1.2.0");
    assert!(status["rejected"][0]["reason"].as_str().unwrap().contains("without a verdict"), "{status:#}");
}

#[test]
fn a_lost_flag_and_a_sick_release_end_in_the_old_slot() {
    for new in [Slot::B, Slot::A] {
        let pi = cut_in_the_commit(new, &[0; SECTOR]);
        pi.world(&format!(
            "{WORLD}\n[[system]]\nversion = \"1.2.0\"\n[system.units]\n\"app.service\" = \"failed\"\n"
        ));
        pi.run("sim power on").must(0, &["slot A"]);
        settle(&pi);
        let (old, version) = if new == Slot::B { ("A", "1.0.0") } else { ("B", "1.1.0") };
        pi.rests(old, version);
    }
}

#[test]
fn an_operator_may_go_back_from_a_lost_flag() {
    for new in [Slot::B, Slot::A] {
        let pi = cut_in_the_commit(new, &noise(5, SECTOR));
        pi.run("sim power on").must(0, &["slot A"]);
        pi.run("revert").must(0, &[]);
        settle(&pi);
        let (old, version) = if new == Slot::B { ("A", "1.0.0") } else { ("B", "1.1.0") };
        pi.rests(old, version);
    }
}

#[test]
fn a_flag_lost_on_the_way_back_is_survived() {
    for new in [Slot::B, Slot::A] {
        for left in lost(!new) {
            let pi = cut_in_the_commit(new, &text(new));
            let at = flag(&pi);
            // The new slot is the default already when a person goes back: reverting, then the flag.
            pi.run("sim power on").must(0, &[&format!("slot {new}")]);
            pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
            pi.run("revert").must(1, &["power lost"]);
            pi.scribble(Partition::Bootconfig, at, &left);
            pi.run("sim power on").must(0, &[]);
            assert_eq!(pi.status()["state"], "reverting");
            settle(&pi);
            let (old, version) = if new == Slot::B { ("A", "1.0.0") } else { ("B", "1.1.0") };
            pi.rests(old, version);
            pi.run("repair").must(3, &["nothing to repair"]);
        }
    }
}

#[test]
fn a_flag_torn_on_the_way_back_is_written_whole() {
    let pi = cut_in_the_commit(Slot::B, &text(Slot::B));
    pi.run("sim power on").must(0, &["slot B"]);
    // Between the two digits: both name slot A.
    pi.run("sim cut --at-write 2 --at-byte 40").must(0, &[]);
    pi.run("revert").must(1, &["power lost"]);
    let at = flag(&pi) as usize;
    assert_ne!(pi.partition(Partition::Bootconfig)[at..][..SECTOR], text(Slot::A));
    pi.run("sim power on").must(0, &["slot A"]);
    pi.run("resume").must(0, &["reverted"]);
    assert_eq!(pi.partition(Partition::Bootconfig)[at..][..SECTOR], text(Slot::A));
    pi.is_unharmed();
}

/// An autoboot.txt that names a slot, but isn't ours.
fn by_hand() -> Vec<u8> {
    [b"[all]\nboot_partition=2\n".to_vec(), vec![b'\n'; SECTOR - 23]].concat()
}

#[test]
fn while_nothing_is_in_flight_whatever_lies_in_the_flag_is_left_alone_and_repair_is_named() {
    let pi = Pi::new();
    let at = flag(&pi);
    for left in [vec![0; SECTOR], noise(6, SECTOR), by_hand()] {
        pi.scribble(Partition::Bootconfig, at, &left);
        for verb in ["preflight", "update @good.bundle"] {
            pi.good();
            let ended = pi.run(verb);
            assert!(ended.code == 1 && ended.err.contains("`bistable repair`"), "{ended:#?}");
            assert_eq!(pi.partition(Partition::Bootconfig)[at as usize..][..SECTOR], left);
        }
    }
    pi.run("repair").must(0, &[]);
    pi.takes_the_good_update();
}

/// The repair of a torn flag comes before a trial, and may be cut short like any other write.
#[test]
fn a_flag_lost_before_a_trial_is_written_again() {
    for state in ["staged", "armed"] {
        for left in lost(Slot::A).into_iter().chain([by_hand()]) {
            let pi = Pi::new();
            pi.config("[update]\nmode = \"reboot\"\n");
            let at = flag(&pi);
            pi.run_on("install", &pi.good()).must(0, &[]);
            if state == "armed" {
                pi.run("arm").must(0, &[]);
            }
            pi.scribble(Partition::Bootconfig, at, &left);
            pi.run("resume").must(0, &["slot B"]);
            pi.run("resume").must(0, &[]);
            pi.rests("B", "1.1.0");
            pi.run("repair").must(3, &["nothing to repair"]);
        }
    }
}

#[test]
fn repair_mends_whichever_is_broken() {
    let pi = Pi::new();
    let at = flag(&pi);
    let lose_the_journal = |pi: &Pi| {
        for at in JOURNAL {
            pi.scribble(Partition::State, at.0 * SECTOR as u64, &[0; COPY_BYTES]);
        }
    };
    for left in [vec![0; SECTOR], vec![0xFF; SECTOR], by_hand()] {
        pi.scribble(Partition::Bootconfig, at, &left);
        let answer = pi.run("repair --json").must(0, &[]).json();
        assert_eq!((&answer["journal"], &answer["boot_flag"]), (&false.into(), &"A".into()), "{answer:#}");
        assert_eq!(pi.partition(Partition::Bootconfig)[at as usize..][..SECTOR], text(Slot::A));
        pi.run("repair").must(3, &["nothing to repair"]);
    }
    // Torn, it keeps its default.
    let mut torn = text(Slot::A);
    let digit = (0..SECTOR).rfind(|i| text(Slot::B)[*i] != torn[*i]).unwrap();
    torn[digit] = text(Slot::B)[digit];
    pi.scribble(Partition::Bootconfig, at, &torn);
    assert!(pi.run("repair").must(0, &[]).out.contains("slot A is the default"));
    // Both at once.
    lose_the_journal(&pi);
    pi.scribble(Partition::Bootconfig, at, &[0; SECTOR]);
    let out = pi.run("repair").must(0, &[]).out;
    assert!(out.contains("journal was recreated") && out.contains("boot flag was rewritten"), "{out}");
    pi.is_unharmed();
    pi.takes_the_good_update();
    pi.run("sim power cycle").must(0, &["slot B"]);
    pi.rests("B", "1.1.0");
}

/// The default slot has always proved itself, and a slot on trial has not.
#[test]
fn repair_in_a_trial_names_the_slot_that_proved_itself() {
    let pi = Pi::new();
    let at = flag(&pi);
    pi.run_on("update", &pi.good()).must(0, &[]);
    pi.scribble(Partition::Bootconfig, at, &[0; SECTOR]);
    assert!(pi.run("repair").must(0, &[]).out.contains("slot A is the default"));
    pi.run("resume").must(0, &["healthy", "slot B is the default now"]);
    pi.rests("B", "1.1.0");
}

/// Change the directory's entry of the file behind everybody's back.
fn change_entry(pi: &Pi, change: impl Fn(&mut [u8])) {
    let mut bytes = pi.partition(Partition::Bootconfig);
    let at = bytes.windows(11).position(|name| name == b"AUTOBOOTTXT").unwrap();
    change(&mut bytes[at..at + 32]);
    pi.scribble(Partition::Bootconfig, at as u64, &bytes[at..at + 32]);
}

/// As an editor leaves it: another text of another length. What lies behind its end in the sector belongs to no file.
fn edit(pi: &Pi, content: &[u8]) {
    let at = flag(pi);
    let mut sector = [b'\0'; SECTOR];
    sector.iter_mut().zip(content).for_each(|(place, byte)| *place = *byte);
    pi.scribble(Partition::Bootconfig, at, &sector);
    change_entry(pi, |entry| entry[28..].copy_from_slice(&(content.len() as u32).to_le_bytes()));
}

#[test]
fn the_firmware_follows_any_text_up_to_its_limit() {
    let (a, b) = ("boot_partition=2", "boot_partition=3");
    let long = format!("{}\n{b}\n", "#".repeat(SECTOR - b.len() - 2));
    let table = [
        (a.to_owned(), "A"),
        (b.to_owned(), "B"),
        (format!("[all]\ntryboot_a_b=1\n{b}\n[tryboot]\n{a}\n"), "B"),
        (format!("[all]\r\n{b}\r\n[tryboot]\r\n{a}\r\n"), "B"),
        (format!("\u{feff}[all]\n#{a}\n{b}\n[pi5]\n{a}\n"), "B"),
        (format!("[none]\n{a}\n[all]\n{b}"), "B"),
        (format!("{a}\n{b}"), "B"),
        (format!("{b}\n# {}\n{a}", "x".repeat(SECTOR)), "B"),
        (long, "B"),
    ];
    for (text, slot) in table {
        let pi = Pi::new();
        pi.takes_the_good_update();
        edit(&pi, text.as_bytes());
        pi.run("sim power cycle").must(0, &["autoboot.txt: boots partition", &format!("slot {slot}")]);
        assert_eq!(pi.status()["booted"], slot, "{text:?}");
    }
}

/// A way to lose the file, or what is in it.
pub(crate) type Loss = (&'static str, fn(&Pi));

pub(crate) const LOSSES: [Loss; 7] = [
    ("short", |pi| edit(pi, b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n")),
    ("line ends of another system", |pi| {
        let text = String::from_utf8(text(Slot::A).into()).unwrap().replace('\n', "\r\n");
        edit(pi, text.as_bytes());
    }),
    ("names no partition", |pi| edit(pi, b"hello")),
    ("names another partition", |pi| edit(pi, b"boot_partition=1\n")),
    ("deleted", |pi| change_entry(pi, |entry| entry[0] = 0xE5)),
    ("emptied", |pi| {
        change_entry(pi, |entry| {
            entry[20..22].fill(0);
            entry[26..].fill(0);
        });
    }),
    ("led astray", |pi| change_entry(pi, |entry| entry[26..28].fill(0xFF))),
];

#[test]
fn whatever_became_of_the_file_repair_puts_it_back() {
    for (what, lose) in LOSSES {
        let pi = Pi::new();
        let before = pi.partition(Partition::Bootconfig);
        lose(&pi);
        let lost = pi.partition(Partition::Bootconfig);
        assert!(lost != before, "{what}");
        pi.run("preflight").must(1, &["`bistable repair`"]);
        pi.run_on("update", &pi.good()).must(1, &["`bistable repair`"]);
        let status = pi.status();
        assert!(status["advice"].as_str().unwrap().ends_with("`bistable repair`"), "{what}: {status:#}");
        assert!(status["default_problem"].as_str().unwrap().contains("autoboot.txt"), "{what}: {status:#}");
        assert!(pi.partition(Partition::Bootconfig) == lost, "{what}: only a person writes it");
        let answer = pi.run("repair --json").must(0, &[]).json();
        assert_eq!(answer["boot_flag"], "A", "{what}");
        assert_eq!(pi.status()["default_problem"], serde_json::Value::Null, "{what}");
        pi.run("repair").must(3, &["nothing to repair"]);
        pi.is_unharmed();
        pi.takes_the_good_update();
        pi.run("sim power cycle").must(0, &["slot B"]);
    }
}

#[test]
fn a_repair_that_is_cut_short_is_done_again() {
    for (what, lose) in LOSSES.into_iter().step_by(4) {
        for write in 1..12 {
            let pi = Pi::new();
            lose(&pi);
            pi.run("status").must(0, &[]);
            pi.run(&format!("sim cut --at-write {write} --at-byte 256")).must(0, &[]);
            let ended = pi.run("repair");
            if ended.code == 0 {
                assert!(write > 1, "{what}: nothing was cut: {ended:#?}");
                break;
            }
            ended.must(1, &["power lost"]);
            pi.run("sim power on").must(0, &["slot A"]);
            let again = pi.run("repair");
            assert!([0, 3].contains(&again.code), "{what}, write {write}: {again:#?}");
            pi.is_unharmed();
            assert_eq!(pi.status()["default_problem"], serde_json::Value::Null);
            assert!(write < 11, "{what}: it ends");
        }
    }
}

#[test]
fn a_lost_file_system_of_the_flag_is_made_again_when_asked_for() {
    type Harm = fn(&Pi);
    let harms: [(&str, Harm); 3] = [
        ("boot sector", |pi| pi.scribble(Partition::Bootconfig, 0, &[0; 4096])),
        ("everything", |pi| {
            let bytes = pi.partition(Partition::Bootconfig).len();
            pi.scribble(Partition::Bootconfig, 0, &vec![0xFF; bytes]);
        }),
        ("tables, and the file", |pi| {
            change_entry(pi, |entry| entry[0] = 0xE5);
            pi.scribble(Partition::Bootconfig, SECTOR as u64, &[0; 4 * SECTOR]);
        }),
    ];
    for (what, harm) in harms {
        let pi = Pi::new();
        harm(&pi);
        assert!(pi.status()["advice"].as_str().unwrap().ends_with("`bistable repair`"), "{what}");
        pi.run("repair").must(1, &["partition bootconfig", "`bistable repair --new-bootconfig`"]);
        pi.slot_a_is_untouched();
        let answer = pi.run("repair --new-bootconfig --json").must(0, &[]).json();
        assert_eq!(answer["boot_flag"], "A", "{what}");
        pi.run("repair --new-bootconfig").must(3, &["nothing to repair"]);
        let at = pi.partition(Partition::Bootconfig);
        assert!(at.windows(SECTOR).any(|sector| sector == text(Slot::A)), "{what}");
        pi.takes_the_good_update();
        pi.run("sim power cycle").must(0, &["autoboot.txt: boots partition 3, slot B"]);
    }
}

#[test]
fn a_status_says_on_trial_before_anything_else_ran() {
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    let before = std::fs::read(&pi.card).unwrap();
    assert_eq!(pi.status()["state"], "on trial");
    assert_eq!(pi.status()["slots"]["b"]["state"], "on trial");
    pi.run("sim power cycle").must(0, &["slot A"]);
    assert_eq!(pi.status()["state"], "armed");
    assert_eq!(pi.status()["update"]["attempts"], 1);
    assert!(std::fs::read(&pi.card).unwrap() == before, "nothing was written");
}

/// The one-shot flag is set and the machine doesn't reboot; a person gives the update up. Whatever resets the machine
/// later must not boot into what the other slot holds by then.
#[test]
fn an_update_given_up_before_its_reboot_leaves_no_one_shot_flag() {
    let mut rig = Rig::new();
    let good = &product().good;
    let ended = rig.run(|agent| agent.install(&mut &good[..], Overrides::NONE).and_then(|_| agent.resume()));
    assert!(ended.as_ref().is_err_and(is_reboot), "{ended:?}");
    rig.run(|agent| agent.roll_back()).unwrap();
    let other = product().draft().pack(&[&product().release_key]);
    rig.run(|agent| agent.install(&mut &other[..], Overrides::NONE)).unwrap();
    rig.reset();
    assert_eq!(rig.booted, Slot::A);
}
