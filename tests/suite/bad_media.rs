//! Cards that say that they wrote, and did not, or wrote something else, or to somewhere else.
use crate::{
    fixture::product,
    rig::{CHUNK, Rig, Wrong},
};
use bistable::{Error, agent::Rest, steps::install::Overrides};
use bistable_boot::{
    SECTOR, Slot,
    layout::{JOURNAL, Partition, RELEASE},
};

fn install(rig: &mut Rig) -> Result<bistable_boot::Target, Error> {
    rig.run(|agent| agent.install(&mut &product().good[..], Overrides::RETRY))
}

#[track_caller]
fn fails(rig: &mut Rig, wrong: Wrong, words: &[&str]) {
    rig.wrong(Some(wrong));
    let text = install(rig).unwrap_err().to_string();
    for word in words {
        assert!(text.contains(word), "{wrong:?}: no {word:?} in {text:?}");
    }
    rig.wrong(None);
    // Whatever it was: what is there doesn't look bootable, and the rest is as it was.
    let boot = rig.pi.partition(Partition::Boot(Slot::B));
    assert_ne!(boot[SECTOR - 2..SECTOR], [0x55, 0xAA], "{wrong:?}: the slot looks bootable");
    rig.pi.slot_a_is_untouched();
}

/// After all of that, a card that works takes the update.
fn takes_the_update(rig: &mut Rig) {
    rig.wrong(None);
    rig.reboots(|agent| {
        agent.install(&mut &product().good[..], Overrides::RETRY)?;
        agent.resume()
    });
    assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
    rig.pi.rests("B", "1.1.0");
}

#[test]
fn a_journal_that_was_not_written_is_noticed() {
    let places = JOURNAL.map(|at| (Partition::State, at.0 * SECTOR as u64));
    let mut failed = 0;
    for place in places {
        for wrong in [Wrong::Drop(place), Wrong::Flip(place)] {
            let mut rig = Rig::new();
            rig.wrong(Some(wrong));
            // Of two saves, one goes to each copy.
            let text = install(&mut rig).unwrap_err().to_string();
            assert!(text.contains("journal reads back differently"), "{text}");
            failed += 1;
            takes_the_update(&mut rig);
        }
    }
    assert_eq!(failed, 4);
}

#[test]
fn a_stored_release_that_was_not_written_is_noticed() {
    let place = (Partition::State, RELEASE.b.0 * SECTOR as u64);
    let mut rig = Rig::new();
    for wrong in [Wrong::Drop(place), Wrong::Flip(place)] {
        fails(&mut rig, wrong, &["partition state", "reads back differently", "card is failing"]);
    }
    takes_the_update(&mut rig);
}

#[test]
fn a_header_that_was_not_erased_is_noticed() {
    let place = (Partition::Boot(Slot::B), 0);
    let mut rig = Rig::new();
    install(&mut rig).unwrap();
    for wrong in [Wrong::Drop(place), Wrong::Flip(place)] {
        rig.wrong(Some(wrong));
        rig.run(|agent| agent.arm()).unwrap();
        let text = rig.run(|agent| agent.roll_back()).unwrap_err().to_string();
        assert!(text.contains("header was erased and reads back differently"), "{wrong:?}: {text}");
        assert_eq!(rig.pi.status()["state"], "reverting", "it is not done");
        rig.wrong(None);
        rig.run(|agent| agent.resume()).unwrap();
        rig.pi.is_unharmed();
        install(&mut rig).unwrap();
    }
}

#[test]
fn a_header_that_was_not_written_leaves_nothing_bootable() {
    let place = (Partition::Boot(Slot::B), 0);
    for wrong in [Wrong::Flip(place), Wrong::Drop(place)] {
        let mut rig = Rig::new();
        fails(&mut rig, wrong, &["chunk 0 of the boot volume reads back differently"]);
        takes_the_update(&mut rig);
    }
}

#[test]
fn a_flag_that_was_not_written_ends_the_trial() {
    let mut rig = Rig::new();
    rig.reboots(|agent| {
        agent.install(&mut &product().good[..], Overrides::NONE)?;
        agent.resume()
    });
    let (partition, at, _) = {
        // Where the flag is shows when it is written: on another card.
        let mut other = Rig::new();
        takes_the_update(&mut other);
        other.writes().into_iter().find(|w| w.0 == Partition::Bootconfig).unwrap()
    };
    // Half of it is wrong afterwards: no valid text, but the old slot must come back.
    rig.wrong(Some(Wrong::Flip((partition, at))));
    rig.run(|agent| agent.resume()).unwrap_err();
    rig.wrong(None);
    rig.reset();
    while rig.booted == Slot::B {
        rig.reboots(|agent| agent.resume());
    }
    rig.run(|agent| agent.resume()).unwrap();
    rig.pi.is_unharmed();
    takes_the_update(&mut rig);
}

/// Each chunk was right when it was read back, or found right; then a later write landed on it.
#[test]
fn a_chunk_that_a_later_write_destroyed_is_noticed() {
    let (boot, system) = (Partition::Boot(Slot::B), Partition::System(Slot::B));
    // What is written in which order, and what is found right.
    let mut rig = Rig::new();
    install(&mut rig).unwrap();
    let written: Vec<_> = rig.writes().into_iter().filter(|w| w.0 == system).map(|w| (w.0, w.1)).collect();
    // The last one without zeros: what has them may stray onto zeros, and change nothing.
    let image = rig.pi.partition(system);
    let is_full = |at: u64| {
        let start = usize::try_from(at).unwrap();
        let chunk = &image[start..image.len().min(start + usize::try_from(CHUNK).unwrap())];
        chunk.chunks(SECTOR).all(|sector| sector.iter().any(|byte| *byte != 0))
    };
    let (first, last) = (written[0], *written.iter().rfind(|(_, at)| is_full(*at)).unwrap());
    assert_ne!(first, last);
    let zero = (0..).map(|i| (system, i * CHUNK)).find(|place| !written.contains(place)).unwrap();
    let rest = (boot, SECTOR as u64);
    let cases = [
        // Another chunk, whole or from the middle of one to that of the next.
        (last, first),
        (last, (system, first.1 + CHUNK / 2)),
        // One that was found right, and so wasn't written.
        (last, zero),
        // From one volume into the other, and by the last write before the header.
        (last, (boot, CHUNK)),
        (rest, first),
    ];
    for (from, onto) in cases {
        let mut rig = Rig::new();
        let index = onto.1.div_ceil(CHUNK);
        let volume = if onto.0 == boot { "boot" } else { "system" };
        let words = [&format!("chunk {index} of the {volume} volume was right"), "less room than it says"];
        fails(&mut rig, Wrong::Stray { from, onto }, &words);
        takes_the_update(&mut rig);
    }
}
