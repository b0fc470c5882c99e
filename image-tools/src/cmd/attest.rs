//! `attest`.
use super::Out;
use super::place::{Actor, Pinned, Place};
use super::write_args::ReleaseArg;
use crate::answer::{Answer, Attested};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::keys::SecretKey;
use crate::repository::audit::{self, Act};
use crate::repository::channel::{self, ChannelLog};
use crate::repository::edit::named;
use crate::repository::roots::Roots;
use crate::repository::store::{Claim, Store};
use crate::repository::trust::Recognized;
use bistable_format::attestation::Attestation;
use bistable_format::{Envelope, Extensions, Head, Key, repository as names};
use std::path::PathBuf;

/// Arguments of `attest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel that offers it, for example staging.
    channel: String,
    #[command(flatten)]
    which: ReleaseArg,
    /// What is attested: `tests-passed`, for example
    #[arg(long)]
    kind: String,
    /// Human-readable note: where the tests ran, for example
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Secret key that signs it: the one whose public half the channel's gates name
    #[arg(long, value_name = "NAME.key")]
    key: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pinned: Pinned,
    #[command(flatten)]
    by: Actor,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let (key, who) = (SecretKey::read(&args.key)?, args.by.name()?);
    let store = args.place.open_to_write()?;
    let Recognized { roots, known, .. } = args.pinned.recognize(&store)?;
    let offering = known.newest(&ChannelLog::new(&store, &roots, &args.channel))?.channel;
    let offer = args.which.selector().find(&offering)?;
    let repository = roots.newest().root.repository();
    let word = Attestation {
        head: Head::new(repository, &offer.constraints.product),
        release: offer.identity,
        kind: args.kind.clone(),
        at: HostClock.now(),
        note: args.note.clone(),
        extensions: Extensions::default(),
    };
    let bytes = word.seal(key.signing()).map_err(|e| Error::Usage(e.to_string()))?;
    let path = names::attestation(&offer.identity, &args.kind, &key.public().id());
    let there = match store.get(&path, Envelope::MAX_BYTES)? {
        Some(there) => Some(there),
        None => match store.claim(&path, &bytes, Envelope::MAX_BYTES)? {
            Claim::Ours => None,
            Claim::Theirs(there) => Some(there),
        },
    };
    // Attested before, or another file, which counts for nothing.
    let at = match &there {
        None => word.at,
        Some(there) => match Attestation::open(there, &key.public(), &repository) {
            Ok(w) if (w.release, &w.kind) == (word.release, &word.kind) => w.at,
            _ => {
                return Err(Error::Usage(format!(
                    "{path} of {} holds something that this key didn't sign: remove it, and attest again",
                    store.place()
                )));
            }
        },
    };
    let new = there.is_none();
    let name = named(offer);
    let about = format!("{} of {name} by key {:.4}", args.kind, key.public().id());
    // A process that died between the two is made up for now: no record of it is older than what was attested.
    let since = audit::timestamp(at);
    let act = Act { who, verb: "attest".into(), about };
    audit::append_once(&store, &HostClock, &act, |record| record.at >= since)?;
    let demands = demands(&store, &roots)?;
    let is_it = |(_, kind, by): &&Demand| *kind == args.kind && by.id() == key.public().id();
    let demanded_by: Vec<String> =
        demands.iter().filter(is_it).map(|(channel, ..)| channel.clone()).collect();
    let unasked = if demanded_by.is_empty() { unasked(&demands) } else { String::new() };
    let text = if new { "attested" } else { "attested before" };
    out.result(
        Answer::Attested(Attested {
            product: offer.constraints.product.clone(),
            component: offer.constraints.component.clone(),
            version: offer.constraints.version.to_string(),
            kind: args.kind.clone(),
            file: path,
            new,
            demanded_by,
        }),
        &format!("{text}: {} of {name}\n{unasked}", args.kind),
    )
}

/// What a channel's gates demand, and of which key.
type Demand = (String, String, Key);

/// What all channels demand.
fn demands(store: &Store, roots: &Roots) -> Result<Vec<Demand>, Error> {
    let mut all = Vec::new();
    for name in channel::names(store)? {
        // What can't be read lets nothing in, and `promote` into it says why.
        let Ok(file) = ChannelLog::new(store, roots, name.as_str()).newest() else { continue };
        all.extend(file.channel.gates.attestations.into_iter().map(|(kind, key)| (name.clone(), kind, key)));
    }
    Ok(all)
}

/// A warning that the attestation opens no gate: a mistaken word or key shows here, and not first at `promote`.
fn unasked(demands: &[Demand]) -> String {
    let of = |(channel, kind, key): &Demand| {
        format!("{channel} demands \"{kind}\" by key {:.4} ({})", key.id(), key.label)
    };
    match demands.iter().map(of).collect::<Vec<_>>() {
        none if none.is_empty() => {
            "warning: no channel's gates demand any attestation: `bistable-image channel gates` makes one do so\n".into()
        }
        some => format!("warning: no channel's gates demand this of this key; {}\n", some.join(", ")),
    }
}
