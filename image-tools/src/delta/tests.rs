//! Whatever changes between two images: the delta makes the new one from the old one, in every byte, or fails.
use super::apply::{ApplyError, ApplyProblem, Making, apply};
use super::codec;
use super::encode::{self, Base, Effort, Encoded, Target};
use super::raw::Raw;
use super::{Counts, Level};
use crate::parallel::Threads;
use crate::progress::Silent;
use bistable_format::chunklist::Range;
use bistable_format::{Artifact, ArtifactId, Chunk, ChunkList, Digest, Encoding, VolumeKind, limits};
use bistable_kit::product::noise;
use proptest::prelude::*;

const CHUNK: usize = limits::CHUNK_MIN as usize;

/// A volume as `build` encodes it.
struct Volume {
    raw: Vec<u8>,
    artifact: Artifact,
    list: ChunkList,
    data: Vec<u8>,
}

fn volume(raw: &[u8]) -> Volume {
    let mut data = Vec::new();
    let chunks = raw.chunks(CHUNK).map(|chunk| {
        let frame = codec::compress(chunk, &[], 3).unwrap();
        let (bytes, digest) = (u32::try_from(frame.len()).unwrap(), Digest::of(&frame));
        data.extend(frame);
        let zero = chunk.iter().all(|b| *b == 0);
        let encoding = if zero { Encoding::Zero { bytes, digest } } else { Encoding::Zstd { bytes, digest } };
        Chunk { digest: Digest::of(chunk), encoding }
    });
    let list = ChunkList { chunk_bytes: limits::CHUNK_MIN, base: None, chunks: chunks.collect() };
    let artifact = Artifact {
        bytes: raw.len() as u64,
        digest: Digest::of(raw),
        chunk_bytes: list.chunk_bytes,
        chunks: list.chunks_digest(),
        list: Digest::of(b"list"),
        list_bytes: 100,
        data: Digest::of(&data),
        data_bytes: data.len() as u64,
    };
    Volume { raw: raw.to_vec(), artifact, list, data }
}

impl Volume {
    fn target(&self) -> Target<'_> {
        Target {
            kind: ArtifactId::Volume(VolumeKind::System),
            artifact: &self.artifact,
            list: &self.list,
            raw: &self.raw as &dyn Raw,
            data: &self.data as &dyn Raw,
        }
    }
}

fn encode(old: &Volume, new: &Volume, level: i32, threads: usize) -> (Encoded, Vec<u8>) {
    let mut data = Vec::new();
    let base = Base { artifact: &old.artifact, raw: &old.raw as &dyn Raw };
    let (level, threads) = (Level::new(level).unwrap(), Threads::new(threads));
    let effort = Effort { level, threads, progress: &Silent };
    let made = encode::artifact(new.target(), base, effort, |frame| {
        data.extend_from_slice(frame);
        Ok(())
    });
    (made.unwrap(), data)
}

/// What a device makes of it on this base.
fn made(
    old: &Volume,
    new: &Volume,
    encoded: &Encoded,
    data: &[u8],
    base: &[u8],
) -> Result<Vec<u8>, ApplyError> {
    assert_eq!((encoded.delta.data, encoded.delta.data_bytes), (Digest::of(data), data.len() as u64));
    assert_eq!(encoded.delta.list, Digest::of(&encoded.list));
    let list = encoded.delta.list(&encoded.list, &new.artifact, &old.artifact).unwrap();
    apply_list(new, &list, data, base)
}

fn apply_list(new: &Volume, list: &ChunkList, data: &[u8], base: &[u8]) -> Result<Vec<u8>, ApplyError> {
    let (base, data) = (base.to_vec(), data.to_vec());
    let making = Making {
        kind: ArtifactId::Volume(VolumeKind::System),
        target: &new.artifact,
        list,
        data: &data as &dyn Raw,
        base: &base as &dyn Raw,
    };
    let mut out = Vec::new();
    apply(making, Threads::new(2), &Silent, &mut |at, bytes| {
        assert_eq!(at, out.len() as u64);
        out.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(out)
}

/// Make the delta, and the new image from it.
fn check(old: &[u8], new: &[u8]) -> (Counts, usize) {
    let (old, new) = (volume(old), volume(new));
    let (encoded, data) = encode(&old, &new, 3, 2);
    assert_eq!(made(&old, &new, &encoded, &data, &old.raw).unwrap(), new.raw);
    (encoded.counts, data.len())
}

#[test]
fn equal_images_cost_nothing() {
    let image = [noise(1, 3 * CHUNK), vec![0; CHUNK], noise(2, 5000)].concat();
    let (counts, data) = check(&image, &image);
    assert_eq!((counts, data), (Counts { copied: 5, ..Counts::default() }, 0));
}

#[test]
fn zeros_copies_and_patches_are_told_apart() {
    let old = noise(1, 8 * CHUNK);
    let mut new = old.clone();
    new[CHUNK..2 * CHUNK].fill(0);
    // Blocks from elsewhere, at a multiple of a block.
    new.copy_within(5 * CHUNK + 8192..6 * CHUNK + 8192, 2 * CHUNK);
    new[3 * CHUNK + 777] ^= 1;
    let own = noise(2, CHUNK);
    new[4 * CHUNK..5 * CHUNK].copy_from_slice(&own);
    let (counts, data) = check(&old, &new);
    assert_eq!(counts, Counts { zero: 1, copied: 5, patched: 1, full: 1 });
    assert!(data < CHUNK + 10_000, "{data} bytes");
}

#[test]
fn an_insertion_shifts_everything_and_costs_little() {
    let old = noise(1, 16 * CHUNK);
    for shift in [1, 4096, 5000, 100_001] {
        let new = [&old[..CHUNK], &noise(2, shift), &old[CHUNK..]].concat();
        let (counts, data) = check(&old, &new);
        assert!(data < 2 * shift + 40_000, "{shift}: {data} bytes, {counts:?}");
    }
}

/// Further than the windows reach: only anchors find them.
#[test]
fn files_that_moved_far_and_not_by_blocks_are_found() {
    let (a, b) = (noise(1, 8 * CHUNK), noise(2, 8 * CHUNK + 1001));
    let (counts, data) = check(&[&a[..], &b].concat(), &[&b[..], &a].concat());
    assert!(data < CHUNK, "{data} bytes, {counts:?}");
    assert_eq!(counts.full, 0);
}

#[test]
fn what_is_new_is_the_releases_own_frame() {
    let (old, new) = (volume(&noise(1, 2 * CHUNK)), volume(&noise(2, 2 * CHUNK + 99)));
    let (encoded, data) = encode(&old, &new, 3, 1);
    assert_eq!(encoded.counts, Counts { full: 3, ..Counts::default() });
    assert_eq!(data, new.data);
}

#[test]
fn images_of_other_sizes_are_made() {
    let image = noise(1, 4 * CHUNK);
    check(&image[..CHUNK + 100], &image);
    check(&image, &image[..CHUNK + 100]);
    check(&image[..1], &image);
    check(&image, &image[..1]);
    check(&image[..512], &image[..4096]);
}

#[test]
fn patches_are_smaller_with_a_higher_level_and_never_larger_than_the_frame() {
    let words: Vec<u8> =
        (0..3 * CHUNK / 8).flat_map(|i| format!("{:07} ", i * i % 99_991).into_bytes()).collect();
    let mut changed = words.clone();
    for at in (0..changed.len()).step_by(61) {
        changed[at] = b'x';
    }
    let (old, new) = (volume(&words), volume(&changed));
    let bytes: Vec<usize> = [1, 9, 19].iter().map(|level| encode(&old, &new, *level, 2).1.len()).collect();
    assert!(bytes[0] > bytes[2] && bytes[1] >= bytes[2], "{bytes:?}");
    assert!(bytes.iter().all(|b| *b <= new.data.len()), "{bytes:?}");
}

/// A base that isn't the one: a device must find out, chunk by chunk.
#[test]
fn every_changed_chunk_of_the_base_is_noticed_or_was_not_needed() {
    let old = noise(1, 4 * CHUNK);
    let mut new = old.clone();
    for chunk in 0..4 {
        new[chunk * CHUNK + 100..chunk * CHUNK + 200].fill(7);
    }
    let (old, new) = (volume(&old), volume(&new));
    let (encoded, data) = encode(&old, &new, 3, 2);
    assert_eq!(encoded.counts.patched, 4);
    for at in (0..old.raw.len()).step_by(CHUNK / 3 + 5) {
        let mut base = old.raw.clone();
        base[at] ^= 0x10;
        match made(&old, &new, &encoded, &data, &base) {
            Err(ApplyError::Chunk { index, problem, .. }) => {
                assert_eq!(problem, ApplyProblem::Raw, "the frame decodes, to other bytes");
                assert!(index.abs_diff(at / CHUNK) <= 1, "chunk {index}, byte {at}");
            }
            Err(e) => panic!("{e}"),
            Ok(raw) => assert_eq!(raw, new.raw),
        }
    }
}

#[test]
fn frames_that_no_device_takes_are_refused() {
    let (old, new) = (volume(&noise(1, CHUNK)), volume(&noise(2, CHUNK)));
    let checksum = {
        use zstd::zstd_safe::{CCtx, CParameter, compress_bound};
        let mut context = CCtx::create();
        context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
        context.ref_prefix(&old.raw).unwrap();
        let mut frame = Vec::with_capacity(compress_bound(CHUNK));
        context.compress2(&mut frame, &new.raw).unwrap();
        frame
    };
    let good = codec::compress(&new.raw, &old.raw, 3).unwrap();
    let other = codec::compress(&old.raw, &old.raw, 3).unwrap();
    let twice = [&good[..], &good].concat();
    type Expected = fn(&ApplyProblem) -> bool;
    let table: [(&str, &[u8], Expected); 4] = [
        ("with a checksum", &checksum, |p| matches!(p, ApplyProblem::Form(_))),
        ("two frames", &twice, |p| matches!(p, ApplyProblem::Form(_))),
        ("no frame", b"not a frame", |p| matches!(p, ApplyProblem::Form(_))),
        ("of other bytes", &other, |p| *p == ApplyProblem::Raw),
    ];
    let list = |frame: &[u8]| {
        let prefix = vec![Range { offset: 0, bytes: limits::CHUNK_MIN }];
        let (bytes, digest) = (u32::try_from(frame.len()).unwrap(), Digest::of(frame));
        let chunk =
            Chunk { digest: Digest::of(&new.raw), encoding: Encoding::Patch { bytes, digest, prefix } };
        ChunkList { chunk_bytes: limits::CHUNK_MIN, base: Some(old.artifact.digest), chunks: vec![chunk] }
    };
    assert_eq!(apply_list(&new, &list(&good), &good, &old.raw).unwrap(), new.raw);
    for (name, frame, expected) in table {
        match apply_list(&new, &list(frame), frame, &old.raw) {
            Err(ApplyError::Chunk { problem, .. }) => assert!(expected(&problem), "{name}: {problem}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // Listed with another digest: not decompressed at all.
    let wrong = apply_list(&new, &list(&good), &other[..], &old.raw);
    assert!(matches!(
        wrong,
        Err(ApplyError::Read(_) | ApplyError::Chunk { problem: ApplyProblem::Digest, .. })
    ));
}

/// A change of an image.
#[derive(Clone, Debug)]
enum Edit {
    Insert(prop::sample::Index, usize, u32),
    Delete(prop::sample::Index, usize),
    Move(prop::sample::Index, prop::sample::Index, usize),
    Zero(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index, usize),
    Change(prop::sample::Index, u8),
}

fn edits() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    let len = || prop_oneof![1..100usize, Just(4096usize), 1..200_000usize];
    prop_oneof![
        (at(), len(), any::<u32>()).prop_map(|(at, len, seed)| Edit::Insert(at, len, seed)),
        (at(), len()).prop_map(|(at, len)| Edit::Delete(at, len)),
        (at(), at(), len()).prop_map(|(from, to, len)| Edit::Move(from, to, len)),
        (at(), len()).prop_map(|(at, len)| Edit::Zero(at, len)),
        (at(), at(), len()).prop_map(|(a, b, len)| Edit::Swap(a, b, len)),
        (at(), any::<u8>()).prop_map(|(at, to)| Edit::Change(at, to)),
    ]
}

fn edit(image: &mut Vec<u8>, edit: &Edit) {
    if image.is_empty() {
        image.push(1);
    }
    let len = image.len();
    let range = |at: &prop::sample::Index, count: usize| {
        let at = at.index(len);
        at..(at + count).min(len)
    };
    match edit {
        Edit::Insert(at, count, seed) => {
            let at = at.index(len);
            image.splice(at..at, noise((*seed).into(), *count));
        }
        Edit::Delete(at, count) => drop(image.drain(range(at, *count))),
        Edit::Move(from, to, count) => {
            let piece: Vec<u8> = image.drain(range(from, *count)).collect();
            let to = to.index(image.len() + 1);
            image.splice(to..to, piece);
        }
        Edit::Zero(at, count) => image[range(at, *count)].fill(0),
        Edit::Swap(a, b, count) => {
            for i in 0..*count {
                image.swap((a.index(len) + i) % len, (b.index(len) + i) % len);
            }
        }
        Edit::Change(at, to) => image[at.index(len)] = *to,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_edits_are_made_whatever_the_threads(
        seed in any::<u32>(),
        len in 1..3 * CHUNK,
        hole in prop::option::of((any::<prop::sample::Index>(), 1..2 * CHUNK)),
        all in prop::collection::vec(edits(), 0..8),
        stray in any::<prop::sample::Index>(),
    ) {
        let mut old = noise(seed.into(), len);
        if let Some((at, count)) = hole {
            edit(&mut old, &Edit::Zero(at, count));
        }
        let mut new = old.clone();
        all.iter().for_each(|one| edit(&mut new, one));
        if new.is_empty() {
            new.push(0);
        }
        let (old, new) = (volume(&old), volume(&new));
        let (encoded, data) = encode(&old, &new, 3, 1);
        for threads in [2, 8] {
            let (again, same) = encode(&old, &new, 3, threads);
            prop_assert!(again.list == encoded.list && same == data, "{} threads", threads);
        }
        prop_assert_eq!(&made(&old, &new, &encoded, &data, &old.raw).unwrap(), &new.raw);
        // From another base it makes the same, or fails: never other bytes.
        let mut other = old.raw.clone();
        let at = stray.index(other.len());
        other[at] ^= 0x40;
        if let Ok(raw) = made(&old, &new, &encoded, &data, &other) {
            prop_assert_eq!(&raw, &new.raw);
        }
    }
}
