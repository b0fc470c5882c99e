//! `publish`.
use super::Out;
use super::place::{By, Place};
use crate::clock::HostClock;
use crate::error::Error;
use crate::keys::SecretKey;
use crate::parallel::Threads;
use crate::repository::channel::{Committer, LIFETIME, Log, OldRoot};
use crate::repository::publish::{Publication, publish};
use crate::repository::roots::Roots;
use crate::root;
use crate::size::Bytes;
use bistable_format::channel::Passage;
use bistable_format::rollout::Rollout;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle.
    bundle: PathBuf,
    #[command(flatten)]
    place: Place,
    /// The channel that offers it.
    #[arg(long, value_name = "NAME", default_value = "staging")]
    channel: String,
    /// Secret key that signs the channel. Repeat it where the root demands more.
    #[arg(long, value_name = "NAME.key", required = true)]
    key: Vec<PathBuf>,
    /// Refuse a repository that does not have this root.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Devices have to run this release before they take a newer one.
    #[arg(long)]
    barrier: bool,
    /// Days until devices stop believing this channel, unless it is renewed.
    #[arg(long, value_name = "DAYS", default_value_t = LIFETIME / 86_400, value_parser = clap::value_parser!(u64).range(1..=400))]
    expires: u64,
    /// Sign a channel anew that only an older root vouches for: look at it before.
    #[arg(long)]
    accept_old_root: bool,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    by: By,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let keys = args.key.iter().map(|p| SecretKey::read(p)).collect::<Result<Vec<_>, _>>()?;
    let store = args.place.open_to_write()?;
    let roots = Roots::load(&store)?;
    if let Some(path) = &args.root {
        roots.require(&root::read(path)?, &store)?;
    }
    let log = Log::new(&store, &roots, &args.channel);
    let committer = Committer {
        who: args.by.name()?,
        keys: keys.iter().map(SecretKey::signing).collect(),
        lifetime: args.expires * 86_400,
        old_root: if args.accept_old_root { OldRoot::Accept } else { OldRoot::Refuse },
        clock: &HostClock,
    };
    let publication = Publication {
        bundle: args.bundle.clone(),
        passage: if args.barrier { Passage::Barrier } else { Passage::Free },
        rollout: Rollout::default(),
        threads: args.threads.map_or_else(Threads::available, Threads::new),
    };
    let progress = out.progress();
    let published = publish(&store, &roots, &log, &committer, &publication, &*progress)?;
    drop(progress);
    if let Some(why) = published.committed.as_ref().and_then(|c| c.unrecorded.as_ref()) {
        // Nothing can be done about a closed stderr.
        let _ = writeln!(
            std::io::stderr(),
            "warning: published, but not recorded: {why}; `bistable-image audit repair` adds the record"
        );
    }
    let release = &published.release;
    let sequence = published.committed.as_ref().map(|c| c.file.channel.sequence);
    let what = match sequence {
        Some(sequence) => format!("number {sequence} of channel {} offers it", args.channel),
        None => format!("channel {} offers it already", args.channel),
    };
    out.result(
        json!({
            "repository": store.place(),
            "channel": args.channel,
            "sequence": sequence,
            "product": release.product,
            "version": release.version.to_string(),
            "release": published.identity.to_string(),
            "bytes": published.bytes,
            "uploaded_bytes": published.uploaded,
        }),
        &format!(
            "{} {}: {what}\nrelease {}\n{} of {} were new\n",
            release.product,
            release.version,
            published.identity,
            Bytes(published.uploaded),
            Bytes(published.bytes),
        ),
    )
}
