//! Tokens: who may use the web page's socket, and for what.
//!
//! A token is 32 random bytes that its owner keeps; the device stores its SHA-256 only. That is enough, and a slow hash for
//! passwords would add nothing: those make guessing a short secret expensive, and 256 random bits can't be guessed. A reader of
//! the file can't turn a hash back into a token.
//!
//! `/etc/bistable/tokens.d` has those that came with the image, `/persistent/bistable/tokens.d` those that were added on the
//! device, which outlive updates. A file there masks its namesake in `/etc`.
use super::trust::{self, Owners};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq;

/// What each token begins with, so that one that leaked is recognized.
pub(crate) const PREFIX: &str = "bst_";
/// Where they are below the root of the configuration.
pub(crate) const OF_IMAGE: &str = "etc/bistable/tokens.d";
/// Where they are below the partition that outlives updates.
pub(crate) const OF_DEVICE: &str = "bistable/tokens.d";
/// Files of one folder that are looked at.
const FILES: usize = 64;
/// Bytes of a file that are read.
const BYTES: u64 = 4096;

/// What a token allows. Each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads.
    Read,
    /// Also acts that the device's owner foresaw, and bundles that its root of trust signed.
    Operate,
    /// Also acts that override a rejection, a withdrawal or the configured repository.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Read, Scope::Operate, Scope::Admin];

    /// Its name, as files and command lines have it.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }
}

/// A stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made (RFC 3339), as its file says.
    pub created: String,
    /// The file.
    pub file: PathBuf,
    digest: [u8; 32],
}

/// The tokens of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    tokens: Vec<Token>,
    refused: Vec<String>,
}

/// A token's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scope: Scope,
    sha256: String,
    created: String,
}

impl Tokens {
    /// Read those below the root of the configuration and on the partition that outlives updates.
    pub fn read(root: &Path, persistent: &Path) -> Tokens {
        let (mut found, mut refused) = (BTreeMap::new(), Vec::new());
        for (top, folder) in [(root, OF_IMAGE), (persistent, OF_DEVICE)] {
            for path in files(&top.join(folder)) {
                let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
                // One that can't be trusted masks its namesake, too: nothing is allowed by accident.
                found.remove(name);
                match one(top, name, &path) {
                    Ok(token) => drop(found.insert(name.to_owned(), token)),
                    Err(why) => refused.push(format!("{}: {why}", path.display())),
                }
            }
        }
        Tokens { tokens: found.into_values().collect(), refused }
    }

    /// The stored token that matches the one shown.
    pub fn of(&self, shown: &str) -> Option<&Token> {
        let digest = digest(shown);
        // All are compared, whole: how long that takes says nothing about how much of a guess is right.
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = Some(token);
            }
        }
        found
    }

    /// All of them, by name.
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// Files that are not believed, each with the reason.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }
}

/// The text of a token's file.
pub(crate) fn written(shown: &str, scope: Scope, created: &str) -> String {
    let hex: String = digest(shown).iter().map(|byte| format!("{byte:02x}")).collect();
    let scope = scope.name();
    format!(
        "# The token itself is not stored: whoever lost it removes this one and adds another.\n\
         scope = \"{scope}\"\nsha256 = \"{hex}\"\ncreated = \"{created}\"\n"
    )
}

fn digest(shown: &str) -> [u8; 32] {
    Sha256::digest(shown.as_bytes()).into()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).take(FILES).collect();
    paths.sort();
    paths
}

fn one(top: &Path, name: &str, path: &Path) -> Result<Token, String> {
    bistable_format::name::check_name("token", name)
        .map_err(|_| "its name is not one of a token".to_owned())?;
    let (file, found) =
        trust::file(top, path, Owners::of_process()).map_err(|distrust| distrust.about(path))?;
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(format!("readable by other users (mode {mode:04o}): chmod go-rwx {shown}"));
    }
    let mut text = String::new();
    let read = fs::File::open(&file).and_then(|file| file.take(BYTES).read_to_string(&mut text));
    read.map_err(|e| e.to_string())?;
    let Written { scope, sha256, created } = toml::from_str(&text).map_err(|e| e.message().to_owned())?;
    let digest = unhex(&sha256).ok_or("sha256 is not 64 hexadecimal digits")?;
    Ok(Token { name: name.into(), scope, created, file: path.into(), digest })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    use tempfile::TempDir;

    struct Device(TempDir);

    impl Device {
        fn new() -> Device {
            let device = Device(tempfile::tempdir().unwrap());
            for folder in ["root/etc/bistable/tokens.d", "persistent/bistable/tokens.d"] {
                let mut at = device.0.path().to_owned();
                for part in folder.split('/') {
                    at.push(part);
                    fs::create_dir_all(&at).unwrap();
                    fs::set_permissions(&at, Permissions::from_mode(0o755)).unwrap();
                }
            }
            device
        }
        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }
        fn put(&self, path: &str, text: &str, mode: u32) {
            fs::write(self.at(path), text).unwrap();
            fs::set_permissions(self.at(path), Permissions::from_mode(mode)).unwrap();
        }
        fn read(&self) -> Tokens {
            Tokens::read(&self.at("root"), &self.at("persistent"))
        }
    }

    const IMAGE: &str = "root/etc/bistable/tokens.d";
    const DEVICE: &str = "persistent/bistable/tokens.d";

    #[test]
    fn token_is_known_by_its_hash_and_nothing_else_is() {
        let device = Device::new();
        device.put(
            &format!("{IMAGE}/shop.toml"),
            &written("s3cret", Scope::Read, "2026-11-29T12:00:00Z"),
            0o600,
        );
        device.put(&format!("{DEVICE}/me.toml"), &written("other", Scope::Admin, "x"), 0o600);
        let tokens = device.read();
        assert_eq!(tokens.of("s3cret").map(|t| (t.name.as_str(), t.scope)), Some(("shop", Scope::Read)));
        assert_eq!(tokens.of("other").map(|t| (t.name.as_str(), t.scope)), Some(("me", Scope::Admin)));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "shop"] {
            assert_eq!(tokens.of(wrong), None, "{wrong}");
        }
        let text = fs::read_to_string(device.at(&format!("{IMAGE}/shop.toml"))).unwrap();
        assert!(!text.contains("s3cret"), "the file does not have the token: {text}");
    }

    #[test]
    fn devices_own_token_masks_that_of_the_image_even_if_it_is_not_trusted() {
        let device = Device::new();
        device.put(&format!("{IMAGE}/a.toml"), &written("image", Scope::Admin, "x"), 0o600);
        device.put(&format!("{DEVICE}/a.toml"), &written("device", Scope::Read, "x"), 0o600);
        let tokens = device.read();
        assert!(tokens.of("image").is_none() && tokens.of("device").is_some());
        device.put(&format!("{DEVICE}/a.toml"), "scope = 7", 0o600);
        assert_eq!(device.read().all(), []);
    }

    #[test]
    fn file_that_others_can_read_or_write_is_no_token_and_the_reason_says_what_to_do() {
        for (mode, text, says) in [
            (0o644, written("t", Scope::Read, "x"), "readable by other users (mode 0644): chmod go-rwx"),
            (0o602, written("t", Scope::Read, "x"), "chmod go-w"),
            (0o600, "scope = \"root\"".into(), "unknown variant"),
            (0o600, "scope = \"read\"\nsha256 = \"12\"\ncreated = \"x\"".into(), "64 hexadecimal digits"),
            (0o600, format!("{}extra = 1\n", written("t", Scope::Read, "x")), "unknown field"),
        ] {
            let device = Device::new();
            device.put(&format!("{DEVICE}/a.toml"), &text, mode);
            let tokens = device.read();
            assert!(tokens.of("t").is_none());
            assert!(tokens.refused()[0].contains(says), "{:?}", tokens.refused());
        }
    }

    #[test]
    fn scopes_include_each_other() {
        assert!(Scope::Read < Scope::Operate && Scope::Operate < Scope::Admin);
    }
}
