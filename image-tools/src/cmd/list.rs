//! `list`: what one channel offers, or had; the last that came first.
use super::Out;
use super::place::Place;
use super::search;
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::holdings::{Held, Holdings, Standing};
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use serde_json::{Value, json};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The channel.
    #[arg(long, value_name = "NAME", default_value = "staging")]
    channel: String,
    /// Only what is for this product.
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Only the newest N.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Also what is not on offer any more.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let holdings = Holdings::read(&store, &Roots::load(&store)?, Some(&args.channel))?;
    let wanted = |held: &&Held| {
        args.product.as_ref().is_none_or(|product| *product == held.entry.product)
            && (args.all || held.standing() == Standing::Offered)
    };
    let mut found: Vec<&Held> = holdings.sorted().into_iter().filter(wanted).collect();
    found.sort_by_key(|held| std::cmp::Reverse(held.since()));
    found.truncate(args.last.unwrap_or(usize::MAX));
    let mut text: String = found.iter().map(|held| search::line(held, held.standing().name())).collect();
    if found.is_empty() {
        text.push_str(if args.all { "no release\n" } else { "no release is on offer\n" });
    }
    let all: Vec<Value> = found
        .iter()
        .map(|held| {
            let mut release = search::json_of(held);
            release["state"] = held.standing().name().into();
            release
        })
        .collect();
    let channel = holdings.channels.get(&args.channel).map(|file| &file.channel);
    out.result(
        json!({
            "repository": store.place(),
            "channel": args.channel,
            "sequence": channel.map(|c| c.sequence),
            "expires_at": channel.map(|c| timestamp(c.expires_at)),
            "releases": all,
        }),
        &text,
    )
}
