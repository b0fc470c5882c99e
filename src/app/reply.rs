//! How a request ended.
use super::{Answer, CardWrites};
use crate::{
    Error,
    events::{End, OfferedVersion},
    offer::channel::Unusable,
    ports::Power,
    text::printable_lines,
};
use bistable_boot::Slot;
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

/// What a request needs beside the agent.
pub trait Context {
    /// Whether the board has power. One that answers has; a simulated one may not.
    fn power(&self) -> Power;
    /// What was written to the card since the machine was opened.
    fn written(&self) -> CardWrites;
    /// The slot that runs after a reboot that was asked for; `None` while that isn't known.
    fn booted(&self) -> Option<Slot>;
    /// The job that is being done, if the daemon does it.
    fn job(&self) -> Option<String>;
    /// How past updates ended, as far as the event log knows; the oldest first.
    fn ends(&mut self) -> Vec<End>;
    /// What the channel offered of each component when it was last checked, as far as the event log knows.
    fn offered(&mut self) -> BTreeMap<String, OfferedVersion>;
    /// Open the bundle of that name, from its beginning.
    ///
    /// # Errors
    /// When it can't be opened.
    fn bundle(&mut self, name: &Path) -> Result<Box<dyn Read>, Error>;

    /// The names of other bundles that lie in the same place, sorted.
    fn beside(&self, _name: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// What a request that ended well has to do with a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// Nothing.
    No,
    /// It took place, as was asked for.
    Done,
    /// It has to follow.
    Needed,
}

/// The result of a request that ended well.
#[derive(Clone, Debug)]
pub struct Reply {
    /// For a person; may be empty.
    pub text: String,
    /// The same as data.
    pub answer: Answer,
    /// Offers that were passed over.
    pub unusable: Vec<Unusable>,
    /// What it has to do with a reboot.
    pub reboot: Reboot,
}

impl Reply {
    /// Text, and the same as data.
    pub(crate) fn new(text: impl Into<String>, answer: Answer) -> Reply {
        Reply::styled(printable_lines(&text.into()), answer)
    }

    /// The same for text with colors, whose foreign parts were made printable before.
    pub(crate) fn styled(text: impl Into<String>, answer: Answer) -> Reply {
        Reply { text: text.into(), answer, unusable: Vec::new(), reboot: Reboot::No }
    }

    pub(crate) fn reboot(self, reboot: Reboot) -> Reply {
        Reply { reboot, ..self }
    }

    /// Offers were passed over.
    pub(crate) fn passing_over(self, unusable: &[Unusable]) -> Reply {
        Reply { unusable: unusable.to_vec(), ..self }
    }
}

/// A request that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Box<Error>,
    /// The report that says why, if there is one.
    pub report: Option<Box<Answer>>,
    /// Offers that were passed over.
    pub unusable: Vec<Unusable>,
}

impl Failed {
    /// An error with the report that it was drawn from.
    pub(crate) fn with(error: Error, report: Answer) -> Failed {
        Failed { error: Box::new(error), report: Some(Box::new(report)), unusable: Vec::new() }
    }

    /// Offers were passed over.
    pub(crate) fn passing_over(self, unusable: &[Unusable]) -> Failed {
        Failed { unusable: unusable.to_vec(), ..self }
    }
}

/// The same with the offers that were passed over because they couldn't be opened.
pub(super) fn with_unusable(ended: Result<Reply, Failed>, unusable: &[Unusable]) -> Result<Reply, Failed> {
    ended.map(|reply| reply.passing_over(unusable)).map_err(|failed| failed.passing_over(unusable))
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed { error: Box::new(error.into()), report: None, unusable: Vec::new() }
    }
}
