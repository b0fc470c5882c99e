//! One file per verb, or family of verbs. Each gives one answer, which is told at the end.
mod answer;
mod audit;
mod bundle;
mod component;
mod config;
#[cfg(feature = "daemon")]
mod daemon;
mod events;
#[cfg(feature = "daemon")]
mod inhibit;
mod inspect;
mod lock_wait;
mod machine;
mod metrics;
mod narrator;
mod offer;
mod place;
mod pre_hooks;
mod repair;
mod request;
mod run;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "daemon")]
mod token;
#[cfg(feature = "daemon")]
mod web;
mod work;

use crate::{
    app::Request,
    cli::{Cli, Verb},
    events::Session,
    logging,
    text::printable_lines,
};
use audit::By;
use narrator::Narrator;
use place::Place;
use request::{Asked, Work, asked};
use std::io::{self, Write};
use work::Workplace;

#[cfg(feature = "daemon")]
pub use daemon::device as daemon_device;
pub use run::run as program;

pub(crate) use crate::app::{Failed, Reply as Answer};
pub(crate) use answer::{Form, RebootCode, told, told_usage};

/// Do what the command line says.
///
/// # Errors
/// What went wrong.
pub(crate) fn run(cli: &Cli) -> Result<Answer, Failed> {
    let workplace = || {
        Place::of(&cli.at).map(|place| Workplace {
            at: &cli.at,
            place,
            patience: lock_wait::patience(&cli.verb),
            #[cfg(feature = "daemon")]
            kept: None,
        })
    };
    let work = |asked: &Work<'_>| {
        let session = logging::session();
        let session = Session { id: session.into(), request: session.into() };
        workplace()?.work(asked, &By::cli(), session, None, &mut Narrator::new(&cli.at))
    };
    match asked(&cli.verb) {
        Asked::Config(verb) => config::run(&cli.at, verb),
        #[cfg(feature = "sim")]
        Asked::Sim(verb) => Ok(sim::run(Place::of(&cli.at)?.card(), verb)?),
        Asked::Events(args) => Ok(events::run(&workplace()?, args)?),
        Asked::Offer(args) => offer::run(&workplace()?, args),
        Asked::Metrics(args) => metrics::run(&workplace()?, args),
        Asked::AtBoot(asked) => component::run(&workplace()?, asked),
        Asked::Configure(args) => work(&Work::Ask(component::configure(args)?)),
        Asked::Logs(name, lines) => component::logs(&workplace()?, name, lines),
        #[cfg(feature = "daemon")]
        Asked::Daemon(args) => daemon::run(&cli.at, args),
        #[cfg(feature = "daemon")]
        Asked::Inhibit(args) => inhibit::run(&cli.at, args),
        #[cfg(feature = "daemon")]
        Asked::Web(args) => web::run(&cli.at, args),
        #[cfg(feature = "daemon")]
        Asked::Token(verb) => token::run(&cli.at, verb),
        Asked::Work(Work::Ask(request @ (Request::Components | Request::Component(_)))) => {
            workplace()?.look(&request)
        }
        Asked::Work(Work::Ask(request @ (Request::Status | Request::History))) => {
            let ascii = matches!(cli.verb, Verb::Status { ascii: true });
            Ok(inspect::drawn(workplace()?.look(&request)?, ascii))
        }
        Asked::Work(asked) => work(&asked),
    }
}

/// A result, on standard output. A reader that has gone away is not our error.
pub(crate) fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// Messages, on standard error. Much of it is foreign: texts of releases and servers, names of files.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(text.trim_end_matches('\n')));
}
