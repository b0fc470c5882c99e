//! Where a key's passphrase comes from: the environment, for programs; else the terminal, which doesn't show it.
use crate::interrupt::Terminal;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use zeroize::Zeroizing;

/// The variable with the passphrase of all keys of a run.
const PASSPHRASE: &str = "BISTABLE_KEY_PASSPHRASE";
/// The variable with the new passphrase of a key that is copied.
const NEW_PASSPHRASE: &str = "BISTABLE_NEW_KEY_PASSPHRASE";

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// There is no terminal to ask on.
    #[error("{path} has a passphrase: run this on a terminal, or give it in {variable}", path = path.display())]
    NoTerminal {
        /// The key.
        path: PathBuf,
        /// The variable that it could be in.
        variable: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The variable is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
    /// The prompt was left.
    #[error("no passphrase was typed: nothing was done")]
    GivenUp,
    /// Two different ones were typed.
    #[error("the two passphrases differ: nothing was written")]
    Differ,
}

/// The passphrase of a key that has one.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask(key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    match given(PASSPHRASE)? {
        Some(given) => Ok(given),
        None => typed(key, PASSPHRASE, &format!("Passphrase of {}: ", key.display())),
    }
}

/// A passphrase for a new key, typed twice.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask_new(key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    first(key, PASSPHRASE)
}

/// A passphrase for the copy of a key, which may have another one.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask_other(key: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    first(key, NEW_PASSPHRASE)
}

/// A program to be started: none gets the passphrase.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env_remove(PASSPHRASE);
    command
}

fn first(key: &Path, variable: &'static str) -> Result<Zeroizing<String>, PassphraseError> {
    if let Some(given) = given(variable)? {
        return Ok(given);
    }
    let first = typed(key, variable, &format!("New passphrase for {}: ", key.display()))?;
    let second = typed(key, variable, "The same again: ")?;
    if first == second { Ok(first) } else { Err(PassphraseError::Differ) }
}

fn given(variable: &'static str) -> Result<Option<Zeroizing<String>>, PassphraseError> {
    match std::env::var(variable) {
        Ok(given) => Ok(Some(Zeroizing::new(given))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText(variable)),
    }
}

fn typed(key: &Path, variable: &'static str, prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    // The prompt hides what is typed, and a signal must not leave the terminal like that.
    let _as_it_was = Terminal::remember();
    let typed = rpassword::prompt_password(prompt);
    typed.map(Zeroizing::new).map_err(|source| match source.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => PassphraseError::GivenUp,
        _ => PassphraseError::NoTerminal { path: key.into(), variable, source },
    })
}
