//! `list`: what one channel offers, or had; the last that came first.
use super::Out;
use super::channel::warn_of_expiry;
use super::place::Place;
use super::search;
use super::write_args::Of;
use crate::answer::{Answer, Listed, ListedRelease};
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::channel::ChannelLog;
use crate::repository::inventory::HeldRelease;
use crate::repository::listing::{Wanted, listing};
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use bistable_format::{Channel, rollout::RolloutState};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The channel.
    #[arg(long, value_name = "NAME", default_value = "staging")]
    channel: String,
    #[command(flatten)]
    of: Of,
    /// Only the newest N.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Also what is not on offer any more.
    #[arg(long)]
    all: bool,
}

/// The pace at which a channel rolls a release out, if it offers it.
fn pace(channel: &Channel, held: &HeldRelease) -> Option<RolloutState> {
    channel.offer(&held.entry.identity).map(|offer| offer.rollout.pace)
}

/// What a channel makes of a release, in a word.
fn word(channel: &Channel, held: &HeldRelease) -> &'static str {
    match pace(channel, held) {
        None | Some(RolloutState::Running) => held.standing().name(),
        Some(stopped) => stopped.name(),
    }
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let channel = ChannelLog::new(&store, &roots, &args.channel).newest()?.channel;
    warn_of_expiry(&channel);
    let of = args.of.selector("");
    let wanted = |held: &HeldRelease| of.is_of(held.entry.subject());
    let found = listing(&store, &channel, if args.all { Wanted::All } else { Wanted::Offered })
        .filter(|held| held.as_ref().map_or(true, wanted))
        .take(args.last.unwrap_or(usize::MAX))
        .collect::<Result<Vec<_>, _>>()?;
    let mut text: String = found.iter().map(|held| search::line(held, word(&channel, held))).collect();
    if found.is_empty() {
        text.push_str(if args.all { "no release\n" } else { "no release is on offer\n" });
    }
    let releases = found.iter().map(|held| ListedRelease {
        release: held.into(),
        state: held.standing(),
        rollout: pace(&channel, held).map(Into::into),
    });
    out.result(
        Answer::Listed(Listed {
            repository: store.place().into(),
            channel: args.channel.clone(),
            sequence: channel.sequence,
            expires_at: timestamp(channel.expires_at()),
            releases: releases.collect(),
        }),
        &text,
    )
}
