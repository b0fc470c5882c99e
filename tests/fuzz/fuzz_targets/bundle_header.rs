//! Any block as a header of a bundle: what is accepted is, to the bit, what would be written, and has one of the names
//! that a bundle knows.
#![no_main]
use bistable_format::bundle::{BLOCK, Header, INDEX_NAME, LAYOUT_NAME, blob_digest, blob_name};
use bistable_format::{Digest, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut block = [0; BLOCK];
    let len = data.len().min(BLOCK);
    block[..len].copy_from_slice(&data[..len]);
    check(&block);
    // With the right checksum, which a fuzzer doesn't guess.
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    check(&block);
    // Laid over one of ours, which gets close to what is accepted.
    let ours = Header { name: blob_name(&Digest::of(data)), bytes: len as u64 }.encode().unwrap();
    let Some((&at, bytes)) = data.split_first() else { return };
    let mut block = ours;
    let at = usize::from(at) * 2;
    for (to, from) in block[at..].iter_mut().zip(bytes) {
        *to = *from;
    }
    check(&block);
});

fn check(block: &[u8; BLOCK]) {
    let Ok(header) = Header::decode(block) else { return };
    assert_eq!(header.encode().as_ref(), Ok(block));
    assert!(header.bytes <= limits::VOLUME_DATA);
    let known = [LAYOUT_NAME, INDEX_NAME].contains(&header.name.as_str());
    assert!(known || blob_digest(&header.name).is_some());
    assert_eq!((header.bytes + header.padding() as u64) % BLOCK as u64, 0);
}
