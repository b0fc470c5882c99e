//! `key new`.
use super::Out;
use crate::answer::{Answer, KeyMade};
use crate::error::Error;
use crate::keys::{self, kind_name};
use bistable_format::KeyKind;
use std::path::PathBuf;

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Key {
    /// Make an Ed25519 key: NAME.key, to be kept secret, and NAME.pub.
    New(New),
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
}

pub(crate) fn run(Key::New(args): Key, out: Out) -> Result<(), Error> {
    let name = || args.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let label = args.label.clone().unwrap_or_else(name);
    let kind = if args.demo { KeyKind::Demo } else { KeyKind::Production };
    let key = keys::generate(&label, kind)?;
    let files = key.write(&args.out)?;
    let public = key.public();
    out.result(
        Answer::KeyMade(KeyMade::new(&files, &public)),
        &format!(
            "{}  secret: keep it offline, with a copy\n{}  public\nkey {} \"{label}\", {}\n",
            files.secret.display(),
            files.public.display(),
            public.id(),
            kind_name(kind),
        ),
    )
}
