//! A copy of the floors reads as what was written or not at all, and gives a record no lower floor than it had.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
mod common;
use bistable_boot::{BadFloors, FLOORS_BYTES, Floors, FloorsCopy, NAME_BYTES, PayloadDigest, Record};
use common::provisioned;
use proptest::prelude::*;
use std::{fs, path::Path};

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

fn golden() -> FloorsCopy {
    FloorsCopy {
        number: 300,
        floors: Floors {
            root_version: 2,
            channel_sequence: 4_242,
            security_version: 3,
            issued_at: 1_767_225_600,
        },
        channel: "production".into(),
        channel_payload: Some(PayloadDigest([6; 32])),
    }
}

/// With the checksum that belongs to it.
fn resealed(mut copy: [u8; FLOORS_BYTES]) -> [u8; FLOORS_BYTES] {
    let end = FLOORS_BYTES - 4;
    let sum = CRC.checksum(&copy[..end]).to_le_bytes();
    copy[end..].copy_from_slice(&sum);
    copy
}

#[test]
fn the_format_is_what_it_was() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/floors-v1.bin");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, golden().encode().unwrap()).unwrap();
    }
    let stored: [u8; FLOORS_BYTES] = fs::read(&path).unwrap().try_into().unwrap();
    assert_eq!(FloorsCopy::decode(&stored), Ok(golden()));
    assert_eq!(golden().encode().unwrap(), stored, "re-encoded");
}

#[test]
fn no_bit_of_a_copy_can_change_unseen() {
    let copy = golden().encode().unwrap();
    for at in 0..FLOORS_BYTES {
        for bit in 0..8 {
            let mut damaged = copy;
            damaged[at] ^= 1 << bit;
            let expected = if at < 4 { BadFloors::Magic } else { BadFloors::Checksum };
            assert_eq!(FloorsCopy::decode(&damaged), Err(expected), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_copy_torn_at_any_byte_does_not_decode() {
    let (old, new) = (FloorsCopy { number: 299, ..golden() }.encode().unwrap(), golden().encode().unwrap());
    for at in 1..FLOORS_BYTES {
        for (first, last) in [(&new, &old), (&old, &new)] {
            let mut torn = *last;
            torn[..at].copy_from_slice(&first[..at]);
            // Where both have the same bytes, a tear there is none.
            if torn != old && torn != new {
                assert_eq!(FloorsCopy::decode(&torn), Err(BadFloors::Checksum), "at byte {at}");
            }
        }
    }
    for blank in [[0; FLOORS_BYTES], [0xff; FLOORS_BYTES]] {
        assert_eq!(FloorsCopy::decode(&blank), Err(BadFloors::Magic));
    }
}

#[test]
fn a_right_checksum_does_not_make_wrong_content_right() {
    let good = golden().encode().unwrap();
    let mut other_format = good;
    other_format[4] = 9;
    assert_eq!(FloorsCopy::decode(&resealed(other_format)), Err(BadFloors::Format(9)));
    let len = u16::from_le_bytes([good[6], good[7]]);
    // One byte less, one more, more than there is room for.
    for wrong in [len - 1, len + 1, u16::MAX] {
        let mut copy = good;
        copy[6..8].copy_from_slice(&wrong.to_le_bytes());
        assert_eq!(FloorsCopy::decode(&resealed(copy)), Err(BadFloors::Content), "length {wrong}");
    }
}

#[test]
fn the_largest_copy_fits_and_a_longer_channel_is_refused() {
    let largest = FloorsCopy {
        number: u64::MAX,
        floors: Floors {
            root_version: u32::MAX,
            channel_sequence: u64::MAX,
            security_version: u32::MAX,
            issued_at: u64::MAX,
        },
        channel: "x".repeat(NAME_BYTES),
        channel_payload: Some(PayloadDigest([255; 32])),
    };
    assert_eq!(FloorsCopy::decode(&largest.encode().unwrap()), Ok(largest.clone()));
    assert_eq!(FloorsCopy { channel: "x".repeat(NAME_BYTES + 1), ..largest }.encode(), None);
}

#[test]
fn the_newer_copy_counts_whichever_it_is() {
    let [old, new] = [7, 8].map(|number| FloorsCopy { number, ..golden() });
    for copies in [[Some(old.clone()), Some(new.clone())], [Some(new.clone()), Some(old.clone())]] {
        assert_eq!(FloorsCopy::newest(copies), Some(new.clone()));
    }
    assert_eq!(FloorsCopy::newest([None, Some(old.clone())]), Some(old));
    assert_eq!(FloorsCopy::newest([None, None]), None);
}

proptest! {
    #[test]
    fn any_floors_come_back_and_any_bytes_are_survived(
        numbers in any::<(u64, u32, u64, u32, u64)>(),
        channel in "[a-z]{0,64}",
        payload in any::<Option<[u8; 32]>>(),
        noise in prop::collection::vec(any::<u8>(), FLOORS_BYTES),
    ) {
        let (number, root_version, channel_sequence, security_version, issued_at) = numbers;
        let floors = Floors { root_version, channel_sequence, security_version, issued_at };
        let copy = FloorsCopy { number, floors, channel, channel_payload: payload.map(PayloadDigest) };
        prop_assert_eq!(FloorsCopy::decode(&copy.encode().unwrap()), Ok(copy.clone()));
        // Noise behind the right head, with the right checksum, decodes to something or to an error.
        let mut bytes: [u8; FLOORS_BYTES] = noise.try_into().unwrap();
        bytes[..8].copy_from_slice(&copy.encode().unwrap()[..8]);
        if let Ok(read) = FloorsCopy::decode(&resealed(bytes)) {
            prop_assert!(read.encode().is_some());
        }
    }

    /// A record that is made again knows the running release only.
    #[test]
    fn a_restored_record_has_no_lower_floor(security in any::<u32>(), kept in any::<u32>()) {
        let mut record: Record = provisioned();
        record.floors = Floors { security_version: security, root_version: 1, ..Floors::default() };
        let copy = FloorsCopy { floors: Floors { security_version: kept, ..golden().floors }, ..golden() };
        copy.clone().restore(&mut record);
        prop_assert_eq!(record.floors, Floors { security_version: security.max(kept), ..copy.floors });
        prop_assert_eq!((&record.channel, record.channel_payload), (&copy.channel, copy.channel_payload));
        // And then it is a copy of that record, unless the release brought a higher floor.
        prop_assert_eq!(copy.is_of(&record), security <= kept);
    }
}
