//! One file per verb, or family of verbs. Each gives one answer, which is told at the end.
mod answer;
mod config;
mod follow;
mod health;
mod inspect;
mod machine;
mod repair;
mod run;
#[cfg(feature = "sim")]
mod sim;
mod talk;
#[cfg(target_os = "linux")]
mod turn;
mod update;

use crate::{
    Device, Error,
    agent::Agent,
    board::Access,
    cli::{Cli, Verb},
    config::{ConfigError, Settings, board_settings, load},
    ports::Board,
    text::printable_lines,
};
use bistable_boot::JournalError;
use machine::{Keeper, Machine, Place};
use std::io::{self, Write};
use talk::Talk;

pub use run::run as program;

pub(crate) use answer::{Answer, Failed, Form, Reboot, RebootCode, told, told_usage};

/// Do what the command line says.
///
/// # Errors
/// What went wrong.
pub(crate) fn run(cli: &Cli) -> Result<Answer, Failed> {
    if let Verb::Config(verb) = cli.verb {
        return config::run(&cli.at, verb);
    }
    let place = Place::of(&cli.at)?;
    match &cli.verb {
        #[cfg(feature = "sim")]
        Verb::Sim(verb) => Ok(sim::run(&place, verb)?),
        Verb::Status { .. } | Verb::History => Ok(look(cli, &place)?),
        _ => work(cli, &place),
    }
}

/// `status` and `history`: nothing is locked and nothing saved, so that they work at any time.
fn look(cli: &Cli, place: &Place) -> Result<Answer, Error> {
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
            return inspect::lost(machine.board, &settings, machine.power, e.to_string());
        }
        (opened, _) => opened?,
    };
    match cli.verb {
        Verb::Status { ascii } => Ok(inspect::status(device, machine.power, ascii)),
        _ => Ok(inspect::history(&device)),
    }
}

/// The verbs that work on a machine, or may.
fn work(cli: &Cli, place: &Place) -> Result<Answer, Failed> {
    let root = place.root(&cli.at);
    let loaded = load(&root).map(|settings| settings.read_below(&root)).map(|settings| match place {
        Place::Pi => settings.with_checks_below(&root),
        // The simulated Pi's world has programs by their paths on the device.
        #[cfg(feature = "sim")]
        Place::Sim(_) => settings,
    });
    let board = loaded.as_ref().map_or_else(|_| board_settings(&root), |s| s.board.clone());
    let Machine { board, keeper, .. } = place.open(cli, &board, access(&cli.verb, place))?;
    // A simulated machine that was never on boots first: that comes before what the verb does.
    keeper.tell_console();
    let ended = on_board(cli, board, loaded, &keeper);
    // Whatever happened, the machine remembers what a machine remembers.
    keeper.save()?;
    ended
}

/// What a verb needs of its machine. What changes nothing and has no use for pins keeps nobody out on a real board. A
/// simulated one may have to boot first.
fn access(verb: &Verb, place: &Place) -> Access {
    match (verb, place) {
        (Verb::Preflight, Place::Pi) => Access::Look,
        (Verb::Install(s) | Verb::Update(s), Place::Pi) if s.dry_run => Access::Look,
        _ => Access::Exclusive,
    }
}

fn on_board(
    cli: &Cli,
    board: Board,
    loaded: Result<Settings, ConfigError>,
    keeper: &Keeper,
) -> Result<Answer, Failed> {
    let settings = match (loaded, &cli.verb) {
        (Ok(settings), _) => settings,
        // A system on trial that can't be configured goes back: the boot unit must not just stop.
        (Err(e), Verb::Resume) => {
            let device = Device::open(board, Settings::default())?;
            let mut talk = Talk::new(&cli.at);
            let mut agent = Agent::start(device, &mut talk)?;
            let rest = agent.unfit(e);
            return update::answer(&agent, rest, keeper);
        }
        (Err(e), _) => return Err(e.into()),
    };
    if let Verb::Repair(args) = &cli.verb {
        return Ok(repair::run(board, settings, args)?);
    }
    let device = Device::open(board, settings)?;
    let mut talk = Talk::new(&cli.at);
    let mut agent = match &cli.verb {
        Verb::Preflight | Verb::SelfTest | Verb::Health => Agent::look(device, &mut talk),
        Verb::Install(s) | Verb::Update(s) if s.dry_run => Agent::look(device, &mut talk),
        _ => Agent::start(device, &mut talk)?,
    };
    update::run(&mut agent, &cli.verb, keeper)
}

/// A result, on standard output. A reader that has gone away is no error of ours.
pub(crate) fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// Words for people, on standard error. Much of it is foreign: texts of releases and servers, names of files.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(text.trim_end_matches('\n')));
}
