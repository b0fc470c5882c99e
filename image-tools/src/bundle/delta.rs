//! Reads a delta's bundle, as strictly as a release's.
use super::{BundleError, Part, Stream};
use bistable_format::bundle::{self, Anyone, Kind, ReadError, Trust};
use bistable_format::{ArtifactId, Delta, Hasher, Release, Root};
use std::io::Read;

/// What is hashed at a time.
const PIECE: usize = 1 << 20;

/// A delta's bundle that was read up to its data.
#[derive(Debug)]
pub struct DeltaReader<R> {
    bundle: bundle::Reader<Stream<R>>,
    delta: Delta,
    /// The artifacts that it makes, in the bundle's order, each with its encoded list.
    lists: Vec<(ArtifactId, Vec<u8>)>,
}

impl<R: Read> DeltaReader<R> {
    /// Read up to the data, and verify all of that. What the lists say can only be known with the base.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(input: R, root: &Root) -> Result<Self, BundleError> {
        Self::open_with(input, root)
    }

    /// Read up to the data without knowing who signed it: for showing it.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub(crate) fn open_unverified(input: R) -> Result<Self, BundleError> {
        Self::open_with(input, &Anyone)
    }

    fn open_with(input: R, trust: &impl Trust) -> Result<Self, BundleError> {
        let mut bundle = bundle::Reader::open(Stream(input), trust, Some(Kind::Delta))?;
        let delta = bundle.delta().map(|(_, delta)| delta.clone()).ok_or(BundleError::NotDelta)?;
        if delta.head.product != bundle.release().head.product {
            return Err(BundleError::OtherTarget);
        }
        let artifacts = bundle.release().content.artifacts().into_iter().map(|(kind, _)| kind);
        let made: Vec<ArtifactId> =
            artifacts.filter(|kind| delta.artifact(&kind.to_string()).is_some()).collect();
        let mut lists = Vec::new();
        for kind in made {
            let list = bundle.list(kind).map_err(|e| match e {
                ReadError::Digest { part, .. } => BundleError::DeltaPart { part },
                e => e.into(),
            })?;
            lists.push((kind, list));
        }
        Ok(DeltaReader { bundle, delta, lists })
    }

    /// The release that it makes.
    pub fn release(&self) -> &Release {
        self.bundle.release()
    }

    /// The signed release, as it is in the bundle.
    pub fn signed_release(&self) -> &[u8] {
        self.bundle.signed()
    }

    /// What it is.
    pub fn delta(&self) -> &Delta {
        &self.delta
    }

    /// The signed delta, as it is in the bundle.
    pub fn signed(&self) -> &[u8] {
        self.bundle.delta().map_or(&[], |(signed, _)| signed)
    }

    /// The encoded chunk list of each artifact that it makes, in order.
    pub fn lists(&self) -> &[(ArtifactId, Vec<u8>)] {
        &self.lists
    }

    /// Bytes that the whole file must have.
    pub fn bundle_bytes(&self) -> u64 {
        self.bundle.frame().bundle_bytes()
    }

    /// Where each artifact's data begins.
    pub(crate) fn data_at(&self) -> Vec<(ArtifactId, u64)> {
        super::data_at(self.bundle.frame(), self.lists.iter().map(|(kind, _)| *kind))
    }

    /// Read the data to the file's end, and compare every byte with what is signed.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn check_data(mut self) -> Result<(), BundleError> {
        for (kind, _) in &self.lists {
            let part = Part::Data(*kind);
            let Some(artifact) = self.delta.artifact(&kind.to_string()) else { continue };
            self.bundle.begin(part)?;
            let (mut hasher, mut left) = (Hasher::new(), artifact.data_bytes);
            while left > 0 {
                let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
                self.bundle.fill(&mut piece, part)?;
                hasher.update(&piece);
                left -= piece.len() as u64;
            }
            if hasher.finish() != artifact.data {
                return Err(BundleError::DeltaPart { part });
            }
            self.bundle.finish(part)?;
        }
        Ok(self.bundle.end()?)
    }
}
