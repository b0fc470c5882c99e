//! Any change to a card: the device finds its partitions on it, one beside another, or refuses it; and whatever lies in
//! `state` and in `bootconfig` is read, or is an error.
#![no_main]
use bistable::board::{Access, Card, Meter};
use bistable::device_fuzz::stored;
use bistable::ports::Sectors;
use bistable_boot::fat::Fat;
use bistable_boot::layout::{
    ALIGN, BOOT_BLOCK, FLOORS, JOURNAL, METADATA_BYTES, Partition, RELEASE, ROOT, STATE_BYTES,
};
use bistable_boot::{BootBlock, Journal, SECTOR};
use bistable_fuzz::{Disk, Input};
use gptman::{GPT, GPTPartitionEntry};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs::File;

fn bytes(partition: Partition) -> u64 {
    if partition == Partition::State { STATE_BYTES } else { ALIGN }
}

fn start(partition: Partition) -> u64 {
    let before = Partition::ALL.iter().take(usize::from(partition.number()) - 1);
    before.fold(ALIGN, |at, partition| at + bytes(*partition))
}

thread_local! {
    static CARD: RefCell<Disk> = RefCell::new(Disk::new(make));
}

fn make(file: &mut File) {
    let all = start(Partition::State) + STATE_BYTES;
    file.set_len(all + ALIGN).unwrap();
    let mut gpt = GPT::new_from(file, 512, [7; 16]).unwrap();
    for partition in Partition::ALL {
        gpt[partition.number().into()] = GPTPartitionEntry {
            partition_type_guid: [1; 16],
            unique_partition_guid: [partition.number(); 16],
            starting_lba: start(partition) / 512,
            ending_lba: (start(partition) + bytes(partition)) / 512 - 1,
            attribute_bits: 0,
            partition_name: partition.name().into(),
        };
    }
    gpt.write_into(file).unwrap();
    GPT::write_protective_mbr_into(file, 512).unwrap();
}

/// Where something lies that is read: the table, its copy, and what is in `state` and `bootconfig`.
fn places(end: u64) -> Vec<(u64, u64)> {
    let state = start(Partition::State);
    let sector = SECTOR as u64;
    let stored = [JOURNAL, ROOT, FLOORS, [RELEASE.a, RELEASE.b], BOOT_BLOCK];
    let mut places =
        vec![(0, 34 * sector), (end - 33 * sector, 33 * sector), (start(Partition::Bootconfig), 8192)];
    places.extend(stored.into_iter().flatten().map(|at| (state + at.0 * sector, 4096)));
    places
}

fuzz_target!(|data: &[u8]| {
    CARD.with_borrow_mut(|disk| {
        let mut input = Input(data);
        let how = input.byte();
        let places = places(disk.bytes());
        let all = places.iter().map(|(_, len)| len).sum();
        disk.change(&mut input, all, |mut at| {
            for (start, len) in &places {
                if at < *len {
                    return start + at;
                }
                at -= len;
            }
            unreachable!("it is below the sum");
        });
        if how & 1 == 1 {
            disk.sum_gpt();
        }
        if let Ok(card) = Card::open(disk.path(), Meter::default(), Access::ReadOnly) {
            look(&card, disk.bytes());
        }
        disk.restore();
    });
});

fn look(card: &Card, end: u64) {
    let mut ranges = card.ranges();
    for ((from, to), partition) in ranges.iter().zip(Partition::ALL) {
        assert!(from < to && *to <= end);
        let volume = card.volume(partition).unwrap();
        assert_eq!(volume.bytes(), to - from);
        assert!(volume.bytes() >= bytes(partition));
        assert!(volume.read(volume.bytes(), &mut [0; SECTOR]).is_err(), "a read behind its end");
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "partitions overlap: {ranges:?}");

    let state = card.volume(Partition::State).unwrap();
    let mut journal = Journal::new(Sectors(state.clone()));
    let copies = journal.copies().map(|copy| copy.unwrap().is_ok());
    // One whole copy is enough, unless the newest one is a newer agent's.
    assert!(journal.load().is_err() || copies.contains(&true), "a record out of nothing");
    for at in BOOT_BLOCK {
        let mut sector = [0; SECTOR];
        state.read(at.0 * SECTOR as u64, &mut sector).unwrap();
        let _ = BootBlock::parse(&sector);
    }
    let stored = stored(&*state).unwrap();
    if let Ok(root) = stored.trusted {
        let newest = stored.chains.iter().flatten().map(|chain| chain.newest().root());
        assert!(newest.clone().any(|copy| *copy == root));
    }
    assert!(stored.releases.iter().flatten().all(|bytes| bytes.len() <= METADATA_BYTES));

    let mut sectors = Sectors(card.volume(Partition::Bootconfig).unwrap());
    if let Ok(fat) = Fat::open(&mut sectors)
        && let Ok(found) = fat.find(&mut sectors, b"AUTOBOOTTXT")
    {
        assert!(found.first.0 > 0);
    }
}
