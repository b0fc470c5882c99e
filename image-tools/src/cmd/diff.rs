//! `diff`.
use super::Out;
use crate::answer::Answer;
use crate::delta::{Level, diff};
use crate::error::Error;
use crate::parallel::Threads;
use crate::root;
use crate::size::Bytes;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle of the release that devices run
    #[arg(value_name = "OLD.bundle")]
    old: PathBuf,
    /// Bundle of the new release
    #[arg(value_name = "NEW.bundle")]
    new: PathBuf,
    /// The devices' root: both bundles are verified with it
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// How many files are shown; all of them with --json
    #[arg(long, value_name = "N", default_value_t = 30)]
    top: usize,
    /// zstd level, 1 to 19
    #[arg(long, default_value = "9", value_parser = super::delta::level)]
    level: Level,
    /// Worker threads; as many as there are processors if not given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let root = root::read(&args.root)?;
    let threads = Threads::asked(args.threads);
    let progress = out.progress();
    let found = diff(&args.old, &args.new, &root.root, args.level, threads, &*progress)?;
    drop(progress);
    let (base, target) = (&found.base, &found.target);
    let mut text =
        format!("{} {} to {}: what costs most in a delta\n", target.what(), base.version, target.version);
    for (kind, bytes) in &found.volumes {
        let _ = writeln!(text, "{:>11}  the {kind:#}", Bytes(*bytes).to_string());
    }
    text.push_str("    fetched      changed\n");
    for cost in found.files.iter().take(args.top) {
        let path = cost.path.as_deref().unwrap_or("(no file)");
        let (bytes, changed) = (Bytes(cost.bytes).to_string(), Bytes(cost.changed).to_string());
        let _ = writeln!(text, "{bytes:>11}  {changed:>11}  {}: {path}", cost.kind);
    }
    if let Some(more) = found.files.len().checked_sub(args.top).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more: --top {}, or --json", found.files.len());
    }
    out.result(Answer::Diff((&found).into()), &text)
}
