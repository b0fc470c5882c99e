//! The floors beside the roots: a lost journal is repaired with them, whatever was cut or damaged before (I9).
use crate::{
    rig::Rig,
    shop::{NOW, SEEN, channel, device, look, made_by, publish, record, shop, stock, update},
};
use bistable::{error::Exit, source::Memory};
use bistable_boot::{FLOORS_BYTES, Floors, FloorsCopy, Lba, SECTOR, layout};

fn scribble(rig: &Rig, at: Lba, bytes: &[u8]) {
    rig.pi.scribble(layout::Partition::State, at.0 * SECTOR as u64, bytes);
}

fn lose_the_journal(rig: &Rig) {
    layout::JOURNAL.iter().for_each(|at| scribble(rig, *at, &[0; 64 << 10]));
}

fn copies(rig: &Rig) -> [Option<FloorsCopy>; 2] {
    let state = rig.pi.partition(layout::Partition::State);
    layout::FLOORS.map(|at| {
        let at = at.0 as usize * SECTOR;
        FloorsCopy::decode(state[at..at + FLOORS_BYTES].try_into().unwrap()).ok()
    })
}

/// A channel file of that number.
fn offering(number: u64) -> Memory {
    let mut shop = shop();
    publish(&mut shop, &channel(number, Vec::new()));
    shop
}

fn see(rig: &mut Rig, number: u64) {
    rig.run(|agent| look(&mut agent.device, &mut offering(number)).map(drop)).unwrap();
}

#[test]
fn repair_keeps_the_floors_and_a_replay_is_refused() {
    let mut rig = device();
    see(&mut rig, SEEN + 2);
    let before = record(&mut rig);
    assert_eq!(before.floors.channel_sequence, SEEN + 2);
    for damaged in [None, Some(0), Some(1)] {
        if let Some(copy) = damaged {
            scribble(&rig, layout::FLOORS[copy], &[0xa5; FLOORS_BYTES]);
        }
        lose_the_journal(&rig);
        let repaired = rig.pi.run_once_free("repair").must(0, &[]);
        assert!(!repaired.err.contains("warning: the anti-rollback floors were lost"), "{repaired:#?}");
        let after = record(&mut rig);
        assert_eq!((after.floors, &after.channel), (before.floors, &before.channel));
        assert_eq!(after.channel_payload, before.channel_payload, "an equivocation is still seen");
        let e = rig.run(|agent| look(&mut agent.device, &mut offering(SEEN + 1))).unwrap_err();
        assert_eq!(e.exit(), Exit::Untrusted, "{e}");
        assert!(e.to_string().contains("is older than number 9"), "{e}");
        // The repair wrote the damaged copy again.
        assert!(copies(&rig).iter().all(|copy| copy.as_ref().is_some_and(|copy| copy.is_of(&after))));
    }
}

#[test]
fn floors_that_are_lost_everywhere_are_reported_loudly() {
    let mut rig = device();
    see(&mut rig, SEEN + 2);
    let before = record(&mut rig).floors;
    lose_the_journal(&rig);
    layout::FLOORS.iter().for_each(|at| scribble(&rig, *at, &[0; FLOORS_BYTES]));
    let answer = rig
        .pi
        .run_once_free("repair --json")
        .must(0, &["warning: the anti-rollback floors were lost"])
        .json();
    assert_eq!(answer["floors_lost"], true);
    // What the stored root and release say is kept.
    let kept = Floors { channel_sequence: 0, issued_at: 0, ..before };
    assert_eq!(record(&mut rig).floors, kept);
}

/// A commit raises the security version; a channel file its number and the time.
#[test]
fn after_a_cut_at_any_write_repair_gives_no_floor_below_what_was_saved_nor_above_what_was_verified() {
    let with_release = || {
        let mut shop = shop();
        let offer = stock(&mut shop, &made_by("1.1.0", &[crate::shop::RELEASER], |r| r.security_version = 5));
        publish(&mut shop, &channel(SEEN + 3, vec![offer]));
        shop
    };
    let all = |floors: Floors| {
        let Floors { root_version, channel_sequence, security_version, issued_at } = floors;
        [root_version.into(), channel_sequence, security_version.into(), issued_at]
    };
    let mut uncut = device();
    see(&mut uncut, SEEN + 1);
    update(&mut uncut, &mut with_release()).unwrap();
    let most = record(&mut uncut).floors;
    let expected =
        Floors { root_version: 1, channel_sequence: SEEN + 3, security_version: 5, issued_at: NOW - 3600 };
    assert_eq!(most, expected);
    let mut seen = std::collections::BTreeSet::new();
    for cut in 1.. {
        let mut rig = device();
        see(&mut rig, SEEN + 1);
        rig.cut_at(cut);
        // A cut may fall into either half of the update.
        let first = rig.run(|agent| {
            crate::shop::install(agent, &mut with_release(), None)?;
            agent.resume()
        });
        let rebooted = first.as_ref().is_err_and(bistable::agent::is_reboot);
        if rebooted {
            rig.reset();
            let _ = rig.run(|agent| agent.resume());
        }
        if !rig.power_on() {
            break;
        }
        // Now the journal is lost, as it was left by the cut.
        let saved = record(&mut rig).floors;
        lose_the_journal(&rig);
        rig.pi.run_once_free("sim power cycle").must(0, &[]);
        rig.pi.run_once_free("repair").must(0, &[]);
        // The rig's own firmware agrees about the slot that runs.
        rig.power_on();
        let repaired = record(&mut rig).floors;
        for ((low, found), high) in all(saved).into_iter().zip(all(repaired)).zip(all(most)) {
            assert!(low <= found && found <= high, "write {cut}: {saved:?} {repaired:?}");
        }
        seen.insert(all(repaired));
    }
    assert!(seen.len() >= 2, "after the channel file, and after the commit: {seen:?}");
}

#[test]
fn the_copies_are_written_only_when_a_floor_changes() {
    let mut rig = device();
    let wrote = |rig: &mut Rig| {
        let at = layout::FLOORS.map(|at| (layout::Partition::State, at.0 * SECTOR as u64));
        rig.writes().into_iter().filter(|(partition, byte, _)| at.contains(&(*partition, *byte))).count()
    };
    see(&mut rig, SEEN);
    assert_eq!(wrote(&mut rig), 2);
    see(&mut rig, SEEN);
    assert_eq!(wrote(&mut rig), 0);
    see(&mut rig, SEEN + 1);
    assert_eq!(wrote(&mut rig), 2);
    // An update from a file that raises none.
    rig.reboots(|agent| {
        agent.install(&mut &crate::fixture::product().good[..], bistable::steps::install::Overrides::NONE)?;
        agent.resume()
    });
    rig.run(|agent| agent.resume()).unwrap();
    assert_eq!(wrote(&mut rig), 0);
}

/// A card may lose the whole group that it writes to. So the roots in the other group must be whole before.
#[test]
fn damaged_roots_are_written_before_floors_are() {
    for damaged in 0..2 {
        let mut rig = device();
        scribble(&rig, layout::ROOT[damaged], &[0xa5; SECTOR]);
        rig.writes();
        see(&mut rig, SEEN);
        let places: Vec<_> = rig.writes().into_iter().map(|(_, at, _)| Lba::at_byte(at)).collect();
        assert_eq!(places[0], layout::ROOT[damaged]);
        let mut floors = places[1..3].to_vec();
        floors.sort();
        assert_eq!(
            (floors, layout::JOURNAL.contains(&places[3])),
            (layout::FLOORS.to_vec(), true),
            "{places:?}"
        );
        assert_eq!(rig.run(|agent| agent.device.root_copies()).unwrap(), [true, true]);
    }
}
