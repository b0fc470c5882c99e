//! Any bytes as a chunk list: what decodes fits its volume exactly, and is written back as the same value.
#![no_main]
use bistable_format::{ChunkList, Encoding, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The volume's sizes come first: they are what a release says.
    let Some((sizes, list)) = data.split_first_chunk::<8>() else { return };
    let [r0, r1, r2, r3, d0, d1, d2, d3] = *sizes;
    let raw = u64::from(u32::from_le_bytes([r0, r1, r2, r3])) * 512;
    let claimed = u64::from(u32::from_le_bytes([d0, d1, d2, d3]));
    // And what the list itself adds up to, or the fuzzer would have to guess a sum.
    let sum = match postcard::from_bytes::<ChunkList>(list) {
        Ok(list) => list.chunks.iter().map(|c| u64::from(c.encoding.data_bytes())).sum(),
        Err(_) => claimed,
    };
    for bytes in [claimed, sum] {
        let Ok(decoded) = ChunkList::decode(list, raw, bytes) else { continue };
        let encoded = decoded.encode(raw, bytes).expect("what decodes can be encoded");
        assert_eq!(ChunkList::decode(&encoded, raw, bytes).as_ref(), Ok(&decoded));
        let mut total = 0;
        for (i, chunk) in decoded.chunks.iter().enumerate() {
            let raw_bytes = decoded.raw_bytes(i, raw);
            assert!(raw_bytes > 0 && raw_bytes <= limits::CHUNK_MAX);
            total += u64::from(raw_bytes);
            let delta = matches!(chunk.encoding, Encoding::Copy(_) | Encoding::Patch { .. });
            assert!(!delta || decoded.base.is_some());
        }
        assert_eq!(total, raw, "the chunks are the volume");
        assert!(ChunkList::decode(list, raw, bytes + 1).is_err());
    }
});
