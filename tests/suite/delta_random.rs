//! Any new image from any base: a delta gives exactly the new image, and if the base is other bytes, the same by way of the
//! full data; never anything else.
use crate::{
    delta_draft::{DeltaDraft, raw},
    draft::{Draft, VolumeDraft, parts},
    fixture::{noise, product},
    rig::Rig,
    source_install::install_heard,
};
use bistable::source::Memory;
use bistable_boot::{Slot, layout::Partition};
use bistable_format::{Chunk, ChunkList, Digest, Encoding, bundle::blob_name};

/// Numbers that look random, the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }
}

/// Change an image as releases do: bytes come, go, move, become zero, and are replaced; its length stays.
fn edit(image: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut new = image.to_vec();
    for _ in 0..=dice.roll(6) {
        let (at, len) = (dice.roll(new.len()), 1 + dice.roll(90_000));
        let end = (at + len).min(new.len());
        match dice.roll(6) {
            0 => new[at..end].copy_from_slice(&noise(dice.0, end - at)),
            1 => new[at..end].fill(0),
            2 => drop(new.splice(at..at, noise(dice.0, len))),
            3 => drop(new.drain(at..end)),
            4 => new.rotate_left(at / 4096 * 4096),
            _ => {
                let from = dice.roll(new.len() - (end - at));
                new.copy_within(from..from + (end - at), at);
            }
        }
        new.resize(image.len(), 7);
    }
    new
}

/// A volume of these bytes.
fn volume(raw: &[u8], like: &VolumeDraft) -> VolumeDraft {
    let mut frames = Vec::new();
    let chunks = raw.chunks(like.list.chunk_bytes as usize).map(|raw| {
        let frame = zstd::bulk::compress(raw, 1).unwrap();
        let (bytes, digest) = (u32::try_from(frame.len()).unwrap(), Digest::of(&frame));
        frames.push(frame);
        let encoding = if raw.iter().all(|b| *b == 0) {
            Encoding::Zero { bytes, digest }
        } else {
            Encoding::Zstd { bytes, digest }
        };
        Chunk { digest: Digest::of(raw), encoding }
    });
    let list = ChunkList { chunk_bytes: like.list.chunk_bytes, base: None, chunks: chunks.collect() };
    VolumeDraft { bytes: raw.len() as u64, digest: Digest::of(raw), list, frames }
}

#[test]
fn any_image_comes_from_any_base_and_nothing_else_ever_does() {
    let old = Draft::of(&product().old, &product().root.root);
    let base = raw(&old.system);
    // Where it holds something: what is all zero, no delta leans on.
    let full: Vec<usize> =
        (0..base.len() / 4096).filter(|i| base[i * 4096..][..4096].iter().any(|b| *b != 0)).collect();
    let (mut by_delta, mut stale) = (0, 0);
    for seed in 1..=8 {
        let dice = &mut Dice(seed);
        let new = edit(&base, dice);
        let draft = product().draft().with(|d| d.system = volume(&new, &old.system));
        let target = draft.pack(&[&product().release_key]);
        let delta = DeltaDraft::between(&product().old, &target);
        let mut source = Memory::default();
        for part in &parts(&target)[4..] {
            let blob = target[part.content.clone()].to_vec();
            source.files.insert(blob_name(&Digest::of(&blob)), blob);
        }
        source.files.extend(delta.files());
        let release = Digest::of(&target[parts(&target)[4].content.clone()]);
        for other in [false, true] {
            let mut rig = Rig::new();
            for _ in 0..if other { 1 + dice.roll(8) } else { 0 } {
                let at = full[dice.roll(full.len())] * 4096;
                rig.pi.scribble(Partition::System(Slot::A), at as u64, &noise(dice.0, 1 + dice.roll(60_000)));
            }
            rig.pi.remember_slot_a();
            let stats = install_heard(&mut rig, &mut source.clone(), release).unwrap().stats.unwrap();
            let slot = rig.pi.slot(Slot::B);
            assert!(slot[1][..new.len()] == new, "seed {seed}, other base {other}: {stats:?}");
            rig.pi.slot_a_is_untouched();
            assert!(other || stats.stale == 0, "seed {seed}: {stats:?}");
            by_delta += stats.patched + stats.reused;
            stale += stats.stale;
            // And as a stream, which has nowhere to fetch from: the same, or it stops and says so.
            let mut rig = Rig::new();
            if other {
                rig.pi.scribble(
                    Partition::System(Slot::A),
                    dice.roll(base.len() / 2) as u64,
                    &noise(seed, 9000),
                );
                rig.pi.remember_slot_a();
            }
            let bundle = delta.bundle();
            let streamed =
                rig.run(|agent| agent.install(&mut &bundle[..], bistable::steps::install::Overrides::NONE));
            let slot = rig.pi.slot(Slot::B);
            match streamed {
                Ok(_) => assert!(slot[1][..new.len()] == new, "seed {seed}"),
                Err(e) => {
                    assert!(other && e.exit().code() == 75, "seed {seed}: {e}");
                    let size = old.system.list.chunk_bytes as usize;
                    let wrong = |(now, new): (&[u8], &[u8])| now != new && now.iter().any(|b| *b != 0);
                    assert!(
                        !slot[1].chunks(size).zip(new.chunks(size)).any(wrong),
                        "seed {seed}: other bytes"
                    );
                }
            }
            rig.pi.slot_a_is_untouched();
        }
    }
    assert!(by_delta > 50 && stale > 5, "{by_delta} by delta, {stale} stale");
}
