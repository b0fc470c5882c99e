//! `show`: all of one release, or what changed between two.
use super::Out;
use super::channel::warn_of_expiry;
use super::place::Place;
use super::search::channels;
use super::waves::{stage, to_come};
use super::write_args::Of;
use crate::answer::{Answer, Base, Compared, ComparedRelease, Release, SbomInfo, Shown};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::repository::audit::timestamp;
use crate::repository::delta_file::{self, StoredDelta};
use crate::repository::edit::Selector;
use crate::repository::inventory::{HeldRelease, Inventory};
use crate::repository::manifest::{self, Stored};
use crate::repository::roots::Roots;
use crate::repository::sbom_file;
use crate::repository::store::{Missing, Store};
use crate::sbom::{self, Changes, Sbom};
use crate::size::{Bytes, Count};
use bistable_format::content::Blob;
use bistable_format::failure::on_one_line;
use bistable_format::repository as names;
use semver::VersionReq;
use std::fmt::Write as _;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A version, `core 2.0.0` or `hub/core 2.0.0` for a component's, or at least 8 digits of a release's identity. Of two, as in
    /// 1.2.0..1.3.0, the packages that were added, removed and changed
    #[arg(value_name = "RELEASE[..RELEASE]")]
    what: String,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let find = |what: &str| one(&inventory, &args.of.selector(what), store.place());
    match two(&args.what) {
        Some((from, to)) => compare(&store, &roots, [find(&from)?, find(&to)?], out),
        None => show(&store, &roots, &inventory, find(&args.what)?, out),
    }
}

/// Split `A..B`, which names two releases. A version alone as the second is one of the first's product or component.
fn two(what: &str) -> Option<(String, String)> {
    let (from, to) = what.split_once("..")?;
    let (from, to) = (from.trim(), to.trim());
    let to = match from.rsplit_once(' ') {
        Some((of, _)) if !to.contains(' ') => format!("{of} {to}"),
        _ => to.into(),
    };
    Some((from.into(), to))
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

fn show(
    store: &Store,
    roots: &Roots,
    inventory: &Inventory,
    held: &HeldRelease,
    out: Out,
) -> Result<(), Error> {
    let stored = manifest::read(store, roots, &held.entry.release)?;
    let (release, entry) = (&stored.release, &held.entry);
    let whole = stored.require_whole(store).err().map(|e| e.to_string());
    let sbom = sbom_info(store, &stored);
    let attested: Vec<String> = store
        .list(&names::attestations(&entry.identity))?
        .iter()
        .filter_map(|f| f.path.rsplit('/').next()?.strip_suffix(".attestation").map(ToOwned::to_owned))
        .collect();
    let deltas = delta_file::of(store, roots, &entry.identity)?;
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
    line("packages", &packages(release.sbom.is_some(), sbom.as_ref()));
    if let Some(file) = release.sbom_file() {
        line("sbom", &names::blob(&file.digest));
    }
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
            sbom,
            blobs: stored.parts().iter().map(|part| format!("sha256:{}", part.digest)).collect(),
        })),
        &text,
    )
}

/// The SBOM of a release. One that can't be read is shown as such.
fn sbom_info(store: &Store, stored: &Stored) -> Option<SbomInfo> {
    let file = stored.release.sbom_file()?;
    let read = sbom_file::read(store, stored);
    let sbom = read.map_err(|e| on_one_line(&e));
    let sbom = sbom.and_then(|sbom| sbom.ok_or_else(|| "the release has none".into()));
    Some(SbomInfo::new(&file, sbom.as_ref().map_err(Clone::clone)))
}

fn packages(is_named: bool, sbom: Option<&SbomInfo>) -> String {
    match sbom {
        None if is_named => "unknown: the SBOM is kept elsewhere".into(),
        None => "unknown: no SBOM".into(),
        Some(SbomInfo { problem: Some(problem), .. }) => format!("unknown: {problem}"),
        Some(sbom) => format!(
            "{} in the SBOM (CycloneDX {}, {})",
            sbom.packages.unwrap_or_default(),
            sbom.cyclonedx.as_deref().unwrap_or_default(),
            Bytes(sbom.bytes.into())
        ),
    }
}

/// A release with its SBOM.
struct WithSbom {
    stored: Stored,
    file: Blob,
    sbom: Sbom,
}

impl WithSbom {
    fn read(store: &Store, roots: &Roots, held: &HeldRelease) -> Result<WithSbom, Error> {
        let stored = manifest::read(store, roots, &held.entry.release)?;
        match (stored.release.sbom_file(), sbom_file::read(store, &stored)?) {
            (Some(file), Some(sbom)) => Ok(WithSbom { stored, file, sbom }),
            _ => Err(Error::NothingToDo(format!(
                "{} {} has no SBOM: build releases with --sbom, and their packages can be compared",
                held.entry.what(),
                held.entry.version
            ))),
        }
    }

    fn answer(&self) -> ComparedRelease {
        ComparedRelease::new(&self.stored, &self.file, &self.sbom)
    }
}

fn compare(store: &Store, roots: &Roots, held: [&HeldRelease; 2], out: Out) -> Result<(), Error> {
    let [from, to] = held;
    let (from, to) = (WithSbom::read(store, roots, from)?, WithSbom::read(store, roots, to)?);
    let changes = sbom::compare(&from.sbom, &to.sbom);
    let text = changes_text(&from.stored.release.named(), &to.stored.release.named(), &changes);
    let answer = Compared::new(from.answer(), to.answer(), &changes);
    out.result(Answer::Compared(Box::new(answer)), &text)
}

fn changes_text(from: &str, to: &str, changes: &Changes) -> String {
    let Changes { added, removed, changed } = changes;
    let mut text = format!(
        "from {from} to {to}: {} added, {} removed, {} changed\n",
        Count(added.len(), "package"),
        removed.len(),
        changed.len()
    );
    let mut line = |word: &str, kind: &Option<String>, name: &str, versions: &str| {
        let kind = kind.as_deref().unwrap_or("-");
        let line = format!("{word:<8}  {kind:<7}  {name} {versions}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    added.iter().for_each(|p| line("added", &p.kind, &p.name, &p.version));
    removed.iter().for_each(|p| line("removed", &p.kind, &p.name, &p.version));
    for c in changed {
        line("changed", &c.kind, &c.name, &format!("{} -> {}", c.from.join(", "), c.to.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::two;

    #[test]
    fn two_releases_in_one_word() {
        for (what, from, to) in [
            ("1.2.0..1.3.0", "1.2.0", "1.3.0"),
            ("1.2.0-rc.1..1.2.0", "1.2.0-rc.1", "1.2.0"),
            ("core 1.0.0..2.0.0", "core 1.0.0", "core 2.0.0"),
            ("hub/core 1.0.0..hub/app 2.0.0", "hub/core 1.0.0", "hub/app 2.0.0"),
            ("0a1b2c3d .. 4e5f6a7b", "0a1b2c3d", "4e5f6a7b"),
        ] {
            assert_eq!(two(what), Some((from.into(), to.into())), "{what}");
        }
        assert_eq!(two("core 1.2.0"), None);
    }
}
