//! The file of an attestation: it has to say what its name says, signed by the key that its name says.
//!
//! Whose word counts is said by the channels' gates, which name the keys; a root doesn't name them. So only a key that a user
//! named can vouch for such a file: without its public half, nothing in the file is known to be true.
use super::channel::{self, ChannelFile, ChannelLog, OldRoot};
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::attestation::Attestation;
use bistable_format::{Digest, Envelope, Key, KeyId, Role, TrustError, repository as names};
use std::collections::BTreeMap;

/// Why a file isn't an attestation that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AttestationError {
    /// No attestation can have that name, or it isn't signed by the key in its name.
    #[error("is not an attestation by the key that its name says")]
    Foreign,
    /// The key was not named.
    #[error("is signed by key {0}, which no channel's gates name: nothing vouches for it")]
    UnknownKey(KeyId),
    /// The key didn't sign it, or it doesn't decode.
    #[error("is not an attestation by the key that its name says: {0}")]
    Untrusted(TrustError),
    /// It says something else than its name.
    #[error("attests something else than its name says")]
    Misplaced,
}

/// The key in the name of such a file, if the file is signed with it. The signature is not verified.
///
/// # Errors
/// [`AttestationError::Foreign`].
pub(super) fn signer(path: &str, bytes: &[u8]) -> Result<KeyId, AttestationError> {
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    let release = folder.and_then(|folder| Digest::parse(folder.strip_prefix("attestations/")?));
    let envelope = Envelope::parse(bytes, Role::Attestation).map_err(|_| AttestationError::Foreign)?;
    let mut signers = envelope.signatures().map(|(key, _)| key);
    let signer = signers.find(|key| path.ends_with(&format!("-{key}.attestation")));
    signer.filter(|_| release.is_some()).ok_or(AttestationError::Foreign)
}

/// Open such a file: it decodes, fits its path, and the key that its name says signed it.
///
/// # Errors
/// See [`AttestationError`].
pub(super) fn open(path: &str, bytes: &[u8], attestors: &Attestors) -> Result<Attestation, AttestationError> {
    let signer = signer(path, bytes)?;
    let key = attestors.keys.get(&signer).ok_or(AttestationError::UnknownKey(signer))?;
    let attestation =
        Attestation::open(bytes, key, &attestors.repository).map_err(AttestationError::Untrusted)?;
    if names::attestation(&attestation.release, &attestation.kind, &signer) == path {
        Ok(attestation)
    } else {
        Err(AttestationError::Misplaced)
    }
}

/// Who may attest, and in which repository.
#[derive(Clone, Debug)]
pub(super) struct Attestors {
    repository: Digest,
    keys: BTreeMap<KeyId, Key>,
}

/// The keys that may attest: those that the gates of the channels name, and those of the roots.
///
/// # Errors
/// When the store fails.
pub(super) fn attestors(store: &Store, roots: &Roots) -> Result<Attestors, StoreError> {
    let mut keys: BTreeMap<KeyId, Key> =
        roots.all().flat_map(|root| &root.root.keys).map(|key| (key.id(), key.clone())).collect();
    for name in channel::names(store)? {
        // A channel file that can't be trusted names no keys.
        let newest = ChannelLog::new(store, roots, name).newest_or_old(OldRoot::Accept);
        let Ok(ChannelFile { channel, .. }) = newest else { continue };
        keys.extend(channel.gates.attestations.into_iter().map(|(_, key)| (key.id(), key)));
    }
    Ok(Attestors { repository: roots.newest().root.repository(), keys })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use bistable_format::{Extensions, Head, KeyKind};

    #[test]
    fn an_attestation_is_believed_only_under_its_own_name_and_by_a_named_key() {
        let [rig, other] = [1, 2].map(|n| SecretKey::from_seed([n; 32], "rig", KeyKind::Production).unwrap());
        let release = Digest::of(b"release");
        let repository = Digest::of(b"repository");
        let word = Attestation {
            head: Head::new(repository, "hub"),
            release,
            kind: "tests-passed".into(),
            at: 1,
            note: String::new(),
            extensions: Extensions::default(),
        };
        let bytes = word.seal(rig.signing()).unwrap();
        let id = rig.public().id();
        let keys = Attestors { repository, keys: [(id, rig.public())].into() };
        let path = names::attestation(&release, "tests-passed", &id);
        assert_eq!(open(&path, &bytes, &keys), Ok(word));
        let nobody = Attestors { keys: BTreeMap::new(), ..keys.clone() };
        assert_eq!(open(&path, &bytes, &nobody), Err(AttestationError::UnknownKey(id)));
        let elsewhere = Attestors { repository: Digest::of(b"elsewhere"), ..keys.clone() };
        assert!(matches!(open(&path, &bytes, &elsewhere), Err(AttestationError::Untrusted(_))));
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for (path, bytes) in [
            (names::attestation(&Digest::of(b"other"), "tests-passed", &id), bytes.clone()),
            (names::attestation(&release, "burned-in", &id), bytes.clone()),
            (names::attestation(&release, "tests-passed", &other.public().id()), bytes.clone()),
            (path.clone(), changed),
            (path.clone(), b"root:$6$secret:19000:0:99999:7:::\n".to_vec()),
            (path.clone(), Vec::new()),
            (format!("attestations/x/tests-passed-{id}.attestation"), bytes.clone()),
        ] {
            assert!(open(&path, &bytes, &keys).is_err(), "{path}");
        }
    }
}
