//! `list`.
use super::Out;
use super::place::Place;
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::catalog::{self, Entry};
use crate::repository::channel::Log;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::size::Bytes;
use bistable_format::channel::Channel;
use serde_json::{Value, json};
use std::fmt::Write as _;

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
    let roots = Roots::load(&store)?;
    let channel = Log::new(&store, &roots, &args.channel).newest()?.channel;
    let wanted = |entry: &Entry| {
        args.product.as_ref().is_none_or(|product| *product == entry.product)
            && (args.all || channel.offer(&entry.identity).is_some())
    };
    let entries = catalog::newest_first(&store, &channel.catalog)
        .filter(|entry| entry.as_ref().map_or(true, wanted))
        .take(args.last.unwrap_or(usize::MAX))
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = String::new();
    for entry in &entries {
        let Entry { product, version, identity, at, bytes, .. } = entry;
        let state = state(&channel, entry);
        let first = entry.description.lines().next().unwrap_or_default();
        let line = format!(
            "{product} {version:<12}  {state:<9}  {}  {:>9}  {identity:.12}  {first}",
            timestamp(*at),
            Bytes(*bytes).to_string()
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if entries.is_empty() {
        text.push_str("no release\n");
    }
    let json: Vec<Value> = entries.iter().map(|entry| release(&channel, entry)).collect();
    out.result(
        json!({
            "repository": store.place(),
            "channel": channel.name,
            "sequence": channel.sequence,
            "expires_at": timestamp(channel.expires_at),
            "releases": json,
        }),
        &text,
    )
}

/// What the channel says of a release now.
fn state(channel: &Channel, entry: &Entry) -> &'static str {
    if channel.withdrawal(&entry.identity).is_some() {
        "withdrawn"
    } else if channel.offer(&entry.identity).is_some() {
        "offered"
    } else {
        "former"
    }
}

fn release(channel: &Channel, entry: &Entry) -> Value {
    json!({
        "product": entry.product,
        "version": entry.version.to_string(),
        "state": state(channel, entry),
        "release": entry.identity.to_string(),
        "blob": entry.release.to_string(),
        "security_version": entry.security_version,
        "boards": entry.boards,
        "at": timestamp(entry.at),
        "description": entry.description,
        "author": entry.author,
        "bytes": entry.bytes,
    })
}
