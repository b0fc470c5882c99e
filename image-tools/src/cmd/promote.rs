//! `promote`.
use super::Out;
use super::waves::{groups, rest, stage, to_come};
use super::write_args::{Of, ReleaseArg, WriteArgs, committed_line};
use crate::answer::{Answer, Promoted, RolloutChanged, sequence};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::repository::edit::named;
use crate::repository::promote::{Request, promote};
use crate::repository::words::{WaveAfter, in_order, percent};
use bistable_format::rollout::{Rollout, RolloutState, Wave};

/// Arguments of `promote`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel that offers it now, for example staging.
    from: String,
    /// The channel to offer it in, for example production
    into: String,
    /// A version, `core 2.0.0` or `hub/core 2.0.0` for a component's, or at least 8 digits of a release's identity. Without a version, as
    /// in `hub` or `hub/core`, the newest that isn't there yet; so it is without anything, if there is only one image or component
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    rollout: Waves,
    #[command(flatten)]
    write: WriteArgs,
}

/// Who gets it, and when.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Waves {
    /// Share of the fleet, and when from now: `1%,10%@6h,50%@1d+6h,100%@3d`; each larger and no earlier than the one
    /// before. Default: all devices at once
    #[arg(long, value_name = "SHARE%[@AFTER][+OVER]", value_delimiter = ',', value_parser = WaveAfter::parse)]
    waves: Vec<WaveAfter>,
    /// Group of devices, by their label, that gets it before all waves; without --waves, it alone. Repeat it for more
    #[arg(long, value_name = "GROUP")]
    canary: Vec<String>,
}

impl Waves {
    /// The rollout that begins now.
    pub(crate) fn rollout(&self, now: u64) -> Result<Rollout, Error> {
        let waves: Vec<Wave> = self.waves.iter().map(|w| w.from(now)).collect();
        in_order(&waves).map_err(|why| Error::Usage(format!("--waves: {why}")))?;
        Ok(Rollout { pace: RolloutState::Running, canaries: self.canary.clone(), waves: waves.into() })
    }
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let rollout = args.rollout.rollout(HostClock.now())?;
    let session = args.write.open()?;
    let request = Request {
        from: &args.from,
        into: &args.into,
        which: args.of.selector(args.release.as_deref().unwrap_or_default()),
        rollout,
    };
    let (offer, committed) = promote(&session.store, &session.roots, &session.committer(), &request)?;
    // One that was only signed again keeps the rollout that it had.
    let there = committed.as_ref().and_then(|c| c.file.channel.offer(&offer.identity));
    let Rollout { waves, canaries, .. } = there.map_or(&request.rollout, |there| &there.rollout);
    let who = match waves.first() {
        None if canaries.is_empty() => "all devices get it".to_owned(),
        None => format!("only devices of {} get it", groups(canaries)),
        Some(first) => format!("{} waves, the first of {}", waves.len(), percent(first.share)),
    };
    let rest = rest(&request.rollout).map_or_else(String::new, |rest| format!("  {rest}\n"));
    session.result(
        out,
        "promote",
        Answer::Promoted(Promoted {
            product: offer.constraints.product.clone(),
            component: offer.constraints.component.clone(),
            version: offer.constraints.version.to_string(),
            release: offer.identity.to_string(),
            from: args.from.clone(),
            into: args.into.clone(),
            sequence: sequence(committed.as_ref()),
        }),
        &format!(
            "promoted {} from {} into {}: {who}\n{rest}{}",
            named(&offer),
            args.from,
            args.into,
            committed_line(committed.as_ref())
        ),
    )
}

/// `rollout`.
#[derive(Debug, clap::Args)]
pub struct RolloutArgs {
    /// The channel.
    channel: String,
    #[command(flatten)]
    which: ReleaseArg,
    /// What to do about it.
    #[command(subcommand)]
    verb: RolloutVerb,
}

/// What can be done about a rollout.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RolloutVerb {
    /// Start again with these waves, or groups alone. Devices that the old ones let in may have to wait again
    Set(SetArgs),
    /// Add a wave after the others
    Wave(WaveArgs),
    /// Add a group of devices that gets it before all waves
    Canary(CanaryArgs),
    /// Stop the waves where they are. Devices that were let in before still get it, and so do canary groups: only `halt` keeps it
    /// from them
    Pause(WriteArgs),
    /// Resume a paused rollout
    Resume(WriteArgs),
    /// Stop it for all devices that don't have it yet; only `set` or `everyone` starts it again
    Halt(WriteArgs),
    /// Offer it to all devices now
    Everyone(WriteArgs),
}

/// Arguments of `rollout set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    waves: Waves,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `rollout wave`.
#[derive(Debug, clap::Args)]
pub(crate) struct WaveArgs {
    /// The wave: `50%@1d+6h`.
    #[arg(value_name = "SHARE%[@AFTER][+OVER]", value_parser = WaveAfter::parse)]
    wave: WaveAfter,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `rollout canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct CanaryArgs {
    /// The devices' label.
    group: String,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn rollout(args: &RolloutArgs, out: Out) -> Result<(), Error> {
    use crate::repository::edit::{Change, change};
    let now = HostClock.now();
    let (write, wanted, word) = match &args.verb {
        RolloutVerb::Set(a) => (&a.write, Change::Replace(a.waves.rollout(now)?), "set"),
        RolloutVerb::Wave(a) => (&a.write, Change::Wave(a.wave.from(now)), "wave"),
        RolloutVerb::Canary(a) => (&a.write, Change::Canary(a.group.clone()), "canary"),
        RolloutVerb::Pause(a) => (a, Change::Pause, "pause"),
        RolloutVerb::Resume(a) => (a, Change::Resume, "resume"),
        RolloutVerb::Halt(a) => (a, Change::Halt, "halt"),
        RolloutVerb::Everyone(a) => (a, Change::Everyone, "everyone"),
    };
    let session = write.open()?;
    let selector = args.which.selector();
    let (mut about, mut is_now) = (String::new(), Rollout::default());
    let committed = session.change(&args.channel, "rollout", |draft, now| {
        let offer = selector.find(draft)?;
        let identity = offer.identity;
        about = format!("{word} {}", named(offer));
        change(draft, &identity, &wanted, now)?;
        if let Some(offer) = draft.offer(&identity) {
            is_now.clone_from(&offer.rollout);
        }
        // For the audit, what came of it, too.
        let waves: Vec<_> = [stage(&is_now, now)].into_iter().chain(to_come(&is_now, now)).collect();
        Ok(format!("{about}: {}", waves.join("; ")))
    })?;
    let mut text = format!("rollout {about}: {}\n", stage(&is_now, now));
    for line in to_come(&is_now, now) {
        text.push_str(&format!("  {line}\n"));
    }
    if matches!(is_now.pace, RolloutState::Paused(_)) {
        text.push_str(
            "  devices that were let in before still get it; `rollout … halt` keeps it from them, too\n",
        );
    }
    text.push_str(&committed_line(committed.as_ref()));
    session.result(
        out,
        "rollout",
        Answer::RolloutChanged(RolloutChanged {
            channel: args.channel.clone(),
            rollout: about,
            sequence: sequence(committed.as_ref()),
        }),
        &text,
    )
}
