//! Files of deltas, each with one defect: made, and given to both programs' readers. The device runs the release that they
//! take, so that nothing but the defect stops it.
use super::{
    deltas_table::{TABLE, Wrote},
    folder,
    make::{GOOD, Vector, for_later, odd, page, with},
};
use crate::{
    fixture::noise,
    rig::Rig,
    shop::{
        Made, NEW_RELEASER, PUBLISHER, RELEASER, STRANGER, channel, device, frame, made, made_by, of_format,
        payload, publish, record, repository_id, root, sealed, shop, stock, update, volume, volumes,
    },
};
use bistable::steps::install::Overrides;
use bistable_boot::{Saved, layout::Partition};
use bistable_format::{
    Artifact, Chunk, ChunkList, Delta, Digest, Encoding, Extensions, Head, Role,
    bundle::{BLOCK, END_BYTES, Frame},
    chunklist::Range,
    delta::ArtifactDelta,
    release,
};
use bistable_image::bundle::DeltaReader;
use std::fs;

/// What runs.
const BASE: &str = "1.0.9";

/// A small image, and its boot volume is that of the base.
fn target() -> Made {
    let (boot, [list, data]) =
        (made(BASE).release.volumes().unwrap().boot.clone(), [0, 1].map(|at| made(BASE).blobs[at].clone()));
    let (system, _, blobs) = volume(&noise(1, 1024));
    let mut target = made_by(GOOD, &[RELEASER], |r| {
        (volumes(r).boot, volumes(r).system) = (boot, system);
    });
    target.blobs = [[list, data], blobs].concat();
    target
}

/// A delta in pieces: the boot volume is copied, the system patched.
#[derive(Clone)]
struct Parts {
    target: Made,
    delta: Delta,
    lists: [ChunkList; 2],
    data: [Vec<u8>; 2],
}

fn parts() -> Parts {
    let (base, target) = (made(BASE), target());
    let (base_volumes, target_volumes) = (base.release.volumes().unwrap(), target.release.volumes().unwrap());
    let data = frame(&noise(1, 1024));
    let list = |base: &Artifact, target: &Artifact, encoding| {
        let raw = if target.bytes == 1024 { Digest::of(&noise(1, 1024)) } else { target.digest };
        let chunks = vec![Chunk { digest: raw, encoding }];
        ChunkList { chunk_bytes: target.chunk_bytes, base: Some(base.digest), chunks }
    };
    let whole = Range { offset: 0, bytes: u32::try_from(target_volumes.boot.bytes).unwrap() };
    let patch = Encoding::Patch {
        bytes: u32::try_from(data.len()).unwrap(),
        digest: Digest::of(&data),
        prefix: vec![Range { offset: 512, bytes: 4096 }],
    };
    let lists = [
        list(&base_volumes.boot, &target_volumes.boot, Encoding::Copy(whole)),
        list(&base_volumes.system, &target_volumes.system, patch),
    ];
    let delta = Delta {
        head: target.release.head.clone(),
        target: release::identity(&target.signed),
        base: release::identity(&base.signed),
        artifacts: Vec::new(),
        extensions: Extensions::default(),
    };
    Parts { target, delta, lists, data: [Vec::new(), data] }
}

impl Parts {
    fn named(mut self, change: impl FnOnce(&mut Delta)) -> Parts {
        self.delta.artifacts = ["boot", "system"]
            .iter()
            .zip(&self.lists)
            .zip(&self.data)
            .map(|((name, list), data)| {
                let list = payload(list);
                ArtifactDelta {
                    name: (*name).into(),
                    list: Digest::of(&list),
                    list_bytes: u32::try_from(list.len()).unwrap(),
                    data: Digest::of(data),
                    data_bytes: data.len() as u64,
                }
            })
            .collect();
        change(&mut self.delta);
        self
    }

    fn file(&self, signed: &[u8]) -> Vec<u8> {
        self.framed(
            &Frame::delta((&self.target.signed, &self.target.release), (signed, &self.delta)),
            Some(signed),
        )
    }

    fn framed(&self, frame: &Frame, signed: Option<&[u8]>) -> Vec<u8> {
        let lists = self.lists.each_ref().map(payload);
        let blobs = lists.iter().chain(&self.data).map(Vec::as_slice);
        frame.bundle([&self.target.signed[..]].into_iter().chain(signed).chain(blobs)).unwrap()
    }
}

fn by(keys: &[u8]) -> Vec<u8> {
    let parts = parts().named(|_| {});
    parts.file(&sealed(Role::Delta, &payload(&parts.delta), keys))
}

/// Signed well, whatever it says.
fn saying(change: impl FnOnce(&mut Delta)) -> Vec<u8> {
    let parts = parts().named(change);
    parts.file(&sealed(Role::Delta, &payload(&parts.delta), &[RELEASER]))
}

/// Signed well, with these lists.
fn listing(change: impl FnOnce(&mut ChunkList)) -> Vec<u8> {
    let mut parts = parts();
    change(&mut parts.lists[1]);
    let parts = parts.named(|_| {});
    parts.file(&sealed(Role::Delta, &payload(&parts.delta), &[RELEASER]))
}

/// Where the contents of the entries begin.
fn entries() -> Vec<usize> {
    let parts = parts().named(|_| {});
    let signed = sealed(Role::Delta, &payload(&parts.delta), &[RELEASER]);
    let mut at = 0;
    let frame = Frame::delta((&parts.target.signed, &parts.target.release), (&signed, &parts.delta));
    frame
        .headers
        .iter()
        .map(|header| {
            let content = at + BLOCK;
            at = content + usize::try_from(header.bytes).unwrap() + header.padding();
            content
        })
        .collect()
}

/// All of them.
pub(super) fn all() -> Vec<Vector> {
    let (good, at) = (by(&[RELEASER]), entries());
    let plain = parts().named(|_| {});
    let [delta, list, data] = [at[5], at[7], at[9]];
    let signed = |role, format, payload: &[u8]| plain.file(&of_format(role, format, payload, &[RELEASER]));
    vec![
        ("delta-signed-by-channel-key.delta", by(&[PUBLISHER])),
        ("delta-signed-by-a-stranger.delta", by(&[STRANGER])),
        ("delta-signed-by-retired-key.delta", by(&[NEW_RELEASER])),
        ("delta-unsigned.delta", by(&[])),
        ("delta-changed-after-signing.delta", with(good.clone(), |b| b[delta + 60] ^= 1)),
        ("delta-signed-as-a-release.delta", signed(Role::Release, 2, &payload(&plain.delta))),
        ("delta-for-a-later-agent.delta", signed(Role::Delta, 99, &for_later(&repository_id()))),
        (
            "delta-payload-trailing-byte.delta",
            plain.file(&sealed(Role::Delta, &[&payload(&plain.delta)[..], &[0]].concat(), &[RELEASER])),
        ),
        (
            "delta-of-another-repository.delta",
            saying(|d| d.head = Head::new(Digest::of(b"other"), "greenhouse")),
        ),
        ("delta-of-another-product.delta", saying(|d| d.head.product = "thermostat".into())),
        ("delta-with-an-odd-extension.delta", saying(|d| d.extensions.0.push(odd()))),
        ("delta-to-its-own-base.delta", saying(|d| d.base = d.target)),
        ("delta-of-another-base.delta", saying(|d| d.base = Digest::of(b"another base"))),
        ("delta-to-another-release.delta", saying(|d| d.target = Digest::of(b"another target"))),
        ("delta-of-no-artifacts.delta", saying(|d| d.artifacts.clear())),
        ("delta-artifact-twice.delta", saying(|d| d.artifacts[1].name = "boot".into())),
        ("delta-artifact-with-a-path.delta", saying(|d| d.artifacts[1].name = "../system".into())),
        ("delta-list-of-no-bytes.delta", saying(|d| d.artifacts[1].list_bytes = 0)),
        ("delta-list-larger-than-any.delta", saying(|d| d.artifacts[1].list_bytes = u32::MAX)),
        ("delta-list-of-another-base.delta", listing(|l| l.base = Some(Digest([1; 32])))),
        ("delta-list-of-a-release.delta", listing(|l| l.base = None)),
        ("delta-list-of-other-chunks.delta", listing(|l| l.chunks[0].digest.0[0] ^= 1)),
        (
            "delta-list-behind-its-base.delta",
            listing(|l| {
                let Encoding::Patch { prefix, .. } = &mut l.chunks[0].encoding else { panic!() };
                prefix[0].offset = 8 << 10;
            }),
        ),
        ("delta-list-changed.delta", with(good.clone(), |b| b[list] ^= 1)),
        ("delta-data-changed.delta", with(good.clone(), |b| b[data + 700] ^= 1)),
        ("delta-data-cut-off.delta", good[..data + 700].to_vec()),
        ("delta-without-its-end.delta", good[..good.len() - 1].to_vec()),
        ("delta-trailing-byte.delta", with(good.clone(), |b| b.push(0))),
        (
            "delta-padding-of-its-data.delta",
            with(good.clone(), |b| {
                let at = b.len() - END_BYTES - 1;
                b[at] = 1;
            }),
        ),
        ("delta-lists-swapped.delta", {
            let mut parts = plain.clone();
            let signed = sealed(Role::Delta, &payload(&parts.delta), &[RELEASER]);
            let frame = Frame::delta((&parts.target.signed, &parts.target.release), (&signed, &parts.delta));
            parts.lists.swap(0, 1);
            parts.framed(&frame, Some(&signed))
        }),
        (
            "delta-framed-as-a-release.delta",
            plain.framed(&Frame::new(&plain.target.signed, &plain.target.release), None),
        ),
        ("delta-is-a-web-page.delta", page()),
        ("delta-of-no-bytes.delta", Vec::new()),
    ]
}

/// A device that runs the base.
fn running_the_base() -> Rig {
    let (mut rig, mut shop) = (device(), shop());
    let offer = stock(&mut shop, &made(BASE));
    publish(&mut shop, &channel(super::SEEN + 1, vec![offer]));
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(crate::shop::running(&mut rig), BASE);
    rig
}

fn host(file: &[u8]) -> String {
    let checked = DeltaReader::open(file, &root(1)).and_then(DeltaReader::check_data);
    let Err(e) = checked else { return String::new() };
    let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}"));
    format!("{e}{}", cause.unwrap_or_default())
}

/// One device sees all of them, one after another, and takes the good one in the end.
#[test]
fn deltas() {
    let mut rig = running_the_base();
    let before = record(&mut rig);
    let mut last = before.clone();
    rig.writes();
    for (name, wrote, text, exit, host_text) in TABLE {
        let file = fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(host(&file), *host_text, "{name}");
        let e = rig.run(|agent| agent.install(&mut &file[..], Overrides::NONE)).unwrap_err();
        assert_eq!((&*e.to_string(), e.exit()), (*text, *exit), "{name}");
        let writes = rig.writes();
        let found = match writes.iter().all(|(partition, ..)| *partition == Partition::State) {
            _ if writes.is_empty() => Wrote::Nothing,
            true => Wrote::Journal,
            false => Wrote::Slot,
        };
        assert_eq!(found, *wrote, "{name}: {writes:?}");
        let after = record(&mut rig);
        assert_eq!((&after.floors, &after.rejected), (&before.floors, &before.rejected), "{name}");
        assert!(matches!(after.state, Saved::Idle | Saved::Installing(_)), "{name}: {:?}", after.state);
        assert!(*wrote != Wrote::Nothing || after == last, "{name}");
        last = after;
    }
    let good = by(&[RELEASER]);
    assert_eq!(host(&good), "");
    let target = rig.run(|agent| agent.install(&mut &good[..], Overrides::NONE)).unwrap();
    assert_eq!(target.version.to_string(), GOOD);
    assert_eq!(record(&mut rig).state, Saved::Staged(target));
}
