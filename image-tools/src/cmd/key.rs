//! `key new` and `key protect`.
use super::Out;
use crate::answer::{Answer, KeyMade};
use crate::error::Error;
use crate::keys::{self, KeyFiles, SecretKey, kind_name};
use bistable_format::KeyKind;
use std::path::PathBuf;

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Key {
    /// Make an Ed25519 key: NAME.key, to be kept secret, and NAME.pub.
    New(New),
    /// Copy a key into files of which the secret one has a passphrase
    Protect(Protect),
}

/// Arguments of `key new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Name of both files, without .key and .pub. Existing ones are never overwritten.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
    /// Label of the key. Default: the file's name
    #[arg(long)]
    label: Option<String>,
    /// For a demonstration or a developer's desk: devices in production refuse it.
    #[arg(long)]
    demo: bool,
    /// Encrypt the secret file. The passphrase is asked for, now and each time the key is used, or taken from BISTABLE_KEY_PASSPHRASE
    #[arg(long)]
    passphrase: bool,
}

/// Arguments of `key protect`.
#[derive(Debug, clap::Args)]
pub struct Protect {
    /// The secret key. If it has a passphrase already, that is asked for first. The new one is asked for, or taken from
    /// BISTABLE_NEW_KEY_PASSPHRASE
    #[arg(value_name = "NAME.key")]
    key: PathBuf,
    /// Name of both new files, without .key and .pub. Existing ones are never overwritten.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

pub(crate) fn run(verb: Key, out: Out) -> Result<(), Error> {
    match verb {
        Key::New(args) => new(&args, out),
        Key::Protect(args) => protect(&args, out),
    }
}

fn new(args: &New, out: Out) -> Result<(), Error> {
    let name = || args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let label = args.label.clone().unwrap_or_else(name);
    let kind = if args.demo { KeyKind::Demo } else { KeyKind::Production };
    let key = keys::generate(&label, kind)?;
    let files = match args.passphrase {
        false => key.write(&args.out)?,
        true => key.write_locked(&args.out, &keys::ask_new(&args.out).map_err(keys::KeyError::from)?)?,
    };
    made(&key, &files, args.passphrase, "keep it offline, with a copy", out)
}

fn protect(args: &Protect, out: Out) -> Result<(), Error> {
    let key = SecretKey::read(&args.key)?;
    let files = key.write_locked(&args.out, &keys::ask_other(&args.out).map_err(keys::KeyError::from)?)?;
    let then =
        format!("keep it offline, with a copy; once you have signed with it, destroy {}", args.key.display());
    made(&key, &files, true, &then, out)
}

fn made(key: &SecretKey, files: &KeyFiles, is_locked: bool, then: &str, out: Out) -> Result<(), Error> {
    let public = key.public();
    let how = if is_locked { "secret, with a passphrase" } else { "secret" };
    out.result(
        Answer::KeyMade(KeyMade::new(files, &public, is_locked)),
        &format!(
            "{}  {how}: {then}\n{}  public\nkey {} \"{}\", {}\n",
            files.secret.display(),
            files.public.display(),
            public.id(),
            public.label,
            kind_name(public.kind),
        ),
    )
}
