//! `withdraw`.
use super::Out;
use super::write_args::{ReleaseArg, Session, WriteArgs, committed_line};
use crate::answer::{Answer, Withdrew, sequence};
use crate::error::Error;
use crate::repository::channel::{ChannelFile, ChannelLog, names};
use crate::repository::edit::{EditError, bringing, named, stranded, withdraw};
use crate::repository::manifest;
use bistable_format::{Channel, Digest};

/// Arguments of `withdraw`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel.
    channel: String,
    #[command(flatten)]
    which: ReleaseArg,
    /// Why: devices report it to their users
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    write: WriteArgs,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let session = args.write.open()?;
    let selector = args.which.selector();
    let mut gone = None;
    let committed = session.change(&args.channel, "withdraw", |draft, now| {
        let offer = selector.find(draft).map_err(|e| match e {
            EditError::Withdrawn { channel, release, .. } => {
                EditError::Already(format!("{release} is withdrawn from channel {channel}"))
            }
            e => e,
        })?;
        let offer = offer.clone();
        withdraw(draft, &offer.identity, &args.reason, now)?;
        let nowhere = stranded(draft, offer.constraints.subject(), &offer.constraints.boards);
        let name = named(&offer);
        gone = Some((offer, nowhere));
        Ok(format!("{name}: {}", args.reason))
    })?;
    // Without an offer there would have been an error.
    let Some((offer, nowhere)) = gone else { return Ok(()) };
    let about = named(&offer);
    let others = others(&session, &args.channel, &offer.identity);
    let channel = &args.channel;
    let images = match &committed {
        Some(committed) => bringers(&session, &committed.file.channel, &offer.identity),
        None => Vec::new(),
    };
    let mut text = match nowhere.as_slice() {
        [] => {
            format!(
                "withdrew {about} from {channel}: devices that run it are offered the newest other release that fits\n"
            )
        }
        boards => format!(
            "withdrew {about} from {channel}\nwarning: {channel} has nothing else of {} on offer for {}: devices that run it \
             have nowhere to go until you publish or promote another version\n",
            offer.constraints.what(),
            boards.join(", ")
        ),
    };
    for image in &images {
        text.push_str(&format!(
            "warning: {image} brings it along: no device can install that from {channel} any more; publish an image that \
             brings another version, and withdraw that one\n"
        ));
    }
    for other in &others {
        text.push_str(&format!(
            "note: {other} still offers it: `bistable-image withdraw {other} {} --reason …`\n",
            offer.constraints.version
        ));
    }
    text.push_str(&committed_line(committed.as_ref()));
    session.result(
        out,
        "withdraw",
        Answer::Withdrew(Withdrew {
            channel: args.channel.clone(),
            withdrawn: about,
            reason: args.reason.clone(),
            boards_without_offer: nowhere,
            images_without_component: images,
            still_offered_in: others,
            sequence: sequence(committed.as_ref()),
        }),
        &text,
    )
}

/// The images on offer that bring a component's release along. What can't be read is left out: the withdrawal stands.
fn bringers(session: &Session, channel: &Channel, identity: &Digest) -> Vec<String> {
    let brought = manifest::brought(&session.store, &session.roots, channel).unwrap_or_default();
    bringing(channel, &brought, identity).map(named).collect()
}

/// The other channels that offer a release. What can't be read is left out: the withdrawal stands.
fn others(session: &Session, but: &str, identity: &Digest) -> Vec<String> {
    let mut all = names(&session.store).unwrap_or_default();
    all.retain(|name| {
        let offers = |file: ChannelFile| file.channel.offer(identity).is_some();
        name != but
            && ChannelLog::new(&session.store, &session.roots, name.as_str()).newest().is_ok_and(offers)
    });
    all
}
