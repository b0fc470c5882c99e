//! `delta`.
use super::Out;
use crate::answer::{Answer, DeltaMade, DeltasMade};
use crate::delta::{self, Counts, DeltaOptions, Level, Made};
use crate::error::Error;
use crate::keys::SecretKey;
use crate::output::Existing;
use crate::parallel::Threads;
use crate::root;
use crate::size::{Bytes, Count};
use std::path::PathBuf;

/// Arguments of `delta`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle of the new release
    #[arg(value_name = "NEW.bundle")]
    new: PathBuf,
    /// Bundle of a release that devices run. Repeat it for more: each gets a delta of its own
    #[arg(long, value_name = "OLD.bundle", required = true)]
    from: Vec<PathBuf>,
    /// Secret key that signs releases. Repeat it if the root demands more than one
    #[arg(long, value_name = "NAME.key", required = true)]
    key: Vec<PathBuf>,
    /// The devices' root: both bundles are verified with it
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// Directory for the deltas, and for temporary images: twice the size of an image; that of the new bundle if not given
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// zstd level, 1 to 19; 9 takes a tenth of the time of 19 and makes a delta an eighth larger
    #[arg(long, default_value = "19", value_parser = level)]
    level: Level,
    /// Worker threads; as many as there are processors if not given. Changes no byte of the delta
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Replace deltas that exist
    #[arg(long)]
    force: bool,
}

/// A level of compression, as it is given.
pub(super) fn level(text: &str) -> Result<Level, String> {
    text.parse().ok().and_then(Level::new).ok_or_else(|| "give a level from 1 to 19".into())
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let root = root::read(&args.root)?;
    let keys = args.key.iter().map(|path| SecretKey::read(path)).collect::<Result<Vec<_>, _>>()?;
    let beside =
        args.new.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| ".".into(), Into::into);
    let folder: PathBuf = args.out.clone().unwrap_or(beside);
    if folder.is_file() {
        return Err(Error::Usage(format!(
            "--out {} is a file: give the folder for the deltas, whose names follow from the versions",
            folder.display()
        )));
    }
    let options = DeltaOptions {
        root: &root.root,
        keys: &keys,
        level: args.level,
        threads: Threads::asked(args.threads),
        folder: &folder,
        existing: if args.force { Existing::Replace } else { Existing::Refuse },
    };
    let progress = out.progress();
    let made = delta::make(&args.from, &args.new, &options, &*progress)?;
    drop(progress);
    let text: String = made.iter().map(line).collect();
    let deltas = made.iter().map(DeltaMade::from).collect();
    out.result(Answer::DeltasMade(DeltasMade { deltas }), &text)
}

/// A delta that was made, human-readable.
pub(super) fn line(made: &Made) -> String {
    let mut text = format!(
        "{}  {}, instead of {}: {} {} to {} in {:.1} s\n",
        made.path.display(),
        Bytes(made.bytes),
        Bytes(made.full_bytes),
        made.target.what(),
        made.base.version,
        made.target.version,
        made.time.as_secs_f64(),
    );
    for (kind, counts) in &made.volumes {
        text.push_str(&format!("  {}\n", counts_line(&kind.to_string(), counts)));
    }
    text
}

/// How the chunks of an artifact are made, human-readable.
pub(super) fn counts_line(name: &str, counts: &Counts) -> String {
    let Counts { zero, copied, patched, full } = counts;
    format!("{name:8}{} patched, {full} new, {copied} copied, {zero} zero", Count(*patched, "chunk"))
}
