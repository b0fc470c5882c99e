//! `root new`.
use super::Out;
use crate::error::Error;
use crate::keys::{self, SecretKey};
use crate::output::{self, Access, Existing};
use crate::root::{self, RootOptions};
use bistable_format::{Key, Role};
use std::path::PathBuf;

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Root {
    /// Make the first root of a product.
    New(New),
}

/// Arguments of `root new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// The root file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Public key that may sign the next root. Repeat it: three are a good number.
    #[arg(long, value_name = "NAME.pub", required = true)]
    root_key: Vec<PathBuf>,
    /// Public key that may sign releases.
    #[arg(long, value_name = "NAME.pub", required = true)]
    release_key: Vec<PathBuf>,
    /// Public key that may sign channels.
    #[arg(long, value_name = "NAME.pub")]
    channel_key: Vec<PathBuf>,
    /// How many keys of a role must sign: `root=2`. Otherwise more than half of the root keys, and one of the others.
    #[arg(long, value_name = "ROLE=N", value_parser = threshold)]
    threshold: Vec<(Role, u8)>,
    /// Secret key that signs this root: as many root keys as its threshold says.
    #[arg(long, value_name = "NAME.key", required = true)]
    sign: Vec<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

fn threshold(text: &str) -> Result<(Role, u8), String> {
    let wanted = || "give ROLE=N, for example root=2; roles are root, release, channel".to_owned();
    let (role, n) = text.split_once('=').ok_or_else(wanted)?;
    let role = Role::IN_ROOT.into_iter().find(|r| r.name() == role).ok_or_else(wanted)?;
    Ok((role, n.parse().map_err(|_| wanted())?))
}

pub(crate) fn run(Root::New(args): Root, out: Out) -> Result<(), Error> {
    let read =
        |paths: &[PathBuf]| paths.iter().map(|p| keys::read_public(p)).collect::<Result<Vec<Key>, _>>();
    let made = root::create(&RootOptions {
        root_keys: read(&args.root_key)?,
        release_keys: read(&args.release_key)?,
        channel_keys: read(&args.channel_key)?,
        thresholds: args.threshold,
        sign: args.sign.iter().map(|p| SecretKey::read(p)).collect::<Result<_, _>>()?,
    })?;
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    output::write(&args.out, &made.bytes, existing, Access::Public)?;
    let (mut json, text) = super::inspect::root(&made.root);
    json["file"] = args.out.display().to_string().into();
    out.result(json, &format!("{}\n{text}", args.out.display()))
}
