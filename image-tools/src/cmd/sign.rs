//! `sign`.
use super::Out;
use crate::answer::{self, Answer, KeyInfo, path_text};
use crate::error::Error;
use crate::keys::SecretKey;
use crate::output::Existing;
use crate::parallel::Threads;
use crate::size::Bytes;
use crate::{root, sign};
use std::path::PathBuf;

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle, or a delta
    bundle: PathBuf,
    /// Secret release key that signs it, too. Repeat it for more
    #[arg(long, value_name = "NAME.key", required = true)]
    key: Vec<PathBuf>,
    /// The root that the signatures are for: the newest one
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// File to write, so that the old one stays as it is; the old one is replaced if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file of --out if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let root = root::read(&args.root)?;
    let keys = args.key.iter().map(|path| SecretKey::read(path)).collect::<Result<Vec<_>, _>>()?;
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    let progress = out.progress();
    let target = args.out.as_deref().map(|out| (out, existing));
    let signed =
        sign::sign(&args.bundle, &root.root, &keys, target, Threads::asked(args.threads), &*progress)?;
    drop(progress);
    let (file, release) = (path_text(args.out.as_ref().unwrap_or(&args.bundle)), &signed.release);
    let signers: Vec<_> = signed.signers.iter().map(super::inspect::key_line).collect();
    let what = if signed.is_delta { "delta to " } else { "" };
    let next = match &signed.lacks {
        None => "`bistable-image publish` gives it to a repository".into(),
        Some(why) => format!("not enough yet: {why}"),
    };
    out.result(
        Answer::Signed(Box::new(answer::Signed {
            file: file.clone(),
            product: release.product().into(),
            component: release.component.clone(),
            version: release.version.to_string(),
            delta: signed.is_delta,
            signed_by: KeyInfo::all(&signed.signers),
            lacks: signed.lacks.clone(),
            bytes: signed.bytes,
        })),
        &format!(
            "{file}  {what}{} {}, {}\nsigned by {}\n{next}\n",
            release.what(),
            release.version,
            Bytes(signed.bytes),
            signers.join(", "),
        ),
    )
}
