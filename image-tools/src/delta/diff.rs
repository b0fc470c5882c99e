//! What an update costs, file by file: the bytes of each chunk's patch belong to the files whose blocks are not in the base.
use super::encode::{self, Effort};
use super::index::BLOCK;
use super::make::{DeltaOptions, Unpacked};
use super::owners::Owners;
use super::{DeltaError, Level};
use crate::output::Existing;
use crate::parallel::Threads;
use crate::progress::Progress;
use bistable_format::{ArtifactId, Release, Root};
use std::collections::BTreeMap;
use std::path::Path;

/// What a file costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In which artifact.
    pub kind: ArtifactId,
    /// The file; none for what the file system itself has, or if its files can't be told apart.
    pub path: Option<String>,
    /// Bytes that a device fetches for it, about.
    pub bytes: u64,
    /// Bytes of it that are nowhere in the base.
    pub changed: u64,
}

/// What an update costs.
#[derive(Clone, Debug)]
pub struct Diff {
    /// From what.
    pub base: Release,
    /// To what.
    pub target: Release,
    /// Bytes of each artifact's patches.
    pub volumes: Vec<(ArtifactId, u64)>,
    /// The files, those that cost most first.
    pub files: Vec<Cost>,
}

/// Find out what a delta from one bundle to another would cost, and for which files.
///
/// # Errors
/// See [`DeltaError`].
pub fn diff(
    old: &Path,
    new: &Path,
    root: &Root,
    level: Level,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<Diff, DeltaError> {
    let folder = std::env::temp_dir();
    let options =
        DeltaOptions { root, keys: &[], level, threads, folder: &folder, existing: Existing::Refuse };
    let (old, new) = (Unpacked::open(old, &options, progress)?, Unpacked::open(new, &options, progress)?);
    let effort = Effort { level, threads, progress };
    let (mut volumes, mut files) = (Vec::new(), Vec::new());
    for volume in &new.volumes {
        let Some(base) = old.volumes.iter().find(|old| old.kind == volume.kind) else { continue };
        let data = volume.data(&new);
        let (target, base) = (volume.as_target(&data), base.as_base());
        let owners = Owners::of(&volume.image).unwrap_or_default();
        let (mut costs, mut total) = (BTreeMap::<Option<String>, (u64, u64)>::new(), 0);
        if !encode::is_base(target, base) {
            encode::chunks(target, base, effort, |index, packed| {
                total += packed.bytes();
                let start = index as u64 * u64::from(target.list.chunk_bytes);
                let blocks: Vec<(u64, u64)> = packed
                    .unmatched
                    .iter()
                    .flat_map(|piece| piece.clone().step_by(BLOCK).map(move |at| (at, piece.end)))
                    .map(|(at, end)| (start + at as u64, end.min(at + BLOCK).saturating_sub(at) as u64))
                    .collect();
                share(packed.bytes(), &blocks, |at, bytes, changed| {
                    let cost = costs.entry(owners.at(at).map(ToOwned::to_owned)).or_default();
                    *cost = (cost.0 + bytes, cost.1 + changed);
                });
                Ok(())
            })?;
        }
        volumes.push((volume.kind, total));
        let kind = volume.kind;
        files.extend(costs.into_iter().map(|(path, (bytes, changed))| Cost { kind, path, bytes, changed }));
    }
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.path.cmp(&b.path)));
    Ok(Diff { base: old.release, target: new.release, volumes, files })
}

/// Share a patch's bytes among its blocks (offset and length), by their length; nothing is lost by rounding.
fn share(bytes: u64, blocks: &[(u64, u64)], mut tell: impl FnMut(u64, u64, u64)) {
    let total: u64 = blocks.iter().map(|(_, len)| len).sum();
    let (mut before, mut told) = (0_u64, 0);
    for (at, len) in blocks {
        before += len;
        let until =
            u64::try_from(u128::from(bytes) * u128::from(before) / u128::from(total.max(1))).unwrap_or(bytes);
        tell(*at, until - told, *len);
        told = until;
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn all_bytes_of_a_patch_are_shared_among_its_blocks() {
        let mut told = Vec::new();
        share(100, &[(0, 4096), (8192, 4096), (12288, 100)], |at, bytes, len| told.push((at, bytes, len)));
        assert_eq!(told, [(0, 49, 4096), (8192, 49, 4096), (12288, 2, 100)]);
        share(100, &[], |_, _, _| panic!("no block"));
    }
}
