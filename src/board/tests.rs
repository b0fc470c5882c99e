//! Cards made of nothing but a partition table: what is refused, and what may be looked at.
use super::{
    Access, Card, CardError, Cut, Meter,
    sim::{
        Sim, SimError, folder,
        machine::{Machine, Memory},
    },
};
use crate::ports::{KnownTime, Power};
use bistable_boot::{
    Slot,
    layout::{ALIGN, Partition, STATE_BYTES},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

const SECTORS: u64 = ALIGN / 512;

/// A card with these partitions, each as large as it has to be.
fn card(dir: &tempfile::TempDir, partitions: &[Partition]) -> PathBuf {
    let path = dir.path().join("card.img");
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    // Six partitions of one group, one before the first, and one for the second table.
    file.set_len(STATE_BYTES + 8 * ALIGN).unwrap();
    let mut gpt = gptman::GPT::new_from(&mut file, 512, [1; 16]).unwrap();
    let mut first = SECTORS;
    for partition in partitions {
        let sectors = if *partition == Partition::State { STATE_BYTES / 512 } else { SECTORS };
        gpt[partition.number().into()] = gptman::GPTPartitionEntry {
            partition_type_guid: [2; 16],
            unique_partition_guid: [partition.number(); 16],
            starting_lba: first,
            ending_lba: first + sectors - 1,
            attribute_bits: 0,
            partition_name: partition.name().into(),
        };
        first += sectors;
    }
    gpt.write_into(&mut file).unwrap();
    path
}

fn whole(dir: &tempfile::TempDir) -> PathBuf {
    card(dir, &Partition::ALL)
}

fn open(path: &Path, access: Access) -> Result<Card, CardError> {
    Card::open(path, Meter::default(), access)
}

fn make_read_only(path: &Path) {
    let mut permissions = fs::metadata(path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).unwrap();
}

#[test]
fn each_refusal_says_what_to_do() {
    let dir = || tempfile::tempdir().unwrap();
    let (missing, nothing, other, small, locked) = (dir(), dir(), dir(), dir(), dir());
    File::create_new(nothing.path().join("card.img")).unwrap().set_len(1 << 20).unwrap();
    let small_card = whole(&small);
    File::options().write(true).open(&small_card).unwrap().set_len(3 * ALIGN).unwrap();
    let locked_card = whole(&locked);
    make_read_only(&locked_card);
    let table = [
        (missing.path().join("card.img"), "there is no card", "`bistable-image card`"),
        (missing.path().into(), "a folder", "`bistable-image card`"),
        ("/dev/null".into(), "a device", "`bistable-image card`"),
        (nothing.path().join("card.img"), "it has no GPT", "`bistable-image card`"),
        (card(&other, &Partition::ALL[..3]), "no partition \"system_a\"", "`bistable-image card`"),
        (small_card, "truncated or too small", "copy the image again"),
        (locked_card, "read-only", "make it writable first"),
    ];
    for (path, what, todo) in table {
        let text = open(&path, Access::Exclusive).unwrap_err().to_string();
        assert!(text.contains(what) && text.contains(todo), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// A write to one partition would change the other: a slot that runs, for example.
#[test]
fn a_card_whose_partitions_overlap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    // By hand: the library refuses to write this, but not to read it.
    let mut head = fs::read(&path).unwrap();
    head.truncate(34 * 512);
    let last = 1024 + 128 + 40;
    let boot_a = u64::from_le_bytes(head[last..last + 8].try_into().unwrap());
    head[last..last + 8].copy_from_slice(&(boot_a + 1).to_le_bytes());
    let entries = crc32(&head[1024..]);
    head[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
    sum_header(&mut head[512..]);
    File::options().write(true).open(&path).unwrap().write_all_at(&head, 0).unwrap();
    let text = open(&path, Access::ReadOnly).unwrap_err().to_string();
    assert!(text.contains("partitions \"boot_a\" and \"boot_b\" overlap"), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
}

/// Put the right checksum into a header.
fn sum_header(header: &mut [u8]) {
    header[16..20].fill(0);
    let sum = crc32(&header[..92]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn a_table_that_claims_more_than_there_can_be_is_refused_before_memory_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let last = file.metadata().unwrap().len() - 512;
    let claims: [(usize, &[u8], &str); 4] = [
        (84, &256_u32.to_le_bytes(), "claims entries of 256 bytes instead of 128"),
        (80, &u32::MAX.to_le_bytes(), "claims 4294967295 partitions"),
        (80, &1025_u32.to_le_bytes(), "claims 1025 partitions"),
        (72, &u64::MAX.to_le_bytes(), "claims entries in sector 18446744073709551615"),
    ];
    let claim_at = |at: u64, field: usize, claim: &[u8]| {
        let mut whole = [0; 512];
        file.read_exact_at(&mut whole, at).unwrap();
        let mut header = whole;
        header[field..field + claim.len()].copy_from_slice(claim);
        sum_header(&mut header);
        file.write_all_at(&header, at).unwrap();
        (at, whole)
    };
    for (field, claim, text) in claims {
        // One header is as good as two.
        let first = claim_at(512, field, claim);
        open(&path, Access::ReadOnly).unwrap();
        let second = claim_at(last, field, claim);
        let e = open(&path, Access::ReadOnly).unwrap_err().to_string();
        assert!(e.contains(text), "{e}");
        for (at, whole) in [first, second] {
            file.write_all_at(&whole, at).unwrap();
        }
    }
    open(&path, Access::ReadOnly).unwrap();
}

#[test]
fn one_works_and_others_look() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let working = open(&path, Access::Exclusive).unwrap();
    assert!(matches!(open(&path, Access::Exclusive), Err(CardError::Busy { .. })));
    let look = open(&path, Access::ReadOnly).unwrap();
    working.volume(Partition::State).unwrap().write(0, &[7; 512]).unwrap();
    let mut there = [0; 512];
    look.volume(Partition::State).unwrap().read(0, &mut there).unwrap();
    assert_eq!(there, [7; 512]);
    assert!(look.volume(Partition::State).unwrap().write(0, &there).is_err());
    make_read_only(&path);
    assert!(open(&path, Access::ReadOnly).is_ok());
}

#[test]
fn looking_at_a_machine_without_power_shows_the_slot_that_ran_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let mut machine = Machine::load(&folder(&path)).unwrap();
    for (ran, shown) in [(None, Slot::A), (Some(Slot::B), Slot::B), (None, Slot::B), (Some(Slot::A), Slot::A)]
    {
        machine.state = Memory { booted: ran, off: false, ..machine.state };
        machine.power_off();
        machine.save().unwrap();
        let before = fs::read(folder(&path).join("machine.json")).unwrap();
        assert!(matches!(Sim::open(&path), Err(SimError::Off { .. })));
        let sim = Sim::open_read_only(&path).unwrap();
        assert_eq!((sim.power, sim.board.boot.booted()), (Power::Off, shown));
        assert_eq!(fs::read(folder(&path).join("machine.json")).unwrap(), before);
    }
}

#[test]
fn read_only_access_while_another_process_works() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let mut machine = Machine::load(&folder(&path)).unwrap();
    machine.state.booted = Some(Slot::B);
    machine.save().unwrap();
    let working = Sim::open(&path).unwrap();
    let sim = Sim::open_read_only(&path).unwrap();
    assert_eq!((sim.power, sim.board.boot.booted()), (Power::On, Slot::B));
    assert!(matches!(Sim::open(&path), Err(SimError::Card(CardError::Busy { .. }))));
    drop(working);
}

#[test]
fn a_machine_that_was_never_on_is_not_made_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    // It has nothing that boots; but that is found out, not written down.
    assert!(matches!(Sim::open_read_only(&path), Err(SimError::Dead(_))));
    assert!(!folder(&path).exists());
}

#[test]
fn a_cut_is_remembered_until_the_power_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let mut machine = Machine::load(&folder(&path)).unwrap();
    machine.state.booted = Some(Slot::A);
    machine.state.cut_at = Some(Cut { write: 3, byte: Some(5) });
    machine.save().unwrap();
    let cut_at = || Machine::load(&folder(&path)).unwrap().state.cut_at;
    for (writes, left) in [(0, Some(3)), (2, Some(1)), (1, None)] {
        let mut sim = Sim::open(&path).unwrap();
        let session = sim.session();
        let state = sim.board.partitions.open(Partition::State).unwrap();
        for _ in 0..writes {
            assert_eq!(state.write(0, &[1; 512]).is_ok(), left.is_some());
        }
        session.save().unwrap();
        assert_eq!(cut_at(), left.map(|write| Cut { write, byte: Some(5) }));
    }
    assert_eq!(Machine::load(&folder(&path)).unwrap().power(), Power::Off);
}

#[test]
fn what_is_known_of_the_time_outlives_an_invocation_and_not_a_boot() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(&dir);
    let mut machine = Machine::load(&folder(&path)).unwrap();
    machine.state.booted = Some(Slot::A);
    machine.save().unwrap();
    let known = KnownTime { unix: 1_700_000_000, uptime: Duration::from_secs(5) };
    let mut sim = Sim::open(&path).unwrap();
    let session = sim.session();
    assert_eq!(sim.board.host.known_time(), None);
    sim.board.host.keep_time(known);
    session.save().unwrap();
    drop((sim, session));
    let mut sim = Sim::open(&path).unwrap();
    assert_eq!(sim.board.host.known_time(), Some(known));
    drop(sim);
    let mut machine = Machine::load(&folder(&path)).unwrap();
    machine.power_off();
    assert_eq!(machine.state.known_time, None);
    assert_eq!(
        [5, 7, 4].map(|s| known.at(Duration::from_secs(s))),
        [Some(1_700_000_000), Some(1_700_000_002), None]
    );
}
