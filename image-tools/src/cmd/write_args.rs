//! The arguments of all verbs that change a channel, and how they do it.
use super::Out;
use super::notify::{Notify, Webhook};
use super::place::{Actor, Pinned, Place};
use super::progress_lines::OnStderr;
use crate::answer::Answer;
use crate::clock::HostClock;
use crate::error::Error;
use crate::keys::SecretKey;
use crate::repository::channel::{ChannelLog, OldRoot};
use crate::repository::edit::{EditError, Selector};
use crate::repository::roots::Roots;
use crate::repository::store::Store;
use crate::repository::trust::{Known, Recognized};
use crate::repository::words;
use crate::repository::writer::{Change, Committed, Committer};
use bistable_format::{Channel, limits};
use std::path::PathBuf;

/// Who signs, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    pinned: Pinned,
    /// Secret key that may sign channels. Repeat it if the root demands more than one.
    #[arg(long = "key", value_name = "NAME.key", required = true, env = "BISTABLE_CHANNEL_KEY")]
    keys: Vec<PathBuf>,
    /// How long devices believe the channel's files from now on; kept until it is changed, 7d for a new channel. Before that
    /// the channel has to be renewed: by any change, or by `channel refresh`
    #[arg(long, value_name = "TIME", value_parser = words::seconds)]
    lifetime: Option<u64>,
    /// Take over what only a root signed that isn't in force any more: after you looked at it.
    #[arg(long)]
    accept_old_root: bool,
    #[command(flatten)]
    by: Actor,
    #[command(flatten)]
    notify: Notify,
}

/// A repository, opened to change a channel.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: Store,
    pub(crate) roots: Roots,
    known: Known,
    keys: Vec<SecretKey>,
    who: String,
    lifetime: Option<u64>,
    /// See [`Committer::continue_after`].
    pub(crate) continue_after: Option<u64>,
    old_root: OldRoot,
    webhook: Option<Webhook>,
}

impl WriteArgs {
    /// Open the repository and read the keys.
    pub(crate) fn open(&self) -> Result<Session, Error> {
        let keys = self.keys.iter().map(|path| SecretKey::read(path)).collect::<Result<_, _>>()?;
        let webhook = self.notify.open()?;
        let store = self.place.open_to_write()?;
        let Recognized { roots, known, .. } = self.pinned.recognize(&store)?;
        let old_root = if self.accept_old_root { OldRoot::Accept } else { OldRoot::Refuse };
        Ok(Session {
            store,
            roots,
            known,
            keys,
            who: self.by.name()?,
            lifetime: self.lifetime,
            continue_after: None,
            old_root,
            webhook,
        })
    }
}

impl Session {
    /// Who commits.
    pub(crate) fn committer(&self) -> Committer<'_> {
        Committer {
            who: self.who.clone(),
            keys: self.keys.iter().map(SecretKey::signing).collect(),
            lifetime: self.lifetime,
            old_root: self.old_root,
            continue_after: self.continue_after,
            known: &self.known,
            clock: &HostClock,
            notices: &OnStderr,
        }
    }

    /// Print what the verb did, and send it to the webhook.
    pub(crate) fn result(&self, out: Out, verb: &str, answer: Answer, text: &str) -> Result<(), Error> {
        let Some(webhook) = &self.webhook else { return out.result(answer, text) };
        let message = webhook.message(verb, &self.who, self.store.place(), &answer, text);
        let printed = out.result(answer, text);
        webhook.send(&message);
        printed
    }

    /// Change a channel that there is. `change` gives what it was about.
    pub(crate) fn change(
        &self,
        channel: &str,
        verb: &str,
        change: impl FnMut(&mut Channel, u64) -> Result<String, EditError>,
    ) -> Result<Option<Committed>, Error> {
        // A typo must not create a new channel.
        self.committer().writer(&ChannelLog::new(&self.store, &self.roots, channel)).existing()?;
        self.change_or_begin(channel, verb, change)
    }

    /// Change a channel, or begin it if there is none. `change` gives what it was about.
    pub(crate) fn change_or_begin(
        &self,
        channel: &str,
        verb: &str,
        mut change: impl FnMut(&mut Channel, u64) -> Result<String, EditError>,
    ) -> Result<Option<Committed>, Error> {
        let log = ChannelLog::new(&self.store, &self.roots, channel);
        self.committer().writer(&log).commit(|draft| -> Result<Change, Error> {
            let about = words::shorten(&change(draft, draft.issued_at)?, limits::REASON);
            Ok(Change::Made { verb: verb.into(), about })
        })
    }
}

/// Which release.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReleaseArg {
    /// A version, `core 2.0.0` or `hub/core 2.0.0` for a component's, or at least 8 digits of a release's identity
    #[arg(value_name = "RELEASE")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) of: Of,
}

/// What a release is of, if its version alone doesn't say.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Of {
    /// Only releases of this product
    #[arg(long, value_name = "NAME")]
    pub(crate) product: Option<String>,
    /// Only releases of this component
    #[arg(long, value_name = "NAME")]
    pub(crate) component: Option<String>,
}

impl Of {
    /// A release that is written like that.
    pub(crate) fn selector(&self, what: &str) -> Selector {
        Selector { product: self.product.clone(), component: self.component.clone(), what: what.into() }
    }
}

impl ReleaseArg {
    pub(crate) fn selector(&self) -> Selector {
        self.of.selector(&self.what)
    }
}

/// The end of a verb's text: what was committed, if anything was.
pub(crate) fn committed_line(committed: Option<&Committed>) -> String {
    let Some(Committed { file, unrecorded, .. }) = committed else { return String::new() };
    let channel = &file.channel;
    let number = match channel.sequence {
        1 => format!("channel {} is new: its number is 1", channel.name),
        n => format!("channel {} is now number {n}", channel.name),
    };
    let record = unrecorded.as_ref().map_or_else(String::new, |e| {
        format!("warning: the audit has no record of it yet ({e}); `bistable-image audit repair` adds it\n")
    });
    format!("{number}\n{record}")
}
