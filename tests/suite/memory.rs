//! The device's memory is bounded, whatever a bundle says: 64 MiB.
#![cfg(target_os = "linux")]
use crate::{
    delta_draft::{DeltaDraft, frame},
    draft::VolumeDraft,
    fixture::{WORLD, noise, product},
};
use bistable_format::{Chunk, ChunkList, Digest, Encoding, chunklist::Range};
use bistable_image::{
    Silent,
    card::{self, Agent, CardOptions},
};
use std::{fs, path::Path, process::Command};

/// For the program as it ships, which was measured to take 59 MiB at most. Its code alone is some MiB larger without optimization.
pub(crate) const MOST_KIB: i64 = if cfg!(debug_assertions) { 68 << 10 } else { 64 << 10 };

/// A volume of chunks, the first `full` of which don't compress and have their data; the others' isn't there.
pub(crate) fn volume(chunk_bytes: u32, chunks: usize, full: usize) -> VolumeDraft {
    let chunk = |raw: &[u8]| {
        let frame = zstd::bulk::compress(raw, 1).unwrap();
        let (bytes, digest) = (u32::try_from(frame.len()).unwrap(), Digest::of(&frame));
        (Chunk { digest: Digest::of(raw), encoding: Encoding::Zstd { bytes, digest } }, frame)
    };
    let (noisy, frame) = chunk(&noise(u64::from(chunk_bytes), chunk_bytes as usize));
    let (small, _) = chunk(&vec![1; chunk_bytes as usize]);
    let mut list = vec![noisy; full];
    list.resize(chunks, small);
    VolumeDraft {
        bytes: u64::from(chunk_bytes) * chunks as u64,
        digest: Digest([0; 32]),
        list: ChunkList { chunk_bytes, base: None, chunks: list },
        frames: vec![frame; full],
    }
}

pub(crate) fn card(folder: &Path, boot: u64, system: u64) {
    card_of(folder, &product().old, boot, system);
}

/// A card that a bundle's release runs on.
pub(crate) fn card_of(folder: &Path, old: &[u8], boot: u64, system: u64) {
    let bundle = folder.join("old.bundle");
    fs::write(&bundle, old).unwrap();
    let mut options = CardOptions::new(bundle, product().root.clone(), folder.join("card.img"));
    options.agent = Agent::Optional;
    (options.boot_slot, options.system_slot) = (Some(boot), Some(system));
    card::make(&options, &Silent).unwrap();
    fs::create_dir(folder.join("card.img.sim")).unwrap();
    fs::write(folder.join("card.img.sim/world.toml"), WORLD).unwrap();
}

/// Install in a process whose parent is small: a program's peak counts what it was before it became one. Gives the
/// exit code and the peak in KiB.
fn measure(folder: &Path, bundle: &str) -> (i32, i64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["memory::measured", "--exact", "--ignored", "--nocapture"])
        .env("BISTABLE_TEST_BUNDLE", bundle)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let number = |name: &str| text.split(name).nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (number("code=").parse().unwrap(), number("peak_kib=").parse().unwrap())
}

#[test]
#[ignore = "not a test: what `measure` starts"]
fn measured() {
    use nix::sys::resource::{UsageWho, getrusage};
    let Ok(bundle) = std::env::var("BISTABLE_TEST_BUNDLE") else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bistable"));
    let code =
        command.args(["--card", "card.img", "install", &bundle]).status().unwrap().code().unwrap_or(-1);
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    println!("code={code} peak_kib={peak} ");
}

#[test]
fn a_large_image_in_large_chunks() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path(), 8 << 20, 96 << 20);
    let bundle = product().draft().with(|d| d.system = volume(4 << 20, 24, 24));
    fs::write(folder.path().join("x.bundle"), bundle.pack(&[&product().release_key])).unwrap();
    let (code, peak) = measure(folder.path(), "x.bundle");
    assert_eq!(code, 0);
    assert!(peak < MOST_KIB, "{peak} KiB");
    // What was measured was no empty run.
    assert!(peak > 20 << 10, "{peak} KiB");
}

/// Each chunk is a patch whose prefix is as long as it may be, in as many ranges as there may be.
#[test]
fn a_delta_with_the_largest_chunks_and_prefixes() {
    const CHUNK: u32 = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    // What runs: 16 chunks that don't compress.
    let base = noise(u64::from(CHUNK), CHUNK as usize);
    let draft = product().draft().version("1.0.0").with(|d| {
        d.system = volume(CHUNK, 16, 16);
        d.system.digest = Digest::of(&base.repeat(16));
    });
    let old = draft.pack(&[&product().release_key]);
    card_of(folder.path(), &old, 8 << 20, 64 << 20);
    let mut new = base.clone();
    new.rotate_left(1_000_000);
    let prefix: Vec<Range> =
        (0..64).map(|i| Range { offset: u64::from(CHUNK / 64) * (63 - i) + 7, bytes: CHUNK / 64 }).collect();
    let bytes: Vec<u8> = prefix
        .iter()
        .flat_map(|r| {
            let from = usize::try_from(r.offset).unwrap();
            base.iter().cycle().skip(from).take(r.bytes as usize).copied()
        })
        .collect();
    let target = product().draft().with(|d| {
        d.system = volume(CHUNK, 16, 16);
        for index in 0..16 {
            d.system.list.chunks[index].digest = Digest::of(&new);
            d.system.set_frame(index, zstd::bulk::compress(&new, 1).unwrap());
        }
    });
    let target = target.pack(&[&product().release_key]);
    let delta = DeltaDraft::between(&old, &target).with(|d| {
        let patch = frame(&new, &bytes);
        assert!(patch.len() < 100_000, "{} bytes", patch.len());
        for index in 0..16 {
            d.system.set_patch(index, patch.clone(), prefix.clone());
        }
    });
    fs::write(folder.path().join("x.delta"), delta.bundle()).unwrap();
    let (code, peak) = measure(folder.path(), "x.delta");
    assert_eq!(code, 0);
    assert!(peak < MOST_KIB, "{peak} KiB");
    assert!(peak > 20 << 10, "{peak} KiB");
}

#[test]
fn the_longest_lists_with_the_largest_chunks() {
    let folder = tempfile::tempdir().unwrap();
    card(folder.path(), 64 << 30, 16 << 30);
    let bundle = product().draft().with(|d| {
        d.boot = volume(4 << 20, 1 << 14, 20);
        d.system = volume(256 << 10, 1 << 16, 0);
    });
    fs::write(folder.path().join("x.bundle"), bundle.pack_beginning(&product().release_key)).unwrap();
    let (code, peak) = measure(folder.path(), "x.bundle");
    assert_eq!(code, 1, "it ends early");
    assert!(peak < MOST_KIB, "{peak} KiB");
    assert!(peak > 20 << 10, "{peak} KiB");
}
