//! How much memory a decoder takes for what it is given. One test in this file: the allocator counts for the whole
//! process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(unsafe_code, reason = "a global allocator that counts")]
mod common;

use bistable_format::chunklist::Range;
use bistable_format::health::Profile;
use bistable_format::selftest::Plan;
use bistable_format::{Chunk, ChunkList, Digest, Encoding, Envelope, Release, Role, Root, limits};
use common::CHUNK;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that were allocated at a time while it ran, above what was before.
fn peak<T>(run: impl FnOnce() -> T) -> usize {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    drop(run());
    PEAK.load(Relaxed) - before
}

/// A length of 2³²−1, as postcard writes it.
const HUGE: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];

#[test]
fn memory_is_bounded_by_what_is_there() {
    // A few bytes that claim billions of values. The first bytes lead to the length.
    let small = 4096;
    let cases: [(&str, Vec<u8>); 7] = [
        ("root: keys", [&[1][..], &HUGE, &[0; 4]].concat()),
        ("root: roles", [&[1, 0][..], &HUGE, &[0; 3]].concat()),
        ("release: product", [&HUGE[..], &[0; 5]].concat()),
        ("release: boards", [&[1, b'p', 5][..], b"1.0.0", &[0], &HUGE, &[1, b'x']].concat()),
        ("chunk list: chunks", [&[0x80, 0x80, 0x10, 0][..], &HUGE, &[0]].concat()),
        (
            "chunk list: prefix",
            [&[0x80, 0x80, 0x10, 0, 1][..], &[0; 32], &[3, 1], &[0; 32], &HUGE, &[0]].concat(),
        ),
        ("all", [HUGE, HUGE].concat()),
    ];
    for (name, bytes) in &cases {
        for (decoder, took) in [
            ("root", peak(|| Root::decode(bytes))),
            ("release", peak(|| Release::decode(bytes))),
            ("chunk list", peak(|| ChunkList::decode(bytes, 1 << 30, 1 << 20))),
        ] {
            assert!(took <= small, "{name}: {decoder} took {took} bytes for {}", bytes.len());
        }
    }
    let mut envelope = b"BISTABLE\x02\x01\x10\x00".to_vec();
    envelope.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(peak(|| Envelope::parse(&envelope, Role::Release).is_ok()), 0);

    // Each missing byte of a long input that goes on as it began.
    let zeros = vec![0; limits::ENVELOPE_PAYLOAD];
    assert!(peak(|| Root::decode(&zeros)) <= 1 << 20);
    assert!(peak(|| Release::decode(&zeros)) <= 1 << 20);

    // The hungriest chunk list: the most chunks, the most ranges, of 2 bytes each that take 16 in memory.
    let chunks = usize::try_from(limits::CHUNKS).unwrap();
    let one = |ranges: usize| Chunk {
        digest: Digest::of(b""),
        encoding: Encoding::Patch {
            bytes: 1,
            digest: Digest::of(b""),
            prefix: vec![Range { offset: 0, bytes: 1 }; ranges],
        },
    };
    let each = limits::LIST_RANGES / chunks;
    let mut list =
        ChunkList { chunk_bytes: CHUNK, base: Some(Digest::of(b"")), chunks: vec![one(each); chunks] };
    let raw = limits::CHUNKS * u64::from(CHUNK);
    let bytes = list.encode(raw, limits::CHUNKS).unwrap();
    let took = peak(|| ChunkList::decode(&bytes, raw, limits::CHUNKS).unwrap());
    println!("hungriest chunk list: {took} bytes for {}", bytes.len());
    assert!(took < 16 << 20, "{took}");
    // One range more is too many, for the writer and for the reader, who stops there.
    list.chunks[chunks - 1] = one(each + 1);
    assert!(list.encode(raw, limits::CHUNKS).is_err());
    let bytes = postcard::to_allocvec(&list).unwrap();
    assert!(ChunkList::decode(&bytes, raw, limits::CHUNKS).is_err());
    let full = vec![one(limits::RANGES); 40_000];
    let list = ChunkList { chunks: full, ..list };
    let bytes = postcard::to_allocvec(&list).unwrap();
    assert!(peak(|| ChunkList::decode(&bytes, raw, limits::CHUNKS)) < 16 << 20);

    // The same without the limit on ranges would be eight times the file.
    let mut endless =
        [&[0x80, 0x80, 0x10, 0, 1][..], &[0; 32], &[3, 1], &[0; 32], &[0xff, 0xff, 0xff, 0x01]].concat();
    endless.resize(limits::CHUNK_LIST, 1);
    assert!(peak(|| ChunkList::decode(&endless, 1 << 30, 1 << 20)) <= small);

    // Text of the full length: what costs most per byte.
    for (name, unit) in [
        ("tables", "[[test]]\n"),
        ("checks", "[[check]]\n"),
        ("keys", "a=1\n"),
        ("arrays", "["),
        ("dots", "a."),
        ("commas", "[],"),
    ] {
        let mut text = unit.repeat(limits::PLAN / unit.len());
        let took = peak(|| Plan::parse(&text)).max(peak(|| Profile::parse(&text)));
        println!("{name}: {took} bytes for {}", text.len());
        assert!(took <= 8 << 20, "{name}: {took}");
        text.insert_str(0, "a = [");
        text.truncate(limits::PLAN);
        assert!(peak(|| Plan::parse(&text)) <= 8 << 20, "{name} in an array");
    }
}
