//! `retire`.
use super::Out;
use super::write_args::{Of, Session, WriteArgs, committed_line};
use crate::answer::{self, Answer, Needed, sequence};
use crate::error::Error;
use crate::repository::channel::{ChannelFile, ChannelLog};
use crate::repository::edit::{EditError, Retired, Selector, named, retire, retire_all_but};
use crate::repository::manifest;
use crate::repository::words;
use crate::repository::writer::{Change, Committed};
use crate::size::Count;
use bistable_format::{Channel, limits};
use std::fmt::Write as _;

/// Arguments of `retire`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel.
    channel: String,
    /// A version, `core 2.0.0` or `hub/core 2.0.0` for a component's, or at least 8 digits of a release's identity; with --keep, only what
    /// it is of: `hub`, `hub/core`
    #[arg(value_name = "RELEASE", required_unless_present = "keep")]
    what: Option<String>,
    #[command(flatten)]
    of: Of,
    /// Number of releases of each image and component that stay on offer, the newest; all older ones are retired
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// Report what would be retired; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let selector = args.of.selector(args.what.as_deref().unwrap_or_default());
    if args.keep.is_some() && selector.names_one() {
        return Err(Error::Usage(format!(
            "--keep retires all but the newest, and {} is one release: give what it is of, as in `retire {} hub/core --keep 3`, or leave \
             --keep out",
            selector.shown(),
            args.channel
        )));
    }
    let session = args.write.open()?;
    let committer = session.committer();
    let log = ChannelLog::new(&session.store, &session.roots, &args.channel);
    let writer = committer.writer(&log);
    // A typo must not create a new channel.
    let ChannelFile { channel: mut trial, .. } = writer.existing()?;
    if args.dry_run {
        let now = committer.clock.now();
        let retired = retired(&session, &mut trial, &selector, args.keep, now)?;
        let text = text(&args.channel, &retired, true);
        return out.result(answer(args, &retired, None), &text);
    }
    let mut done = Retired::default();
    let committed = writer.commit(|draft| -> Result<Change, Error> {
        let now = draft.issued_at;
        done = retired(&session, draft, &selector, args.keep, now)?;
        let names: Vec<String> = done.gone.iter().map(named).collect();
        Ok(Change::Made { verb: "retire".into(), about: words::shorten(&names.join(", "), limits::REASON) })
    })?;
    let text = text(&args.channel, &done, false) + &committed_line(committed.as_ref());
    session.result(out, "retire", answer(args, &done, committed.as_ref()), &text)
}

/// Do it on a draft.
fn retired(
    session: &Session,
    draft: &mut Channel,
    selector: &Selector,
    keep: Option<u16>,
    now: u64,
) -> Result<Retired, Error> {
    let brought = manifest::brought(&session.store, &session.roots, draft)?;
    let Some(keep) = keep else {
        let offer = selector.find(draft)?.clone();
        retire(draft, &offer.identity, &brought, now)?;
        return Ok(Retired { gone: vec![offer], stay: Vec::new() });
    };
    let retired = retire_all_but(draft, selector, keep.into(), &brought, now)?;
    match (retired.gone.is_empty(), retired.stay.as_slice()) {
        (false, _) => Ok(retired),
        (true, []) => {
            let most = Count(usize::from(keep), "release");
            Err(EditError::Already(format!("channel {} offers at most {most} of each", draft.name)).into())
        }
        // One reason is as good as all.
        (true, [(offer, why), ..]) => {
            let (channel, release, why) = (draft.name.clone(), named(offer), why.clone());
            Err(EditError::Needed { channel, release, why }.into())
        }
    }
}

fn answer(args: &Args, retired: &Retired, committed: Option<&Committed>) -> Answer {
    let needed = retired.stay.iter();
    Answer::Retired(answer::Retired {
        channel: args.channel.clone(),
        dry_run: args.dry_run,
        retired: retired.gone.iter().map(named).collect(),
        needed: needed.map(|(o, why)| Needed { release: named(o), why: why.to_string() }).collect(),
        sequence: sequence(committed),
    })
}

fn text(channel: &str, retired: &Retired, is_dry: bool) -> String {
    let did = if is_dry { "would be retired" } else { "retired" };
    let mut text = String::new();
    for offer in &retired.gone {
        let _ = writeln!(text, "{did}: {}", named(offer));
    }
    for (offer, why) in &retired.stay {
        let _ = writeln!(text, "stays: {}: {why}", named(offer));
    }
    if !is_dry {
        let _ = writeln!(
            text,
            "channel {channel} offers {} no more; `bistable-image prune` may delete what no channel offers",
            if retired.gone.len() == 1 { "it" } else { "them" }
        );
    }
    text
}
