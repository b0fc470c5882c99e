//! Releases that are offered by delta: made from the one that every scenario begins with.
//!
//! A running system writes to its own slot, and then the delta no longer fits there. Here the delta is made for other
//! bytes than the base holds at such a place, which is the same to a device: the chunk is *stale*, and its full data is
//! fetched.
use super::pack::{CHUNK_BYTES, Packed};
use anyhow::{Context, Result};
use bistable_format::{
    Chunk, ChunkList, Delta, Digest, Encoding, Extensions,
    bundle::{Frame, blob_name},
    chunklist::Range,
    delta::ArtifactDelta,
    release, repository,
};
use bistable_image::keys::SecretKey;
use bistable_kit::product::noise;
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

/// How a chunk comes from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Copied from the same place.
    Same,
    /// Copied from the place that begins at this byte.
    Moved(usize),
    /// Patched: some bytes in it are new.
    Patched,
    /// Copied, from a place that holds other bytes.
    StaleCopy,
    /// Patched, for a prefix that differs from what the base holds.
    StalePatch,
}

/// A release by delta.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Its version.
    pub version: &'static str,
    pub(super) seed: u64,
    /// The boot volume's only chunk, which makes a slot look bootable.
    boot: Way,
    /// The system volume's first chunk, and its last one. Those between are the base's.
    system: [Way; 2],
}

/// Patched; one copy is stale.
pub const PATCHED: &str = "4.0.0";
/// Copied from other places; no byte of data is fetched.
pub const COPIED: &str = "4.1.0";
/// Of the three chunks that are patched, two are stale: among them the one that makes a slot look bootable.
pub const STALE: &str = "4.2.0";

/// All of them.
pub(super) const RECIPES: [Recipe; 3] = [
    Recipe { version: PATCHED, seed: 40, boot: Way::Patched, system: [Way::Patched, Way::StaleCopy] },
    // At odd places: a delta's ranges begin at any byte.
    Recipe { version: COPIED, seed: 41, boot: Way::Same, system: [Way::Moved(1001), Way::Moved(5)] },
    Recipe { version: STALE, seed: 42, boot: Way::StalePatch, system: [Way::StalePatch, Way::Patched] },
];

/// Where a release and its delta are.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Digest of the signed release.
    pub release: Digest,
    /// A repository's files.
    pub files: Vec<(String, Vec<u8>)>,
    /// The delta as a bundle.
    pub bundle: Vec<u8>,
    /// What the delta gives of the boot and the system volume, before anybody compares it with the release.
    pub made: [Vec<u8>; 2],
    /// The delta's lists of both volumes.
    pub lists: [ChunkList; 2],
}

impl Shop {
    /// Whether the delta gives all of a release on this device.
    pub(super) fn is_whole(&self, release: &Packed) -> bool {
        self.made == [&release.boot[..], &release.system]
    }
}

impl Recipe {
    /// The boot and the system volume that it makes of a base's.
    pub(super) fn volumes(&self, [boot, system]: [&[u8]; 2]) -> [Vec<u8>; 2] {
        [(boot, 0), (system, 100)].map(|(old, seed)| {
            let chunks = old.chunks(CHUNK_BYTES).enumerate();
            chunks.flat_map(|(index, there)| self.chunk(old, index, there, self.seed + seed)).collect()
        })
    }

    fn way(&self, volume: &[u8], index: usize) -> Way {
        let [first, last] = self.system;
        match (volume.len() > CHUNK_BYTES, index) {
            (false, _) => self.boot,
            (true, 0) => first,
            (true, _) if (index + 1) * CHUNK_BYTES >= volume.len() => last,
            (true, _) => Way::Same,
        }
    }

    fn chunk(&self, old: &[u8], index: usize, there: &[u8], seed: u64) -> Vec<u8> {
        match self.way(old, index) {
            Way::Same => there.to_vec(),
            Way::Moved(from) => old[from..from + there.len()].to_vec(),
            Way::StaleCopy => noise(seed + 1, there.len()),
            Way::Patched => edited(there.to_vec(), 1, seed),
            Way::StalePatch => edited(as_installed(there), 1, seed),
        }
    }

    /// Where the release and its delta from `base` are.
    pub(super) fn shop(&self, packed: &Packed, base: &Packed, key: &SecretKey) -> Result<Shop> {
        let volumes = base.release.volumes().context("the base is no image")?;
        let (boot, boot_data, boot_made) = self.delta(&base.boot, &packed.boot, volumes.boot.digest)?;
        let (system, system_data, system_made) =
            self.delta(&base.system, &packed.system, volumes.system.digest)?;
        let (lists, data) = ([boot, system], [boot_data, system_data]);
        let raw = [&packed.boot, &packed.system].map(|raw| raw.len() as u64);
        let (mut artifacts, mut blobs) = (Vec::new(), Vec::new());
        for (((name, raw), list), data) in ["boot", "system"].into_iter().zip(raw).zip(&lists).zip(&data) {
            let list = list.encode(raw, data.len() as u64)?;
            artifacts.push(ArtifactDelta {
                name: name.into(),
                list: Digest::of(&list),
                list_bytes: u32::try_from(list.len())?,
                data: Digest::of(data),
                data_bytes: data.len() as u64,
            });
            blobs.push(list);
        }
        blobs.extend(data);
        let delta = Delta {
            head: packed.release.head.clone(),
            target: release::identity(&packed.signed),
            base: release::identity(&base.signed),
            artifacts,
            extensions: Extensions::default(),
        };
        let signed = delta.seal(&[key.signing()])?;
        let frame = Frame::delta((&packed.signed, &packed.release), (&signed, &delta));
        let head = [&packed.signed, &signed];
        let bundle = frame.bundle(head.into_iter().chain(&blobs).map(Vec::as_slice))?;
        blobs.extend(packed.blobs.iter().cloned());
        blobs.push(packed.signed.clone());
        let mut files: Vec<_> = blobs.into_iter().map(|blob| (blob_name(&Digest::of(&blob)), blob)).collect();
        files.push((repository::delta(&delta.target, &delta.base), signed));
        let made = [boot_made, system_made];
        Ok(Shop { release: Digest::of(&packed.signed), files, bundle, made, lists })
    }

    /// A volume's list and data, and what they give.
    fn delta(&self, old: &[u8], new: &[u8], base: Digest) -> Result<(ChunkList, Vec<u8>, Vec<u8>)> {
        let (mut chunks, mut data, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for (index, raw) in new.chunks(CHUNK_BYTES).enumerate() {
            let at = index * CHUNK_BYTES;
            let there = &old[at..at + raw.len()];
            let copy = |from: usize| -> Result<Encoding> {
                Ok(Encoding::Copy(Range { offset: from as u64, bytes: u32::try_from(raw.len())? }))
            };
            let encoding = match self.way(old, index) {
                Way::Same | Way::StaleCopy => {
                    made.extend_from_slice(there);
                    copy(at)?
                }
                Way::Moved(from) => {
                    made.extend_from_slice(raw);
                    copy(from)?
                }
                kind => {
                    let was = if kind == Way::StalePatch { as_installed(there) } else { there.to_vec() };
                    let frame = patch(raw, &was)?;
                    made.extend(unpatched(&frame, there, raw.len())?);
                    let range = Range { offset: at as u64, bytes: u32::try_from(raw.len())? };
                    let (bytes, digest) = (u32::try_from(frame.len())?, Digest::of(&frame));
                    data.extend(frame);
                    Encoding::Patch { bytes, digest, prefix: vec![range] }
                }
            };
            chunks.push(Chunk { digest: Digest::of(raw), encoding });
        }
        let list = ChunkList { chunk_bytes: u32::try_from(CHUNK_BYTES)?, base: Some(base), chunks };
        Ok((list, data, made))
    }
}

/// A chunk with other bytes at one or two thirds of it, far behind what makes a boot volume one.
fn edited(mut chunk: Vec<u8>, thirds: usize, seed: u64) -> Vec<u8> {
    const EDIT: usize = 3000;
    let from = chunk.len() / 3 * thirds;
    chunk[from..from + EDIT].copy_from_slice(&noise(seed, EDIT));
    chunk
}

/// A chunk before the running system wrote to it.
fn as_installed(there: &[u8]) -> Vec<u8> {
    edited(there.to_vec(), 2, 7)
}

fn zstd_error(code: usize) -> anyhow::Error {
    anyhow::anyhow!("zstd: {}", zstd::zstd_safe::get_error_name(code))
}

fn patch(raw: &[u8], prefix: &[u8]) -> Result<Vec<u8>> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(20)).map_err(zstd_error)?;
    context.ref_prefix(prefix).map_err(zstd_error)?;
    let mut frame = Vec::with_capacity(raw.len() + 1024);
    context.compress2(&mut frame, raw).map_err(zstd_error)?;
    Ok(frame)
}

fn unpatched(frame: &[u8], prefix: &[u8], bytes: usize) -> Result<Vec<u8>> {
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(zstd_error)?;
    let mut raw = Vec::with_capacity(bytes);
    context.decompress(&mut raw, frame).map_err(zstd_error)?;
    Ok(raw)
}
