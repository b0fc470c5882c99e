//! `promote`.
use super::Out;
use super::act::{Acting, Which, committed_line};
use super::waves::{rest, stage, to_come};
use crate::answer::{Answer, Promoted, RolloutChanged, sequence};
use crate::clock::{Clock, HostClock};
use crate::error::Error;
use crate::repository::promote::{Wish, promote};
use crate::repository::words::{WaveAfter, in_order, percent};
use bistable_format::rollout::{Pace, Rollout, Wave};

/// Arguments of `promote`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel that offers it now, for example staging.
    from: String,
    /// The channel to offer it in, for example production
    into: String,
    /// Which one, by version or identity. Default: the newest that isn't there yet
    version: Option<String>,
    /// Of which product, if the channel has several.
    #[arg(long)]
    product: Option<String>,
    #[command(flatten)]
    rollout: Waves,
    #[command(flatten)]
    acting: Acting,
}

/// Who gets it, and when.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Waves {
    /// Share of the fleet, and when from now: `1%,10%@6h,50%@1d+6h,100%@3d`; each larger and no earlier than the one
    /// before. Default: all devices at once
    #[arg(long, value_name = "SHARE%[@AFTER][+OVER]", value_delimiter = ',', value_parser = WaveAfter::parse)]
    waves: Vec<WaveAfter>,
    /// Group of devices, by their label, that gets it before all waves. Repeat it for more
    #[arg(long, value_name = "GROUP", requires = "waves")]
    canary: Vec<String>,
}

impl Waves {
    /// The rollout that begins now.
    pub(crate) fn rollout(&self, now: u64) -> Result<Rollout, Error> {
        let waves: Vec<Wave> = self.waves.iter().map(|w| w.from(now)).collect();
        in_order(&waves).map_err(|why| Error::Usage(format!("--waves: {why}")))?;
        Ok(Rollout { pace: Pace::Running, canaries: self.canary.clone(), waves: waves.into() })
    }
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let rollout = args.rollout.rollout(HostClock.now())?;
    let bench = args.acting.open()?;
    let wish = Wish {
        from: &args.from,
        into: &args.into,
        product: args.product.as_deref(),
        what: args.version.as_deref(),
        rollout,
    };
    let (offer, committed) = promote(&bench.store, &bench.roots, &bench.committer(), &wish)?;
    let (product, version) = (&offer.terms.product, &offer.terms.version);
    // One that was only signed again keeps the rollout that it had.
    let there = committed.as_ref().and_then(|c| c.file.channel.offer(&offer.identity));
    let waves = &there.map_or(&wish.rollout, |there| &there.rollout).waves;
    let who = match waves.first() {
        None => "all devices get it".to_owned(),
        Some(first) => format!("{} waves, the first of {}", waves.len(), percent(first.share)),
    };
    let rest = rest(&wish.rollout).map_or_else(String::new, |rest| format!("  {rest}\n"));
    out.result(
        Answer::Promoted(Promoted {
            product: product.clone(),
            version: version.to_string(),
            release: offer.identity.to_string(),
            from: args.from.clone(),
            into: args.into.clone(),
            sequence: sequence(committed.as_ref()),
        }),
        &format!(
            "promoted {product} {version} from {} into {}: {who}\n{rest}{}",
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
    which: Which,
    /// What to do about it.
    #[command(subcommand)]
    verb: RolloutVerb,
}

/// What can be done about a rollout.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RolloutVerb {
    /// Start again with these waves, at least one. Devices that the old ones let in may have to wait again
    Set(SetArgs),
    /// Add a wave after the others
    Wave(WaveArgs),
    /// Add a group of devices that gets it before all waves
    Canary(CanaryArgs),
    /// Stop the waves where they are. Devices that were let in before still get it, and so do canary groups: only `halt` keeps it
    /// from them
    Pause(Acting),
    /// Resume a paused rollout
    Resume(Acting),
    /// Stop it for all devices that don't have it yet; only `set` or `everyone` starts it again
    Halt(Acting),
    /// Offer it to all devices now
    Everyone(Acting),
}

/// Arguments of `rollout set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    waves: Waves,
    #[command(flatten)]
    acting: Acting,
}

/// Arguments of `rollout wave`.
#[derive(Debug, clap::Args)]
pub(crate) struct WaveArgs {
    /// The wave: `50%@1d+6h`.
    #[arg(value_name = "SHARE%[@AFTER][+OVER]", value_parser = WaveAfter::parse)]
    wave: WaveAfter,
    #[command(flatten)]
    acting: Acting,
}

/// Arguments of `rollout canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct CanaryArgs {
    /// The devices' label.
    group: String,
    #[command(flatten)]
    acting: Acting,
}

pub(crate) fn rollout(args: &RolloutArgs, out: Out) -> Result<(), Error> {
    use crate::repository::edit::{Change, change};
    let now = HostClock.now();
    let (acting, wanted, word) = match &args.verb {
        RolloutVerb::Set(a) => (&a.acting, Change::Replace(a.waves.rollout(now)?), "set"),
        RolloutVerb::Wave(a) => (&a.acting, Change::Wave(a.wave.from(now)), "wave"),
        RolloutVerb::Canary(a) => (&a.acting, Change::Canary(a.group.clone()), "canary"),
        RolloutVerb::Pause(a) => (a, Change::Pause, "pause"),
        RolloutVerb::Resume(a) => (a, Change::Resume, "resume"),
        RolloutVerb::Halt(a) => (a, Change::Halt, "halt"),
        RolloutVerb::Everyone(a) => (a, Change::Everyone, "everyone"),
    };
    let bench = acting.open()?;
    let selector = args.which.selector();
    let (mut about, mut is_now) = (String::new(), Rollout::default());
    let committed = bench.change(&args.channel, "rollout", |draft, now| {
        let offer = selector.find(draft)?;
        let identity = offer.identity;
        about = format!("{word} {} {}", offer.terms.product, offer.terms.version);
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
    if matches!(is_now.pace, Pace::Paused(_)) {
        text.push_str(
            "  devices that were let in before still get it; `rollout … halt` keeps it from them, too\n",
        );
    }
    text.push_str(&committed_line(committed.as_ref()));
    out.result(
        Answer::RolloutChanged(RolloutChanged {
            channel: args.channel.clone(),
            rollout: about,
            sequence: sequence(committed.as_ref()),
        }),
        &text,
    )
}
