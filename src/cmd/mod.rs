//! One file per verb, or family of verbs. Each gives one answer, which is told at the end.
mod answer;
mod inspect;
mod repair;
mod sim;
mod talk;
mod update;

use crate::{
    Device, Error,
    agent::Agent,
    board::sim::{Keeper, Sim, machine::SimError},
    cli::{At, Cli, Verb},
    config::{self, Settings},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
use talk::Talk;

pub(crate) use answer::{Answer, Failed, Form, Reboot, RebootCode, told, told_usage};

/// Do what the command line says.
///
/// # Errors
/// What went wrong.
pub(crate) fn run(cli: &Cli) -> Result<Answer, Failed> {
    let card = cli.at.card.clone().ok_or_else(|| {
        Error::Usage("which card? Name the simulated Pi's card with --card FILE or BISTABLE_CARD".into())
    })?;
    match &cli.verb {
        Verb::Sim(verb) => return Ok(sim::run(&card, verb)?),
        Verb::Status { .. } | Verb::History => return Ok(look(cli, &card)?),
        _ => {}
    }
    let sim = Sim::open(&card)?;
    let keeper = sim.keeper();
    // A machine that was never on boots first: that comes before what the verb does.
    keeper.console().iter().for_each(|line| say(&format!("  {line}")));
    let ended = on_board(cli, &card, sim, &keeper);
    // Whatever happened, the machine remembers what a machine remembers.
    let console = keeper.console();
    keeper.save()?;
    for line in console {
        say(&format!("  {line}"));
    }
    if keeper.lost_power() {
        say("  power lost in the middle of a write; `bistable sim power on` restores it");
    }
    ended
}

/// `status` and `history`: nothing is locked and nothing saved, so that they work at any time.
fn look(cli: &Cli, card: &Path) -> Result<Answer, Error> {
    let sim = Sim::look(card)?;
    // Looking must be possible above all when something is wrong.
    let settings = config::load(&system_root(&cli.at, card)).unwrap_or_else(|e| {
        say(&format!("warning: {e}"));
        Settings::default()
    });
    let power = sim.power;
    let device = Device::open(sim.board, settings)?;
    match cli.verb {
        Verb::Status { ascii } => Ok(inspect::status(device, power, ascii)),
        _ => Ok(inspect::history(&device)),
    }
}

fn on_board(cli: &Cli, card: &Path, sim: Sim, keeper: &Keeper) -> Result<Answer, Failed> {
    let settings = match (config::load(&system_root(&cli.at, card)), &cli.verb) {
        (Ok(settings), _) => settings,
        // A system on trial that can't be configured has failed: the boot unit must not just stop.
        (Err(e), Verb::Resume) => {
            let device = Device::open(sim.board, Settings::default())?;
            let mut talk = Talk::new(&cli.at);
            let mut agent = Agent::start(device, &mut talk)?;
            let rest = agent.unfit(e);
            return update::answer(&agent, rest, keeper);
        }
        (Err(e), _) => return Err(e.into()),
    };
    if let Verb::Repair = cli.verb {
        return Ok(repair::run(sim.board, settings)?);
    }
    let device = Device::open(sim.board, settings)?;
    let mut talk = Talk::new(&cli.at);
    let mut agent = match &cli.verb {
        Verb::Preflight | Verb::SelfTest => Agent::look(device, &mut talk),
        Verb::Install(s) | Verb::Update(s) if s.dry_run => Agent::look(device, &mut talk),
        _ => Agent::start(device, &mut talk)?,
    };
    update::run(&mut agent, &cli.verb, keeper)
}

fn system_root(at: &At, card: &Path) -> PathBuf {
    at.root.clone().unwrap_or_else(|| crate::board::sim::folder(card).join("root"))
}

/// A result, on standard output. A reader that has gone away is no error of ours.
pub(crate) fn out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// Words for people, on standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end_matches('\n'));
}

impl From<SimError> for Error {
    fn from(e: SimError) -> Self {
        match e {
            SimError::Card(e) => Error::Card(e),
            SimError::Fault(e) => Error::Fault(e),
            e @ SimError::OnAlready => Error::NothingToDo(e.to_string()),
            e => Error::Sim(Box::new(e)),
        }
    }
}
