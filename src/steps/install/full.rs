//! The release's own data in a repository. Its chunk lists are fetched when they are first needed.
use super::{
    chunk::ChunkAddr,
    content::{Feed, Kind, Pipeline, volumes},
    error::InstallError,
    fetch::{Budget, Data, must},
    job::{Payload, Searched},
};
use crate::{error::BundleError, source::Source};
use bistable_format::{ChunkList, Encoding, Release, VolumeKind, limits};
use std::{ops::Range, sync::Arc};

/// Whether a chunk is fetched because it was made wrongly before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Again,
}

/// The volumes' lists and data.
#[derive(Debug, Default)]
pub(super) struct Full {
    volumes: [Option<(Arc<ChunkList>, Data)>; 2],
}

/// The place of a volume in pairs.
pub(super) fn place(volume: VolumeKind) -> usize {
    match volume {
        VolumeKind::Boot => 0,
        VolumeKind::System => 1,
    }
}

/// A volume's chunk list of a release, verified.
pub(super) fn fetch_list(
    source: &mut impl Source,
    release: &Release,
    volume: VolumeKind,
) -> Result<ChunkList, BundleError> {
    let v = volumes(release)?.get(volume);
    let limit = limits::CHUNK_LIST.min(v.list_bytes as usize);
    let what = format!("chunk list of the {volume} volume");
    let bytes = must(source, &what, &v.list, limit)?;
    ChunkList::decode(&bytes, v).map_err(|source| BundleError::List { volume, source })
}

impl Full {
    /// A volume's list.
    pub(super) fn list(
        &mut self,
        source: &mut impl Source,
        release: &Release,
        volume: VolumeKind,
        budget: &mut Budget,
    ) -> Result<Arc<ChunkList>, BundleError> {
        if let Some((list, _)) = &self.volumes[place(volume)] {
            return Ok(Arc::clone(list));
        }
        budget.spend(volumes(release)?.get(volume).list_bytes.into())?;
        let list = Arc::new(fetch_list(source, release, volume)?);
        let data = Data::new(Kind::Full, volume, &volumes(release)?.get(volume).data, &list);
        self.volumes[place(volume)] = Some((Arc::clone(&list), data));
        Ok(list)
    }

    /// Fetch neighbors in one request, and send them on their way. One that comes wrong is asked for again, with what
    /// follows it.
    pub(super) fn bring(
        &mut self,
        source: &mut impl Source,
        release: &Release,
        feed: &mut Feed<'_>,
        (volume, mut chunks, turn): (VolumeKind, Range<usize>, Turn),
        budget: &mut Budget,
    ) -> Result<Pipeline, InstallError> {
        let list = self.list(source, release, volume, budget)?;
        let Some((_, data)) = &mut self.volumes[place(volume)] else { return Ok(Pipeline::Stopped) };
        data.close();
        while !chunks.is_empty() {
            if feed.stopped() {
                return Ok(Pipeline::Stopped);
            }
            let digest = match list.chunks.get(chunks.start).map(|chunk| &chunk.encoding) {
                Some(Encoding::Zstd { digest, .. } | Encoding::Zero { digest, .. }) => digest,
                // A full list has no others.
                Some(Encoding::Copy(_) | Encoding::Patch { .. }) | None => return Ok(Pipeline::Stopped),
            };
            let frame = data.frame(source, feed, chunks.clone(), digest, budget)?;
            let spot = ChunkAddr { volume, index: chunks.start };
            if turn == Turn::First {
                feed.progress(spot);
            }
            if feed.send(spot, Payload::Zstd(frame), Searched::NotThere) == Pipeline::Stopped {
                return Ok(Pipeline::Stopped);
            }
            chunks.start += 1;
        }
        Ok(Pipeline::Open)
    }

    /// Fetch chunks that were made wrongly: in order, neighbors together.
    pub(super) fn bring_again(
        &mut self,
        source: &mut impl Source,
        release: &Release,
        feed: &mut Feed<'_>,
        spots: &[ChunkAddr],
        budget: &mut Budget,
    ) -> Result<Pipeline, InstallError> {
        for run in spots.chunk_by(|a, b| a.volume == b.volume && a.index + 1 == b.index) {
            let [first, ..] = run else { continue };
            let chunks = first.index..first.index + run.len();
            if self.bring(source, release, feed, (first.volume, chunks, Turn::Again), budget)?
                == Pipeline::Stopped
            {
                return Ok(Pipeline::Stopped);
            }
        }
        Ok(Pipeline::Open)
    }
}
