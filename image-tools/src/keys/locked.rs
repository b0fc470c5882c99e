//! A secret key with a passphrase.
//!
//! ```text
//! BISTABLE ENCRYPTED SECRET KEY 1
//! label: release 2026
//! kind: production
//! public: <64 hex digits>
//! -----BEGIN ENCRYPTED PRIVATE KEY-----
//! ...
//! -----END ENCRYPTED PRIVATE KEY-----
//! ```
//! From the fifth line on it is PKCS #8 (RFC 5958, PEM of RFC 7468) with PBES2, scrypt and AES-256: `openssl pkey -in NAME.key` reads the file
//! as it is, so that no key depends on this program. What is encrypted has to belong to the public half above it.
use super::{first_lines, render};
use crate::output::LOCKED_HEAD;
use bistable_format::Key;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes};
use pkcs8::pkcs5::{EncryptionScheme, pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// The logarithm of scrypt's cost N, its block size r, and its parallelization p: the strongest of the settings that OWASP's cheat sheet on
/// password storage calls equal that OpenSSL reads, which takes no more than 32 MiB.
const COST: (u8, u32, u32) = (14, 8, 5);
/// Most bytes of memory, and most rounds of PBKDF2, that a file may ask for: a damaged or hostile one could demand any number.
const MEMORY: u64 = 1 << 30;
const ROUNDS: u32 = 10_000_000;

/// Why a key with a passphrase can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Decryption gives no key.
    #[error("the passphrase is wrong, or the file is damaged")]
    Wrong,
    /// It decrypts to another key.
    #[error(
        "what is encrypted is not the secret half of the public key above it: the file was put together from two"
    )]
    OtherKey,
    /// How it is encrypted is not known here.
    #[error("it is encrypted in a way that isn't read here: PBES2 with scrypt or PBKDF2 is")]
    Unknown,
    /// Decryption would take more than a person waits for.
    #[error("its encryption asks for more memory or time than any key needs: the file is damaged")]
    Excessive,
    /// An empty one.
    #[error("an empty passphrase protects nothing")]
    Empty,
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// The text of `NAME.key`.
pub(super) fn lock(public: &Key, seed: &[u8; 32], passphrase: &str) -> Result<String, LockError> {
    if passphrase.is_empty() {
        return Err(LockError::Empty);
    }
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut iv)).map_err(|_| LockError::Random)?;
    let (cost, block, parallel) = COST;
    let key = KeypairBytes { secret_key: *seed, public_key: None };
    let encrypted = || -> pkcs8::Result<_> {
        let params =
            scrypt::Params::new(cost, block, parallel).map_err(|_| pkcs8::Error::ParametersMalformed)?;
        let how = pbes2::Parameters::generate_scrypt_aes256cbc(params, &salt, iv)?;
        let plain = key.to_pkcs8_der()?;
        let encrypted =
            PrivateKeyInfoRef::try_from(plain.as_bytes())?.encrypt_with_params(how, passphrase)?;
        Ok(encrypted.to_pem(LABEL, LineEnding::LF)?)
    };
    let pem = encrypted().map_err(|_| LockError::Unknown)?;
    Ok(render(LOCKED_HEAD, &public.label, public.kind, "public: ", public.public) + &pem)
}

/// A key file with a passphrase, as it is read.
pub(super) struct Locked {
    /// What it says of the public half.
    pub(super) public: Key,
    encrypted: SecretDocument,
}

/// Read its text.
pub(super) fn parse(text: &str) -> Result<Locked, &'static str> {
    let (label, kind, public) = first_lines(&mut text.split('\n'), LOCKED_HEAD, "public: ")?;
    let pem = text.find(BEGIN).and_then(|at| text.get(at..)).unwrap_or_default();
    // Exactly four lines above it.
    if text.split('\n').nth(4) != Some(BEGIN) {
        return Err("its fifth line is not the beginning of what is encrypted");
    }
    let (found, encrypted) = SecretDocument::from_pem(pem).map_err(|_| "what is encrypted is not PEM")?;
    if found != LABEL {
        return Err("what is encrypted is not PEM of a private key");
    }
    Ok(Locked { public: Key { public, label, kind }, encrypted })
}

impl Locked {
    /// The secret bytes.
    pub(super) fn unlock(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, LockError> {
        let encrypted = EncryptedPrivateKeyInfoRef::try_from(self.encrypted.as_bytes())
            .map_err(|_| LockError::Unknown)?;
        affordable(&encrypted.encryption_algorithm)?;
        let plain = encrypted.decrypt(passphrase).map_err(|_| LockError::Wrong)?;
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(|_| LockError::Wrong)?;
        let pair = KeypairBytes::try_from(info).map_err(|_| LockError::Wrong)?;
        let seed = Zeroizing::new(pair.secret_key);
        match SigningKey::from_bytes(&seed).verifying_key().to_bytes() == self.public.public {
            true => Ok(seed),
            false => Err(LockError::OtherKey),
        }
    }
}

/// Whether a key can be derived with what this computer has, before that is tried.
fn affordable(scheme: &EncryptionScheme) -> Result<(), LockError> {
    let kdf = &scheme.pbes2().ok_or(LockError::Unknown)?.kdf;
    let is_affordable = match (kdf.scrypt(), kdf.pbkdf2()) {
        (Some(scrypt), _) => {
            let memory = u128::from(scrypt.cost_parameter) * u128::from(scrypt.block_size) * 128;
            memory * u128::from(scrypt.parallelization) <= u128::from(MEMORY)
        }
        (None, Some(pbkdf2)) => pbkdf2.iteration_count <= ROUNDS,
        (None, None) => return Err(LockError::Unknown),
    };
    if is_affordable { Ok(()) } else { Err(LockError::Excessive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{SecretKey, ask, public_of_secret, read_public};
    use bistable_format::{Digest, KeyKind};

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed([n; 32], "release 2026", KeyKind::Production).unwrap()
    }

    fn locked() -> String {
        lock(&key(7).public(), &[7; 32], "correct horse").unwrap()
    }

    #[test]
    fn only_the_passphrase_gives_the_key() {
        let text = locked();
        assert!(!text.contains(&Digest([7; 32]).to_string()));
        let there = parse(&text).unwrap();
        assert_eq!(there.public, key(7).public());
        assert_eq!(*there.unlock("correct horse").unwrap(), [7; 32]);
        for wrong in ["", "correct horse ", "Correct horse"] {
            assert_eq!(there.unlock(wrong), Err(LockError::Wrong), "{wrong:?}");
        }
        assert_ne!(locked(), text, "a salt of its own");
        assert_eq!(lock(&key(7).public(), &[7; 32], ""), Err(LockError::Empty));
    }

    #[test]
    fn a_damaged_or_foreign_text_is_no_key() {
        let text = locked();
        for end in 0..text.len() - 1 {
            assert!(parse(&text[..end]).is_err(), "cut at {end}");
        }
        for bad in [
            text.replace('\n', "\r\n"),
            text.replace("-----BEGIN", "\n-----BEGIN"),
            text.replace("ENCRYPTED PRIVATE", "PRIVATE"),
            text.replace("kind: production", "kind: other"),
            format!("{text}x"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
        // The secret half of one key below the public half of another.
        let other = text.replace(
            &Digest(key(7).public().public).to_string(),
            &Digest(key(8).public().public).to_string(),
        );
        assert_eq!(parse(&other).unwrap().unlock("correct horse"), Err(LockError::OtherKey));
    }

    #[test]
    fn a_file_can_not_ask_for_any_amount_of_memory_or_time() {
        let scheme = |log_n, r, p| {
            let params = scrypt::Params::new(log_n, r, p).unwrap();
            EncryptionScheme::from(
                pbes2::Parameters::generate_scrypt_aes256cbc(params, &[0; 16], [0; 16]).unwrap(),
            )
        };
        let (cost, block, parallel) = COST;
        assert_eq!(affordable(&scheme(cost, block, parallel)), Ok(()));
        assert_eq!(affordable(&scheme(20, 8, 1)), Ok(()));
        assert_eq!(affordable(&scheme(21, 8, 1)), Err(LockError::Excessive));
        assert_eq!(affordable(&scheme(14, 8, 4096)), Err(LockError::Excessive));
        let rounds = |n| {
            let how = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(n, &[0; 16], [0; 16]).unwrap();
            affordable(&EncryptionScheme::from(how))
        };
        assert_eq!((rounds(600_000), rounds(50_000_000)), (Ok(()), Err(LockError::Excessive)));
    }

    #[test]
    fn a_key_comes_back_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = key(7).write_locked(&folder.path().join("release"), "correct horse").unwrap();
        let given = |_: &std::path::Path| Ok(Zeroizing::new("correct horse".to_owned()));
        let read = SecretKey::read_with(&files.secret, &given).unwrap();
        assert_eq!((read.signing().to_bytes(), read.public()), ([7; 32], key(7).public()));
        assert_eq!(public_of_secret(&files.secret).unwrap(), read_public(&files.public).unwrap());
        // No terminal to ask on.
        if std::env::var_os("BISTABLE_KEY_PASSPHRASE").is_none() && std::fs::File::open("/dev/tty").is_err() {
            assert!(ask(&files.secret).unwrap_err().to_string().contains("BISTABLE_KEY_PASSPHRASE"));
        }
    }
}
