//! `search`: releases of all channels.
use super::Out;
use super::place::Place;
use super::write_args::Of;
use crate::answer::{Answer, Found, Release};
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::inventory::{HeldRelease, Inventory, Standing};
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::size::Bytes;
use bistable_format::version::meets;
use clap::ValueEnum;
use semver::VersionReq;

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Words that must all be in the product, component, version, description or author
    words: Vec<String>,
    #[command(flatten)]
    of: Of,
    /// Only versions that meet this: `^1.2`, `>=2, <3`.
    #[arg(long, value_name = "REQ", value_parser = super::release_args::requirement)]
    version: Option<VersionReq>,
    /// Only what runs on this board.
    #[arg(long)]
    board: Option<String>,
    /// Only what this channel has, or had.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Only what came since this day: 2026-11-01.
    #[arg(long, value_name = "DAY", value_parser = day)]
    since: Option<u64>,
    /// Only what came before this day.
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<u64>,
    /// Only what is in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// In which order.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Show at most N releases
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    place: Place,
}

/// What the channels make of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// On offer in some channel.
    Offered,
    /// Taken off some channel, because it is bad.
    Withdrawn,
    /// On offer once.
    Past,
}

/// Orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// By product, and the newest version first.
    #[default]
    Version,
    /// The last that came first.
    Date,
    /// The largest first.
    Size,
}

fn day(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a day like 2026-11-01");
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    u64::try_from(zoned.timestamp().as_second()).map_err(|_| wrong())
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let inventory = Inventory::read(&store, &Roots::load(&store)?, args.channel.as_deref())?;
    let words: Vec<String> = args.words.iter().map(|w| w.to_lowercase()).collect();
    let mut found: Vec<&HeldRelease> =
        inventory.sorted().into_iter().filter(|held| fits(args, &words, held)).collect();
    match args.sort {
        Sort::Version => {}
        Sort::Date => found.sort_by_key(|h| std::cmp::Reverse(h.since())),
        Sort::Size => found.sort_by_key(|h| std::cmp::Reverse(h.entry.bytes)),
    }
    found.truncate(args.last.unwrap_or(usize::MAX));
    let mut text: String = found.iter().map(|held| line(held, &channels(held))).collect();
    if found.is_empty() {
        text.push_str("nothing fits\n");
    }
    let releases = found.into_iter().map(Release::from).collect();
    out.result(Answer::Found(Found { repository: store.place().into(), releases }), &text)
}

/// A release in a line: what the channels make of it is for the caller to say.
pub(crate) fn line(held: &HeldRelease, standing: &str) -> String {
    let entry = &held.entry;
    let first = entry.description.lines().next().unwrap_or_default();
    let line = format!(
        "{} {:<12}  {standing:<20}  {}  {:>9}  {:.12}  {first}",
        entry.what(),
        entry.version,
        timestamp(held.since()),
        Bytes(entry.bytes).to_string(),
        entry.identity,
    );
    format!("{}\n", line.trim_end())
}

fn fits(args: &Args, words: &[String], held: &HeldRelease) -> bool {
    let entry = &held.entry;
    let state = match args.state {
        None => true,
        Some(State::Offered) => held.standing() == Standing::Offered,
        Some(State::Withdrawn) => held.is_withdrawn(),
        Some(State::Past) => held.standing() == Standing::Past,
    };
    state
        && args.of.selector("").is_of(entry.subject())
        && args.version.as_ref().is_none_or(|req| meets(req, &entry.version))
        && args.board.as_ref().is_none_or(|board| entry.boards.contains(board))
        && args.since.is_none_or(|day| held.since() >= day)
        && args.until.is_none_or(|day| held.since() < day)
        && words.iter().all(|word| {
            let texts = [&entry.what(), &entry.description, &entry.author];
            entry.version.to_string().to_lowercase().contains(word)
                || texts.iter().any(|text| text.to_lowercase().contains(word))
        })
}

/// What each channel makes of it.
pub(super) fn channels(held: &HeldRelease) -> String {
    let one = |(name, (standing, _)): (&String, &(Standing, u64))| match standing {
        Standing::Offered => name.clone(),
        other => format!("{name} ({})", other.name()),
    };
    held.channels.iter().map(one).collect::<Vec<_>>().join(", ")
}
