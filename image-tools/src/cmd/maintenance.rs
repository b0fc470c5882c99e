//! `prune`, `fsck`, `sync`: keeping a repository.
use super::Out;
use super::place::{Actor, Place};
use super::write_args::WriteArgs;
use crate::answer::{self, Answer, GoneDelta, GoneRelease, Pruned, Skipped, StayingRelease, Synced};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::repository::fsck::{Depth, Fault, Repaired, fsck, repair};
use crate::repository::inventory::Inventory;
use crate::repository::prune::{self, DeltaGoes, Files, Goes, Policy, Stays, plan};
use crate::repository::roots::Roots;
use crate::repository::store::{Missing, Store};
use crate::repository::sync::{Copying, Extent, sync};
use crate::repository::usage::{Severity, Usage};
use crate::repository::words::seconds;
use crate::size::{Bytes, Count};
use bistable_format::Digest;
use bistable_format::text::printable;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Number of releases of each image and component that stay, the newest
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep: usize,
    /// Age from which a release may be deleted: 90d
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    older_than: Option<u64>,
    /// Size of all releases together, what they share counted once: 50G. Above 80 % of it old releases are deleted that were only in staging,
    /// above 90 % old ones of production, too
    #[arg(long, value_name = "BYTES")]
    max_size: Option<Bytes>,
    /// Least time between two runs: 1d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds)]
    interval: u64,
    /// Report what would be deleted; delete nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `fsck`.
#[derive(Debug, clap::Args)]
pub struct Fsck {
    /// Read every byte, and apply each delta
    #[arg(long)]
    deep: bool,
    /// Recreate wrong hints, and delete what is useless: leftovers of stopped programs, and blobs whose bytes are not what their
    /// names say. Only --deep finds damaged bytes
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

/// Arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct Sync {
    /// The copy: a directory, a USB stick, s3://BUCKET/PREFIX
    to: String,
    /// Only this channel. Repeat it for more.
    #[arg(long, value_name = "NAME")]
    channel: Vec<String>,
    /// A mirror of everything: all releases, all of the channels' history, the audit. Otherwise what is on offer. A copy can't
    /// be changed; if the original is lost, remove the file `mirror` of a mirror to make it the original
    #[arg(long)]
    everything: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    by: Actor,
}

pub(crate) fn prune(args: &Prune, out: Out) -> Result<(), Error> {
    let session = args.write.open()?;
    let now = HostClock.now();
    prune::check_interval(&session.store, args.interval, now)?;
    // Before the channels are read without the memory, which can say more of what is wrong with them.
    session.committer().compare_all(&session.store, &session.roots)?;
    let inventory = Inventory::read(&session.store, &session.roots, None)?;
    let policy =
        Policy { keep: args.keep, older_than: args.older_than, most_bytes: args.max_size.map(|Bytes(n)| n) };
    let files = Files::read(&session.store, &session.roots, &inventory)?;
    let plan = plan(&inventory, &files, &policy, now);
    let (mut text, mut going) = (String::new(), Vec::new());
    for leaving in &plan.go {
        let Some(held) = inventory.releases.get(&leaving.release) else { continue };
        let (word, why) = match leaving.why {
            Goes::Age => ("age", "too old"),
            Goes::StagingForRoom => ("room", "for room; production never had it"),
            Goes::ProductionForRoom => ("production-for-room", "for room. WARNING: production had it"),
        };
        let _ = writeln!(
            text,
            "{} {}  frees {}  {why}",
            held.entry.what(),
            held.entry.version,
            Bytes(leaving.frees)
        );
        going.push(GoneRelease {
            product: held.entry.product.clone(),
            component: held.entry.component.clone(),
            version: held.entry.version.to_string(),
            release: leaving.release.to_string(),
            bytes: held.entry.bytes,
            frees: leaving.frees,
            why: word.into(),
        });
    }
    for delta in plan.deltas.iter().filter(|delta| delta.why != DeltaGoes::Release) {
        let name = |id| {
            inventory
                .releases
                .get(id)
                .map_or_else(|| format!("{id:.12}"), |held| held.entry.version.to_string())
        };
        let (target, base, frees) = (name(&delta.target), name(&delta.base), Bytes(delta.frees));
        let why = match delta.why {
            DeltaGoes::Room => format!("for room; nothing offers {target}"),
            _ => "orphaned; one of the two releases is gone".into(),
        };
        let _ = writeln!(text, "delta to {target} from {base}  frees {frees}  {why}");
    }
    let stay: Vec<StayingRelease> = plan
        .stay
        .iter()
        .filter_map(|(id, why)| Some((inventory.releases.get(id)?, stays(*why))))
        .map(|(held, why)| StayingRelease {
            product: held.entry.product.clone(),
            component: held.entry.component.clone(),
            version: held.entry.version.to_string(),
            release: held.entry.identity.to_string(),
            why: why.0.into(),
        })
        .collect();
    text.push_str(&staying(&plan.stay));
    let deltas = plan.deltas.iter().map(|delta| GoneDelta {
        release: delta.target.to_string(),
        base: delta.base.to_string(),
        frees: delta.frees,
        why: match delta.why {
            DeltaGoes::Orphan => "orphan".into(),
            DeltaGoes::Room => "room".into(),
            DeltaGoes::Release => "release".into(),
        },
    });
    let usage_before = Usage::of(&session.store, plan.bytes[0], policy.most_bytes);
    // Afterwards what there is counts: the catalogs were written again, and what others left may be gone, too.
    let (removed, after) = if args.dry_run {
        (prune::Removed::default(), plan.bytes[1])
    } else {
        let removed = prune::run(&session.store, &session.roots, &session.committer(), &plan)?;
        (removed, prune::blob_bytes(&session.store)?)
    };
    let usage_after = Usage::of(&session.store, after, policy.most_bytes);
    let severity = usage_after.severity();
    let deltas_too = match if args.dry_run { plan.deltas.len() as u64 } else { removed.deltas } {
        0 => String::new(),
        n => format!(" and {}", Count(n, "delta")),
    };
    let verb = if args.dry_run { "would go" } else { "gone" };
    let _ = writeln!(
        text,
        "{} of {}{deltas_too} {verb}; {} before, {} after",
        plan.go.len(),
        Count(inventory.releases.len(), "release"),
        Bytes(plan.bytes[0]),
        Bytes(after)
    );
    if !args.dry_run {
        let _ = writeln!(text, "{} removed, {}", Count(removed.files, "file"), Bytes(removed.bytes));
    }
    let percent = usage_after.highest() * 100.0;
    match severity {
        Severity::Info => {}
        Severity::Warning => {
            let _ = writeln!(text, "warning: {percent:.0} % of the room is in use");
        }
        Severity::Critical => {
            let _ =
                writeln!(text, "critical: {percent:.0} % of the room is in use: free some, or allow more");
        }
    }
    if plan.too_large {
        text.push_str("warning: still more than allowed; all the rest is on offer, pinned, among the newest, or the way back\n");
    }
    let answer = Answer::Pruned(Box::new(Pruned {
        dry_run: args.dry_run,
        releases: going,
        stay,
        deltas: deltas.collect(),
        bytes_before: plan.bytes[0],
        bytes_after: after,
        usage_before,
        usage_after,
        severity,
        too_large: plan.too_large,
        removed_deltas: removed.deltas,
        removed_files: removed.files,
        removed_bytes: removed.bytes,
    }));
    // A dry run does nothing that a webhook could report.
    if args.dry_run { out.result(answer, &text) } else { session.result(out, "prune", answer, &text) }
}

/// Why a release stays: the word in JSON, and the one in text.
const fn stays(why: Stays) -> (&'static str, &'static str) {
    match why {
        Stays::Offered => ("offered", "on offer (`bistable-image retire` takes old ones off)"),
        Stays::Pinned => ("pinned", "pinned"),
        Stays::Rollback => ("rollback", "the way back"),
        Stays::Newest => ("newest", "among the newest (--keep)"),
        Stays::Bound => ("bound", "brought along by an image that stays"),
        Stays::NoReason => ("no-reason", "neither too old (--older-than) nor in the way (--max-size)"),
    }
}

/// A line on what stays, and why; nothing if nothing stays.
fn staying(all: &[(Digest, Stays)]) -> String {
    let mut counts: BTreeMap<Stays, usize> = BTreeMap::new();
    for (_, why) in all {
        *counts.entry(*why).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(why, n)| format!("{n} {}", stays(*why).1)).collect();
    if words.is_empty() { String::new() } else { format!("stay: {}\n", words.join(", ")) }
}

pub(crate) fn check(args: &Fsck, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let depth = if args.deep { Depth::Bytes } else { Depth::Names };
    let look = || {
        let mut report = fsck(&store, &roots, depth)?;
        report.add_expiries(&store, &roots, HostClock.now())?;
        report.add_leftovers(&store, HostClock.now())?;
        Ok::<_, Error>(report)
    };
    let (mut report, mut repaired) = (look()?, Repaired::default());
    if args.repair {
        repaired = repair(&store, &roots, &report)?;
        report = look()?;
    }
    let mut text = String::new();
    for problem in &report.problems {
        let _ = writeln!(
            text,
            "{:<9}  {}  {}",
            problem.fault.name(),
            printable(&problem.path, &[]),
            problem.text
        );
    }
    let _ = writeln!(
        text,
        "{}, {} on offer, {} in catalogs ({} not kept here), {}{}, {}: {}",
        Count(report.channels, "channel"),
        Count(report.offered, "release"),
        report.catalogued,
        report.not_kept,
        Count(report.deltas, "delta"),
        if args.deep { format!(" ({} applied)", report.proven) } else { String::new() },
        Count(report.blobs, "blob"),
        match report.problems.len() {
            0 => "no problems".into(),
            n => Count(n, "problem").to_string(),
        }
    );
    for (number, what, done) in [
        (repaired.hints, "hint", "recreated"),
        (repaired.names, "version name", "recreated"),
        (repaired.damaged, "damaged file", "removed"),
        (repaired.deltas, "delta", "removed"),
        (repaired.leftovers, "leftover file", "removed"),
    ] {
        if number > 0 {
            let _ = writeln!(text, "{} {done}", Count(number, what));
        }
    }
    let answer = Answer::Fsck(Box::new(answer::Fsck::new(store.place(), &report, &repaired)));
    match report.problems.iter().filter(|p| p.fault.is_serious()).count() {
        0 => out.result(answer, &text),
        serious => {
            let is_repairable = report.problems.iter().any(|p| p.fault.is_serious() && p.is_repairable());
            let passes = !report.problems.iter().any(|p| p.fault.is_serious() && p.fault != Fault::Expired);
            let place = store.place().into();
            Err(out.report(answer, &text, Error::Damaged { place, serious, is_repairable, passes }))
        }
    }
}

pub(crate) fn copy(args: &Sync, out: Out) -> Result<(), Error> {
    let from = args.place.open(Missing::Refuse)?;
    let to = Store::open(&args.to, Missing::Create)?;
    let extent = if args.everything { Extent::Everything } else { Extent::Offers };
    let who = args.by.name()?;
    let how = Copying { extent, only: &args.channel, who: &who, clock: &HostClock };
    let copied = sync(&from, &to, how, &mut |_, _| {})?;
    for (path, why) in &copied.skipped {
        super::progress_lines::say(&format!("warning: not copied: {} {why}", printable(path, &[])));
    }
    if let Some(e) = &copied.unrecorded {
        super::progress_lines::say(&format!(
            "warning: copied, but {} has no record of it: {e}",
            from.place()
        ));
    }
    out.result(
        Answer::Synced(Synced {
            from: from.place().into(),
            to: to.place().into(),
            files: copied.files,
            bytes: copied.bytes,
            already_there: copied.there,
            skipped: copied.skipped.into_iter().map(|(path, text)| Skipped { path, text }).collect(),
        }),
        &format!(
            "{} → {}: {} copied, {}; {} were there\n",
            from.place(),
            to.place(),
            Count(copied.files, "file"),
            Bytes(copied.bytes),
            copied.there
        ),
    )
}
