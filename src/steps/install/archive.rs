//! The archive of a component's release in a repository: its list, then its data from beginning to end, each chunk verified.
use super::{Opened, bundle::chunks, fetch::must};
use crate::{
    Error,
    error::BundleError,
    source::{Source, Span, fill},
};
use bistable_format::{Content, Release, bundle};

/// A verified release of a component, and where its archive is.
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

    /// Read the archive. What `take` gets is verified; all of it is there only after `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`]; and what `take` fails with.
    pub fn archive(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let Content::Directory(directory) = &self.opened.release().content else {
            return Err(BundleError::NotADirectory.into());
        };
        let artifact = directory.archive.clone();
        let limit = usize::try_from(artifact.list_bytes).unwrap_or(usize::MAX);
        let list = must(&mut self.source, "list of the archive", &artifact.list, limit)?;
        let path = bundle::blob_name(&artifact.data);
        self.source.open_range(&path, Span::WHOLE).map_err(BundleError::Source)?;
        let (source, mut at) = (&mut self.source, 0_u64);
        let mut frame = |into: &mut [u8]| {
            let begins = at;
            fill(source, into).map_err(BundleError::Source)?;
            at = at.saturating_add(into.len() as u64);
            Ok(begins)
        };
        chunks(&artifact, &list, &mut frame, take)
    }
}
