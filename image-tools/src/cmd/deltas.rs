//! `deltas`.
use super::Out;
use super::place::Place;
use crate::answer::{Answer, WantedDelta, WantedDeltas};
use crate::error::Error;
use crate::repository::delta_file;
use crate::repository::inventory::Inventory;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::repository::wanted::{LAST, Wanted, wanted};
use crate::size::Bytes;
use bistable_format::{Digest, repository as names};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The options of `delta` to adapt.
const SIGNED: &str = "--key release.key --root root.root";

/// Arguments of `deltas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel
    channel: String,
    /// How many releases of an image or a component back its devices may be
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: usize,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, Some(&args.channel))?;
    let there = delta_file::all(&store, &roots)?;
    let there: BTreeMap<(Digest, Digest), u64> =
        there.good.iter().map(|d| ((d.delta.target, d.delta.base), d.bytes())).collect();
    let all = wanted(&inventory, &args.channel, args.last);
    let (mut text, mut missing) = (String::new(), 0);
    // The deltas to one release are made together: its bundle is read once.
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut list = Vec::new();
    for Wanted { target, base } in &all {
        let (target, base) = (&target.entry, &base.entry);
        let bytes = there.get(&(target.identity, base.identity)).copied();
        let (what, new, old) = (target.what(), &target.version, &base.version);
        let state = bytes.map_or_else(|| "missing".into(), |bytes| Bytes(bytes).to_string());
        let full = Bytes(target.bytes);
        let _ = writeln!(text, "{what} {old} to {new}: {state:>10}  (all of it: {full})");
        let name = what.replace('/', "-");
        let bundle = format!("{name}-{new}.bundle");
        let command = bytes.is_none().then(|| {
            missing += 1;
            let from = format!(" --from {name}-{old}.bundle");
            match commands.iter_mut().find(|(to, _)| *to == bundle) {
                Some((_, all)) => all.push_str(&from),
                None => commands.push((bundle.clone(), from.clone())),
            }
            format!("bistable-image delta{from} {bundle} {SIGNED}")
        });
        list.push(WantedDelta {
            product: target.product.clone(),
            component: target.component.clone(),
            version: new.to_string(),
            release: target.identity.to_string(),
            base_version: old.to_string(),
            base: base.identity.to_string(),
            file: names::delta(&target.identity, &base.identity),
            bytes,
            full_bytes: target.bytes,
            command,
        });
    }
    if all.is_empty() {
        let _ = writeln!(
            text,
            "no device of channel {} takes a delta: it had one release, or none",
            args.channel
        );
    }
    if !commands.is_empty() {
        text.push_str("to make them, run this where the release key is, then publish the bundle again with the deltas:\n");
    }
    for (bundle, from) in commands {
        let _ = writeln!(text, "  bistable-image delta{from} {bundle} {SIGNED}");
    }
    out.result(
        Answer::WantedDeltas(WantedDeltas {
            repository: store.place().into(),
            channel: args.channel.clone(),
            missing,
            deltas: list,
        }),
        &text,
    )
}
