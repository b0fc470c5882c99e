//! A release that is offered by delta: in a repository, made from the one that every scenario begins with.
//!
//! The boot volume, with the chunk that makes a slot look bootable, and the system's whole chunks are patched; the short one is
//! stale: the delta would copy it from a place that holds other bytes, as a place does that the running system has written to
//! since. Its full data is fetched.
use super::product::{CHUNK_BYTES, Made, Packed, noise};
use anyhow::{Context, Result};
use bistable_format::{
    Chunk, ChunkList, Delta, Digest, Encoding, Extensions, bundle::blob_name, chunklist::Range,
    delta::ArtifactDelta, release, repository,
};
use bistable_image::keys::SecretKey;
use zstd::zstd_safe::{CCtx, CParameter};

/// Its version.
pub const VERSION: &str = "4.0.0";

/// Where a release and its delta are.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Digest of the signed release.
    pub release: Digest,
    /// The repository's files.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A volume that is the base's but for some bytes in its first chunk and all of the last, short one if there is more than one.
pub(super) fn edited(base: &[u8], seed: u64) -> Vec<u8> {
    let mut volume = base.to_vec();
    // Behind what makes a boot volume one.
    let from = 8 << 10;
    volume[from..from + 3000].copy_from_slice(&noise(seed, 3000));
    if volume.len() > CHUNK_BYTES {
        let start = volume.len() / CHUNK_BYTES * CHUNK_BYTES;
        let short = noise(seed + 1, volume.len() - start);
        volume[start..].copy_from_slice(&short);
    }
    volume
}

/// The repository with a release, and the delta that makes it from `base`.
pub(super) fn shop(packed: &Packed, base: &Made, key: &SecretKey) -> Result<Shop> {
    let volumes = base.release.volumes().context("the base is no image")?;
    let target = packed.release.volumes().context("the release is no image")?;
    let raw = [(&base.boot, &packed.boot), (&base.system, &packed.system)];
    let (mut artifacts, mut blobs) = (Vec::new(), Vec::new());
    for ((name, base, target), (old, new)) in
        [("boot", &volumes.boot, &target.boot), ("system", &volumes.system, &target.system)]
            .into_iter()
            .zip(raw)
    {
        let (list, data) = volume_delta(old, new, base.digest)?;
        let list = list.encode(target.bytes, data.len() as u64)?;
        artifacts.push(ArtifactDelta {
            name: name.into(),
            list: Digest::of(&list),
            list_bytes: u32::try_from(list.len())?,
            data: Digest::of(&data),
            data_bytes: data.len() as u64,
        });
        blobs.extend([list, data]);
    }
    let delta = Delta {
        head: packed.release.head.clone(),
        target: release::identity(&packed.signed),
        base: release::identity(&base.signed),
        artifacts,
        extensions: Extensions::default(),
    };
    blobs.extend(packed.blobs.iter().cloned());
    blobs.push(packed.signed.clone());
    let mut files: Vec<_> = blobs.into_iter().map(|blob| (blob_name(&Digest::of(&blob)), blob)).collect();
    files.push((repository::delta(&delta.target, &delta.base), delta.seal(&[key.signing()])?));
    Ok(Shop { release: Digest::of(&packed.signed), files })
}

fn volume_delta(old: &[u8], new: &[u8], base: Digest) -> Result<(ChunkList, Vec<u8>)> {
    let (mut chunks, mut data) = (Vec::new(), Vec::new());
    for (index, raw) in new.chunks(CHUNK_BYTES).enumerate() {
        let at = index * CHUNK_BYTES;
        let range = Range { offset: at as u64, bytes: u32::try_from(raw.len())? };
        let is_stale = index > 0 && raw.len() < CHUNK_BYTES;
        let encoding = if is_stale || old.get(at..at + raw.len()) == Some(raw) {
            Encoding::Copy(range)
        } else {
            let frame = patch(raw, &old[at..at + raw.len()])?;
            data.extend_from_slice(&frame);
            Encoding::Patch {
                bytes: u32::try_from(frame.len())?,
                digest: Digest::of(&frame),
                prefix: vec![range],
            }
        };
        chunks.push(Chunk { digest: Digest::of(raw), encoding });
    }
    Ok((ChunkList { chunk_bytes: u32::try_from(CHUNK_BYTES)?, base: Some(base), chunks }, data))
}

fn patch(raw: &[u8], prefix: &[u8]) -> Result<Vec<u8>> {
    let zstd = |code| anyhow::anyhow!("zstd: {}", zstd::zstd_safe::get_error_name(code));
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(20)).map_err(zstd)?;
    context.ref_prefix(prefix).map_err(zstd)?;
    let mut frame = Vec::with_capacity(raw.len() + 1024);
    context.compress2(&mut frame, raw).map_err(zstd)?;
    Ok(frame)
}
