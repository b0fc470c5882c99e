//! `withdraw`.
use super::Out;
use super::act::{Acting, Which, committed_line};
use crate::error::Error;
use crate::repository::edit::{EditError, withdraw};
use serde_json::json;

/// Arguments of `withdraw`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The channel.
    channel: String,
    #[command(flatten)]
    which: Which,
    /// Why: devices tell it to their users.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    acting: Acting,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let bench = args.acting.open()?;
    let selector = args.which.selector();
    let mut about = String::new();
    let committed = bench.change(&args.channel, "withdraw", |draft, now| {
        let offer = selector.find(draft).map_err(|e| match e {
            EditError::Withdrawn { channel, release, .. } => {
                EditError::Already(format!("{release} is withdrawn from channel {channel}"))
            }
            e => e,
        })?;
        let (identity, name) = (offer.identity, format!("{} {}", offer.terms.product, offer.terms.version));
        withdraw(draft, &identity, &args.reason, now)?;
        about.clone_from(&name);
        Ok(name)
    })?;
    out.result(
        json!({
            "channel": args.channel,
            "withdrawn": about,
            "reason": args.reason,
            "sequence": committed.as_ref().map(|c| c.file.channel.sequence),
        }),
        &format!(
            "withdrew {about} from {}: devices that run it are offered the newest other release that fits\n{}",
            args.channel,
            committed_line(committed.as_ref())
        ),
    )
}
