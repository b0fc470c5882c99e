//! Where a key's passphrase comes from: the environment, for programs; else the terminal, which doesn't show it.
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The passphrase of all keys of a run.
const VARIABLE: &str = "BISTABLE_KEY_PASSPHRASE";

/// No passphrase was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// There is no terminal to ask on.
    #[error("{path} has a passphrase: run this on a terminal, or give it in {VARIABLE}", path = path.display())]
    NoTerminal {
        /// The key.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The variable is not text.
    #[error("{VARIABLE} is not text")]
    NotText,
    /// Two different ones were typed.
    #[error("the two passphrases differ: nothing was written")]
    Differ,
}

/// The passphrase of a key that has one.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask(key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    match given()? {
        Some(given) => Ok(given),
        None => typed(key, &format!("Passphrase of {}: ", key.display())),
    }
}

/// A passphrase for a new key, typed twice.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask_new(key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    if let Some(given) = given()? {
        return Ok(given);
    }
    let first = typed(key, &format!("New passphrase for {}: ", key.display()))?;
    let second = typed(key, "The same again: ")?;
    if first == second { Ok(first) } else { Err(PassphraseError::Differ) }
}

fn given() -> Result<Option<Zeroizing<String>>, PassphraseError> {
    match std::env::var(VARIABLE) {
        Ok(given) => Ok(Some(Zeroizing::new(given))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText),
    }
}

fn typed(key: &Path, prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let typed = rpassword::prompt_password(prompt);
    typed.map(Zeroizing::new).map_err(|source| PassphraseError::NoTerminal { path: key.into(), source })
}
