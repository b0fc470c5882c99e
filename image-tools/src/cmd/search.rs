//! `search` and `show`: releases of all channels.
use super::Out;
use super::channel::warn_of_expiry;
use super::place::Place;
use super::waves::{stage, to_come};
use super::write_args::{Of, ReleaseArg};
use crate::answer::{Answer, Base, Found, Release, Shown};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::delta_file::{self, StoredDelta};
use crate::repository::edit::Selector;
use crate::repository::inventory::{HeldRelease, Inventory, Standing};
use crate::repository::manifest;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::size::Bytes;
use bistable_format::repository as names;
use bistable_format::version::meets;
use clap::ValueEnum;
use semver::VersionReq;
use std::fmt::Write as _;

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

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    which: ReleaseArg,
    #[command(flatten)]
    place: Place,
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
fn channels(held: &HeldRelease) -> String {
    let one = |(name, (standing, _)): (&String, &(Standing, u64))| match standing {
        Standing::Offered => name.clone(),
        other => format!("{name} ({})", other.name()),
    };
    held.channels.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The one release that is meant.
pub(super) fn one<'a>(
    inventory: &'a Inventory,
    which: &Selector,
    place: &str,
) -> Result<&'a HeldRelease, Error> {
    let is_meant = |held: &&HeldRelease| {
        let entry = &held.entry;
        which.is_meant(entry.subject(), &entry.version, &entry.identity)
    };
    let what = &which.what;
    let mut found = inventory.sorted().into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Error::NothingToDo(format!("{place} has no release {what}"))),
        (Some(a), Some(b)) => Err(Error::Usage(format!(
            "{what} is {} {} and {} {}: say which",
            a.entry.what(),
            a.entry.version,
            b.entry.what(),
            b.entry.version
        ))),
    }
}

pub(crate) fn show(args: &ShowArgs, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let held = one(&inventory, &args.which.selector(), store.place())?;
    let stored = manifest::read(&store, &roots, &held.entry.release)?;
    let (release, entry) = (&stored.release, &held.entry);
    let whole = stored.require_whole(&store).err().map(|e| e.to_string());
    let attested: Vec<String> = store
        .list(&names::attestations(&entry.identity))?
        .iter()
        .filter_map(|f| f.path.rsplit('/').next()?.strip_suffix(".attestation").map(ToOwned::to_owned))
        .collect();
    let deltas = delta_file::of(&store, &roots, &entry.identity)?;
    let base = |delta: &StoredDelta| {
        let base = &delta.delta.base;
        inventory
            .releases
            .get(base)
            .map_or_else(|| format!("{base:.12}"), |held| held.entry.version.to_string())
    };
    let requires = &release.requires;
    let list = |list: &[(String, VersionReq)]| {
        let all: Vec<_> = list.iter().map(|(name, req)| format!("{name} {req}")).collect();
        if all.is_empty() { "none".into() } else { all.join(", ") }
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<17} {value}");
    };
    line("release", &entry.identity.to_string());
    line("product", &entry.product);
    line("component", entry.component.as_deref().unwrap_or("none: the whole system"));
    line("version", &entry.version.to_string());
    line("channels", &channels(held));
    for (name, file) in &inventory.channels {
        if let Some(offer) = file.channel.offer(&entry.identity) {
            warn_of_expiry(&file.channel);
            line("rollout", &format!("{name}: {}", stage(&offer.rollout, HostClock.now())));
            for wave in to_come(&offer.rollout, HostClock.now()) {
                line("", &format!("  {wave}"));
            }
        }
        if let Some(bad) = file.channel.withdrawal(&entry.identity) {
            line("withdrawn", &format!("{name}, {}: {}", timestamp(bad.at), bad.reason));
        }
    }
    line("boards", &entry.boards.join(", "));
    line("security version", &entry.security_version.to_string());
    line("requires running", &requires.running.as_ref().map_or_else(|| "any".into(), ToString::to_string));
    line("requires", &list(&requires.components));
    line("conflicts", &list(&requires.conflicts));
    line("attested", &if attested.is_empty() { "nothing".into() } else { attested.join(", ") });
    let made: Vec<_> = deltas.good.iter().map(|d| format!("{} from {}", Bytes(d.bytes()), base(d))).collect();
    line("deltas", &if made.is_empty() { "none".into() } else { made.join(", ") });
    line("built", &timestamp(release.build_time));
    line("author", &entry.author);
    line("bytes", &Bytes(entry.bytes).to_string());
    line("files", whole.as_deref().unwrap_or("all there"));
    line("description", &release.description);
    let mut shown = Release::from(held);
    for (name, file) in &inventory.channels {
        let Some(in_channel) = shown.channels.get_mut(name) else { continue };
        in_channel.rollout = file.channel.offer(&entry.identity).map(|offer| (&offer.rollout).into());
        in_channel.reason = file.channel.withdrawal(&entry.identity).map(|bad| bad.reason.clone());
    }
    shown.description.clone_from(&release.description);
    let deltas = deltas.good.iter().map(|delta| Base {
        base: delta.delta.base.to_string(),
        base_version: base(delta),
        bytes: delta.bytes(),
    });
    out.result(
        Answer::Shown(Box::new(Shown {
            release: shown,
            attested,
            deltas: deltas.collect(),
            complete: whole.is_none(),
            blobs: stored.parts().iter().map(|part| format!("sha256:{}", part.digest)).collect(),
        })),
        &text,
    )
}
