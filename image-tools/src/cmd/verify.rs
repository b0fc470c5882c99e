//! `verify`.
use super::Out;
use crate::answer::Answer;
use crate::bundle::BundleError;
use crate::delta::{self, DeltaVerified};
use crate::error::Error;
use crate::parallel::Threads;
use crate::size::Bytes;
use crate::verify::VerifyError;
use crate::{root, verify};
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle, or a delta
    bundle: PathBuf,
    /// Bundle of the release that a delta takes: check that it makes every byte of its release
    #[arg(long, value_name = "OLD.bundle")]
    base: Option<PathBuf>,
    /// The root that it must be signed for
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let root = root::read(&args.root)?;
    let threads = Threads::asked(args.threads);
    let progress = out.progress();
    let verified = match verify::verify(&args.bundle, &root.root, threads, &*progress) {
        Err(VerifyError::Bundle { source: BundleError::IsDelta, .. }) => {
            let base = args.base.as_deref();
            let verified = delta::verify(&args.bundle, base, &root.root, threads, &*progress)?;
            drop(progress);
            return report_delta(&verified, out);
        }
        verified => verified?,
    };
    drop(progress);
    if args.base.is_some() {
        return Err(Error::Usage("--base is for a delta, and this is the bundle of a release".into()));
    }
    let release = &verified.release;
    let signers: Vec<_> = verified.signers.iter().map(super::inspect::key_line).collect();
    out.result(
        Answer::Verified((&verified).into()),
        &format!(
            "verified: {} {}, all of {} in {:.1} s\nrelease {}\nsigned by {}\n",
            release.what(),
            release.version,
            Bytes(verified.bytes),
            verified.time.as_secs_f64(),
            verified.digest,
            signers.join(", "),
        ),
    )
}

fn report_delta(verified: &DeltaVerified, out: Out) -> Result<(), Error> {
    let release = &verified.release;
    let signers: Vec<_> = verified.signers.iter().map(super::inspect::key_line).collect();
    let applied = verified.applied.as_ref();
    let mut text = format!(
        "verified: delta to {} {}, all of {} in {:.1} s\nrelease {}\nfrom    {}\nsigned by {}\n",
        release.what(),
        release.version,
        Bytes(verified.bytes),
        verified.time.as_secs_f64(),
        verified.identity,
        verified.delta.base,
        signers.join(", "),
    );
    match applied {
        None => text.push_str("not applied: give --base OLD.bundle to check what it makes\n"),
        Some(volumes) => {
            text.push_str("applied: it makes every byte of the release\n");
            for (kind, counts) in volumes {
                text.push_str(&format!("  {}\n", super::delta::counts_line(&kind.to_string(), counts)));
            }
        }
    }
    out.result(Answer::DeltaVerified(Box::new(verified.into())), &text)
}
