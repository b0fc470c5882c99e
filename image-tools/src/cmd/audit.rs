//! `audit`, `audit verify`, `audit repair`.
use super::Out;
use super::place::Place;
use crate::answer::{Answer, Audit, AuditRepaired, AuditVerified};
use crate::clock::HostClock;
use crate::error::Error;
use crate::repository::audit::{self, AuditError, Record};
use crate::repository::channel::{ChannelLog, names};
use crate::repository::recording;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::repository::sync::Kind;
use crate::size::Count;
use bistable_format::text::printable;
use std::fmt::Write as _;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    place: Place,
    /// Show this many, the newest.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u64,
}

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Check that no record was changed or taken out, and that each says what the channels say.
    Verify(Place),
    /// Add the records that are missing: a program died between an act and its record.
    Repair(Place),
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    match &args.verb {
        None => show(args, out),
        Some(Verb::Verify(place)) => verify(place, out),
        Some(Verb::Repair(place)) => repair(place, out),
    }
}

fn show(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let entries = audit::tail(&store, args.last)?;
    let mut text = String::new();
    for entry in &entries {
        let Record { sequence, at, who, verb, about, channel, .. } = &entry.record;
        let channel = channel.as_ref().map(|c| format!("{} {}", c.name, c.sequence)).unwrap_or_default();
        // The record is not signed, and stays on one line.
        let line = format!("{sequence:>6}  {at}  {who:<16}  {verb:<9}  {channel:<14}  {about}");
        let _ = writeln!(text, "{}", printable(&line, &[]).trim_end());
    }
    let records = entries.into_iter().map(|entry| entry.record).collect();
    out.result(Answer::Audit(Audit { repository: store.place().into(), records }), &text)
}

fn verify(place: &Place, out: Out) -> Result<(), Error> {
    let store = place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let found = recording::verify(&store, &roots)?;
    let kind = Kind::of(&store)?;
    if found.records == 0 && kind != Kind::Partial {
        // The first is from when the repository began.
        return Err(AuditError::Missing { place: store.place().into(), sequence: 1 }.into());
    }
    let mut text = format!("{}, each follows the one before\n", Count(found.records, "record"));
    for (name, sequence) in &found.channels {
        let _ = writeln!(text, "{name}: recorded up to number {sequence}");
    }
    for (name, missing) in &found.missing {
        let why = match kind {
            Kind::Partial => "not recorded: the history is not in this copy",
            _ => "not recorded yet; `audit repair` adds what is missing",
        };
        let _ = writeln!(text, "{name}: {missing} {why}");
    }
    let answer = AuditVerified {
        repository: store.place().into(),
        records: found.records,
        channels: found.channels,
        missing: found.missing,
    };
    out.result(Answer::AuditVerified(answer), &text)
}

fn repair(place: &Place, out: Out) -> Result<(), Error> {
    let store = place.open_to_write()?;
    let roots = Roots::load(&store)?;
    let mut added = 0;
    for name in names(&store)? {
        let log = ChannelLog::new(&store, &roots, name);
        added += recording::catch_up(&store, &HostClock, &log, log.sequence()?)?;
    }
    // What was removed can't be added again: then something is missing, whatever was added.
    recording::verify(&store, &roots)?;
    let text = match added {
        0 => "nothing is missing\n".into(),
        added => format!("{} added\n", Count(added, "record")),
    };
    out.result(Answer::AuditRepaired(AuditRepaired { repository: store.place().into(), added }), &text)
}
