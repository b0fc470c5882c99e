//! Ed25519 keys as files.
//!
//! ```text
//! NAME.key, mode 0600           NAME.pub
//! BISTABLE SECRET KEY 1         BISTABLE PUBLIC KEY 1
//! label: release 2026           label: release 2026
//! kind: production              kind: production
//! secret: <64 hex digits>       public: <64 hex digits>
//! ```
//! A file with any other line is refused, so that no damaged or foreign file passes for a key. With a passphrase, NAME.key has
//! another form, which openssl reads, too.
//!
//! A secret key that its group or others can read is refused, as ssh does, whoever owns it. That holds on file systems without
//! permissions (FAT), too, where a mount shows everybody's: such a key is as readable as it looks, unless the mount hides it
//! (`umask=077`). Demo keys are public and may be readable. What isn't a regular file, as a pipe, has no permissions to compare.
mod locked;
mod passphrase;

pub use locked::LockError;
pub(crate) use passphrase::program;
pub use passphrase::{PassphraseError, ask, ask_new, ask_other};

use crate::output::{self, Access, Existing, LOCKED_HEAD, OutputError, SECRET_HEAD};
use bistable_format::{Digest, Key, KeyKind, limits, text::is_printable};
use ed25519_dalek::SigningKey;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const PUBLIC_HEAD: &str = "BISTABLE PUBLIC KEY 1";
/// Most bytes that a key file can have.
const FILE_BYTES: usize = 1024;
/// The permissions of a file's group and of all others.
const OTHERS: u32 = 0o077;

/// What is wrong with a key or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file can't be read.
    #[error("can't read the key {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a {wanted} key file: {why}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// `secret` or `public`.
        wanted: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Others can read a secret key.
    #[error(
        "{path} can be read by other users (mode {mode:04o}), so the key may not be secret any more: run `chmod 600 {path}` if it is; \
         on a file system without permissions, copy it to another one, or mount that with umask=077", path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A label that can't be stored.
    #[error("the label {label:?} is not possible: one line of at most {max} bytes", max = limits::NAME)]
    Label {
        /// The label.
        label: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The key has a passphrase.
    #[error("{path}", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Why it stays locked.
        source: LockError,
    },
    /// The key has a passphrase, and none was given.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The files can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A secret key, with what its public key file says about it. Its memory is cleared when it is dropped, and it never
/// prints its secret.
#[derive(Clone)]
pub struct SecretKey {
    signing: SigningKey,
    label: String,
    kind: KeyKind,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// The two files of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The secret one.
    pub secret: PathBuf,
    /// The public one.
    pub public: PathBuf,
}

/// A new key from the system's randomness.
///
/// # Errors
/// A label that is not possible, or no randomness.
pub fn generate(label: &str, kind: KeyKind) -> Result<SecretKey, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| KeyError::Random(e.to_string()))?;
    SecretKey::from_seed(seed, label, kind)
}

impl SecretKey {
    /// From its 32 secret bytes: the same ones give the same key.
    ///
    /// # Errors
    /// A label that is not possible.
    pub fn from_seed(seed: [u8; 32], label: &str, kind: KeyKind) -> Result<SecretKey, KeyError> {
        if label.len() > limits::NAME || !is_printable(label, &[]) || label.trim() != label {
            return Err(KeyError::Label { label: label.into() });
        }
        Ok(SecretKey { signing: SigningKey::from_bytes(&seed), label: label.into(), kind })
    }

    /// What signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public half, as a root names it.
    pub fn public(&self) -> Key {
        Key { public: self.signing.verifying_key().to_bytes(), label: self.label.clone(), kind: self.kind }
    }

    /// Read `NAME.key`, and ask for its passphrase if it has one.
    ///
    /// # Errors
    /// A file that can't be read, is no secret key, or that others can read, too; a passphrase that is wrong or missing.
    pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
        SecretKey::read_with(path, &ask)
    }

    /// Read `NAME.key`. `ask` is asked for its passphrase if it has one.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_with(
        path: &Path,
        ask: &dyn Fn(&Path) -> Result<Zeroizing<String>, PassphraseError>,
    ) -> Result<SecretKey, KeyError> {
        let (text, mode) = read_text(path, "secret")?;
        let format = |why| KeyError::Format { path: path.into(), wanted: "secret", why };
        let exposed = |kind| match mode {
            Some(mode) if kind == KeyKind::Production && mode & OTHERS != 0 => {
                Err(KeyError::Exposed { path: path.into(), mode })
            }
            _ => Ok(()),
        };
        if text.starts_with(LOCKED_HEAD) {
            let locked = locked::parse(&text).map_err(format)?;
            exposed(locked.public.kind)?;
            let unlocked = locked.unlock(&ask(path)?);
            let seed = unlocked.map_err(|source| KeyError::Locked { path: path.into(), source })?;
            return SecretKey::from_seed(*seed, &locked.public.label, locked.public.kind);
        }
        let (label, kind, secret) = parse(&text, SECRET_HEAD, "secret: ").map_err(format)?;
        exposed(kind)?;
        SecretKey::from_seed(secret, &label, kind)
    }

    /// Write `NAME.key`, readable by its owner only, and `NAME.pub`, durably. Neither is ever overwritten.
    ///
    /// # Errors
    /// When one of them is there already, or can't be written.
    pub fn write(&self, name: &Path) -> Result<KeyFiles, KeyError> {
        let text = || render(SECRET_HEAD, &self.label, self.kind, "secret: ", self.signing.to_bytes());
        self.write_as(name, || Ok(text()))
    }

    /// The same, with the secret encrypted.
    ///
    /// # Errors
    /// As for [`write`](Self::write), and with an empty passphrase.
    pub fn write_locked(&self, name: &Path, passphrase: &str) -> Result<KeyFiles, KeyError> {
        let seed = Zeroizing::new(self.signing.to_bytes());
        let text = || locked::lock(&self.public(), &seed, passphrase);
        self.write_as(name, || text().map_err(|source| KeyError::Locked { path: name.into(), source }))
    }

    fn write_as(
        &self,
        name: &Path,
        text: impl FnOnce() -> Result<String, KeyError>,
    ) -> Result<KeyFiles, KeyError> {
        let with = |extension: &str| {
            let mut path = name.as_os_str().to_owned();
            path.push(extension);
            PathBuf::from(path)
        };
        let files = KeyFiles { secret: with(".key"), public: with(".pub") };
        for path in [&files.secret, &files.public] {
            if path.symlink_metadata().is_ok() {
                return Err(OutputError::KeyExists { path: path.clone() }.into());
            }
        }
        let secret = Zeroizing::new(text()?);
        write_new(&files.secret, &secret, Access::Secret)?;
        write_new(&files.public, &public_text(&self.public()), Access::Public)?;
        Ok(files)
    }
}

fn write_new(path: &Path, text: &str, access: Access) -> Result<(), OutputError> {
    output::write(path, text.as_bytes(), Existing::Refuse, access).map_err(|e| match e {
        OutputError::Exists { path } => OutputError::KeyExists { path },
        other => other,
    })
}

/// The public half of `NAME.key`. Without its passphrase, if it has one: then it is what the file says.
///
/// # Errors
/// As for [`SecretKey::read`].
pub fn public_of_secret(path: &Path) -> Result<Key, KeyError> {
    let (text, _) = read_text(path, "secret")?;
    if !text.starts_with(LOCKED_HEAD) {
        return Ok(SecretKey::read(path)?.public());
    }
    let locked = locked::parse(&text);
    Ok(locked.map_err(|why| KeyError::Format { path: path.into(), wanted: "secret", why })?.public)
}

/// Read `NAME.pub`.
///
/// # Errors
/// A file that can't be read or is no public key.
pub fn read_public(path: &Path) -> Result<Key, KeyError> {
    let (text, _) = read_text(path, "public")?;
    parse_public(&text).map_err(|why| KeyError::Format { path: path.into(), wanted: "public", why })
}

/// The text of `NAME.pub`.
pub fn public_text(key: &Key) -> String {
    render(PUBLIC_HEAD, &key.label, key.kind, "public: ", key.public)
}

/// The key in the text of a public key file.
pub(crate) fn parse_public(text: &str) -> Result<Key, &'static str> {
    let (label, kind, public) = parse(text, PUBLIC_HEAD, "public: ")?;
    Ok(Key { public, label, kind })
}

/// Whether it starts as a key file does: secret, public.
pub(crate) fn looks_like(bytes: &[u8]) -> Option<KeyFileKind> {
    if output::begins_as_secret(bytes) {
        Some(KeyFileKind::Secret)
    } else if bytes.starts_with(PUBLIC_HEAD.as_bytes()) {
        Some(KeyFileKind::Public)
    } else {
        None
    }
}

/// Which half a key file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFileKind {
    Secret,
    Public,
}

/// A kind's name in files and messages.
pub(crate) fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Production => "production",
        KeyKind::Demo => "demo",
    }
}

/// A key file's text, and its permissions if it is a regular file: of the very file that was read.
fn read_text(path: &Path, wanted: &'static str) -> Result<(String, Option<u32>), KeyError> {
    let read = || -> io::Result<_> {
        let file = File::open(path)?;
        let there = file.metadata()?;
        let mode = there.is_file().then(|| there.permissions().mode() & 0o7777);
        Ok((output::read_open(file, FILE_BYTES)?, mode))
    };
    let (bytes, mode) = read().map_err(|source| KeyError::Read { path: path.into(), source })?;
    match (looks_like(&bytes), wanted) {
        (Some(KeyFileKind::Secret), "public") => Err(KeyError::Format {
            path: path.into(),
            wanted,
            why: "it is the secret half; give the .pub file",
        }),
        (Some(KeyFileKind::Public), "secret") => Err(KeyError::Format {
            path: path.into(),
            wanted,
            why: "it is the public half; give the .key file",
        }),
        _ => String::from_utf8(bytes).map(|text| (text, mode)).map_err(|_| KeyError::Format {
            path: path.into(),
            wanted,
            why: "it is not text",
        }),
    }
}

fn render(head: &str, label: &str, kind: KeyKind, field: &str, bytes: [u8; 32]) -> String {
    format!("{head}\nlabel: {label}\nkind: {}\n{field}{}\n", kind_name(kind), Digest(bytes))
}

fn parse(text: &str, head: &str, field: &str) -> Result<(String, KeyKind, [u8; 32]), &'static str> {
    let mut lines = text.split('\n');
    let key = first_lines(&mut lines, head, field)?;
    if lines.next() != Some("") || lines.next().is_some() {
        return Err("something follows the key");
    }
    Ok(key)
}

/// The four lines that every key file begins with.
fn first_lines<'a>(
    lines: &mut impl Iterator<Item = &'a str>,
    head: &str,
    field: &str,
) -> Result<(String, KeyKind, [u8; 32]), &'static str> {
    if lines.next() != Some(head) {
        return Err("its first line is not that of one");
    }
    let label =
        lines.next().and_then(|l| l.strip_prefix("label: ")).ok_or("its second line is not a label")?;
    let kind = lines.next().and_then(|l| l.strip_prefix("kind: "));
    let kind = match kind {
        Some("production") => KeyKind::Production,
        Some("demo") => KeyKind::Demo,
        _ => return Err("its kind is neither production nor demo"),
    };
    let key = lines.next().and_then(|l| l.strip_prefix(field)).and_then(Digest::parse);
    let key = key.ok_or("its key is not 64 lower-case hexadecimal digits")?;
    Ok((label.into(), kind, key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_comes_back_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        for (label, kind) in [("a b", KeyKind::Demo), ("", KeyKind::Production)] {
            let key = generate(label, kind).unwrap();
            let files = key.write(&folder.path().join(format!("k.{label}"))).unwrap();
            assert_eq!(SecretKey::read(&files.secret).unwrap().public(), key.public());
            assert_eq!(SecretKey::read(&files.secret).unwrap().signing.to_bytes(), key.signing.to_bytes());
            assert_eq!(read_public(&files.public).unwrap(), key.public());
            assert_eq!(fs::metadata(&files.secret).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("k");
        let key = SecretKey::from_seed([1; 32], "one", KeyKind::Demo).unwrap();
        let files = key.write(&name).unwrap();
        let before = fs::read(&files.secret).unwrap();
        let other = SecretKey::from_seed([2; 32], "two", KeyKind::Demo).unwrap();
        for gone in [None, Some(&files.public)] {
            gone.inspect(|p| fs::remove_file(p).unwrap());
            let refused = other.write(&name);
            assert!(matches!(refused, Err(KeyError::Output(OutputError::KeyExists { .. }))), "{refused:?}");
            assert_eq!(fs::read(&files.secret).unwrap(), before);
        }
        assert!(!files.public.exists());
    }

    #[test]
    fn secret_key_that_others_can_read_is_refused_unless_it_is_a_demo_key() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, name) in [(KeyKind::Production, "real"), (KeyKind::Demo, "demo")] {
            let key = SecretKey::from_seed([1; 32], name, kind).unwrap();
            let files = key.write(&folder.path().join(name)).unwrap();
            for (mode, secret) in
                [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false), (0o777, false)]
            {
                fs::set_permissions(&files.secret, fs::Permissions::from_mode(mode)).unwrap();
                let read = SecretKey::read(&files.secret);
                if secret || kind == KeyKind::Demo {
                    assert_eq!(read.unwrap().public(), key.public(), "{name} {mode:o}");
                } else {
                    assert!(
                        matches!(read, Err(KeyError::Exposed { mode: m, .. }) if m == mode),
                        "{mode:o}: {read:?}"
                    );
                    assert!(read.unwrap_err().to_string().contains("chmod 600"));
                }
            }
            fs::set_permissions(&files.public, fs::Permissions::from_mode(0o666)).unwrap();
            assert!(read_public(&files.public).is_ok());
        }
    }

    #[test]
    fn the_two_halves_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed([1; 32], "one", KeyKind::Demo).unwrap();
        let files = key.write(&folder.path().join("k")).unwrap();
        assert!(read_public(&files.secret).unwrap_err().to_string().contains("give the .pub file"));
        assert!(SecretKey::read(&files.public).unwrap_err().to_string().contains("give the .key file"));
        assert!(!format!("{key:?}").contains(&Digest([1; 32]).to_string()));
    }

    #[test]
    fn damaged_text_is_no_key() {
        let text = public_text(&SecretKey::from_seed([1; 32], "one", KeyKind::Demo).unwrap().public());
        assert!(parse_public(&text).is_ok());
        for end in 0..text.len() {
            assert!(parse_public(&text[..end]).is_err(), "cut at {end}");
        }
        for bad in [
            format!("{text}x"),
            format!("{text}\n"),
            text.replace("demo", "Demo"),
            text.replace('\n', "\r\n"),
        ] {
            assert!(parse_public(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_one_short_line() {
        for label in ["a\nb", " a", "a\u{7f}", &"x".repeat(65)] {
            assert!(matches!(
                SecretKey::from_seed([1; 32], label, KeyKind::Demo),
                Err(KeyError::Label { .. })
            ));
        }
    }
}
