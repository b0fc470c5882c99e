//! `publish`.
use super::Out;
use super::promote::Waves;
use super::waves::rest;
use super::write_args::{WriteArgs, committed_line};
use crate::answer::{self, Answer, sequence};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::parallel::Threads;
use crate::repository::channel::ChannelLog;
use crate::repository::publish::{Publication, publish};
use crate::repository::wanted::LAST;
use crate::size::Bytes;
use bistable_format::channel::Passage;
use std::path::PathBuf;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle.
    bundle: PathBuf,
    /// Deltas to it: each is applied before it is published
    #[arg(value_name = "X.delta")]
    deltas: Vec<PathBuf>,
    /// Fail if a release that devices of the channel may run has no delta to this one
    #[arg(long)]
    require_deltas: bool,
    /// How many releases of the same image or component back devices of the channel may be, for --require-deltas and the warning without it
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    /// The channel to offer it in; it is created if it isn't there
    #[arg(long, value_name = "NAME", default_value = "staging")]
    channel: String,
    /// Make devices run this release before they take a newer one
    #[arg(long)]
    barrier: bool,
    /// It closes a hole: refuse it unless its security version is above all that the channel offers
    #[arg(long)]
    fixes_security: bool,
    #[command(flatten)]
    rollout: Waves,
    /// Worker threads; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let session = args.write.open()?;
    let log = ChannelLog::new(&session.store, &session.roots, &args.channel);
    let publication = Publication {
        bundle: args.bundle.clone(),
        passage: if args.barrier { Passage::Barrier } else { Passage::Free },
        rollout: args.rollout.rollout(HostClock.now())?,
        fixes_security: args.fixes_security,
        deltas: args.deltas.clone(),
        last: args.last,
        require_deltas: args.require_deltas,
        threads: Threads::asked(args.threads),
    };
    let progress = out.progress();
    let published = publish(&session.committer().writer(&log), &publication, &*progress)?;
    drop(progress);
    let mut deltas = String::new();
    for delta in &published.deltas {
        let there = if delta.is_new { "" } else { "; there is another one already, which stays" };
        deltas.push_str(&format!("delta from {}: {}{there}\n", delta.base.version, Bytes(delta.bytes)));
    }
    if !published.without_delta.is_empty() {
        let versions: Vec<_> = published.without_delta.iter().map(ToString::to_string).collect();
        deltas.push_str(&format!(
            "warning: devices that run {} fetch the whole release; `bistable-image deltas {}` lists the commands that make the deltas\n",
            versions.join(" or "),
            args.channel
        ));
    }
    let rest = rest(&publication.rollout).map_or_else(String::new, |rest| format!("  {rest}\n"));
    let release = &published.release;
    let what = match sequence(published.committed.as_ref()) {
        Some(sequence) => format!("number {sequence} of channel {} offers it", args.channel),
        None => format!("channel {} offers it already", args.channel),
    };
    session.result(
        out,
        "publish",
        Answer::Published(Box::new(answer::Published::new(session.store.place(), &args.channel, &published))),
        &format!(
            "{} {}: {what}\n{rest}release {}\n{} of {} were new\n{deltas}{}",
            release.what(),
            release.version,
            published.identity,
            Bytes(published.uploaded),
            Bytes(published.bytes),
            committed_line(published.committed.as_ref()),
        ),
    )
}
