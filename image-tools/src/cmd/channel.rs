//! `channel`: look at one, renew it, set its gates, pin releases.
use super::Out;
use super::place::Place;
use super::progress_lines::say;
use super::waves::{stage, to_come};
use super::write_args::{ReleaseArg, Session, WriteArgs, committed_line};
use crate::answer::{Answer, ChannelChanged, Channels, sequence};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::keys::read_public;
use crate::repository::audit::timestamp;
use crate::repository::channel::{ChannelFile, ChannelLog, OldRoot, names};
use crate::repository::edit::{EditError, barrier, named, people, pin, unpin};
use crate::repository::expiry::channel_warning;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::repository::words::seconds;
use crate::repository::writer::Committed;
use bistable_format::channel::Passage;
use bistable_format::name::what;
use bistable_format::{Channel as Content, Key};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Channel {
    /// Show what a channel offers, or all of them
    Show(Show),
    /// Sign a channel again, so that it doesn't expire
    Refresh(Refresh),
    /// Set what a release needs to be promoted into a channel: age, interval, attestations
    Gates(Gates),
    /// Keep a release from being pruned
    Pin(Pin),
    /// Allow a pinned release to be pruned again
    Unpin(Pin),
    /// Make devices run a release before they take a newer one
    Barrier(Pin),
}

/// Arguments of `channel show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The channel; all of them, if it is left out.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Arguments of `channel refresh`.
#[derive(Debug, clap::Args)]
pub struct Refresh {
    /// The channel.
    name: String,
    /// Give up the channel's numbers up to N, the highest that any computer or device has seen, and continue above it: only if
    /// files were lost and no mirror or backup has them
    #[arg(long, value_name = "N")]
    continue_after: Option<u64>,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `channel gates`.
#[derive(Debug, clap::Args)]
pub struct Gates {
    /// The channel. It is created if it isn't there, so that the first promotion is gated, too
    name: String,
    /// Least time that a release has been in the channel that it comes from: 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_age: Option<u64>,
    /// Least time between two promotions: 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_interval: Option<u64>,
    /// Attestation that a release needs, and the key that gives it: `tests-passed=ci.pub`. Repeat it for more
    #[arg(long, value_name = "KIND=NAME.pub", value_parser = demand)]
    require: Vec<(String, PathBuf)>,
    /// Demand only the attestations given now
    #[arg(long)]
    no_others: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `channel pin`, `unpin` and `barrier`.
#[derive(Debug, clap::Args)]
pub struct Pin {
    /// The channel.
    name: String,
    #[command(flatten)]
    which: ReleaseArg,
    #[command(flatten)]
    write: WriteArgs,
}

fn demand(text: &str) -> Result<(String, PathBuf), String> {
    let (kind, key) = text.split_once('=').ok_or("give KIND=NAME.pub, for example tests-passed=ci.pub")?;
    Ok((kind.into(), key.into()))
}

pub(crate) fn run(verb: &Channel, out: Out) -> Result<(), Error> {
    match verb {
        Channel::Show(args) => show(args, out),
        Channel::Refresh(args) => refresh(args, out),
        Channel::Gates(args) => gates(args, out),
        Channel::Pin(args) => marked(args, out, "pin", pin),
        Channel::Unpin(args) => marked(args, out, "unpin", unpin),
        Channel::Barrier(args) => marked(args, out, "barrier", barrier),
    }
}

fn refresh(args: &Refresh, out: Out) -> Result<(), Error> {
    let Some(after) = args.continue_after else {
        return changed(&args.name, &args.write, out, "refresh", |_, _| Ok(String::new()));
    };
    let mut session = args.write.open()?;
    session.continue_after = Some(after);
    let about = format!("{}, continued after number {after}", args.name);
    let committed = session.change_or_begin(&args.name, "refresh", |_, _| Ok(about.clone()))?;
    report(&session, &args.name, "refresh", committed.as_ref(), out)
}

fn gates(args: &Gates, out: Out) -> Result<(), Error> {
    let demands = args
        .require
        .iter()
        .map(|(kind, path)| Ok((kind.clone(), read_public(path)?)))
        .collect::<Result<Vec<(String, Key)>, Error>>()?;
    let session = args.write.open()?;
    let committed = session.change_or_begin(&args.name, "gates", |draft, _| {
        let before = draft.gates.clone();
        let gates = &mut draft.gates;
        gates.min_age = args.min_age.unwrap_or(gates.min_age);
        gates.min_interval = args.min_interval.unwrap_or(gates.min_interval);
        if args.no_others {
            gates.attestations.clear();
        }
        for demand in &demands {
            if !gates.attestations.contains(demand) {
                gates.attestations.push(demand.clone());
            }
        }
        if draft.gates == before {
            return Err(EditError::Already(format!("the gates of channel {} are so", draft.name)));
        }
        Ok(format!(
            "min-age {} s, min-interval {} s, {} attestations",
            draft.gates.min_age,
            draft.gates.min_interval,
            draft.gates.attestations.len()
        ))
    })?;
    report(&session, &args.name, "gates", committed.as_ref(), out)
}

fn marked(
    args: &Pin,
    out: Out,
    verb: &str,
    mark: impl Fn(&mut Content, &bistable_format::Digest) -> Result<(), EditError>,
) -> Result<(), Error> {
    let selector = args.which.selector();
    changed(&args.name, &args.write, out, verb, |draft, _| {
        let offer = selector.find(draft)?;
        let (identity, about) = (offer.identity, named(offer));
        mark(draft, &identity)?;
        Ok(about)
    })
}

fn changed(
    name: &str,
    write: &WriteArgs,
    out: Out,
    verb: &str,
    change: impl FnMut(&mut Content, u64) -> Result<String, EditError>,
) -> Result<(), Error> {
    let session = write.open()?;
    let committed = session.change(name, verb, change)?;
    report(&session, name, verb, committed.as_ref(), out)
}

fn report(
    session: &Session,
    name: &str,
    verb: &str,
    committed: Option<&Committed>,
    out: Out,
) -> Result<(), Error> {
    let about = committed.map(|c| c.file.channel.act.about.as_str()).filter(|about| !about.is_empty());
    let about = about.unwrap_or(name);
    session.result(
        out,
        &format!("channel {verb}"),
        Answer::ChannelChanged(ChannelChanged {
            channel: name.into(),
            verb: verb.into(),
            about: about.into(),
            sequence: sequence(committed),
            expires_at: committed.map(|c| c.file.channel.expires_at()),
        }),
        &format!("{verb} {about}\n{}", committed_line(committed)),
    )
}

fn show(args: &Show, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let wanted = match &args.name {
        Some(name) => vec![name.clone()],
        None => names(&store)?,
    };
    let (mut all, mut text) = (Vec::new(), String::new());
    for name in wanted {
        // What only an older root vouches for, too: the person who renews it has to see it first.
        let ChannelFile { channel, root, .. } =
            ChannelLog::new(&store, &roots, name).newest_or_old(OldRoot::Accept)?;
        all.push((&channel).into());
        text.push_str(&text_of(&channel, HostClock.now()));
        warn_of_expiry(&channel);
        if root != roots.newest().root.version {
            text.push_str(&format!(
                "  no device takes it: it is signed by a key that the newest root does not name any more; if it is right, \
                 `bistable-image channel refresh {} --accept-old-root` signs it again\n",
                channel.name
            ));
        }
    }
    if all.is_empty() {
        text.push_str("no channel yet: `bistable-image publish` begins one\n");
    }
    out.result(Answer::Channels(Channels { channels: all }), &text)
}

/// Warn on stderr of a channel that devices stop believing soon, or have stopped believing.
pub(super) fn warn_of_expiry(channel: &Content) {
    if let Some(warning) = channel_warning(channel, HostClock.now()) {
        say(&format!("warning: {}", warning.text));
    }
}

fn text_of(channel: &Content, now: u64) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        // Writing into a string never fails.
        let _ = writeln!(text, "{args}");
    };
    line(format_args!("channel {}, number {}", channel.name, channel.sequence));
    line(format_args!(
        "  issued {}  expires {}",
        timestamp(channel.issued_at),
        timestamp(channel.expires_at())
    ));
    let mut offers: Vec<_> = channel.offers.iter().collect();
    offers.sort_by(|a, b| {
        a.constraints
            .subject()
            .cmp(&b.constraints.subject())
            .then(b.constraints.version.cmp_precedence(&a.constraints.version))
    });
    for offer in offers {
        let barrier = if offer.passage == Passage::Barrier { "  barrier" } else { "" };
        let pinned = if channel.pins.contains(&offer.identity) { "  pinned" } else { "" };
        line(format_args!(
            "  {}  {}  {:.12}  since {}{barrier}{pinned}",
            named(offer),
            stage(&offer.rollout, now),
            offer.identity,
            timestamp(offer.since),
        ));
        for wave in to_come(&offer.rollout, now) {
            line(format_args!("    {wave}"));
        }
    }
    for bad in &channel.withdrawn {
        line(format_args!("  {} {}  WITHDRAWN: {}", what(bad.subject()), bad.version, bad.reason));
    }
    let gates = &channel.gates;
    if gates.min_age > 0 || gates.min_interval > 0 || !gates.attestations.is_empty() {
        let words: Vec<_> =
            gates.attestations.iter().map(|(kind, key)| format!("{kind} by {}", key.label)).collect();
        line(format_args!(
            "  gates: {} in the channel before, {} between promotions; attested: {}",
            people(gates.min_age),
            people(gates.min_interval),
            if words.is_empty() { "nothing".into() } else { words.join(", ") }
        ));
    }
    text
}
