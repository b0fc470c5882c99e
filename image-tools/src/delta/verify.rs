//! A delta's bundle held against a root, and against the release that it takes.
use super::apply::{ApplyError, Making, apply};
use super::make::{DeltaOptions, Unpacked};
use super::raw::{Part, Raw};
use super::{Counts, DeltaError, Level, named};
use crate::bundle::{BundleError, DeltaReader};
use crate::clock::Stopwatch;
use crate::output::Existing;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::root;
use bistable_format::{Artifact, ArtifactId, DecodeError, Delta, Digest, Key, Release, Role, Root, release};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to do about a delta that was made wrongly.
const AGAIN: &str = "make the delta again from the two bundles, with `bistable-image delta`";

/// Why a delta isn't verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyDeltaError {
    /// It can't be opened.
    #[error("can't open the delta {path}", path = path.display())]
    Open {
        /// The delta.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is wrong.
    #[error("{path} fails verification", path = path.display())]
    Bundle {
        /// The delta.
        path: PathBuf,
        /// What is wrong, and where.
        source: BundleError,
    },
    /// The release that it was given as base can't be used.
    #[error(transparent)]
    Base(Box<DeltaError>),
    /// It is between other releases.
    #[error("{path} makes {target} from release {base:.12}, not from {given}: give the bundle of that release", path = path.display())]
    OtherBase {
        /// The delta.
        path: PathBuf,
        /// What it makes.
        target: String,
        /// What it takes.
        base: Digest,
        /// What was given.
        given: String,
    },
    /// A list doesn't go with the two releases.
    #[error("{path} is signed, but its chunk list of the {kind:#} can't be right; {AGAIN}", path = path.display())]
    List {
        /// The delta.
        path: PathBuf,
        /// Which artifact's.
        kind: ArtifactId,
        /// What is wrong.
        source: DecodeError,
    },
    /// It is of other artifacts.
    #[error("{path} is signed, but can't be right; {AGAIN}", path = path.display())]
    Between {
        /// The delta.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// It makes something else.
    #[error("{path} does not make {target}; {AGAIN}", path = path.display())]
    Apply {
        /// The delta.
        path: PathBuf,
        /// What it should make.
        target: String,
        /// What is wrong.
        source: ApplyError,
    },
}

/// A delta of which every byte was checked.
#[derive(Clone, Debug)]
pub struct DeltaVerified {
    /// What it makes.
    pub release: Release,
    /// The name of that.
    pub identity: Digest,
    /// What was signed.
    pub delta: Delta,
    /// Who signed it.
    pub signers: Vec<Key>,
    /// Bytes of the file.
    pub bytes: u64,
    /// How each artifact is made, if it was made from its base.
    pub applied: Option<Vec<(ArtifactId, Counts)>>,
    /// Time that it took.
    pub time: Duration,
}

/// Verify a delta's bundle: signatures, frame, lists, data; and with its base, that it makes every byte of its target.
///
/// # Errors
/// See [`VerifyDeltaError`].
pub fn verify(
    path: &Path,
    base: Option<&Path>,
    trusted: &Root,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<DeltaVerified, VerifyDeltaError> {
    let watch = Stopwatch::start();
    let file = Opened::open(path, trusted)?;
    let applied = match base {
        None => None,
        Some(base) => {
            let folder = std::env::temp_dir();
            let options = DeltaOptions {
                root: trusted,
                keys: &[],
                level: Level::BEST,
                threads,
                folder: &folder,
                existing: Existing::Refuse,
            };
            let base =
                Unpacked::open(base, &options, progress).map_err(|e| VerifyDeltaError::Base(Box::new(e)))?;
            let bases: Vec<(ArtifactId, &dyn Raw)> =
                base.volumes.iter().map(|v| (v.kind, &v.image as &dyn Raw)).collect();
            Some(file.apply((&base.identity, &base.release), &bases, threads, progress)?)
        }
    };
    Ok(DeltaVerified {
        signers: root::signers(trusted, Role::Delta, &file.signed).into_iter().cloned().collect(),
        release: file.release,
        identity: file.identity,
        delta: file.delta,
        bytes: file.bytes,
        applied,
        time: watch.elapsed(),
    })
}

/// A delta's bundle whose signatures, frame, lists and data are right.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) release: Release,
    pub(crate) identity: Digest,
    pub(crate) delta: Delta,
    pub(crate) signed: Vec<u8>,
    pub(crate) bytes: u64,
    /// Encoded chunk lists, whose digests are right.
    pub(crate) lists: Vec<(ArtifactId, Vec<u8>)>,
    /// Where each artifact's data begins.
    pub(crate) data_at: Vec<(ArtifactId, u64)>,
}

impl Opened {
    pub(crate) fn open(path: &Path, trusted: &Root) -> Result<Opened, VerifyDeltaError> {
        let cant = |source| VerifyDeltaError::Open { path: path.into(), source };
        let wrong = |source| VerifyDeltaError::Bundle { path: path.into(), source };
        let file = File::open(path).map_err(cant)?;
        let reader = DeltaReader::open(file.try_clone().map_err(cant)?, trusted).map_err(wrong)?;
        let opened = Opened {
            path: path.into(),
            file,
            release: reader.release().clone(),
            identity: release::identity(reader.signed_release()),
            delta: reader.delta().clone(),
            signed: reader.signed().to_vec(),
            bytes: reader.bundle_bytes(),
            lists: reader.lists().to_vec(),
            data_at: reader.data_at(),
        };
        reader.check_data().map_err(wrong)?;
        Ok(opened)
    }

    /// Make the release from this base, as a device would.
    pub(crate) fn apply(
        &self,
        base: (&Digest, &Release),
        raw: &[(ArtifactId, &dyn Raw)],
        threads: Threads,
        progress: &dyn Progress,
    ) -> Result<Vec<(ArtifactId, Counts)>, VerifyDeltaError> {
        let part = |(kind, at): &(ArtifactId, u64)| {
            let artifact = self.delta.artifact(&kind.to_string())?;
            Some((*kind, Part { file: &self.file, at: *at, bytes: artifact.data_bytes }))
        };
        let parts: Vec<_> = self.data_at.iter().filter_map(part).collect();
        let data: Vec<(ArtifactId, &dyn Raw)> = parts.iter().map(|(kind, part)| (*kind, part as _)).collect();
        let whole = Whole { path: &self.path, delta: &self.delta, lists: &self.lists, data: &data };
        whole.apply((&self.identity, &self.release), base, raw, threads, progress)
    }
}

/// A delta with its lists, whose digests are right, and its data, wherever they lie.
#[derive(Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// As messages name it.
    pub(crate) path: &'a Path,
    pub(crate) delta: &'a Delta,
    pub(crate) lists: &'a [(ArtifactId, Vec<u8>)],
    pub(crate) data: &'a [(ArtifactId, &'a dyn Raw)],
}

impl Whole<'_> {
    /// Make `target` from `base`, as a device would, and compare every byte.
    pub(crate) fn apply(
        &self,
        target: (&Digest, &Release),
        base: (&Digest, &Release),
        raw: &[(ArtifactId, &dyn Raw)],
        threads: Threads,
        progress: &dyn Progress,
    ) -> Result<Vec<(ArtifactId, Counts)>, VerifyDeltaError> {
        let name = || named(target.1, target.0);
        if self.delta.base != *base.0 {
            return Err(VerifyDeltaError::OtherBase {
                path: self.path.into(),
                target: name(),
                base: self.delta.base,
                given: named(base.1, base.0),
            });
        }
        self.delta
            .check_between(target, base)
            .map_err(|source| VerifyDeltaError::Between { path: self.path.into(), source })?;
        let artifact = |release: &Release, id| -> Option<Artifact> { release.content.artifact(id).cloned() };
        let mut counts = Vec::new();
        for (kind, encoded) in self.lists {
            let find = |(other, _): &&(ArtifactId, &dyn Raw)| other == kind;
            let (Some(made), Some(there), Some(delta), Some((_, raw)), Some((_, data))) = (
                artifact(target.1, *kind),
                artifact(base.1, *kind),
                self.delta.artifact(&kind.to_string()),
                raw.iter().find(find),
                self.data.iter().find(find),
            ) else {
                continue;
            };
            let list = delta.list(encoded, &made, &there).map_err(|source| VerifyDeltaError::List {
                path: self.path.into(),
                kind: *kind,
                source,
            })?;
            let making = Making { kind: *kind, target: &made, list: &list, data: *data, base: *raw };
            apply(making, threads, progress, &mut |_, _| Ok(())).map_err(|source| {
                VerifyDeltaError::Apply { path: self.path.into(), target: name(), source }
            })?;
            counts.push((*kind, Counts::of(&list)));
        }
        Ok(counts)
    }
}
