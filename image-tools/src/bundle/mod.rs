//! Reads bundles and deltas from a stream with the [one reader](bistable_format::bundle::Reader) that host and device share, and
//! verifies their lists and data.
mod chunks;
mod delta;
mod error;

pub use bistable_format::bundle::Part;
pub use delta::DeltaReader;
pub use error::{BundleError, ChunkProblem};

use crate::parallel::{self, Threads};
use crate::progress::{Progress, Stage};
use bistable_format::bundle::{self, Anyone, BLOCK, Frame, Input, Kind, Trust};
use bistable_format::{ArtifactId, ChunkList, Content, Delta, Hasher, Release, Root};
use chunks::{Checked, Job, read_frames, unpack};
use std::io::{self, Read};

/// Takes a verified piece of an artifact: which, from which raw byte on, and the bytes. Pieces come in order.
pub type RawSink<'a> = dyn FnMut(ArtifactId, u64, &[u8]) -> io::Result<()> + Send + 'a;

/// A stream of a bundle's bytes.
#[derive(Debug)]
struct Stream<R>(R);

impl<R: Read> Input for Stream<R> {
    type Error = io::Error;

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// What is signed in a bundle or delta, whoever signed it.
#[derive(Debug)]
pub(crate) struct SignedParts {
    pub(crate) release: Release,
    /// Its bytes.
    pub(crate) signed: Vec<u8>,
    /// The signed delta's bytes, and what they say.
    pub(crate) delta: Option<(Vec<u8>, Delta)>,
}

impl SignedParts {
    /// All around it.
    pub(crate) fn frame(&self) -> Frame {
        match &self.delta {
            None => Frame::new(&self.signed, &self.release),
            Some((signed, delta)) => Frame::delta((&self.signed, &self.release), (signed, delta)),
        }
    }
}

/// What is signed in a bundle or delta. Its data must not be used.
///
/// # Errors
/// See [`BundleError`].
pub(crate) fn signed_parts(input: impl Read) -> Result<SignedParts, BundleError> {
    let bundle = bundle::Reader::open(Stream(input), &Anyone, None)?;
    Ok(SignedParts {
        release: bundle.release().clone(),
        signed: bundle.signed().to_vec(),
        delta: bundle.delta().map(|(signed, delta)| (signed.to_vec(), delta.clone())),
    })
}

/// A bundle that was read up to its data.
#[derive(Debug)]
pub struct Reader<R> {
    bundle: bundle::Reader<Stream<R>>,
    lists: Vec<(ArtifactId, ChunkList)>,
}

impl<R: Read> Reader<R> {
    /// Read up to the data, and verify all of that.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(input: R, root: &Root) -> Result<Self, BundleError> {
        Self::open_with(input, root)
    }

    /// Read up to the data without knowing who signed it: for showing it. Its data must not be used.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub(crate) fn open_unverified(input: R) -> Result<Self, BundleError> {
        Self::open_with(input, &Anyone)
    }

    fn open_with(input: R, trust: &impl Trust) -> Result<Self, BundleError> {
        let mut bundle = bundle::Reader::open(Stream(input), trust, Some(Kind::Full))?;
        let content = bundle.release().content.clone();
        if let Content::Unknown(unknown) = &content {
            return Err(BundleError::Unreadable { kind: unknown.kind });
        }
        let mut lists = Vec::new();
        for (kind, artifact) in content.artifacts() {
            let offset = bundle.at() + BLOCK as u64;
            let list = ChunkList::decode(&bundle.list(kind)?, artifact);
            lists.push((kind, list.map_err(|source| BundleError::List { kind, offset, source })?));
        }
        for number in 1..=content.blobs().len() {
            bundle.blob(number)?;
        }
        Ok(Reader { bundle, lists })
    }

    /// What it is.
    pub fn release(&self) -> &Release {
        self.bundle.release()
    }

    /// The signed release, as it is in the bundle.
    pub fn signed_release(&self) -> &[u8] {
        self.bundle.signed()
    }

    /// How each artifact is cut.
    pub fn lists(&self) -> &[(ArtifactId, ChunkList)] {
        &self.lists
    }

    /// Bytes that the whole file must have.
    pub fn bundle_bytes(&self) -> u64 {
        self.bundle.frame().bundle_bytes()
    }

    /// Read the data to the file's end, checking every byte, and hand each verified chunk to `sink`. What went to the
    /// sink must not be relied on before this returns `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn volumes(
        mut self,
        threads: Threads,
        progress: &dyn Progress,
        sink: &mut RawSink<'_>,
    ) -> Result<(), BundleError> {
        let lists = std::mem::take(&mut self.lists);
        for (kind, list) in &lists {
            self.bundle.begin(Part::Data(*kind))?;
            self.artifact(*kind, list, threads, progress, sink)?;
            self.bundle.finish(Part::Data(*kind))?;
        }
        Ok(self.bundle.end()?)
    }

    fn artifact(
        &mut self,
        kind: ArtifactId,
        list: &ChunkList,
        threads: Threads,
        progress: &dyn Progress,
        sink: &mut RawSink<'_>,
    ) -> Result<(), BundleError> {
        let release = self.bundle.release();
        let unreadable = BundleError::Unreadable { kind: release.content.kind() };
        let artifact = release.content.artifact(kind).ok_or(unreadable)?.clone();
        let stage = Stage::Verify(kind);
        progress.begin(stage, artifact.bytes);
        let (mut raw, mut data, mut done) = (Hasher::new(), Hasher::new(), 0);
        let bundle = &mut self.bundle;
        parallel::ordered(
            threads,
            |feed| read_frames(bundle, kind, list, artifact.bytes, feed),
            || {
                let mut decompressor = None;
                move |job: Job<'_>| unpack(kind, job, &mut decompressor)
            },
            |checked: Checked| {
                data.update(&checked.frame);
                raw.update(&checked.raw);
                sink(kind, done, &checked.raw).map_err(|source| BundleError::Sink { kind, source })?;
                done += checked.raw.len() as u64;
                progress.advance(stage, done);
                Ok(())
            },
        )?;
        if data.finish() != artifact.data {
            return Err(BundleError::Artifact { kind, what: "data" });
        }
        if raw.finish() != artifact.digest {
            return Err(BundleError::Artifact { kind, what: "content" });
        }
        progress.end(stage);
        Ok(())
    }

    /// Where each artifact's data begins.
    pub(crate) fn data_at(&self) -> Vec<(ArtifactId, u64)> {
        data_at(self.bundle.frame(), self.lists.iter().map(|(kind, _)| *kind))
    }
}

/// Where the data of these artifacts begins, which are the last entries.
fn data_at(frame: &Frame, kinds: impl ExactSizeIterator<Item = ArtifactId>) -> Vec<(ArtifactId, u64)> {
    let first = frame.headers.len().saturating_sub(kinds.len());
    let mut at = 0;
    let contents = frame.headers.iter().map(|header| {
        let content = at + BLOCK as u64;
        at = content + header.bytes + header.padding() as u64;
        content
    });
    kinds.zip(contents.skip(first)).collect()
}
