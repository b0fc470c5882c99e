//! What an update writes besides the slot's own volumes: as little as there is to decide.
use crate::{
    fixture::{WORLD, product},
    rig::Rig,
};
use bistable::{agent::Rest, steps::install::Overrides};
use bistable_boot::{
    COPY_BYTES, SECTOR, Slot,
    layout::{HEADER_BYTES, JOURNAL, METADATA_BYTES, Partition, RELEASE},
};

/// What was written, in order, in these words; and all that went into the inactive slot's volumes as one.
fn written(rig: &Rig) -> Vec<&'static str> {
    let byte = |at: bistable_boot::Lba| at.0 * SECTOR as u64;
    let mut words: Vec<_> = rig
        .writes()
        .into_iter()
        .map(|(partition, at, bytes)| match partition {
            Partition::State if JOURNAL.map(byte).contains(&at) && bytes == COPY_BYTES => "journal",
            Partition::State if at == byte(RELEASE.b) && bytes <= METADATA_BYTES => "release",
            Partition::Bootconfig if bytes == SECTOR => "flag",
            Partition::Boot(Slot::B) | Partition::System(Slot::B) => "slot",
            other => panic!("{bytes} bytes were written to {other:?} at {at}"),
        })
        .collect();
    words.dedup_by(|a, b| *a == "slot" && a == b);
    words
}

#[test]
fn an_update_saves_the_journal_five_times_and_writes_one_release_and_one_sector_of_the_flag() {
    let mut rig = Rig::new();
    rig.reboots(|agent| {
        agent.install(&mut &product().good[..], Overrides::NONE)?;
        agent.resume()
    });
    assert_eq!(rig.booted, Slot::B);
    // Installing, staged, armed.
    assert_eq!(written(&rig), ["journal", "release", "slot", "journal", "journal"]);
    assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
    // Committing, idle.
    assert_eq!(written(&rig), ["journal", "flag", "journal"]);
    rig.pi.rests("B", "1.1.0");
    // And then nothing more.
    assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
    assert_eq!(written(&rig), [""; 0]);
}

#[test]
fn arming_and_a_trial_write_the_journal_only() {
    let mut rig = Rig::new();
    rig.run(|agent| agent.install(&mut &product().good[..], Overrides::NONE)).unwrap();
    written(&rig);
    rig.run(|agent| agent.arm()).unwrap();
    assert_eq!(written(&rig), ["journal"]);
    for trial in 1..=3 {
        rig.reboots(|agent| agent.reboot_into_trial());
        assert_eq!((rig.booted, written(&rig)), (Slot::B, vec!["journal"]), "trial {trial}");
        // Being there is no write, and neither is being back, which is how one that says nothing ends.
        rig.run(|_| Ok(())).unwrap();
        rig.reset();
        assert_eq!(rig.booted, Slot::A);
        rig.run(|_| Ok(())).unwrap();
        assert_eq!(written(&rig), [""; 0], "trial {trial}");
    }
    // Reverting; the header; idle.
    rig.run(|agent| agent.resume()).unwrap();
    assert_eq!(written(&rig), ["journal", "slot", "journal"]);
    rig.pi.is_unharmed();
}

#[test]
fn a_revert_writes_the_journal_and_the_failed_slots_header() {
    let mut rig = Rig::new();
    rig.reboots(|agent| {
        agent.install(&mut &product().good[..], Overrides::NONE)?;
        agent.resume()
    });
    written(&rig);
    rig.pi.world(&WORLD.replace("active", "failed"));
    rig.run(|agent| agent.resume()).unwrap_err();
    // Reverting, and the reboot counted.
    assert_eq!(written(&rig), ["journal", "journal"]);
    rig.reset();
    assert_eq!(rig.booted, Slot::A);
    assert_eq!(rig.run(|agent| agent.resume()).unwrap(), Rest::Idle);
    let writes = rig.writes();
    // First what makes it look bootable, then the rest of the header.
    let boot = Partition::Boot(Slot::B);
    assert_eq!(writes[..2], [(boot, 0, SECTOR), (boot, SECTOR as u64, HEADER_BYTES - SECTOR)]);
    assert_eq!(writes[2..].iter().map(|w| w.0).collect::<Vec<_>>(), [Partition::State]);
    rig.pi.is_unharmed();
}
