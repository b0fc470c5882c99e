//! Any bytes as a stored chain of roots and as a copy of the floors: decoding is total, and what decodes is written again
//! to the bit.
#![no_main]
use bistable_boot::{FLOORS_BYTES, FloorsCopy};
use bistable_format::{Digest, RootChain};
use libfuzzer_sys::fuzz_target;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

fuzz_target!(|data: &[u8]| {
    let Some((&how, body)) = data.split_first() else { return };
    chain(how, body);
    floors(how, body);
});

/// A fuzzer doesn't guess a digest: every other input gets the right head and digest.
fn chain(how: u8, body: &[u8]) {
    let mut stored = body.to_vec();
    if how & 1 == 1 {
        let head = [&b"BRTS\x01\x00"[..], &[how >> 1, 0], &(body.len() as u32).to_le_bytes()].concat();
        stored = [&head, body].concat();
        let digest = Digest::of(&stored);
        stored.extend_from_slice(&digest.0);
    }
    if let Ok(chain) = RootChain::decode(&stored) {
        assert!(stored.starts_with(&chain.encode()));
        assert!(chain.roots().len() <= RootChain::MAX_ROOTS);
        let _ = chain.open_newest();
        assert!(chain.descend(chain.newest()).is_ok(), "every root descends from itself");
    }
}

fn floors(how: u8, body: &[u8]) {
    let mut copy = [0; FLOORS_BYTES];
    if how & 1 == 0 {
        let len = body.len().min(FLOORS_BYTES);
        copy[..len].copy_from_slice(&body[..len]);
    } else {
        let body = &body[..body.len().min(FLOORS_BYTES - 12)];
        copy[..6].copy_from_slice(b"BFLR\x01\x00");
        copy[6..8].copy_from_slice(&(body.len() as u16).to_le_bytes());
        copy[8..8 + body.len()].copy_from_slice(body);
        let crc = CRC.checksum(&copy[..FLOORS_BYTES - 4]);
        copy[FLOORS_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    if let Ok(read) = FloorsCopy::decode(&copy) {
        let written = read.encode().expect("what was read can be written");
        assert_eq!(FloorsCopy::decode(&written), Ok(read));
    }
}
