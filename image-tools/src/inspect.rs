//! What a file says, without or with a root to hold it against.
use crate::bundle::{BundleError, DeltaReader, Reader};
use crate::keys::{self, KeyFileKind};
use crate::{output, root};
use bistable_format::bundle::LAYOUT_NAME;
use bistable_format::{
    ArtifactId, ChunkList, DecodeError, Delta, Digest, Encoding, Envelope, Key, Release, Role, Root,
    TrustError, release,
};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What was found, and as far as is known who vouches for it.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// What is in the file.
    pub content: Content,
    /// Who vouches for it.
    pub trust: Trust,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What can be inspected.
#[derive(Clone, Debug)]
pub enum Content {
    /// A bundle, of which everything but the data was read.
    Bundle(ReleaseFile, Vec<ListSummary>),
    /// A delta's bundle, of which everything but the data was read, or a signed delta alone.
    Delta(Box<DeltaFile>),
    /// A signed release.
    Release(ReleaseFile),
    /// A signed root.
    Root(Root),
    /// A public key.
    PublicKey(Key),
    /// A secret key: only its public half is told.
    SecretKey(Key),
}

impl Content {
    /// What kind of file it is in.
    pub fn name(&self) -> &'static str {
        match self {
            Content::Bundle(..) => "bundle",
            Content::Delta(_) => "delta",
            Content::Release(_) => "release",
            Content::Root(_) => "root",
            Content::PublicKey(_) => "public key",
            Content::SecretKey(_) => "secret key",
        }
    }
}

/// A release with its name.
#[derive(Clone, Debug)]
pub struct ReleaseFile {
    /// What it says.
    pub release: Release,
    /// Its identity: see [`bistable_format::release::identity`].
    pub digest: Digest,
}

/// A delta.
#[derive(Clone, Debug)]
pub struct DeltaFile {
    /// What it says.
    pub delta: Delta,
    /// The release that it makes, if it is in the file.
    pub release: Option<Release>,
}

/// What there is to say about a chunk list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSummary {
    /// Which artifact.
    pub kind: ArtifactId,
    /// Raw bytes in each chunk but the last.
    pub chunk_bytes: u32,
    /// Number of chunks.
    pub chunks: usize,
    /// Chunks that are all zero.
    pub zero_chunks: usize,
    /// The content that it is a delta against.
    pub base: Option<Digest>,
}

/// Who vouches for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was not checked.
    NotVerified,
    /// A root's own keys, to its own threshold. Whether they are the right ones isn't known.
    OwnKeys(Vec<Key>),
    /// Keys that the given root names for it.
    Verified(Vec<Key>),
}

/// Why a file can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// It can't be read.
    #[error("can't read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is nothing of ours.
    #[error("{path} is neither a bundle, a delta, a release, a root nor a key", path = path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// It is a key file, but damaged.
    #[error(transparent)]
    Key(#[from] keys::KeyError),
    /// It is a bundle, but damaged or not trusted.
    #[error("{path} is not a valid bundle", path = path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BundleError,
    },
    /// It is signed metadata that isn't trusted.
    #[error("{path} is not trusted", path = path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TrustError,
    },
    /// It is signed metadata that doesn't decode.
    #[error("{path} is damaged", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
    /// Signed metadata that this version can't show.
    #[error("{path} is a signed {role}, which this version can't show", path = path.display())]
    Role {
        /// The file.
        path: PathBuf,
        /// What it is.
        role: Role,
    },
}

/// Look into a bundle, delta, release, root or key. With `trusted`, it must be signed by keys that this root names; without,
/// nothing vouches for what is shown.
///
/// # Errors
/// See [`InspectError`].
pub fn inspect(path: &Path, trusted: Option<&Root>) -> Result<Inspected, InspectError> {
    let read = |source| InspectError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    let mut start = [0; 32];
    let got = read_start(&mut file, &mut start).map_err(read)?;
    let start = start.get(..got).unwrap_or_default();
    drop(file);

    if let Some(kind) = keys::looks_like(start) {
        let content = match kind {
            KeyFileKind::Public => Content::PublicKey(keys::read_public(path)?),
            KeyFileKind::Secret => Content::SecretKey(keys::public_of_secret(path)?),
        };
        return Ok(Inspected { content, trust: Trust::NotVerified, bytes });
    }
    if start.starts_with(LAYOUT_NAME.as_bytes()) {
        let (content, trust) = bundle(path, trusted)?;
        return Ok(Inspected { content, trust, bytes });
    }
    match role(start) {
        Some(role) => {
            let envelope = output::read_limited(path, Envelope::MAX_BYTES).map_err(read)?;
            let (content, trust) = metadata(path, role, &envelope, trusted)?;
            Ok(Inspected { content, trust, bytes })
        }
        None => Err(InspectError::Unknown { path: path.into() }),
    }
}

fn bundle(path: &Path, trusted: Option<&Root>) -> Result<(Content, Trust), InspectError> {
    let wrong = |source| InspectError::Bundle { path: path.into(), source };
    let file = File::open(path).map_err(|source| InspectError::Read { path: path.into(), source })?;
    let reader = match trusted {
        Some(root) => Reader::open(file, root),
        None => Reader::open_unverified(file),
    };
    let reader = match reader {
        Err(BundleError::IsDelta) => return delta(path, trusted),
        reader => reader.map_err(wrong)?,
    };
    let lists = reader.lists().iter().map(|(kind, list)| summary(*kind, list)).collect();
    let signed = reader.signed_release();
    let file = ReleaseFile { release: reader.release().clone(), digest: release::identity(signed) };
    Ok((Content::Bundle(file, lists), vouched(trusted, Role::Release, signed)))
}

fn delta(path: &Path, trusted: Option<&Root>) -> Result<(Content, Trust), InspectError> {
    let file = File::open(path).map_err(|source| InspectError::Read { path: path.into(), source })?;
    let reader = match trusted {
        Some(root) => DeltaReader::open(file, root),
        None => DeltaReader::open_unverified(file),
    };
    let reader = reader.map_err(|source| InspectError::Bundle { path: path.into(), source })?;
    let file = DeltaFile { delta: reader.delta().clone(), release: Some(reader.release().clone()) };
    Ok((Content::Delta(Box::new(file)), vouched(trusted, Role::Delta, reader.signed())))
}

fn metadata(
    path: &Path,
    role: Role,
    bytes: &[u8],
    trusted: Option<&Root>,
) -> Result<(Content, Trust), InspectError> {
    let untrusted = |source| InspectError::Untrusted { path: path.into(), source };
    let damaged = |source| InspectError::Damaged { path: path.into(), source };
    match role {
        Role::Root => {
            // A root that its own keys did not sign is none, so this much is always checked.
            let root = Root::open(bytes).map_err(untrusted)?;
            let trust = match trusted {
                // The same one, or one that it signed.
                Some(trusted) if *trusted != root => {
                    trusted.verify(Role::Root, bytes).map_err(untrusted)?;
                    vouched(Some(trusted), role, bytes)
                }
                Some(trusted) => vouched(Some(trusted), role, bytes),
                None => Trust::OwnKeys(root::signers(&root, role, bytes).into_iter().cloned().collect()),
            };
            Ok((Content::Root(root), trust))
        }
        Role::Release => {
            let payload = match trusted {
                Some(root) => root.verify(role, bytes).map_err(untrusted)?,
                None => Envelope::parse(bytes, role).map_err(|e| untrusted(e.into()))?.payload,
            };
            let release = Release::decode(payload).map_err(damaged)?;
            let file = ReleaseFile { release, digest: release::identity(bytes) };
            Ok((Content::Release(file), vouched(trusted, role, bytes)))
        }
        Role::Delta => {
            let payload = match trusted {
                Some(root) => root.verify(role, bytes).map_err(untrusted)?,
                None => Envelope::parse(bytes, role).map_err(|e| untrusted(e.into()))?.payload,
            };
            let delta = Delta::decode(payload).map_err(damaged)?;
            let file = DeltaFile { delta, release: None };
            Ok((Content::Delta(Box::new(file)), vouched(trusted, role, bytes)))
        }
        Role::Channel | Role::Attestation => Err(InspectError::Role { path: path.into(), role }),
    }
}

/// For bytes that were verified, if there is a root.
fn vouched(trusted: Option<&Root>, role: Role, bytes: &[u8]) -> Trust {
    match trusted {
        Some(root) => Trust::Verified(root::signers(root, role, bytes).into_iter().cloned().collect()),
        None => Trust::NotVerified,
    }
}

fn summary(kind: ArtifactId, list: &ChunkList) -> ListSummary {
    let zero = |c: &&bistable_format::Chunk| matches!(c.encoding, Encoding::Zero { .. });
    ListSummary {
        kind,
        chunk_bytes: list.chunk_bytes,
        chunks: list.chunks.len(),
        zero_chunks: list.chunks.iter().filter(zero).count(),
        base: list.base,
    }
}

/// What an envelope that starts like that claims to be.
fn role(start: &[u8]) -> Option<Role> {
    use bistable_format::EnvelopeError;
    match Envelope::parse(start, Role::Root) {
        Err(EnvelopeError::Magic | EnvelopeError::UnknownRole(_)) => None,
        Err(EnvelopeError::Role { found, .. }) => Some(found),
        _ => Some(Role::Root),
    }
}

fn read_start(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut got = Vec::new();
    file.take(into.len() as u64).read_to_end(&mut got)?;
    into.iter_mut().zip(&got).for_each(|(to, from)| *to = *from);
    Ok(got.len())
}
