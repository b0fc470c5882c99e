//! A machine with its card, at one moment.
use super::{
    card::{Flag, Medium},
    memory::Memory,
    world::{Rel, Rels},
};
use bistable_boot::{Action, Asked, Boot, BootId, Evidence, Saved, Slot, Tries};
use std::fmt;

/// How often each thing may happen, or has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Power cuts.
    pub cuts: u8,
    /// Losses of a journal copy.
    pub losses: u8,
    /// Losses of the flag's sector at any moment: a risk that remains, so none by default.
    pub flag_losses: u8,
    /// The world's faults: a hang, an unlucky self-test or health check, an installation that fails.
    pub faults: u8,
    /// Deaths of the agent.
    pub kills: u8,
    /// Offers of a release.
    pub offers: u8,
    /// Acts of an operator: going back, insisting on a rejected release.
    pub operator: u8,
}

/// What the model remembers for its properties; the device knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Releases whose commit returned, and the factory's.
    pub committed: Rels,
    /// Releases that passed self-tests and health check on a boot of theirs, and the factory's.
    pub healthy: Rels,
    /// The highest floor that was ever stored.
    pub floor: u32,
    /// The default slot of the last commit that returned, until another one is wanted.
    pub kept: Option<Slot>,
    /// Boots into the slot on trial since the last offer.
    pub trials: u8,
    /// The running or the default slot was written.
    pub wrote_live_slot: bool,
    /// The flag was given to a release that hadn't passed on that boot.
    pub unproven_commit: bool,
    /// A commit that had returned was taken back, and no operator wanted it.
    pub undone_commit: bool,
}

/// What a verb was called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Nothing: `resume`.
    None,
    /// A bundle: `update`.
    Bundle(Rel),
}

/// What follows a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// The next act.
    Next,
    /// The state asks for something else now.
    Again,
    /// A reset.
    Reset,
}

/// The agent at work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// What it holds in memory.
    pub memory: Memory,
    /// What the state asked for.
    pub todo: Action,
    /// Which act of that comes next.
    pub at: u8,
    /// What it was called with.
    pub goal: Goal,
    /// A write was issued; its flush comes next, then this.
    pub flush: Option<After>,
}

impl Work {
    /// Begin with what the state asks for.
    pub fn new(memory: Memory, goal: Goal) -> Work {
        let todo = memory.now().todo();
        Work { memory, todo, at: 0, goal, flush: None }
    }
}

/// Why the agent can't continue, which it says and waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stuck {
    /// Both copies of the journal are damaged.
    Journal,
    /// The flag can't be read.
    Flag,
    /// An event that makes no sense: also how a way back that doesn't boot ends.
    Refused,
    /// The boot loader did not begin the trial, as often as it was asked.
    NotTried,
    /// The slot to commit isn't the running one.
    NotRunning,
}

/// The agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Agent {
    /// To be started, by the boot unit or by what watches over it.
    Due,
    /// At work.
    Working(Work),
    /// Done, until a verb is called.
    Resting,
    /// Unable to continue.
    Stuck(Stuck),
}

/// A system that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Up {
    /// Its slot.
    pub slot: Slot,
    /// The number of its boot: the smallest that no stored request for a reboot is of, so that there are few.
    pub boot: u8,
    /// Whether the one-shot flag was set when it was booted.
    pub flagged: bool,
    /// The release that passed self-tests and health check on this boot.
    pub passed: Option<Rel>,
    /// Its agent.
    pub agent: Agent,
}

impl Up {
    /// A request of this boot for a reboot.
    pub fn asks(&self) -> Asked {
        Asked { boot: BootId::numbered(self.boot.into()), counter: 0 }
    }

    /// `Device::boot`, with `Tryboot::evidence`.
    pub fn as_found(&self, stored: &Saved) -> Boot {
        let refused = self.flagged && stored.target().is_some_and(|target| target.slot != self.slot);
        let evidence = if refused { Evidence::NotTried } else { Evidence::Unknown };
        Boot { slot: self.slot, id: self.asks().boot, evidence }
    }
}

/// The boot that a stored state has asked for a reboot in.
fn asked(state: &Saved) -> Option<BootId> {
    match state {
        Saved::Armed { tries: Tries { asked, .. }, .. } => asked.map(|asked| asked.boot),
        Saved::Reverting { asked, .. } => *asked,
        _ => None,
    }
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// The firmware, after power-on or a reset.
    Firmware,
    /// A system.
    Up(Up),
    /// Nothing, ever again.
    Bricked,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Its card.
    pub medium: Medium,
    /// The firmware's one-shot flag, in a register that power loss clears.
    pub once: bool,
    /// What runs.
    pub at: At,
    /// What has happened to it.
    pub spent: Counts,
    /// For the properties.
    pub witness: Witness,
}

impl Machine {
    /// A new device, whose factory image is in that slot.
    pub fn new(slot: Slot) -> Machine {
        Machine {
            medium: Medium::new(slot),
            once: false,
            at: At::Firmware,
            spent: Counts::default(),
            witness: Witness {
                committed: Rels::default().with(Rel::FACTORY),
                healthy: Rels::default().with(Rel::FACTORY),
                floor: Rel::FACTORY.security_version(),
                kept: None,
                trials: 0,
                wrote_live_slot: false,
                unproven_commit: false,
                undone_commit: false,
            },
        }
    }

    /// The running system.
    pub fn up(&self) -> Option<&Up> {
        match &self.at {
            At::Up(up) => Some(up),
            At::Firmware | At::Bricked => None,
        }
    }

    /// The agent's work.
    pub fn work(&self) -> Option<(&Up, &Work)> {
        match &self.at {
            At::Up(up @ Up { agent: Agent::Working(work), .. }) => Some((up, work)),
            _ => None,
        }
    }

    /// Change the running system.
    pub fn with_up(&mut self, change: impl FnOnce(&mut Up)) {
        if let At::Up(up) = &mut self.at {
            change(up);
        }
    }

    /// The number of the next boot.
    pub fn next_boot(&self) -> u8 {
        let Medium { seen, durable } = &self.medium;
        let copies = seen.journal.iter().chain(&durable.journal).flatten();
        let taken: Vec<BootId> = copies.filter_map(|copy| asked(&copy.memory().state)).collect();
        (0..u8::MAX).find(|n| !taken.contains(&BootId::numbered((*n).into()))).unwrap_or(u8::MAX)
    }

    /// The boot flag, as reads show it.
    pub fn flag(&self) -> Flag {
        self.medium.seen.flag
    }

    /// The firmware runs next. What is in the card's cache stays there: only power loss takes it.
    pub fn reset(&mut self) {
        self.at = At::Firmware;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { cuts, losses, flag_losses, faults, kills, offers, operator } = self;
        write!(
            f,
            "{offers} offers, {cuts} power cuts, {losses} losses of a journal copy, {faults} of the world's faults, "
        )?;
        write!(
            f,
            "{kills} deaths of the agent, {operator} operator's acts, {flag_losses} losses of the flag's sector"
        )
    }
}
