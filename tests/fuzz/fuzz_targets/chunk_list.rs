//! Any bytes as a chunk list: what decodes fits its artifact exactly, and is written back as the same value.
#![no_main]
use bistable_format::{Artifact, ChunkList, Digest, Encoding, Hasher, limits};
use libfuzzer_sys::fuzz_target;

/// A list as it lies in its bytes.
type Raw = (u32, Option<Digest>, Vec<(Digest, u16, Vec<u8>)>);

fuzz_target!(|data: &[u8]| {
    // The artifact's sizes come first: they are what a release says.
    let Some((sizes, list)) = data.split_first_chunk::<8>() else { return };
    let [r0, r1, r2, r3, d0, d1, d2, d3] = *sizes;
    let raw = u64::from(u32::from_le_bytes([r0, r1, r2, r3])) * 512;
    let claimed = u64::from(u32::from_le_bytes([d0, d1, d2, d3]));
    // And what the list itself adds up to, or the fuzzer would have to guess a sum and a digest.
    let (chunk_bytes, base, chunks) = postcard::from_bytes::<Raw>(list).unwrap_or_default();
    let mut hasher = Hasher::new();
    chunks.iter().for_each(|(digest, ..)| hasher.update(&digest.0));
    let frame_bytes = |(_, kind, fields): &(Digest, u16, Vec<u8>)| match kind {
        1 | 2 | 4 => postcard::take_from_bytes::<u32>(fields).map_or(0, |(bytes, _)| u64::from(bytes)),
        _ => 0,
    };
    let sum = chunks.iter().map(frame_bytes).sum();
    let target = Artifact {
        bytes: raw,
        digest: Digest::of(b""),
        chunk_bytes,
        chunks: hasher.finish(),
        list: Digest::of(list),
        list_bytes: 0,
        data: Digest::of(b""),
        data_bytes: claimed,
    };
    let base = Artifact { bytes: 1 << 34, digest: base.unwrap_or(Digest([0; 32])), ..target.clone() };
    for bytes in [claimed, sum] {
        let target = Artifact { data_bytes: bytes, ..target.clone() };
        let other = Artifact { chunks: Digest::of(b"other chunks"), ..target.clone() };
        let full = ChunkList::decode(list, &target);
        let of_delta = ChunkList::decode_delta(list, &target, bytes, &base);
        assert!(full.is_err() || of_delta.is_err(), "it is one or the other");
        assert!(ChunkList::decode(list, &other).is_err(), "other chunks");
        assert!(ChunkList::decode_delta(list, &other, bytes, &base).is_err(), "other chunks");
        let Ok(decoded) = full.or(of_delta) else { continue };
        let encoded = decoded.encode(raw, bytes).expect("what decodes can be encoded");
        let again = match decoded.base {
            Some(_) => ChunkList::decode_delta(&encoded, &target, bytes, &base),
            None => ChunkList::decode(&encoded, &target),
        };
        assert_eq!(again.as_ref(), Ok(&decoded));
        let mut total = 0;
        for (i, chunk) in decoded.chunks.iter().enumerate() {
            let raw_bytes = decoded.raw_bytes(i, raw);
            assert!(raw_bytes > 0 && raw_bytes <= limits::CHUNK_MAX);
            total += u64::from(raw_bytes);
            let ranges = match &chunk.encoding {
                Encoding::Copy(range) => std::slice::from_ref(range),
                Encoding::Patch { prefix, .. } => prefix,
                Encoding::Zero { .. } | Encoding::Zstd { .. } => &[],
            };
            assert!(ranges.is_empty() || decoded.base.is_some());
            assert!(ranges.iter().all(|r| r.offset + u64::from(r.bytes) <= base.bytes), "within the base");
        }
        assert_eq!(total, raw, "the chunks are the artifact");
    }
});
