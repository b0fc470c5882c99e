//! The update protocol as a model, searched exhaustively.
//!
//! What is durable is the real [`Record`](bistable_boot::Record), and what becomes of it is decided by the real table,
//! [`Now::on`](bistable_boot::Now::on): neither can differ from the agent's. The model says again only the order
//! of the agent's acts, in one table that [`Now::todo`](bistable_boot::Now::todo) chooses from.
//!
//! | file | noun |
//! |---|---|
//! | [`acts`] | what the agent does, in which order |
//! | [`agent`] | how each act changes the machine |
//! | [`memory`] | a record, made one of finitely many |
//! | [`card`] | the card, its cache, and what a power cut makes of it; the firmware's choice |
//! | [`machine`] | a machine at one moment: a state of the model |
//! | [`world`] | releases: good, sick, dead, unwired |
//! | [`steps`] | all that may happen next |
//! | [`rules`] | what must hold in each state |
//! | [`search`](mod@search) | the search, and the shortest way to what must not be |
//!
//! # What the properties leave open
//! Losing the newest copy of the journal undoes the last save. Everything that could harm the device holds even so; but
//! a trial may be made once more, a verdict be given again, and a flag that its own write destroyed at the same time
//! stays lost until a person repairs it. Losing the flag's sector outside of its own writes is the risk that remains
//! (`--flag-losses 1` shows how): the firmware then takes the first slot that looks bootable, and if that is slot A with
//! a release that was staged and never comes up, nothing boots any more.
//!
//! # What is left out
//! Errors that the card reports, the root of trust stored beside the journal, the verbs `arm`, `reboot` and `commit`
//! called by hand, and a second write to the same place before a flush of the first: that needs two deaths of the
//! agent within two flushes.
pub mod acts;
pub mod agent;
pub mod card;
pub mod machine;
pub mod memory;
pub mod rules;
pub mod search;
pub mod steps;
pub mod world;

pub use search::{Finding, Found, search};

use anyhow::Result;
use machine::{Counts, Machine, Work};
use std::time::Instant;

/// What opening the journal does with what a program that was killed has left in the card's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Makes it safe before it is acted upon.
    Flushes,
    /// Trusts it.
    Trusts,
}

/// The agent's protocol, or a mutant of it.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// The order of acts.
    pub order: acts::Order,
    /// How the journal is opened.
    pub opening: Opening,
}

impl Default for Protocol {
    /// The agent's.
    fn default() -> Protocol {
        Protocol { order: acts::order, opening: Opening::Flushes }
    }
}

impl Protocol {
    fn act(&self, work: &Work) -> Option<acts::Act> {
        (self.order)(work.todo).get(usize::from(work.at)).copied()
    }
}

/// A protocol in a world that may do so much to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Model {
    /// The protocol.
    pub protocol: Protocol,
    /// How often each thing may happen.
    pub bounds: Counts,
}

impl stateright::Model for Model {
    type State = Machine;
    type Action = steps::Step;

    fn init_states(&self) -> Vec<Machine> {
        steps::first_states()
    }

    fn actions(&self, machine: &Machine, steps: &mut Vec<steps::Step>) {
        steps::possible(self, machine, steps);
    }

    fn next_state(&self, machine: &Machine, step: steps::Step) -> Option<Machine> {
        steps::take(self, machine, &step)
    }

    fn properties(&self) -> Vec<stateright::Property<Model>> {
        rules::all(&self.bounds)
    }
}

/// How far the search goes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Power cuts
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=20))]
    pub cuts: u8,
    /// Losses of a journal copy
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=20))]
    pub losses: u8,
    /// Losses of the boot flag's sector outside of its own write: a risk that remains
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=20))]
    pub flag_losses: u8,
    /// Hangs, unlucky self-tests and health checks, installations that fail
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=20))]
    pub faults: u8,
    /// Deaths of the agent
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=20))]
    pub kills: u8,
    // With more, the history could be full, and the oldest of it forgotten: see `memory`.
    /// Offers of a release
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=4))]
    pub offers: u8,
    /// Acts of an operator
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=4))]
    pub operator: u8,
    /// Threads that search
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub threads: usize,
}

impl Options {
    fn bounds(&self) -> Counts {
        let Options { cuts, losses, flag_losses, faults, kills, offers, operator, threads: _ } = *self;
        Counts { cuts, losses, flag_losses, faults, kills, offers, operator }
    }
}

/// Search, and print what was found. Gives whether all properties hold.
///
/// # Errors
/// None at present.
#[expect(clippy::disallowed_methods, reason = "only tells a person how long it took")]
pub fn run(options: &Options) -> Result<bool> {
    let model = Model { bounds: options.bounds(), ..Model::default() };
    println!("At most: {}.", model.bounds);
    let start = Instant::now();
    let found = search(model, options.threads);
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = found.unique as f64 / seconds;
    println!(
        "{} states, {} transitions, {seconds:.1} s, {rate:.0} states/s, {} steps deep",
        found.unique, found.generated, found.depth
    );
    for finding in &found.findings {
        println!("{finding}");
    }
    Ok(found.holds())
}
