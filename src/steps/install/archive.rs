//! The parts of a component's release in a repository: each list, then its data from beginning to end, each chunk verified.
use super::{
    Opened,
    bundle::chunks,
    fetch::must,
    part::{ReleasePart, TakePart},
};
use crate::{
    Error,
    error::BundleError,
    source::{Source, Span, fill},
};
use bistable_format::{Content, Release, bundle};

/// A verified release of a component, and where its parts are.
#[derive(Debug)]
pub struct RemoteArchive<S> {
    opened: Opened,
    source: S,
}

impl<S: Source> RemoteArchive<S> {
    /// Of a release that was verified.
    pub fn new(opened: Opened, source: S) -> RemoteArchive<S> {
        RemoteArchive { opened, source }
    }

    /// The release.
    pub fn release(&self) -> &Release {
        self.opened.release()
    }

    /// Its signed bytes.
    pub fn signed(&self) -> &[u8] {
        self.opened.signed()
    }

    /// Read all parts, in the order in which a bundle has them. What `take` gets is verified; all of it is there only after `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`]; and what `take` fails with.
    pub fn parts(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        let content = self.opened.release().content.clone();
        if !matches!(content, Content::Directory(_) | Content::Containers(_)) {
            return Err(BundleError::NotAComponent.into());
        }
        for blob in content.blobs() {
            let bytes = must(&mut self.source, "blob", &blob.digest, blob.bytes as usize)?;
            take(ReleasePart::Blob(blob.digest), &bytes)?;
        }
        for (id, artifact) in content.artifacts() {
            let limit = usize::try_from(artifact.list_bytes).unwrap_or(usize::MAX);
            let list = must(&mut self.source, &format!("list of the {id:#}"), &artifact.list, limit)?;
            let path = bundle::blob_name(&artifact.data);
            self.source.open_range(&path, Span::WHOLE).map_err(BundleError::Source)?;
            let (source, mut at) = (&mut self.source, 0_u64);
            let mut frame = |into: &mut [u8]| {
                let begins = at;
                fill(source, into).map_err(BundleError::Source)?;
                at = at.saturating_add(into.len() as u64);
                Ok(begins)
            };
            chunks((id, artifact), &list, &mut frame, &mut |bytes| take(ReleasePart::Artifact(id), bytes))?;
        }
        Ok(())
    }
}
