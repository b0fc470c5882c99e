//! Lists that fit their volume, and lists that don't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::chunklist::Range;
use bistable_format::{Chunk, ChunkList, DecodeError, Digest, Encoding, limits};
use common::{CHUNK, artifact_of, delta_list, list, problem};
use proptest::prelude::*;

#[test]
fn round_trip() {
    let (full, artifact) = list();
    let bytes = full.encode(artifact.bytes, artifact.data_bytes).unwrap();
    assert_eq!(ChunkList::decode(&bytes, &artifact), Ok(full));
    let (of_delta, making) = delta_list();
    let bytes = of_delta.encode(making.target.bytes, making.data_bytes).unwrap();
    assert_eq!(making.decode(&bytes), Ok(of_delta));
}

#[test]
fn each_problem_is_named_by_writer_and_reader() {
    type Spoil = fn(&mut ChunkList);
    fn prefix(list: &mut ChunkList) -> &mut Vec<Range> {
        match &mut list.chunks[2].encoding {
            Encoding::Patch { prefix, .. } => prefix,
            other => panic!("no patch: {other:?}"),
        }
    }
    let full: [(&str, Spoil, &str); 18] = [
        ("too-short", |l| drop(l.chunks.pop()), "3 chunks where the volume has 4"),
        ("empty", |l| l.chunks.clear(), "0 chunks where the volume has 4"),
        ("too-long", |l| l.chunks.push(l.chunks[3].clone()), "5 chunks where the volume has 4"),
        ("doubled", |l| l.chunks.insert(1, l.chunks[0].clone()), "5 chunks where the volume has 4"),
        ("doubled-in-place", |l| l.chunks[1] = l.chunks[0].clone(), "where the volume's data has"),
        ("size-not-a-power-of-two", |l| l.chunk_bytes -= 1, "chunks of 262143 bytes"),
        ("size-zero", |l| l.chunk_bytes = 0, "chunks of 0 bytes"),
        ("size-below-limit", |l| l.chunk_bytes = 128 << 10, "chunks of 131072 bytes"),
        ("size-above-limit", |l| l.chunk_bytes = 8 << 20, "chunks of 8388608 bytes"),
        ("size-other", |l| l.chunk_bytes = 512 << 10, "4 chunks where the volume has 2"),
        ("sum-more", |l| bytes(l, 0, 100_001), "chunks of 362213 bytes where the volume's data has 362212"),
        ("sum-less", |l| bytes(l, 3, 32), "chunks of 362211 bytes"),
        ("frame-empty", |l| bytes(l, 3, 0), "chunk 3 has an encoding that can't be right"),
        ("zero-frame-empty", |l| bytes(l, 1, 0), "chunk 1 has an encoding that can't be right"),
        (
            "frame-above-what-zstd-needs",
            |l| bytes(l, 2, limits::encoded_chunk(CHUNK) + 1),
            "chunk 2 takes 264193 bytes",
        ),
        (
            "frame-huge",
            |l| bytes(l, 0, u32::MAX),
            "chunk 0 takes 4294967295 bytes of data for 262144 raw ones",
        ),
        (
            "copy-without-base",
            |l| l.chunks[1].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK }),
            "chunk 1 has an encoding",
        ),
        (
            "patch-without-base",
            |l| l.chunks[1].encoding = Encoding::Patch { bytes: 19, digest: Digest::of(b""), prefix: vec![] },
            "chunk 1 has an encoding",
        ),
    ];
    let deltas: [(&str, Spoil, &str); 12] = [
        ("base-missing", |l| l.base = None, "chunk 0 has an encoding"),
        (
            "copy-short",
            |l| l.chunks[0].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK - 1 }),
            "chunk 0",
        ),
        (
            "copy-long",
            |l| l.chunks[0].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK + 1 }),
            "chunk 0",
        ),
        (
            "copy-beyond-the-last-byte",
            |l| l.chunks[0].encoding = Encoding::Copy(Range { offset: u64::MAX, bytes: CHUNK }),
            "chunk 0",
        ),
        (
            "copy-of-a-whole-chunk-for-the-short-last",
            |l| l.chunks[3].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK }),
            "chunk 3",
        ),
        ("patch-empty", |l| bytes(l, 2, 0), "chunk 2"),
        ("prefix-empty-range", |l| prefix(l)[1].bytes = 0, "chunk 2"),
        ("prefix-beyond-the-last-byte", |l| prefix(l)[1].offset = u64::MAX, "chunk 2"),
        ("prefix-huge", |l| prefix(l)[0].bytes = u32::MAX, "chunk 2"),
        ("prefix-larger-than-a-chunk", |l| prefix(l)[0].bytes = limits::CHUNK_MAX, "chunk 2"),
        ("sum", |l| bytes(l, 2, 701), "chunks of 753 bytes where the volume's data has 752"),
        ("frame-huge", |l| bytes(l, 2, u32::MAX), "chunk 2 takes"),
    ];
    let (good, artifact) = list();
    for (name, spoil, expected) in full {
        let mut bad = good.clone();
        spoil(&mut bad);
        let text = problem(bad.encode(artifact.bytes, artifact.data_bytes));
        assert!(text.contains(expected), "{name}: {text}");
        // A reader says the same about bytes that a writer without checks made.
        let bytes = postcard::to_allocvec(&bad).unwrap();
        assert_eq!(problem(ChunkList::decode(&bytes, &artifact)), text, "{name}");
    }
    let (good, making) = delta_list();
    for (name, spoil, expected) in deltas {
        let mut bad = good.clone();
        spoil(&mut bad);
        let text = problem(bad.encode(making.target.bytes, making.data_bytes));
        assert!(text.contains(expected), "{name}: {text}");
        let bytes = postcard::to_allocvec(&bad).unwrap();
        let read = if bad.base.is_none() { "it is of another base" } else { &text };
        assert!(problem(making.decode(&bytes)).ends_with(read), "{name}");
    }
}

/// Set the bytes that chunk `index` takes in the data.
fn bytes(list: &mut ChunkList, index: usize, to: u32) {
    match &mut list.chunks[index].encoding {
        Encoding::Zero { bytes, .. } | Encoding::Zstd { bytes, .. } | Encoding::Patch { bytes, .. } => {
            *bytes = to;
        }
        Encoding::Copy(_) => panic!("a copy has no data"),
    }
}

#[test]
fn more_ranges_than_allowed_are_not_even_decoded() {
    let (mut list, making) = delta_list();
    let Encoding::Patch { prefix, .. } = &mut list.chunks[2].encoding else { panic!("no patch") };
    *prefix = vec![Range { offset: 0, bytes: 1 }; limits::RANGES];
    let bytes = list.encode(making.target.bytes, making.data_bytes).unwrap();
    assert_eq!(making.decode(&bytes), Ok(list.clone()));
    let Encoding::Patch { prefix, .. } = &mut list.chunks[2].encoding else { panic!("no patch") };
    prefix.push(Range { offset: 0, bytes: 1 });
    assert!(problem(list.encode(making.target.bytes, making.data_bytes)).contains("chunk 2"));
    let bytes = postcard::to_allocvec(&list).unwrap();
    let unknown = DecodeError::Kind { what: "chunk encoding", kind: 4 };
    assert_eq!(making.decode(&bytes), Err(unknown), "a patch in a form that this version doesn't know");
}

#[test]
fn swapped_chunks_are_other_chunks() {
    // Swapped, they still fit the volume: the list is right in form. But the release names the chunks by their digest.
    let (good, artifact) = list();
    let mut swapped = good.clone();
    swapped.chunks.swap(0, 2);
    let bytes = swapped.encode(artifact.bytes, artifact.data_bytes).unwrap();
    assert_eq!(ChunkList::decode(&bytes, &artifact), Err(DecodeError::OtherChunks));
    let other = artifact_of(&swapped, artifact.bytes, artifact.data_bytes);
    assert_eq!(ChunkList::decode(&bytes, &other), Ok(swapped));
    assert_ne!(Digest::of(&bytes), Digest::of(&good.encode(artifact.bytes, artifact.data_bytes).unwrap()));
}

#[test]
fn a_list_for_another_volume_is_refused() {
    let (list, artifact) = list();
    let (raw, data) = (artifact.bytes, artifact.data_bytes);
    let bytes = list.encode(raw, data).unwrap();
    for (raw, data) in
        [(raw + u64::from(CHUNK), data), (512, data), (0, data), (raw, data + 1), (raw, 0), (u64::MAX, data)]
    {
        assert!(ChunkList::decode(&bytes, &artifact_of(&list, raw, data)).is_err(), "{raw} {data}");
    }
}

#[test]
fn only_the_last_chunk_is_short_and_none_lies_behind_the_end() {
    let (list, artifact) = list();
    let raw = artifact.bytes;
    let sizes: Vec<u32> = (0..5).map(|i| list.raw_bytes(i, raw)).collect();
    assert_eq!(sizes, [CHUNK, CHUNK, CHUNK, 512, 0]);
    assert_eq!(list.raw_bytes(usize::MAX, raw), 0);
    assert_eq!(list.raw_bytes(usize::MAX, u64::MAX), 0);
    assert_eq!(list.raw_bytes(3, 4 * u64::from(CHUNK)), CHUNK);
}

#[test]
fn the_most_chunks_are_allowed_and_no_more() {
    let chunk =
        Chunk { digest: Digest::of(b""), encoding: Encoding::Zero { bytes: 1, digest: Digest::of(b"") } };
    let of = |n: usize| ChunkList { chunk_bytes: CHUNK, base: None, chunks: vec![chunk.clone(); n] };
    let most = usize::try_from(limits::CHUNKS).unwrap();
    let raw = limits::CHUNKS * u64::from(CHUNK);
    let list = of(most);
    let bytes = list.encode(raw, limits::CHUNKS).unwrap();
    assert_eq!(ChunkList::decode(&bytes, &artifact_of(&list, raw, limits::CHUNKS)), Ok(list));
    let list = of(most + 1);
    assert!(list.encode(raw + 512, limits::CHUNKS + 1).is_err());
    let bytes = postcard::to_allocvec(&list).unwrap();
    let artifact = artifact_of(&list, raw + 512, limits::CHUNKS + 1);
    assert_eq!(problem(ChunkList::decode(&bytes, &artifact)), "chunk list: 65537 chunks, more than 65536");
}

#[test]
fn the_smallest_list_is_no_smaller_than_promised() {
    let chunk =
        Chunk { digest: Digest::of(b""), encoding: Encoding::Zero { bytes: 1, digest: Digest::of(b"") } };
    let list = ChunkList { chunk_bytes: limits::CHUNK_MIN, base: None, chunks: vec![chunk] };
    assert!(list.encode(512, 1).unwrap().len() >= limits::CHUNK_LIST_MIN);
}

#[test]
fn truncated_trailing_and_oversized_bytes_are_refused() {
    let (list, artifact) = list();
    let bytes = list.encode(artifact.bytes, artifact.data_bytes).unwrap();
    for cut in 0..bytes.len() {
        let cut_list = ChunkList::decode(&bytes[..cut], &artifact);
        assert_eq!(cut_list, Err(DecodeError::Malformed("chunk list")), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(ChunkList::decode(&longer, &artifact), Err(DecodeError::Trailing("chunk list")));
    let huge = vec![0; limits::CHUNK_LIST + 1];
    assert!(matches!(ChunkList::decode(&huge, &artifact), Err(DecodeError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn any_list_that_fits_round_trips(
        shift in 18u32..=22,
        frames in prop::collection::vec((1u32..=262_144, any::<bool>()), 1..40),
        short in 0u64..512,
    ) {
        let chunk_bytes = 1 << shift;
        let chunks: Vec<Chunk> = frames.iter().map(|(bytes, zero)| {
            let (bytes, digest) = (*bytes, Digest::of(&bytes.to_le_bytes()));
            let encoding = if *zero { Encoding::Zero { bytes, digest } } else { Encoding::Zstd { bytes, digest } };
            Chunk { digest, encoding }
        }).collect();
        let raw = chunks.len() as u64 * u64::from(chunk_bytes) - short * 512;
        let data: u64 = frames.iter().map(|(b, _)| u64::from(*b)).sum();
        let list = ChunkList { chunk_bytes, base: None, chunks };
        let bytes = list.encode(raw, data).unwrap();
        prop_assert_eq!(ChunkList::decode(&bytes, &artifact_of(&list, raw, data)), Ok(list.clone()));
        let sum: u64 = (0..list.chunks.len()).map(|i| u64::from(list.raw_bytes(i, raw))).sum();
        prop_assert_eq!(sum, raw, "the chunks are the volume");
    }
}
