//! One file per verb: from arguments to options, and from the result to text or JSON.
pub(crate) mod attest;
pub(crate) mod audit;
mod bind;
pub(crate) mod build;
pub(crate) mod card;
pub(crate) mod channel;
pub(crate) mod delta;
pub(crate) mod deltas;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod flash;
mod images;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod maintenance;
pub(crate) mod manual;
pub(crate) mod metrics;
mod notify;
mod place;
mod progress_bar;
mod progress_lines;
pub(crate) mod promote;
pub(crate) mod publish;
mod release_args;
pub(crate) mod repo;
pub(crate) mod retire;
pub(crate) mod root;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod sign;
pub(crate) mod site;
mod strand;
pub(crate) mod verify;
mod waves;
pub(crate) mod withdraw;
pub(crate) mod write_args;

use crate::answer::{self, Answer, Document, Failure};
use crate::error::{Error, Exit};
use crate::progress::Progress;
use bistable_format::failure::{on_lines, on_one_line};
use bistable_format::json;
use bistable_format::progress::Reader;
use bistable_format::text::printable;
use clap::ValueEnum;
use std::io::{self, IsTerminal, Write};

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A line now and then
    Plain,
    /// One JSON object per line.
    Json,
    /// Nothing.
    #[value(alias = "none")]
    Quiet,
}

/// How the result and the progress are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
    pub(crate) progress: ProgressStyle,
}

impl Out {
    pub(crate) fn progress(self) -> Box<dyn Progress> {
        let terminal = io::stderr().is_terminal();
        match self.progress {
            ProgressStyle::Auto if terminal => Box::new(progress_bar::Bars::new()),
            ProgressStyle::Auto | ProgressStyle::Plain => Box::new(progress_lines::Lines::new(Reader::Log)),
            ProgressStyle::Json => Box::new(progress_lines::Lines::new(Reader::Program)),
            ProgressStyle::Quiet => Box::new(progress_lines::OnlyNotes),
        }
    }

    /// Print the result: as text, or as JSON.
    pub(crate) fn result(self, answer: Answer, text: &str) -> Result<(), Error> {
        // Names and descriptions are foreign text.
        if self.json { object(&Document::of(answer)) } else { print(&printable(text, &['\n', '\t'])) }
    }

    /// Print the report of a verb that fails because of it; as JSON, with the failure.
    pub(crate) fn report(self, answer: Answer, text: &str, why: Error) -> Error {
        if !self.json {
            return self.result(answer, text).err().unwrap_or(why);
        }
        match object(&Document::failed(failure(&why), Some(answer))) {
            Ok(()) => Error::Told(Box::new(why)),
            Err(e) => e,
        }
    }

    /// Tell what failed: on standard error, and as JSON.
    pub(crate) fn complain(self, error: &Error) {
        progress_lines::say(&format!("error: {}", on_lines(error)));
        if self.json && !matches!(error, Error::Told(_)) {
            // Nothing can be done about a closed standard output.
            let _ = object(&Document::failed(failure(error), None));
        }
    }
}

fn failure(error: &Error) -> Failure {
    answer::failure(on_one_line(error), error.exit())
}

/// The one JSON object of a command line that can't be understood.
pub(crate) fn complain_of_usage(text: &str) {
    // Nothing can be done about a closed standard output.
    let _ = object(&Document::failed(answer::failure(text, Exit::Usage), None));
}

fn object(document: &Document) -> Result<(), Error> {
    print(&(json::pretty(document) + "\n"))
}

fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever reads has enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(crate::OutputError::io("write to", "standard output".as_ref())(e).into()),
        Ok(()) => Ok(()),
    }
}
