//! The parts of a component's bundle: in order, chunk by chunk, each verified before and after it is decompressed.
use super::Bundle;
use crate::{
    Error,
    error::BundleError,
    steps::install::part::{ReleasePart, TakePart},
};
use bistable_format::{Artifact, ArtifactId, ChunkList, Content, Digest, Encoding, bundle::Part};
use std::io::Read;

impl<R: Read> Bundle<R> {
    /// Read all parts to the bundle's end. What `take` gets is verified; all of it is there only after `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`]; and what `take` fails with.
    pub fn parts(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        let content = self.release.content.clone();
        if !matches!(content, Content::Directory(_) | Content::Containers(_)) || self.delta.is_some() {
            return Err(BundleError::NotAComponent.into());
        }
        let mut lists = Vec::new();
        for (id, _) in content.artifacts() {
            lists.push(self.reader.list(id).map_err(BundleError::from)?);
        }
        for (number, blob) in (1..).zip(content.blobs()) {
            let bytes = self.reader.blob(number).map_err(BundleError::from)?;
            take(ReleasePart::Blob(blob.digest), &bytes)?;
        }
        for ((id, artifact), encoded) in content.artifacts().into_iter().zip(&lists) {
            let part = Part::Data(id);
            self.reader.begin(part).map_err(BundleError::from)?;
            let reader = &mut self.reader;
            let mut frame = |into: &mut [u8]| {
                let at = reader.at();
                reader.fill(into, part).map_err(BundleError::from).map(|()| at)
            };
            chunks((id, artifact), encoded, &mut frame, &mut |bytes| take(ReleasePart::Artifact(id), bytes))?;
            self.reader.finish(part).map_err(BundleError::from)?;
        }
        Ok(self.reader.end().map_err(BundleError::from)?)
    }
}

/// Read an archive or a layer, chunk by chunk. `frame` fills the next bytes of its data, and says where they begin.
pub(crate) fn chunks(
    (id, artifact): (ArtifactId, &Artifact),
    list: &[u8],
    frame: &mut dyn FnMut(&mut [u8]) -> Result<u64, BundleError>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let list =
        ChunkList::decode(list, artifact).map_err(|source| BundleError::PartList { artifact: id, source })?;
    let mut decompressor =
        zstd::bulk::Decompressor::new().map_err(|source| BundleError::Read { at: 0, source })?;
    let (mut encoded, mut raw) = (Vec::new(), Vec::new());
    for (index, chunk) in list.chunks.iter().enumerate() {
        let (Encoding::Zero { bytes, digest } | Encoding::Zstd { bytes, digest }) = &chunk.encoding else {
            return Err(BundleError::PartChunk { artifact: id, index, at: 0 }.into());
        };
        encoded.resize(*bytes as usize, 0);
        let at = frame(&mut encoded)?;
        let damaged = || BundleError::PartChunk { artifact: id, index, at };
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
