//! `attest`.
use super::Out;
use super::place::{Actor, Pinned, Place};
use super::write_args::ReleaseArg;
use crate::answer::{Answer, Attested};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::keys::SecretKey;
use crate::repository::audit::{self, Act};
use crate::repository::channel::ChannelLog;
use crate::repository::edit::named;
use crate::repository::store::Claim;
use crate::repository::trust::Recognized;
use bistable_format::attestation::Attestation;
use bistable_format::{Envelope, Extensions, Head, repository as names};
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
    let channel = known.newest(&ChannelLog::new(&store, &roots, &args.channel))?.channel;
    let offer = args.which.selector().find(&channel)?;
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
    let text = if new { "attested" } else { "attested before" };
    out.result(
        Answer::Attested(Attested {
            product: offer.constraints.product.clone(),
            component: offer.constraints.component.clone(),
            version: offer.constraints.version.to_string(),
            kind: args.kind.clone(),
            file: path,
            new,
        }),
        &format!("{text}: {} of {name}\n", args.kind),
    )
}
