//! How much memory a decoder takes for what it is given. One test in this file: the allocator counts for the whole
//! process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(unsafe_code, reason = "a global allocator that counts")]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::chunklist::Range;
use bistable_format::health::Profile;
use bistable_format::selftest::Plan;
use bistable_format::{
    Artifact, Channel, Chunk, ChunkList, Delta, Digest, Encoding, Envelope, Head, Release, Role, Root, limits,
};
use common::{
    CHUNK, Making, artifact, artifact_of, channel, containers_release, delta, delta_list, directory_release,
    key, list, root, sealed_as, signer,
};
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

/// A decoder and a good value of it.
type Sample = (&'static str, Vec<u8>, Box<dyn Fn(&[u8])>);

fn samples() -> Vec<Sample> {
    let payload = |role, sealed: &[u8]| Envelope::parse(sealed, role).unwrap().payload.to_vec();
    let (full, artifact) = list();
    let full_bytes = full.encode(artifact.bytes, artifact.data_bytes).unwrap();
    let (of_delta, making) = delta_list();
    let delta_bytes = of_delta.encode(making.target.bytes, making.data_bytes).unwrap();
    let word = sealed_as(Role::Attestation, 1, b"", &[6]);
    let release: fn(&[u8]) = |bytes| drop(Release::decode(bytes));
    vec![
        ("root", root().encode().unwrap(), Box::new(|bytes| drop(Root::decode(bytes)))),
        ("image", common::release().encode().unwrap(), Box::new(release)),
        ("directory", directory_release().encode().unwrap(), Box::new(release)),
        ("containers", containers_release().encode().unwrap(), Box::new(release)),
        (
            "channel",
            payload(Role::Channel, &channel().seal(&[&signer(5)]).unwrap()),
            Box::new(|bytes| drop(Channel::decode(bytes))),
        ),
        (
            "delta",
            payload(Role::Delta, &delta().seal(&[&signer(4)]).unwrap()),
            Box::new(|bytes| drop(Delta::decode(bytes))),
        ),
        ("head", common::later_payload(">=9.0.0", "fan"), Box::new(|bytes| drop(Head::read(bytes)))),
        ("full list", full_bytes, Box::new(move |bytes| drop(ChunkList::decode(bytes, &artifact)))),
        ("delta list", delta_bytes, Box::new(move |bytes| drop(making.decode(bytes)))),
        ("attestation", word, Box::new(|bytes| drop(Attestation::open(bytes, &key(6), &Digest([1; 32]))))),
    ]
}

#[test]
fn memory_is_bounded_by_what_is_there() {
    for (name, good, decode) in samples() {
        let usual = peak(|| decode(&good));
        let (mut claims, mut fillers) = (0, 0);
        for at in 0..good.len() {
            // A few bytes that claim billions of values or bytes, at each place where a length can be.
            let lie = [&good[..at], &HUGE, &[0; 4]].concat();
            claims = claims.max(peak(|| decode(&lie)));
            // And the most of the smallest values that can follow there.
            if at % 7 == 0 {
                for filler in [0, 1] {
                    let mut long = good[..at].to_vec();
                    long.resize(limits::ENVELOPE_PAYLOAD, filler);
                    fillers = fillers.max(peak(|| decode(&long)));
                }
            }
        }
        println!("{name}: {usual} bytes for {}, with a lie {claims}, filled up {fillers}", good.len());
        assert!(claims <= usual + 4096, "{name}: {claims} bytes where the good value takes {usual}");
        assert!(fillers <= 1 << 20, "{name}: {fillers} bytes");
    }
    let mut envelope = b"BISTABLE\x02\x01\x10\x00".to_vec();
    envelope.extend_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(peak(|| Envelope::parse(&envelope, Role::Release).is_ok()), 0);

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
    let base = artifact(1 << 30, 1 << 20);
    let making = |list: &ChunkList| Making {
        target: artifact_of(list, raw, limits::CHUNKS),
        data_bytes: limits::CHUNKS,
        base: Artifact { digest: Digest::of(b""), ..base.clone() },
    };
    let hungriest = making(&list);
    let took = peak(|| hungriest.decode(&bytes).unwrap());
    println!("hungriest chunk list: {took} bytes for {}", bytes.len());
    assert!(took < 20 << 20, "{took}");
    // One range more is too many, for the writer and for the reader, who stops there.
    list.chunks[chunks - 1] = one(each + 1);
    assert!(list.encode(raw, limits::CHUNKS).is_err());
    let bytes = postcard::to_allocvec(&list).unwrap();
    assert!(hungriest.decode(&bytes).is_err());
    let full = vec![one(limits::RANGES); 40_000];
    let list = ChunkList { chunks: full, ..list };
    let bytes = postcard::to_allocvec(&list).unwrap();
    assert!(peak(|| hungriest.decode(&bytes)) < 16 << 20);

    // More ranges in one chunk than allowed: the frame has room for millions.
    let fields = [&[1][..], &[0; 32], &[0x80, 0x80, 0x80, 0x01]].concat();
    let room = u32::try_from(limits::CHUNK_LIST - 60).unwrap();
    let frame: Vec<u8> = postcard::to_allocvec(&room).unwrap();
    let mut endless = [&[0x80, 0x80, 0x10, 0, 1][..], &[0; 32], &[4], &frame, &fields].concat();
    endless.resize(limits::CHUNK_LIST, 1);
    assert!(peak(|| hungriest.decode(&endless)) <= 4096);

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
