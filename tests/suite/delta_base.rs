//! Updates by delta on a running slot that can't be read, is shorter than it was, or is something else: it costs bytes, and
//! the release is never held to blame.
use crate::{
    delta_draft::{DeltaDraft, frame},
    delta_source::{full_bytes, installs, shop},
    draft::{Draft, parts},
    fixture::{noise, product},
    memory::{card_of, volume},
    pi::Pi,
    rig::{CHUNK, Rig},
    source_install::{install_heard, is_installed, memory},
};
use bistable::{
    Error,
    error::BundleError,
    source::Memory,
    steps::install::{self, Overrides, Remote},
};
use bistable_boot::{ReleaseId, SECTOR, Saved, Slot, Target, layout::Partition};
use bistable_format::{Digest, Encoding, bundle::blob_name, chunklist::Range, release};

/// Each chunk that a delta copies or patches: its partition in slot A, its number, and its full frame's bytes.
fn leaning(delta: &DeltaDraft) -> Vec<(Partition, usize, u64)> {
    let good = Draft::of(&product().good, &product().root.root);
    let volumes = [
        (Partition::Boot(Slot::A), &delta.boot, &good.boot),
        (Partition::System(Slot::A), &delta.system, &good.system),
    ];
    let chunks = volumes.into_iter().flat_map(|(partition, delta, full)| {
        let chunks = delta.list.chunks.iter().enumerate();
        let leans = chunks.filter(|(_, c)| matches!(c.encoding, Encoding::Copy(_) | Encoding::Patch { .. }));
        leans.map(move |(index, _)| (partition, index, full.frames[index].len() as u64))
    });
    chunks.collect()
}

/// One sector in the middle of each chunk, behind the header.
#[test]
fn chunk_of_an_unreadable_base_is_stale_and_fetched_in_full() {
    let delta = DeltaDraft::of_product();
    let leaning = leaning(&delta);
    assert!(leaning.len() > 4 && leaning[0].1 == 0, "{leaning:?}");
    let mut fell_back = 0;
    for &(partition, index, bytes) in &leaning {
        let at = index as u64 * CHUNK + 100_000 / SECTOR as u64 * SECTOR as u64;
        let what = format!("{} chunk {index}", partition.name());
        let (mut source, release) = shop(&delta);
        let mut rig = Rig::new();
        rig.unreadable(partition, at..at + 1);
        let (stats, _) = installs(&mut rig, &mut source, release);
        // A short last chunk may end before that sector.
        assert_eq!(full_bytes(&source) > 0, stats.stale > 0, "{what}: {stats:?}");
        fell_back += stats.stale;
        assert!(stats.stale <= 1 && stats.patched + stats.reused > 0, "{what}: {stats:?}");
        assert_eq!(full_bytes(&source), stats.stale * bytes, "{what}: {stats:?}");
        assert!(rig.run(|agent| Ok(agent.device.record.rejected.is_empty())).unwrap(), "{what}");
        // A stream has nowhere to fetch it from: it ends so that the full bundle completes it.
        let mut rig = Rig::new();
        rig.unreadable(partition, at..at + 1);
        let bundle = delta.bundle();
        let streamed = rig.run(|agent| agent.install(&mut &bundle[..], Overrides::NONE));
        match streamed {
            Ok(_) => assert_eq!(stats.stale, 0, "{what}"),
            Err(e) => {
                assert!(matches!(e, Error::Bundle(BundleError::Stale { chunks: 1, .. })), "{what}: {e}");
                rig.run(|agent| agent.install(&mut &product().good[..], Overrides::NONE)).unwrap();
            }
        }
        is_installed(&mut rig);
    }
    assert!(fell_back + 2 >= leaning.len() as u64, "{fell_back} of {}", leaning.len());
}

/// Without a delta, what runs is only a place where chunks may be found.
#[test]
fn chunk_that_can_not_be_reused_because_it_is_unreadable_is_fetched() {
    let (mut source, release) = memory(&[&product().old, &product().good]);
    let (reused, _) = installs(&mut Rig::new(), &mut source, release);
    let mut rig = Rig::new();
    rig.unreadable(Partition::System(Slot::A), 0..u64::MAX);
    let (stats, _) = installs(&mut rig, &mut source, release);
    assert!(stats.reused < reused.reused, "{stats:?} {reused:?}");
}

/// A partition that ends in the middle of what was installed: as unreadable as a broken one.
#[test]
fn base_behind_the_end_of_its_partition_is_stale() {
    let delta = DeltaDraft::of_product();
    for (partition, most) in [(Partition::System(Slot::A), 3 * CHUNK), (Partition::Boot(Slot::A), CHUNK)] {
        let (mut source, release) = shop(&delta);
        let mut rig = Rig::new();
        rig.shorten(partition, most);
        let (stats, _) = installs(&mut rig, &mut source, release);
        assert!(stats.stale > 0 && full_bytes(&source) > 0, "{stats:?}");
        assert!(stats.patched + stats.reused > 0, "{stats:?}");
    }
}

/// The slot that runs is never written, not even if it is named: it is what the delta leans on.
#[test]
fn the_base_is_never_the_slot_that_is_written() {
    let (source, _) = shop(&DeltaDraft::of_product());
    let mut rig = Rig::new();
    let signed = product().good[parts(&product().good)[4].content.clone()].to_vec();
    let target = Target {
        slot: Slot::A,
        release: ReleaseId(release::identity(&signed).0),
        version: "1.1.0".parse().unwrap(),
        security_version: 2,
        durable: 1,
    };
    let written = rig.run(|agent| {
        let root = agent.device.root()?;
        let mut remote = Remote::open(source.clone(), Digest::of(&signed), &root)?;
        install::write(&mut agent.device, &target, &mut remote, &mut |_| std::ops::ControlFlow::Continue(()))
    });
    assert!(matches!(&written, Err(Error::NotNow(why)) if why.contains("slot A is running")), "{written:?}");
    assert!(rig.writes().is_empty());
    rig.pi.slot_a_is_untouched();
}

/// The power goes, and until it is back the delta was pruned: what is there stays, and the rest comes in full.
#[test]
fn delta_that_is_gone_after_a_power_cut_is_replaced_by_the_full_data() {
    let (with, release) = shop(&DeltaDraft::of_product());
    let (without, _) = memory(&[&product().old, &product().good]);
    let (mut writes, mut kept) = (0, 0);
    loop {
        let mut rig = Rig::new();
        rig.cut_at(writes + 1);
        let cut = install_heard(&mut rig, &mut with.clone(), release);
        if !rig.power_on() {
            cut.unwrap();
            break;
        }
        rig.run(|agent| agent.resume()).unwrap();
        let (stats, remarks) = installs(&mut rig, &mut without.clone(), release);
        assert_eq!((stats.patched, stats.delta_bytes), (0, 0), "write {writes}: {stats:?}");
        assert!(remarks.is_empty(), "{remarks:?}");
        kept = kept.max(stats.skipped);
        writes += 1;
    }
    assert!(writes >= 10 && kept > 3, "{writes} writes, {kept} chunks kept");
}

/// More chunks than are planned at a time, all of them stale: after the first ones the delta is given up.
#[test]
fn delta_is_dropped_when_most_of_the_base_is_something_else() {
    const CHUNKS: usize = 160;
    let size = u32::try_from(CHUNK).unwrap();
    let old = product().draft().version("1.0.0").with(|d| {
        d.system = volume(size, CHUNKS, CHUNKS);
        d.system.digest = Digest::of(&noise(CHUNK, size as usize).repeat(CHUNKS));
    });
    let old = old.pack(&[&product().release_key]);
    let was = noise(3, size as usize);
    let mut new = was.clone();
    new.rotate_left(1000);
    let full = zstd::bulk::compress(&new, 1).unwrap();
    let full_bytes = full.len() as u64;
    let target = product().draft().with(|d| {
        d.system = volume(size, CHUNKS, CHUNKS);
        d.system.digest = Digest::of(&new.repeat(CHUNKS));
        for index in 0..CHUNKS {
            d.system.list.chunks[index].digest = Digest::of(&new);
            d.system.set_frame(index, full.clone());
        }
    });
    let target = target.pack(&[&product().release_key]);
    let patch = frame(&new, &was);
    let delta = DeltaDraft::between(&old, &target).with(|d| {
        for index in 0..CHUNKS {
            let prefix = Range { offset: index as u64 * CHUNK, bytes: size };
            d.system.set_patch(index, patch.clone(), vec![prefix]);
        }
    });
    let parts_of_target = parts(&target);
    let blobs = parts_of_target[4..].iter().map(|part| target[part.content.clone()].to_vec());
    let mut source = Memory::new(blobs.map(|blob| (blob_name(&Digest::of(&blob)), blob)));
    source.files.extend(delta.files());
    let signed = Digest::of(&target[parts_of_target[4].content.clone()]);
    let mut rig = Rig::new();
    rig.pi = Pi::made(|folder| card_of(folder, &old, 8 << 20, 64 << 20));
    let heard = install_heard(&mut rig, &mut source, signed).unwrap();
    let stats = heard.stats.unwrap();
    assert!((17..CHUNKS as u64).contains(&stats.stale), "{stats:?}");
    assert!(heard.remarks.iter().any(|r| r.contains("changed in too many places")), "{:?}", heard.remarks);
    assert!(stats.fetched_bytes - stats.delta_bytes >= CHUNKS as u64 * full_bytes, "{stats:?}");
    assert!(stats.delta_bytes < CHUNKS as u64 * patch.len() as u64 + full_bytes, "{stats:?}");
    let state = rig.run(|agent| Ok(agent.device.record.state.clone())).unwrap();
    assert!(matches!(state, Saved::Staged(_)), "{state:?}");
}
