//! `repo init`, `repo root`, `repo forget`, `repo probe`.
use super::Out;
use super::place::{Actor, Pinned, Place, memory, report_trust, warn_of};
use super::progress_lines::{OnStderr, say};
use super::strand::{Order, show};
use crate::answer::{Answer, Forgotten, Initialized, NextRoot as Followed, Probed};
use crate::clock::HostClock;
use crate::error::Error;
use crate::repository::init::{Creation, Writers, init, writers};
use crate::repository::probe::probe;
use crate::repository::store::Missing;
use crate::repository::strand::{Loss, loss};
use crate::repository::trust::{Trusted, recognize};
use crate::root;
use bistable_format::Role;
use std::path::PathBuf;

/// The verb.
#[derive(Debug, clap::Subcommand)]
pub enum Repo {
    /// Make a repository; does nothing if it is there already
    Init(Init),
    /// Give a repository its next root: devices follow it at their next check.
    Root(NextRoot),
    /// Forget the numbers of a repository's channels: for one that was made again and that no device has followed.
    Forget(Forget),
    /// Check whether a store can hold a repository: of two programs that create a file, only one may succeed
    Probe(Probe),
}

/// Arguments of `repo init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    #[command(flatten)]
    place: Place,
    /// The product's first root
    #[arg(long, value_name = "FILE", env = "BISTABLE_ROOT")]
    root: PathBuf,
    /// Accept a root that names no key for channels: nothing can be published until `repo root` gives it a root that does
    #[arg(long)]
    channel_key_later: bool,
    /// Accept a store that can't create a file exclusively: only one program at a time may write there
    #[arg(long)]
    single_writer: bool,
    #[command(flatten)]
    by: Actor,
}

/// Arguments of `repo root`.
#[derive(Debug, clap::Args)]
pub struct NextRoot {
    /// The root after the newest that the repository has.
    #[arg(value_name = "ROOT")]
    next: PathBuf,
    /// Publish it although devices that follow it refuse channels or releases on offer, until these are signed again: for a key that
    /// is lost or stolen
    #[arg(long)]
    strand: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pinned: Pinned,
    #[command(flatten)]
    by: Actor,
}

/// Arguments of `repo forget`.
#[derive(Debug, clap::Args)]
pub struct Forget {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pinned: Pinned,
}

/// Arguments of `repo probe`.
#[derive(Debug, clap::Args)]
pub struct Probe {
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(verb: &Repo, out: Out) -> Result<(), Error> {
    match verb {
        Repo::Init(args) => {
            let root = root::read(&args.root)?;
            if root.root.role(Role::Channel).is_none() && !args.channel_key_later {
                return Err(Error::Usage(format!(
                    "{} names no key for channels, so nothing could be published: make the root again with `root new --channel-key \
                     NAME.pub`; if devices trust this one already, give --channel-key-later, and then `repo root` the one that \
                     `root rotate --channel-key NAME.pub` makes",
                    args.root.display()
                )));
            }
            let (who, memory) = (args.by.name()?, memory()?);
            let store = args.place.open(Missing::Create)?;
            let wanted = if args.single_writer { Writers::Single } else { Writers::Many };
            let made = init(&store, &root, wanted, &who, &HostClock)?;
            let recognized = recognize(&memory, &store, Some(&root))?;
            // Of a repository that was just made nothing can be remembered.
            if made == Creation::Already || matches!(recognized.trusted, Trusted::InsteadOf(_)) {
                report_trust(&recognized, &store);
            }
            let remembered = recognized.known.channels()?;
            if made == Creation::New && !remembered.is_empty() {
                say(&format!(
                    "warning: this computer has signed channels of this repository ({}): before they are signed again, restore \
                     their files from a mirror or a backup, or, if no device has ever seen them, run `bistable-image repo forget`",
                    remembered.join(", ")
                ));
            }
            let writers = writers(&store)?;
            warn_of(writers, &store);
            let what = match made {
                Creation::New => "a new repository",
                Creation::Already => "was this repository already",
            };
            out.result(
                Answer::Initialized(Initialized {
                    repository: store.place().into(),
                    new: made == Creation::New,
                    single_writer: writers == Writers::Single,
                }),
                &format!("{}: {what}\n", store.place()),
            )
        }
        Repo::Root(args) => next_root(args, out),
        Repo::Forget(args) => {
            let store = args.place.open(Missing::Refuse)?;
            let known = args.pinned.recognize(&store)?.known;
            let forgotten = known.forget_channels(&store, &HostClock, &OnStderr)?;
            let names: Vec<_> = forgotten.iter().map(|(name, n)| format!("{name} (number {n})")).collect();
            let text = match names.as_slice() {
                [] => format!("{}: no channel was remembered\n", store.place()),
                names => format!("{}: forgot {}\n", store.place(), names.join(", ")),
            };
            let forgotten = forgotten.into_iter().collect();
            out.result(Answer::Forgotten(Forgotten { repository: store.place().into(), forgotten }), &text)
        }
        Repo::Probe(args) => {
            let store = args.place.open(Missing::Refuse)?;
            probe(&store)?;
            let text = format!("{} keeps what was created first\n", store.place());
            let answer = Probed { repository: store.place().into(), keeps_what_was_created: true };
            out.result(Answer::Probed(answer), &text)
        }
    }
}

fn next_root(args: &NextRoot, out: Out) -> Result<(), Error> {
    let next = root::read(&args.next)?;
    let store = args.place.open_to_write()?;
    let recognized = args.pinned.recognize_to_repair(&store)?;
    recognized.require_remembered(&store, &next)?;
    let version = next.root.version;
    // A root that devices know already is only given back.
    let is_known = recognized.known.root()?.is_some_and(|seen| seen.number >= u64::from(version));
    let loss = match is_known || recognized.roots.newest().root.successor(&next.bytes).is_err() {
        true => Loss::default(),
        false => loss(&store, &recognized.roots, &next.root)?,
    };
    let order = if args.strand { Order::After } else { Order::Before };
    let shown = show(&loss, &args.next, order);
    let answer = |new| {
        let (repository, stranded) = (store.place().into(), shown.stranded.clone());
        Answer::NextRoot(Followed { repository, version, new, stranded, deltas: loss.deltas.clone() })
    };
    if !args.strand && !loss.stranded.is_empty() {
        return Err(out.report(answer(false), &shown.text, Error::Stranded { version }));
    }
    let added = recognized.roots.follow(&store, &next, &args.by.name()?, &HostClock)?;
    // Remembers it.
    args.pinned.recognize_to_repair(&store)?;
    let what = if added { "from now on" } else { "already" };
    out.result(answer(added), &format!("{}: root version {version} {what}\n{}", store.place(), shown.text))
}
