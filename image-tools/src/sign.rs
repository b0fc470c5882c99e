//! More signatures on a finished bundle or delta: the same release, vouched for by other keys, too.
//!
//! What follows the signatures in the file doesn't depend on them, so it is copied as it is. Who signed before isn't asked, since their keys
//! may be in no root any more; so the new file is read to its end before it gets its name, and nothing damaged is ever signed.
use crate::bundle::{self, BundleError, DeltaReader, Reader, SignedParts};
use crate::keys::SecretKey;
use crate::output::{self, Access, Existing, NewFile, OutputError};
use crate::parallel::Threads;
use crate::progress::{Progress, Stage};
use crate::root;
use crate::verify::{VerifyError, content};
use bistable_format::bundle::BadHeader;
use bistable_format::{Delta, Digest, Envelope, EnvelopeError, Key, KeyId, Release, Role, Root};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is copied at a time.
const PIECE: usize = 1 << 20;

/// Why a file can't be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// It can't be read.
    #[error("can't read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no bundle, or a damaged one.
    #[error("{path} is not signed: it is damaged, or no bundle", path = path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: BundleError,
    },
    /// Its data isn't what the release says.
    #[error("nothing was signed")]
    Content(#[source] VerifyError),
    /// It belongs to another repository.
    #[error("{path} is a release of repository {found:.12}, and the root is that of {wanted:.12}: give the root of its own repository", path = path.display())]
    OtherRepository {
        /// The file.
        path: PathBuf,
        /// The repository that it names.
        found: Digest,
        /// The root's.
        wanted: Digest,
    },
    /// A key whose signature would not count.
    #[error(
        "the root lets the key {label} ({id:.4}) sign no release, so its signature would count for nothing: sign with one of {}",
        .wanted.join(", ")
    )]
    NotReleaseKey {
        /// The key's label.
        label: String,
        /// The key.
        id: KeyId,
        /// Labels of those that may.
        wanted: Vec<String>,
    },
    /// Nothing to do.
    #[error("{path} is signed by each of these keys already: nothing to do", path = path.display())]
    Already {
        /// The file.
        path: PathBuf,
    },
    /// It has as many signatures as it can have.
    #[error("{path} can't hold that many signatures", path = path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: EnvelopeError,
    },
    /// The new file can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A file with more signatures.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The release in it, or the one that a delta makes.
    pub release: Release,
    /// Whether it is a delta.
    pub is_delta: bool,
    /// All whose signatures count.
    pub signers: Vec<Key>,
    /// What it lacks to be accepted with the root.
    pub lacks: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Sign a bundle or delta with more keys, into another file, or in its own place, where it has the old content until it is whole.
///
/// # Errors
/// See [`SignError`]; there is no new file then.
pub fn sign(
    path: &Path,
    root: &Root,
    keys: &[SecretKey],
    to: Option<(&Path, Existing)>,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<Signed, SignError> {
    let read = |source| SignError::Read { path: path.into(), source };
    // Not a link to it, which would become a file of its own.
    let in_place = path.canonicalize().map_err(read)?;
    let (out, existing) = to.unwrap_or((&in_place, Existing::Replace));
    if to.is_some() {
        output::not_an_input(out, [path])?;
    }
    require_release_keys(root, keys)?;
    let mut file = File::open(path).map_err(read)?;
    let old =
        bundle::signed_parts(&file).map_err(|source| SignError::Bundle { path: path.into(), source })?;
    let (found, wanted) = (old.release.head.repository, root.repository());
    if found != wanted {
        return Err(SignError::OtherRepository { path: path.into(), found, wanted });
    }
    let new = more(&old, keys).map_err(|source| SignError::TooMany { path: path.into(), source })?;
    if (&new.signed, &new.delta) == (&old.signed, &old.delta) {
        return Err(SignError::Already { path: path.into() });
    }

    let written = NewFile::create(out, existing, Access::Public)?;
    let write = || OutputError::io("write", out);
    let mut target = written.file();
    let head = |parts| head(parts).map_err(|_| OutputError::TooLarge { path: out.into() });
    let begin = head(&new)?;
    target.write_all(&begin).map_err(write())?;
    file.seek(SeekFrom::Start(head(&old)?.len() as u64)).map_err(read)?;
    let total = new.frame().bundle_bytes();
    progress.begin(Stage::Assemble, total);
    let (mut piece, mut done) = (vec![0; PIECE], begin.len() as u64);
    loop {
        let got = file.read(&mut piece).map_err(read)?;
        if got == 0 {
            break;
        }
        target.write_all(piece.get(..got).unwrap_or_default()).map_err(write())?;
        done += got as u64;
        progress.advance(Stage::Assemble, done);
    }
    progress.end(Stage::Assemble);

    // The bytes that get the name, and not those that were read: the file may have changed meanwhile.
    let mut again = written.file().try_clone().map_err(write())?;
    again.seek(SeekFrom::Start(0)).map_err(write())?;
    check(again, path, new.delta.is_some(), threads, progress)?;
    written.commit()?;
    let verified = match &new.delta {
        None => Release::open(&new.signed, root).map(|_| ()),
        Some((signed, _)) => {
            Release::open(&new.signed, root).and_then(|_| Delta::open(signed, root).map(|_| ()))
        }
    };
    Ok(Signed {
        signers: root::signers(root, Role::Release, &new.signed).into_iter().cloned().collect(),
        is_delta: new.delta.is_some(),
        release: new.release,
        lacks: verified.err().map(|e| e.to_string()),
        bytes: total,
    })
}

fn require_release_keys(root: &Root, keys: &[SecretKey]) -> Result<(), SignError> {
    let may: Vec<&Key> = root
        .role(Role::Release)
        .into_iter()
        .flat_map(|role| &role.keys)
        .filter_map(|id| root.key(id))
        .collect();
    match keys.iter().map(SecretKey::public).find(|key| !may.iter().any(|k| k.id() == key.id())) {
        None => Ok(()),
        Some(key) => Err(SignError::NotReleaseKey {
            id: key.id(),
            label: key.label,
            wanted: may.iter().map(|key| key.label.clone()).collect(),
        }),
    }
}

/// What is signed, with more signatures.
fn more(old: &SignedParts, keys: &[SecretKey]) -> Result<SignedParts, EnvelopeError> {
    let keys: Vec<_> = keys.iter().map(SecretKey::signing).collect();
    let add = |bytes: &[u8], role| Envelope::parse(bytes, role)?.add_signatures(&keys);
    Ok(SignedParts {
        release: old.release.clone(),
        signed: add(&old.signed, Role::Release)?,
        delta: match &old.delta {
            Some((signed, delta)) => Some((add(signed, Role::Delta)?, delta.clone())),
            None => None,
        },
    })
}

/// A bundle up to the last signature.
fn head(parts: &SignedParts) -> Result<Vec<u8>, BadHeader> {
    let delta = parts.delta.as_ref().map(|(signed, _)| &signed[..]);
    parts.frame().head([&parts.signed[..]].into_iter().chain(delta))
}

/// Read a file to its end, whoever signed it.
fn check(
    file: File,
    path: &Path,
    is_delta: bool,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<(), SignError> {
    let wrong = |source| SignError::Bundle { path: path.into(), source };
    if is_delta {
        return DeltaReader::open_unverified(file).and_then(DeltaReader::check_data).map_err(wrong);
    }
    let reader = Reader::open_unverified(file).map_err(wrong)?;
    content(reader, path, threads, progress).map_err(SignError::Content)
}
