//! Ed25519 keys as files.
//!
//! ```text
//! NAME.key, mode 0600           NAME.pub
//! BISTABLE SECRET KEY 1         BISTABLE PUBLIC KEY 1
//! label: release 2026           label: release 2026
//! kind: production              kind: production
//! secret: <64 hex digits>       public: <64 hex digits>
//! ```
//! Exactly these lines, so that a damaged or foreign file is no key.
use crate::output::{self, Access, Existing, OutputError};
use bistable_format::{Digest, Key, KeyKind, limits};
use ed25519_dalek::SigningKey;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

const SECRET_HEAD: &str = "BISTABLE SECRET KEY 1";
const PUBLIC_HEAD: &str = "BISTABLE PUBLIC KEY 1";
/// Most bytes that a key file can have.
const FILE_BYTES: usize = 1024;

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
    #[error("{path} is no {wanted} key file: {why}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// `secret` or `public`.
        wanted: &'static str,
        /// What is wrong.
        why: &'static str,
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
    /// The files can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Whether a secret key lies there: such a file is never replaced.
pub(crate) fn is_secret(path: &Path) -> bool {
    output::read_limited(path, FILE_BYTES).is_ok_and(|bytes| bytes.starts_with(SECRET_HEAD.as_bytes()))
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
        if label.len() > limits::NAME || label.contains(char::is_control) || label.trim() != label {
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

    /// Read `NAME.key`.
    ///
    /// # Errors
    /// A file that can't be read or is no secret key.
    pub fn read(path: &Path) -> Result<SecretKey, KeyError> {
        let text = read_text(path, "secret")?;
        let (label, kind, secret) = parse(&text, SECRET_HEAD, "secret: ")
            .map_err(|why| KeyError::Format { path: path.into(), wanted: "secret", why })?;
        SecretKey::from_seed(secret, &label, kind)
    }

    /// Write `NAME.key`, readable by its owner only, and `NAME.pub`, durably. Neither is ever overwritten.
    ///
    /// # Errors
    /// When one of them is there already, or can't be written.
    pub fn write(&self, name: &Path) -> Result<KeyFiles, KeyError> {
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
        let secret = render(SECRET_HEAD, &self.label, self.kind, "secret: ", self.signing.to_bytes());
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

/// Read `NAME.pub`.
///
/// # Errors
/// A file that can't be read or is no public key.
pub fn read_public(path: &Path) -> Result<Key, KeyError> {
    let text = read_text(path, "public")?;
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
    if bytes.starts_with(SECRET_HEAD.as_bytes()) {
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

fn read_text(path: &Path, wanted: &'static str) -> Result<String, KeyError> {
    let bytes = output::read_limited(path, FILE_BYTES)
        .map_err(|source| KeyError::Read { path: path.into(), source })?;
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
        _ => String::from_utf8(bytes).map_err(|_| KeyError::Format {
            path: path.into(),
            wanted,
            why: "it is no text",
        }),
    }
}

fn render(head: &str, label: &str, kind: KeyKind, field: &str, bytes: [u8; 32]) -> String {
    format!("{head}\nlabel: {label}\nkind: {}\n{field}{}\n", kind_name(kind), Digest(bytes))
}

fn parse(text: &str, head: &str, field: &str) -> Result<(String, KeyKind, [u8; 32]), &'static str> {
    let mut lines = text.split('\n');
    if lines.next() != Some(head) {
        return Err("its first line is not that of one");
    }
    let label = lines.next().and_then(|l| l.strip_prefix("label: ")).ok_or("its second line is no label")?;
    let kind = lines.next().and_then(|l| l.strip_prefix("kind: "));
    let kind = match kind {
        Some("production") => KeyKind::Production,
        Some("demo") => KeyKind::Demo,
        _ => return Err("its kind is neither production nor demo"),
    };
    let key = lines.next().and_then(|l| l.strip_prefix(field)).and_then(Digest::parse);
    let key = key.ok_or("its key is not 64 lower-case hexadecimal digits")?;
    if lines.next() != Some("") || lines.next().is_some() {
        return Err("something follows the key");
    }
    Ok((label.into(), kind, key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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
