//! `verify`.
use super::Out;
use crate::error::Error;
use crate::parallel::Threads;
use crate::size::Bytes;
use crate::{root, verify};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle.
    bundle: PathBuf,
    /// The root that it must be signed for.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let root = root::read(&args.root)?;
    let threads = args.threads.map_or_else(Threads::available, Threads::new);
    let progress = out.progress();
    let verified = verify::verify(&args.bundle, &root.root, threads, &*progress)?;
    drop(progress);
    let release = &verified.release;
    let signers: Vec<_> = verified.signers.iter().map(super::inspect::key_line).collect();
    out.result(
        json!({
            "verified": true,
            "product": release.product(),
            "version": release.version.to_string(),
            "release": verified.digest.to_string(),
            "bytes": verified.bytes,
            "signed_by": verified.signers.iter().map(super::inspect::key_json).collect::<Vec<_>>(),
            "seconds": verified.time.as_secs_f64(),
        }),
        &format!(
            "verified: {} {}, all of {} in {:.1} s\nrelease {}\nsigned by {}\n",
            release.product(),
            release.version,
            Bytes(verified.bytes),
            verified.time.as_secs_f64(),
            verified.digest,
            signers.join(", "),
        ),
    )
}
