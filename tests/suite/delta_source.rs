//! Updates by delta from a repository: only its bytes are fetched, and whatever is wrong with it or with the running
//! system costs bytes, never a wrong one on the card.
use crate::{
    delta_draft::{DeltaDraft, frame, raw},
    draft::Draft,
    fixture::{noise, product},
    rig::{CHUNK, Rig},
    source_install::{Heard, install_heard, is_installed, memory, nothing_wrong_is_written},
};
use bistable::{
    Error,
    error::BundleError,
    source::{Flaw, Memory},
    steps::install::Stats,
};
use bistable_boot::{
    Slot,
    layout::{HEADER_BYTES, Partition},
};
use bistable_format::{Digest, Encoding, Role, bundle::blob_name, chunklist::Range};

/// A repository with both releases and a delta between them.
pub(crate) fn shop(delta: &DeltaDraft) -> (Memory, Digest) {
    let (mut source, release) = memory(&[&product().old, &product().good]);
    source.files.extend(delta.files());
    (source, release)
}

/// The data of the good release, as it is without a delta.
fn full_data() -> [String; 2] {
    let good = Draft::of(&product().good, &product().root.root);
    [&good.boot, &good.system].map(|volume| blob_name(&Digest::of(&volume.frames.concat())))
}

/// Bytes of the good release's own data that were served.
pub(crate) fn full_bytes(source: &Memory) -> u64 {
    let names = full_data();
    let runs = source.served().runs();
    runs.iter().filter(|(path, ..)| names.contains(path)).map(|(_, from, to)| to - from).sum()
}

fn install(rig: &mut Rig, source: &mut Memory, release: Digest) -> Result<Heard, Error> {
    install_heard(rig, source, release)
}

#[track_caller]
pub(crate) fn installs(rig: &mut Rig, source: &mut Memory, release: Digest) -> (Stats, Vec<String>) {
    let heard = install(rig, source, release).unwrap();
    is_installed(rig);
    (heard.stats.unwrap(), heard.remarks)
}

/// How many chunks of the delta are copied and patched.
fn kinds(delta: &DeltaDraft) -> [u64; 2] {
    let all = || delta.boot.list.chunks.iter().chain(&delta.system.list.chunks);
    let count = |is: fn(&Encoding) -> bool| all().filter(|c| is(&c.encoding)).count() as u64;
    [count(|e| matches!(e, Encoding::Copy(_))), count(|e| matches!(e, Encoding::Patch { .. }))]
}

#[test]
fn only_the_delta_is_fetched() {
    let delta = DeltaDraft::of_product();
    let [copied, patched] = kinds(&delta);
    assert!(copied > 0 && patched > 1, "{copied} copied, {patched} patched");
    let (mut source, release) = shop(&delta);
    let mut rig = Rig::new();
    let (stats, remarks) = installs(&mut rig, &mut source, release);
    assert_eq!(full_bytes(&source), 0);
    assert_eq!((stats.patched, stats.reused, stats.stale), (patched, copied, 0), "{stats:?}");
    assert_eq!(stats.fetched_bytes, stats.delta_bytes);
    assert!(stats.delta_bytes <= delta.data_bytes());
    assert!(remarks.is_empty(), "{remarks:?}");
    // Two signed files and two lists; the data of each volume in one request, but for the header's chunk, which is last.
    let asked = source.served().runs();
    assert!(asked.len() <= 7, "{asked:?}");
    let (mut without, _) = memory(&[&product().old, &product().good]);
    let mut rig = Rig::new();
    let (full, _) = installs(&mut rig, &mut without, release);
    assert!(stats.fetched_bytes < full.fetched_bytes, "{stats:?} {full:?}");
}

/// The card is the same, to the byte, as after an installation of the full data; twice.
#[test]
fn what_is_there_already_is_neither_made_nor_fetched_again() {
    let (mut source, release) = shop(&DeltaDraft::of_product());
    let mut rig = Rig::new();
    installs(&mut rig, &mut source, release);
    rig.run(|agent| agent.roll_back()).unwrap();
    let (again, _) = installs_again(&mut rig, &mut source, release);
    // The way back erased the header.
    assert!(again.skipped + 2 >= again.chunks, "{again:?}");
    assert!(again.patched + again.reused <= 1, "{again:?}");
}

#[track_caller]
fn installs_again(rig: &mut Rig, source: &mut Memory, release: Digest) -> (Stats, Vec<String>) {
    let heard = crate::source_install::install_retried(rig, source, release).unwrap();
    is_installed(rig);
    (heard.stats.unwrap(), heard.remarks)
}

/// Whatever is wrong with the signed delta or its lists: the full data is fetched instead, and it is said why.
#[test]
fn a_delta_that_can_not_be_right_is_not_used() {
    let good = DeltaDraft::of_product;
    let copy = |d: &DeltaDraft| {
        let copied = |c: &bistable_format::Chunk| matches!(c.encoding, Encoding::Copy(_));
        d.system.list.chunks.iter().position(copied).unwrap()
    };
    let patch = |d: &DeltaDraft| {
        let patched = |c: &bistable_format::Chunk| matches!(c.encoding, Encoding::Patch { .. });
        d.system.list.chunks.iter().position(patched).unwrap()
    };
    let base_bytes = Draft::of(&product().old, &product().root.root).system.bytes;
    let ranges = |bytes: u32, n: usize| vec![Range { offset: 0, bytes }; n];
    type Change<'a> = Box<dyn Fn(&mut DeltaDraft) + 'a>;
    let table: Vec<(&str, &str, Change<'_>)> = vec![
        (
            "another raw digest",
            "chunks",
            Box::new(|d| {
                let i = patch(d);
                d.system.list.chunks[i].digest.0[0] ^= 1;
            }),
        ),
        ("another order", "chunks", Box::new(|d| d.system.list.chunks.swap(0, 1))),
        ("another base's volume", "another base", Box::new(|d| d.system.list.base = Some(Digest([7; 32])))),
        ("a full list", "another base", Box::new(|d| d.system.list.base = None)),
        (
            "a copy behind the base",
            "behind the end",
            Box::new(|d| {
                let i = copy(d);
                let Encoding::Copy(range) = &mut d.system.list.chunks[i].encoding else { unreachable!() };
                range.offset = base_bytes - u64::from(range.bytes) + 1;
            }),
        ),
        (
            "a copy of another length",
            "can't be right",
            Box::new(|d| {
                let i = copy(d);
                let Encoding::Copy(range) = &mut d.system.list.chunks[i].encoding else { unreachable!() };
                range.bytes -= 1;
            }),
        ),
        (
            "a prefix behind the base",
            "behind the end",
            Box::new(|d| {
                let i = patch(d);
                let Encoding::Patch { prefix, .. } = &mut d.system.list.chunks[i].encoding else {
                    unreachable!()
                };
                prefix[0].offset = base_bytes - u64::from(prefix[0].bytes) + 1;
            }),
        ),
        (
            "65 ranges",
            "",
            Box::new(|d| {
                let (i, frame) = (patch(d), d.system.frames[patch(d)].clone());
                d.system.set_patch(i, frame, ranges(512, 65));
            }),
        ),
        (
            "a prefix of 4 MiB and a byte",
            "can't be right",
            Box::new(|d| {
                let (i, frame) = (patch(d), d.system.frames[patch(d)].clone());
                d.system.set_patch(i, frame, [ranges(65_536, 63), ranges(65_537, 1)].concat());
            }),
        ),
        (
            "a frame longer than allowed",
            "bytes of data",
            Box::new(|d| {
                let (i, frame) = (patch(d), noise(1, 300 << 10));
                d.system.set_patch(i, frame, ranges(512, 1));
            }),
        ),
        ("data longer than its chunks", "bytes where", Box::new(|d| d.system.frames.push(vec![0; 9]))),
        (
            "data shorter than its chunks",
            "bytes where",
            Box::new(|d| {
                let i = patch(d);
                d.system.frames[i].pop();
            }),
        ),
        ("a delta for another release", "not", Box::new(|d| d.delta.target.0[0] ^= 1)),
        ("a delta from another release", "not", Box::new(|d| d.delta.base.0[0] ^= 1)),
        ("another product's", "", Box::new(|d| d.delta.head.product = "kitchen".into())),
        ("another repository's", "", Box::new(|d| d.delta.head.repository.0[0] ^= 1)),
    ];
    let right = shop(&good()).0.files.into_keys().find(|path| path.starts_with("deltas/")).unwrap();
    let check = |name: &str, word: &str, mut source: Memory, release| {
        let mut rig = Rig::new();
        let (stats, remarks) = installs(&mut rig, &mut source, release);
        assert_eq!((stats.delta_bytes, stats.patched), (0, 0), "{name}");
        assert_eq!(remarks.len(), 1, "{name}: {remarks:?}");
        assert!(remarks[0].contains(word), "{name}: {remarks:?}");
    };
    for (name, word, change) in table {
        let delta = good().with(|d| change(d));
        let (mut source, release) = shop(&delta);
        // Found where the right one is looked for.
        let (path, signed) = delta.files().swap_remove(0);
        source.files.remove(&path);
        source.files.insert(right.clone(), signed);
        check(name, word, source, release);
    }
    for (name, role, key) in [
        ("signed as a release", Role::Release, &product().release_key),
        ("signed by a channel's key", Role::Delta, &product().channel_key),
    ] {
        let (mut source, release) = memory(&[&product().old, &product().good]);
        source.files.extend(good().files_by(role, key));
        check(name, "", source, release);
    }
    let (mut source, release) = shop(&good());
    source.files.insert(right.clone(), product().good[..2000].to_vec());
    check("no envelope", "", source, release);
    let (mut source, release) = shop(&good());
    source.files.insert(right, vec![0; 100_000]);
    check("longer than an envelope", "more than", source, release);
}

/// And a delta is no release.
#[test]
fn a_signed_delta_is_not_taken_for_a_release() {
    let (_, signed) = DeltaDraft::of_product().files().swap_remove(0);
    let digest = Digest::of(&signed);
    let mut source = Memory::new([(blob_name(&digest), signed)]);
    let e = install(&mut Rig::new(), &mut source, digest).err().unwrap();
    assert!(matches!(e, Error::Bundle(BundleError::Untrusted(_))), "{e}");
}

/// A delta that is no smaller isn't worth it. Each volume is decided for itself.
#[test]
fn each_volume_is_made_by_the_delta_only_if_that_is_smaller() {
    let delta = DeltaDraft::of_product().with(|d| {
        let good = Draft::of(&product().good, &product().root.root);
        for (index, frame) in good.system.frames.iter().enumerate() {
            if matches!(good.system.list.chunks[index].encoding, Encoding::Zstd { .. }) {
                d.system.set_patch(index, [&frame[..], &[0; 100]].concat(), Vec::new());
            }
        }
    });
    let (mut source, release) = shop(&delta);
    let mut rig = Rig::new();
    let (stats, remarks) = installs(&mut rig, &mut source, release);
    let served = source.served().runs();
    let came = |data: Vec<u8>| served.iter().any(|(path, ..)| *path == blob_name(&Digest::of(&data)));
    assert!(came(delta.boot.data()) && !came(delta.system.data()), "{stats:?}");
    assert!(remarks.is_empty(), "{remarks:?}");
}

/// Each chunk of the running system that a delta needs, changed: only what leans on it falls back.
#[test]
fn chunks_of_a_changed_base_fall_back_one_by_one() {
    let delta = DeltaDraft::of_product();
    let chunks = usize::try_from(product().range(Partition::System(Slot::A)).end / CHUNK).unwrap();
    let mut fell_back = 0;
    let mut kept = 0;
    let good = Draft::of(&product().good, &product().root.root);
    let wanted = delta
        .system
        .list
        .chunks
        .iter()
        .enumerate()
        .filter(|(_, c)| matches!(c.encoding, Encoding::Copy(_) | Encoding::Patch { .. }));
    for (index, _) in wanted.take(chunks) {
        let (mut source, release) = shop(&delta);
        let mut rig = Rig::new();
        let at = index as u64 * CHUNK + 100_000;
        rig.pi.scribble(Partition::System(Slot::A), at, &noise(9, 5_000));
        rig.pi.remember_slot_a();
        let (stats, _) = installs(&mut rig, &mut source, release);
        fell_back += stats.stale;
        kept += u64::from(stats.patched + stats.reused > 0);
        assert!(stats.stale <= 1, "chunk {index}: {stats:?}");
        let expected = if stats.stale == 1 { good.system.frames[index].len() as u64 } else { 0 };
        assert_eq!(full_bytes(&source), expected, "chunk {index}: {stats:?}");
    }
    assert!(fell_back > 0 && kept > 0, "{fell_back} fell back");
}

/// All of the running system is other bytes: the update works all the same.
#[test]
fn a_base_that_is_something_else_altogether_costs_only_bytes() {
    // What makes the slot look bootable stays: without it there is nothing to run on.
    for (volume, from) in [(Partition::System(Slot::A), 0), (Partition::Boot(Slot::A), HEADER_BYTES)] {
        let (mut source, release) = shop(&DeltaDraft::of_product());
        let mut rig = Rig::new();
        let range = product().range(volume);
        let bytes = usize::try_from(range.end - range.start).unwrap();
        rig.pi.scribble(volume, from as u64, &noise(77, bytes - from));
        rig.pi.remember_slot_a();
        let (stats, _) = installs(&mut rig, &mut source, release);
        assert!(stats.stale > 0, "{stats:?}");
        assert!(full_bytes(&source) > 0);
    }
}

/// The power fails in the middle of each write; then the base changes, too.
#[test]
fn a_power_cut_at_every_write_costs_nothing_but_time() {
    let (source, release) = shop(&DeltaDraft::of_product());
    for scribble in [false, true] {
        let mut writes = 0;
        loop {
            let mut rig = Rig::new();
            rig.cut_at(writes + 1);
            let cut = install(&mut rig, &mut source.clone(), release);
            if !rig.power_on() {
                cut.unwrap();
                break;
            }
            if scribble {
                rig.pi.scribble(Partition::System(Slot::A), 100_000, b"changed while the power was gone");
                rig.pi.remember_slot_a();
            }
            rig.run(|agent| agent.resume()).unwrap();
            install(&mut rig, &mut source.clone(), release).unwrap();
            is_installed(&mut rig);
            writes += 1;
        }
        assert!(writes >= 10, "{writes} writes are too few for an installation");
    }
}

/// The delta disappears from the repository in the middle: it continues with the full data.
#[test]
fn a_delta_that_disappears_is_replaced_by_the_full_data() {
    let delta = DeltaDraft::of_product();
    for missing in 1..5 {
        let (mut source, release) = shop(&delta);
        source.files.remove(&delta.files()[missing].0);
        let mut rig = Rig::new();
        let (stats, remarks) = installs(&mut rig, &mut source, release);
        assert_eq!(remarks.len(), 1, "{missing}: {remarks:?}");
        assert!(full_bytes(&source) > 0, "{stats:?}");
    }
}

/// Its data is damaged, on a server that is alone.
#[test]
fn damaged_data_of_a_delta_is_never_decoded() {
    let delta = DeltaDraft::of_product();
    for file in 1..5 {
        let (mut source, release) = shop(&delta);
        let bytes = source.files.get_mut(&delta.files()[file].0).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        let mut rig = Rig::new();
        let (_, remarks) = installs(&mut rig, &mut source, release);
        assert_eq!(remarks.len(), 1, "{file}: {remarks:?}");
    }
}

/// A connection that breaks ends the attempt, and the next one continues: no chunk is made twice.
#[test]
fn delta_resumes_after_a_broken_connection() {
    let delta = DeltaDraft::of_product();
    let (files, release) = shop(&delta);
    let largest = delta.system.frames.iter().chain(&delta.boot.frames).map(Vec::len).max().unwrap() as u64;
    for tenth in 0..10 {
        let mut rig = Rig::new();
        let before = rig.pi.slot(Slot::B);
        let mut first = Memory::new(files.files.clone());
        // The release, the delta, and two lists come first.
        first.flaws = vec![Flaw::None; 4].into();
        first.always = Some(Flaw::Cut(delta.data_bytes() * tenth / 10));
        let mut delta_bytes = 0;
        match install(&mut rig, &mut first, release) {
            Ok(heard) => delta_bytes += heard.stats.unwrap().delta_bytes,
            Err(e) => {
                assert_eq!(e.exit().code(), 75, "{e}");
                nothing_wrong_is_written(&rig, &before, "cut");
                let served = first.served().bytes();
                let mut second = Memory::new(files.files.clone());
                let (stats, _) = installs(&mut rig, &mut second, release);
                assert!(served > 0 && full_bytes(&second) == 0);
                delta_bytes += stats.delta_bytes;
            }
        }
        is_installed(&mut rig);
        assert!(delta_bytes <= delta.data_bytes() + largest, "{tenth}: {delta_bytes}");
    }
}

/// Frames that are signed and can't be decoded as they must: nothing is decoded that could want memory, and it falls back.
#[test]
fn signed_frames_that_are_no_plain_frames_fall_back() {
    let good = Draft::of(&product().good, &product().root.root);
    let index = good.system.full_chunk();
    let size = good.system.list.chunk_bytes as usize;
    let new = raw(&good.system)[index * size..(index + 1) * size].to_vec();
    let plain = frame(&new, &[]);
    let mut window = plain.clone();
    window[4] &= !0b0010_0000;
    window.insert(5, 21 << 3);
    let mut dictionary = plain.clone();
    dictionary[4] |= 1;
    dictionary.insert(5, 7);
    let small = |mut frame: Vec<u8>| {
        frame.truncate(limit());
        frame
    };
    fn limit() -> usize {
        (256 << 10) + 2000
    }
    let skippable = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    for (name, frame) in [
        ("a large window", small(window)),
        ("a dictionary", small(dictionary)),
        ("a skippable frame behind it", small([&plain[..], &skippable].concat())),
        ("half a frame", plain[..plain.len() / 2].to_vec()),
        ("other content", frame(&noise(5, size), &[])),
        ("no frame", noise(6, 1000)),
    ] {
        let delta = DeltaDraft::of_product().with(|d| d.system.set_patch(index, frame, Vec::new()));
        let (mut source, release) = shop(&delta);
        // Not to be decided on sizes here: the volume has room for it.
        let mut rig = Rig::new();
        let (stats, _) = installs(&mut rig, &mut source, release);
        assert_eq!(stats.stale, 1, "{name}: {stats:?}");
    }
}
