//! Any change to a card's MBR, GPT and chain of logical partitions: the partitions that are found lie on the disk, one
//! beside another, each with a number of its own.
#![no_main]
use bistable_fuzz::{Disk, Input};
use bistable_image::disk::fuzz::partitions;
use gptman::{GPT, GPTPartitionEntry};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

const SECTORS: u64 = 4096;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new(|file| {
        file.set_len(SECTORS * 512).unwrap();
        let mut gpt = GPT::new_from(file, 512, [7; 16]).unwrap();
        for number in 1..4 {
            gpt[number] = GPTPartitionEntry {
                partition_type_guid: [1; 16],
                unique_partition_guid: [u8::try_from(number).unwrap(); 16],
                starting_lba: u64::from(number) * 1000,
                ending_lba: u64::from(number) * 1000 + 999,
                attribute_bits: 0,
                partition_name: "boot".into(),
            };
        }
        gpt.write_into(file).unwrap();
        GPT::write_protective_mbr_into(file, 512).unwrap();
    }));
}

fuzz_target!(|data: &[u8]| {
    DISK.with_borrow_mut(|disk| {
        let mut input = Input(data);
        let how = input.byte();
        if how & 1 == 1 {
            // An MBR instead, with an extended partition in sector 8.
            let mut mbr = [0; 512];
            mbr[446 + 4] = 0x05;
            mbr[446 + 8] = 8;
            mbr[446 + 13] = 1;
            mbr[510..].copy_from_slice(&[0x55, 0xaa]);
            disk.write(0, &mbr);
            for sector in [8, 9, 10, 11] {
                disk.write(sector * 512 + 510, &[0x55, 0xaa]);
            }
        }
        // The tables at the beginning, and the copy at the end.
        let end = disk.bytes();
        disk.change(&mut input, 40 * 512, |at| if at < 36 * 512 { at } else { end - 40 * 512 + at });
        if how & 2 == 2 {
            disk.sum_gpt();
        }
        if let Ok(mut found) = partitions(disk.file(), end) {
            assert!(!found.is_empty());
            assert!(found.is_sorted_by(|a, b| a.0 < b.0), "two of one number: {found:?}");
            found.sort_by_key(|(_, start, bytes)| (*start, *bytes));
            for pair in found.windows(2) {
                assert!(pair[0].1 + pair[0].2 <= pair[1].1, "they overlap: {found:?}");
            }
            for (_, start, bytes) in found {
                assert!(start.checked_add(bytes).is_some_and(|last| last <= end));
            }
        }
        disk.restore();
    });
});
