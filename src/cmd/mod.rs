//! One file per verb, or family of verbs. Each gives one answer, which is told at the end.
mod answer;
mod bundle;
mod config;
mod events;
mod inspect;
mod machine;
mod place;
mod repair;
mod request;
mod run;
#[cfg(feature = "sim")]
mod sim;
mod talk;
#[cfg(target_os = "linux")]
mod turn;

use crate::{
    Device, Error,
    agent::{Agent, Listener, Silence},
    app::{self, Request},
    board::Access,
    cli::{Cli, Verb},
    config::{ConfigError, Settings, board_settings, load},
    events::{Log, Recorder, Session, SharedLog},
    logging,
    ports::Board,
    text::printable_lines,
};
use bistable_boot::JournalError;
use bundle::{Opener, Seen};
use machine::{Keeper, Machine};
use place::Place;
use request::{Asked, Work, asked};
use std::io::{self, Write};
use talk::Talk;

pub use run::run as program;

pub(crate) use crate::app::{Failed, Reply as Answer};
pub(crate) use answer::{Form, RebootCode, told, told_usage};

/// Do what the command line says.
///
/// # Errors
/// What went wrong.
pub(crate) fn run(cli: &Cli) -> Result<Answer, Failed> {
    let place = || Place::of(&cli.at);
    match asked(&cli.verb) {
        Asked::Config(verb) => config::run(&cli.at, verb),
        #[cfg(feature = "sim")]
        Asked::Sim(verb) => Ok(sim::run(place()?.card(), verb)?),
        Asked::Events(args) => Ok(events::run(cli, &place()?, args)?),
        Asked::Work(Work::Ask(request @ (Request::Status | Request::History))) => {
            look(cli, &place()?, &request)
        }
        Asked::Work(asked) => work(cli, &place()?, &asked),
    }
}

/// `status` and `history`: nothing is locked and nothing saved, so that they work at any time.
fn look(cli: &Cli, place: &Place, request: &Request) -> Result<Answer, Failed> {
    let root = place.root(&cli.at);
    // Looking must be possible above all when something is wrong.
    let loaded = load(&root);
    let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |s| s.board.clone());
    let machine = place.open(cli, &board, Access::Look)?;
    let settings = loaded.unwrap_or_else(|e| {
        say(&format!("warning: {e}"));
        Settings::default()
    });
    let device = match (Device::open(machine.board, settings.clone()), &cli.verb) {
        // Looking must be possible above all when something is wrong.
        (Err(Error::Journal(e @ JournalError::Lost { .. })), Verb::Status { .. }) => {
            let machine = place.open(cli, &board, Access::Look)?;
            return Ok(inspect::lost(machine.board, &settings, machine.power, e.to_string())?);
        }
        (opened, _) => opened?,
    };
    let mut silence = Silence;
    let mut seen = Seen { power: machine.power, events: Some(machine.events) };
    let reply = app::handle(&mut Agent::look(device, &mut silence), request, &mut seen)?;
    let ascii = matches!(cli.verb, Verb::Status { ascii: true });
    Ok(inspect::drawn(reply, ascii))
}

/// The verbs that work on a machine, or may.
fn work(cli: &Cli, place: &Place, asked: &Work<'_>) -> Result<Answer, Failed> {
    let root = place.root(&cli.at);
    let loaded = load(&root).map(|settings| settings.read_below(&root)).map(|settings| match place {
        Place::Pi => settings.with_checks_below(&root),
        // The simulated Pi's world has programs by their paths on the device.
        #[cfg(feature = "sim")]
        Place::Sim(_) => settings,
    });
    let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |s| s.board.clone());
    let access = access(asked, place);
    let Machine { board, keeper, events, .. } = place.open(cli, &board, access)?;
    // Who only looks writes nothing.
    let log = (access == Access::Exclusive && !asked.is_dry_run()).then(|| {
        let session = logging::session();
        SharedLog::new(Log::open(events, Session { id: session.into(), request: session.into() }))
    });
    // A simulated machine that was never on boots first: that comes before what the verb does.
    keeper.tell_console();
    if let Some(log) = &log {
        events::configured(log, &root);
    }
    let ended = on_board(cli, board, loaded, asked, &keeper, log.as_ref());
    drop(log);
    // Whatever happened, the machine remembers what a machine remembers.
    keeper.save()?;
    ended
}

/// What a verb needs of its machine. What changes nothing and has no use for pins keeps nobody out on a real board. A
/// simulated one may have to boot first.
fn access(asked: &Work<'_>, place: &Place) -> Access {
    match (asked, place) {
        (Work::Ask(Request::Preflight), Place::Pi) => Access::Look,
        (asked, Place::Pi) if asked.is_dry_run() => Access::Look,
        _ => Access::Exclusive,
    }
}

fn on_board(
    cli: &Cli,
    board: Board,
    loaded: Result<Settings, ConfigError>,
    asked: &Work<'_>,
    keeper: &Keeper,
    log: Option<&SharedLog>,
) -> Result<Answer, Failed> {
    let settings = match (loaded, asked) {
        (Ok(settings), _) => settings,
        // A system on trial that can't be configured goes back: the boot unit must not just stop.
        (Err(e), Work::Ask(Request::Resume)) => {
            let device = Device::open(board, Settings::default())?;
            return listening(cli, log, |listener| {
                let mut agent = start(device, log, listener)?;
                let rest = agent.unfit(e);
                app::rested(&agent, rest, &Opener { keeper, log })
            });
        }
        (Err(e), _) => return Err(e.into()),
    };
    let request = match asked {
        Work::Ask(request) => request,
        Work::Repair(args) => {
            if let Some(log) = log {
                events::repair(log);
            }
            return Ok(repair::run(board, settings, args)?);
        }
    };
    if let Some(log) = log {
        events::request(log, request);
    }
    let device = Device::open(board, settings)?;
    listening(cli, log, |listener| {
        let mut agent = match request.only_looks() {
            true => Agent::look(device, listener),
            false => start(device, log, listener)?,
        };
        let ended = app::handle(&mut agent, request, &mut Opener { keeper, log });
        if let (Some(log), Request::Check(_)) = (log, request) {
            events::checked(log, &ended);
        }
        ended
    })
}

/// Take the device over, with a log that agrees with its journal.
fn start<'a>(
    device: Device,
    log: Option<&SharedLog>,
    listener: &'a mut dyn Listener,
) -> Result<Agent<'a>, Error> {
    if let Some(log) = log {
        log.reconcile(&device);
    }
    Agent::start(device, listener)
}

/// Do something while a person or a program is told of it, and the log.
fn listening<T>(cli: &Cli, log: Option<&SharedLog>, work: impl FnOnce(&mut dyn Listener) -> T) -> T {
    let mut talk = Talk::new(&cli.at);
    match log {
        Some(log) => work(&mut Recorder::new(log.clone(), &mut talk)),
        None => work(&mut talk),
    }
}

/// A result, on standard output. A reader that has gone away is no error of ours.
pub(crate) fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// Messages, on standard error. Much of it is foreign: texts of releases and servers, names of files.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(text.trim_end_matches('\n')));
}
