//! Deltas to order: made from two bundles taken apart, changed, signed again, however wrong they have become.
use crate::{
    draft::{Draft, VolumeDraft},
    fixture::product,
};
use bistable_format::{
    Artifact, Chunk, ChunkList, Delta, Digest, Encoding, Extensions, Release, Role, VolumeKind,
    bundle::{Frame, blob_name},
    chunklist::Range,
    delta::ArtifactDelta,
    envelope, release, repository,
};
use bistable_image::keys::SecretKey;
use zstd::zstd_safe::{CCtx, CParameter};

/// Bytes of the base on both sides of a chunk that its prefix has.
const AROUND: usize = 64 << 10;

/// One volume of a delta.
#[derive(Clone, Debug)]
pub(crate) struct VolumeDelta {
    pub(crate) list: ChunkList,
    pub(crate) frames: Vec<Vec<u8>>,
}

/// A delta in pieces.
#[derive(Clone, Debug)]
pub(crate) struct DeltaDraft {
    pub(crate) delta: Delta,
    pub(crate) boot: VolumeDelta,
    pub(crate) system: VolumeDelta,
    signed_release: Vec<u8>,
    release: Release,
}

/// A volume's raw bytes.
pub(crate) fn raw(volume: &VolumeDraft) -> Vec<u8> {
    let decoded = volume.frames.iter().map(|frame| zstd::stream::decode_all(&frame[..]).unwrap());
    decoded.collect::<Vec<_>>().concat()
}

/// A frame of `raw` with a prefix.
pub(crate) fn frame(raw: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(3)).unwrap();
    context.set_parameter(CParameter::WindowLog(23)).unwrap();
    context.set_parameter(CParameter::EnableLongDistanceMatching(true)).unwrap();
    context.ref_prefix(prefix).unwrap();
    let mut out = Vec::with_capacity(raw.len() + (raw.len() >> 8) + 1024);
    context.compress2(&mut out, raw).unwrap();
    out
}

fn range(offset: usize, bytes: usize) -> Range {
    Range { offset: offset as u64, bytes: u32::try_from(bytes).unwrap() }
}

impl VolumeDelta {
    /// What makes a volume from a base: chunks that are equal at the same place are copied, others have the bytes around
    /// their place as a prefix.
    pub(crate) fn new(base: &[u8], base_digest: Digest, target: &VolumeDraft) -> VolumeDelta {
        let new = raw(target);
        let size = target.list.chunk_bytes as usize;
        let (mut chunks, mut frames) = (Vec::new(), Vec::new());
        for (i, raw) in new.chunks(size).enumerate() {
            let (full, at) = (&target.list.chunks[i], i * size);
            let (encoding, frame) = if matches!(full.encoding, Encoding::Zero { .. }) {
                (full.encoding.clone(), target.frames[i].clone())
            } else if base.get(at..at + raw.len()) == Some(raw) {
                (Encoding::Copy(range(at, raw.len())), Vec::new())
            } else {
                let around =
                    at.saturating_sub(AROUND).min(base.len())..(at + raw.len() + AROUND).min(base.len());
                let patch = frame(raw, &base[around.clone()]);
                if patch.len() < target.frames[i].len() {
                    let prefix = vec![range(around.start, around.len())];
                    let (bytes, digest) = (u32::try_from(patch.len()).unwrap(), Digest::of(&patch));
                    (Encoding::Patch { bytes, digest, prefix }, patch)
                } else {
                    (full.encoding.clone(), target.frames[i].clone())
                }
            };
            chunks.push(Chunk { digest: full.digest, encoding });
            frames.push(frame);
        }
        let list = ChunkList { chunk_bytes: target.list.chunk_bytes, base: Some(base_digest), chunks };
        VolumeDelta { list, frames }
    }

    /// Put a patch into the place of a chunk's encoding.
    pub(crate) fn set_patch(&mut self, index: usize, frame: Vec<u8>, prefix: Vec<Range>) {
        let bytes = u32::try_from(frame.len()).unwrap();
        self.list.chunks[index].encoding = Encoding::Patch { bytes, digest: Digest::of(&frame), prefix };
        self.frames[index] = frame;
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        self.frames.concat()
    }

    fn pack(&self, name: &str) -> (ArtifactDelta, Vec<u8>) {
        let (list, data) = (postcard::to_allocvec(&self.list).unwrap(), self.data());
        let artifact = ArtifactDelta {
            name: name.into(),
            list: Digest::of(&list),
            list_bytes: u32::try_from(list.len()).unwrap(),
            data: Digest::of(&data),
            data_bytes: data.len() as u64,
        };
        (artifact, list)
    }
}

impl DeltaDraft {
    /// From one good bundle to another.
    pub(crate) fn between(old: &[u8], new: &[u8]) -> DeltaDraft {
        let root = &product().root.root;
        let signed = |bundle: &[u8]| bundle[crate::draft::parts(bundle)[4].content.clone()].to_vec();
        let (base, target) = (Draft::of(old, root), Draft::of(new, root));
        let signed_release = signed(new);
        let volume = |kind, base_draft: &VolumeDraft, target: &VolumeDraft| {
            let artifact: &Artifact = base.release.volumes().unwrap().get(kind);
            VolumeDelta::new(&raw(base_draft), artifact.digest, target)
        };
        let delta = Delta {
            head: target.release.head.clone(),
            target: release::identity(&signed_release),
            base: release::identity(&signed(old)),
            artifacts: Vec::new(),
            extensions: Extensions::default(),
        };
        DeltaDraft {
            delta,
            boot: volume(VolumeKind::Boot, &base.boot, &target.boot),
            system: volume(VolumeKind::System, &base.system, &target.system),
            signed_release,
            release: target.release,
        }
    }

    /// From 1.0.0, which the card holds, to 1.1.0.
    pub(crate) fn of_product() -> DeltaDraft {
        DeltaDraft::between(&product().old, &product().good)
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut DeltaDraft)) -> DeltaDraft {
        change(&mut self);
        self
    }

    /// The signed delta, right or wrong, and its lists.
    fn seal(&self, role: Role, key: &SecretKey) -> (Delta, Vec<u8>, [Vec<u8>; 2]) {
        let ((boot, boot_list), (system, system_list)) = (self.boot.pack("boot"), self.system.pack("system"));
        let mut delta = self.delta.clone();
        if delta.artifacts.is_empty() {
            delta.artifacts = vec![boot, system];
        }
        let payload = postcard::to_allocvec(&delta).unwrap();
        let signed = envelope::seal(role, &payload, &[key.signing()]).unwrap();
        (delta, signed, [boot_list, system_list])
    }

    /// What a repository has of it; the delta itself comes first.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.files_by(Role::Delta, &product().release_key)
    }

    /// The same, signed in another role or by another key.
    pub(crate) fn files_by(&self, role: Role, key: &SecretKey) -> Vec<(String, Vec<u8>)> {
        let (delta, signed, lists) = self.seal(role, key);
        let mut files = vec![(repository::delta(&delta.target, &delta.base), signed)];
        let blobs = lists.into_iter().chain([self.boot.data(), self.system.data()]);
        files.extend(blobs.map(|bytes| (blob_name(&Digest::of(&bytes)), bytes)));
        files
    }

    /// Bytes of both volumes' data.
    pub(crate) fn data_bytes(&self) -> u64 {
        (self.boot.data().len() + self.system.data().len()) as u64
    }

    /// Its bundle, signed in a role by a key.
    pub(crate) fn bundle_by(&self, role: Role, key: &SecretKey) -> Vec<u8> {
        let (delta, signed, [boot_list, system_list]) = self.seal(role, key);
        let frame = Frame::delta((&self.signed_release, &self.release), (&signed, &delta));
        let (boot_data, system_data) = (self.boot.data(), self.system.data());
        let parts = [&self.signed_release, &signed, &boot_list, &system_list, &boot_data, &system_data];
        frame.bundle(parts.map(Vec::as_slice)).unwrap()
    }

    /// Its bundle.
    pub(crate) fn bundle(&self) -> Vec<u8> {
        self.bundle_by(Role::Delta, &product().release_key)
    }
}
