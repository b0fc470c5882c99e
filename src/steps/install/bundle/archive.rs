//! The archive of a component's bundle: in order, chunk by chunk, each verified before and after it is decompressed.
use super::Bundle;
use crate::{Error, error::BundleError};
use bistable_format::{Artifact, ArtifactId, ChunkList, Content, Digest, Encoding, bundle::Part};
use std::io::Read;

impl<R: Read> Bundle<R> {
    /// The archive of a directory; `None` of a release that is something else, and of a delta.
    pub fn artifact(&self) -> Option<&Artifact> {
        match &self.release.content {
            Content::Directory(directory) if self.delta.is_none() => Some(&directory.archive),
            _ => None,
        }
    }

    /// Read the archive to the bundle's end. What `take` gets is verified; all of it is there only after `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`]; and what `take` fails with.
    pub fn archive(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let artifact = self.artifact().ok_or(BundleError::NotADirectory)?.clone();
        let encoded = self.reader.list(ArtifactId::Archive).map_err(BundleError::from)?;
        let part = Part::Data(ArtifactId::Archive);
        self.reader.begin(part).map_err(BundleError::from)?;
        let reader = &mut self.reader;
        let mut frame = |into: &mut [u8]| {
            let at = reader.at();
            reader.fill(into, part).map_err(BundleError::from).map(|()| at)
        };
        chunks(&artifact, &encoded, &mut frame, take)?;
        self.reader.finish(part).map_err(BundleError::from)?;
        Ok(self.reader.end().map_err(BundleError::from)?)
    }
}

/// Read an archive, chunk by chunk. `frame` fills the next bytes of its data, and says where they begin.
pub(crate) fn chunks(
    artifact: &Artifact,
    list: &[u8],
    frame: &mut dyn FnMut(&mut [u8]) -> Result<u64, BundleError>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let list = ChunkList::decode(list, artifact).map_err(BundleError::ArchiveList)?;
    let mut decompressor =
        zstd::bulk::Decompressor::new().map_err(|source| BundleError::Read { at: 0, source })?;
    let (mut encoded, mut raw) = (Vec::new(), Vec::new());
    for (index, chunk) in list.chunks.iter().enumerate() {
        let (Encoding::Zero { bytes, digest } | Encoding::Zstd { bytes, digest }) = &chunk.encoding else {
            return Err(BundleError::ArchiveChunk { index, at: 0 }.into());
        };
        encoded.resize(*bytes as usize, 0);
        let at = frame(&mut encoded)?;
        let damaged = || BundleError::ArchiveChunk { index, at };
        // Not a byte of it is decompressed before (I8).
        if Digest::of(&encoded) != *digest {
            return Err(damaged().into());
        }
        raw.resize(list.raw_bytes(index, artifact.bytes) as usize, 0);
        let filled = decompressor.decompress_to_buffer(&encoded, &mut raw[..]).ok() == Some(raw.len());
        if !filled || Digest::of(&raw) != chunk.digest {
            return Err(damaged().into());
        }
        take(&raw)?;
    }
    Ok(())
}
