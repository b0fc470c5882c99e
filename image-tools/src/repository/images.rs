//! The artifacts of a stored release as raw images in temporary files: what a delta is applied to.
use super::manifest::{ManifestError, Stored};
use super::store::{Store, StoreError};
use crate::delta::{Image, Raw};
use bistable_format::{
    Artifact, ArtifactId, ChunkList, DecodeError, Digest, Encoding, Hasher, limits, repository as names,
};
use std::io::{self, Read};
use zstd::bulk::Decompressor;

/// What is copied at a time.
const PIECE: usize = 1 << 20;

/// Why a base can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// Of the release.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// A blob is gone.
    #[error("it lacks {0}")]
    Missing(String),
    /// A chunk list is not what it has to be.
    #[error("a chunk list of it can't be used")]
    List(#[from] DecodeError),
    /// Its bytes are others.
    #[error(
        "{0} is damaged: `bistable-image fsck --deep --repair` removes it; then publish its bundle again"
    )]
    Damaged(String),
    /// It can't be read, or the temporary file of its image can't be written.
    #[error("reading it into a temporary file failed; TMPDIR says where that is")]
    Io(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The raw images of some artifacts.
#[derive(Debug)]
pub(super) struct Images(Vec<(ArtifactId, Image)>);

impl Images {
    /// Those that `only` names.
    pub(super) fn unpack(
        store: &Store,
        stored: &Stored,
        only: impl Fn(ArtifactId) -> bool,
    ) -> Result<Images, BaseError> {
        let artifacts = stored.release.content.artifacts().into_iter().filter(|(id, _)| only(*id));
        let one = |(id, artifact)| Ok((id, unpack(store, artifact)?));
        Ok(Images(artifacts.map(one).collect::<Result<_, BaseError>>()?))
    }

    /// Each, as bytes.
    pub(super) fn raw(&self) -> Vec<(ArtifactId, &dyn Raw)> {
        self.0.iter().map(|(kind, image)| (*kind, image as &dyn Raw)).collect()
    }
}

/// A blob in a temporary file, for bytes at any place. It is hashed on the way.
pub(super) fn fetch(store: &Store, digest: &Digest, bytes: u64) -> Result<Image, BaseError> {
    let path = names::blob(digest);
    let mut from = store.read(&path)?.ok_or_else(|| BaseError::Missing(path.clone()))?;
    let image = Image::create(None, bytes)?;
    let (mut hasher, mut at, mut piece) = (Hasher::new(), 0, vec![0; PIECE]);
    loop {
        let read = from.read(&mut piece)?;
        let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        image.write_at(at, part)?;
        at += read as u64;
    }
    if at == bytes && hasher.finish() == *digest { Ok(image) } else { Err(BaseError::Damaged(path)) }
}

/// An artifact of a stored release, chunk by chunk into a temporary file: each frame is hashed before it is decompressed.
pub(crate) fn unpack(store: &Store, artifact: &Artifact) -> Result<Image, BaseError> {
    let path = names::blob(&artifact.list);
    let list = store.get(&path, limits::CHUNK_LIST)?.ok_or_else(|| BaseError::Missing(path.clone()))?;
    if Digest::of(&list) != artifact.list {
        return Err(BaseError::Damaged(path));
    }
    let list = ChunkList::decode(&list, artifact)?;
    let path = names::blob(&artifact.data);
    let mut data = store.read(&path)?.ok_or_else(|| BaseError::Missing(path.clone()))?;
    let damaged = || BaseError::Damaged(path.clone());
    let image = Image::create(None, artifact.bytes)?;
    let (mut decompressor, mut hasher, mut offset) = (Decompressor::new()?, Hasher::new(), 0);
    for (i, chunk) in list.chunks.iter().enumerate() {
        let mut frame = vec![0; chunk.encoding.data_bytes() as usize];
        data.read_exact(&mut frame)?;
        let (Encoding::Zero { digest, .. } | Encoding::Zstd { digest, .. }) = &chunk.encoding else {
            return Err(damaged());
        };
        if Digest::of(&frame) != *digest {
            return Err(damaged());
        }
        let bytes = list.raw_bytes(i, artifact.bytes) as usize;
        let raw = decompressor.decompress(&frame, bytes).map_err(|_| damaged())?;
        if raw.len() != bytes {
            return Err(damaged());
        }
        hasher.update(&raw);
        image.write_at(offset, &raw)?;
        offset += raw.len() as u64;
    }
    if hasher.finish() == artifact.digest { Ok(image) } else { Err(damaged()) }
}
