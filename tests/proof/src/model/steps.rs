//! All that may happen next: by itself, or because of the world, as long as it is allowed to.
use super::{
    Model,
    acts::Act,
    agent::{self, Verdict},
    card::{Fate, Flag, Item},
    machine::{After, Agent, At, Counts, Goal, Machine, Up, Work},
    memory::Memory,
    world::Rel,
};
use bistable_boot::{Action, Event, Slot};
use std::fmt;

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The firmware chooses a slot; a system comes up, or its watchdog resets the machine.
    Boot,
    /// A release that is good hangs all the same.
    HangAtBoot,
    /// `Agent::start`, by the boot unit or by what watches over it.
    Start,
    /// The same, in a mode that leaves what is staged to a person.
    Leave,
    /// The agent does its next act.
    Do(Act, Verdict),
    /// It makes its last write safe.
    Flush,
    /// The power goes, and comes back.
    Cut(Vec<(Item, Fate)>),
    /// A copy of the journal can't be read any more.
    LoseCopy(usize),
    /// The flag's sector can't be read any more.
    LoseFlag,
    /// The agent dies.
    Kill,
    /// The whole system hangs: the watchdog resets it.
    Hang,
    /// `bistable update` with that release.
    Offer(Rel),
    /// The same, with `--retry-rejected`.
    Insist(Rel),
    /// `bistable revert`.
    GoBack,
}

/// What happens by itself, if anything does: all luck is good.
pub fn natural(model: &Model, machine: &Machine) -> Option<Step> {
    match &machine.at {
        At::Bricked => None,
        At::Firmware => Some(Step::Boot),
        At::Up(Up { agent, .. }) => match agent {
            Agent::Due => Some(Step::Start),
            Agent::Working(Work { flush: Some(_), .. }) => Some(Step::Flush),
            Agent::Working(work) => {
                let act = model.protocol.act(work)?;
                Some(Step::Do(act, agent::verdicts(act, &work.memory).0))
            }
            Agent::Resting | Agent::Stuck(_) => None,
        },
    }
}

/// All that may happen.
pub fn possible(model: &Model, machine: &Machine, steps: &mut Vec<Step>) {
    if machine.at == At::Bricked {
        return;
    }
    steps.extend(natural(model, machine));
    let (most, spent) = (&model.bounds, &machine.spent);
    if spent.cuts < most.cuts {
        steps.extend(machine.medium.aftermaths().into_iter().map(Step::Cut));
    }
    if spent.losses < most.losses {
        let there = |copy: &usize| machine.medium.seen.journal[*copy].is_some();
        steps.extend((0..2).filter(there).map(Step::LoseCopy));
    }
    if spent.flag_losses < most.flag_losses && machine.flag().default_slot().is_some() {
        steps.push(Step::LoseFlag);
    }
    let luck = spent.faults < most.faults;
    let At::Up(up) = &machine.at else {
        if luck {
            steps.push(Step::HangAtBoot);
        }
        return;
    };
    if luck {
        steps.push(Step::Hang);
    }
    match &up.agent {
        Agent::Working(work) => {
            if spent.kills < most.kills {
                steps.push(Step::Kill);
            }
            if luck
                && work.flush.is_none()
                && let Some(act) = model.protocol.act(work)
                && let Some(verdict) = agent::verdicts(act, &work.memory).1
            {
                steps.push(Step::Do(act, verdict));
            }
        }
        Agent::Due | Agent::Resting => {
            if up.agent == Agent::Due && leaves(machine, up) {
                steps.push(Step::Leave);
            }
            verbs(model, machine, up, steps);
        }
        Agent::Stuck(_) => {}
    }
}

/// Whether there is something staged that the boot may leave alone. A flag to be repaired is repaired first.
fn leaves(machine: &Machine, up: &Up) -> bool {
    let waits = |memory: Memory| {
        let target = memory.now().target().map(|target| target.slot);
        memory.now().todo() == Action::SelfTest && target != Some(up.slot)
    };
    let staged = agent::wake(machine, up).is_ok_and(waits);
    staged && agent::lost_flag(machine).is_none()
}

fn verbs(model: &Model, machine: &Machine, up: &Up, steps: &mut Vec<Step>) {
    let Ok(memory) = agent::wake(machine, up) else { return };
    let (most, spent) = (&model.bounds, &machine.spent);
    for rel in Rel::all() {
        let goes_on = memory.now().target().is_some_and(|t| Rel::named(&t.release) == rel);
        if (goes_on || spent.offers < most.offers) && agent::accepts(machine, up.slot, &memory, rel, false) {
            steps.push(Step::Offer(rel));
        } else if spent.offers < most.offers
            && spent.operator < most.operator
            && agent::accepts(machine, up.slot, &memory, rel, true)
        {
            steps.push(Step::Insist(rel));
        }
    }
    // A flag to be repaired is repaired first.
    let mended = agent::lost_flag(machine).is_none();
    if mended && spent.operator < most.operator && agent::way_back(machine, up.slot, &memory).is_some() {
        steps.push(Step::GoBack);
    }
}

/// What a step makes of a machine. `None` if it can't be taken.
pub fn take(model: &Model, before: &Machine, step: &Step) -> Option<Machine> {
    let mut machine = before.clone();
    let Counts { cuts, losses, flag_losses, faults, kills, offers, operator } = &mut machine.spent;
    match step {
        Step::Cut(_) => *cuts += 1,
        Step::LoseCopy(_) => *losses += 1,
        Step::LoseFlag => *flag_losses += 1,
        Step::HangAtBoot | Step::Hang => *faults += 1,
        Step::Do(act, verdict) => {
            let (usual, _) = agent::verdicts(*act, &before.work()?.1.memory);
            *faults += u8::from(*verdict != usual);
        }
        Step::Kill => *kills += 1,
        Step::GoBack => *operator += 1,
        Step::Insist(_) => (*offers, *operator) = (*offers + 1, *operator + 1),
        Step::Offer(rel) => {
            // To continue what was cut short is no new offer: the bundle is offered until it is done.
            let state = &before.medium.seen.load()?.state;
            let goes_on = state.target().is_some_and(|t| Rel::named(&t.release) == *rel);
            *offers += u8::from(!goes_on);
        }
        Step::Boot | Step::Start | Step::Leave | Step::Flush => {}
    }
    match step {
        Step::Boot => boot(&mut machine, Verdict::Well),
        Step::HangAtBoot => boot(&mut machine, Verdict::Badly),
        Step::Start => start(model, &mut machine, Goal::None),
        Step::Leave => {
            wake(model, &mut machine)?;
            machine.with_up(|up| up.agent = Agent::Resting);
        }
        Step::Offer(rel) | Step::Insist(rel) => start(model, &mut machine, Goal::Bundle(*rel)),
        Step::GoBack => roll_back(model, &mut machine)?,
        Step::Do(_, verdict) => agent::resume(&model.protocol, &mut machine, *verdict)?,
        Step::Flush => agent::resume(&model.protocol, &mut machine, Verdict::Well)?,
        Step::Cut(fates) => {
            machine.medium.cut(fates);
            machine.once = false;
            machine.reset();
        }
        Step::LoseCopy(copy) => machine.medium.lose_journal(*copy),
        Step::LoseFlag => machine.medium.lose_flag(),
        Step::Kill => machine.with_up(|up| up.agent = Agent::Due),
        Step::Hang => machine.reset(),
    }
    Some(machine)
}

/// Only the firmware's choice, and what the slot holds: nothing here asks the journal.
fn boot(machine: &mut Machine, luck: Verdict) {
    let once = std::mem::take(&mut machine.once);
    let Some(slot) = machine.medium.seen.firmware(once) else {
        machine.at = At::Bricked;
        return;
    };
    if once && machine.medium.seen.load().and_then(|m| m.state.target()).is_some_and(|t| t.slot == slot) {
        // Bounded, so that a mutant without bounds has finitely many states too.
        machine.witness.trials = (machine.witness.trials + 1).min(40);
    }
    machine.at = match machine.medium.seen.slots[slot].comes_up() {
        true if luck == Verdict::Well => {
            let boot = machine.next_boot();
            At::Up(Up { slot, boot, flagged: once, passed: None, agent: Agent::Due })
        }
        // What the watchdog resets is the default slot again and again.
        false if !once => At::Bricked,
        _ => At::Firmware,
    };
}

/// Load the journal, in a process that may follow one that was killed.
fn wake(model: &Model, machine: &mut Machine) -> Option<Memory> {
    if model.protocol.opening == super::Opening::Flushes {
        machine.medium.flush();
    }
    match agent::wake(machine, machine.up()?) {
        Ok(memory) => Some(memory),
        Err(stuck) => {
            machine.with_up(|up| up.agent = Agent::Stuck(stuck));
            None
        }
    }
}

fn start(model: &Model, machine: &mut Machine, goal: Goal) {
    let Some(memory) = wake(model, machine) else { return };
    let mut work = Work::new(memory, goal);
    if let Some(old) = agent::lost_flag(machine) {
        machine.medium.seen.flag = Flag::whole(old);
        work.flush = Some(After::Again);
    }
    machine.with_up(|up| up.agent = Agent::Working(work));
}

fn roll_back(model: &Model, machine: &mut Machine) -> Option<()> {
    let slot = machine.up()?.slot;
    let memory = wake(model, machine)?;
    let event: Event = agent::way_back(machine, slot, &memory)?;
    let mut work = Work::new(memory, Goal::None);
    // A commit that an operator takes back is not undone by itself.
    let agent = match agent::save(machine, &mut work, &[event]) {
        Ok(_) => {
            work.flush = Some(After::Again);
            Agent::Working(work)
        }
        Err(stuck) => Agent::Stuck(stuck),
    };
    machine.with_up(|up| up.agent = agent);
    Some(())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Boot => write!(f, "the firmware boots what the card says"),
            Step::HangAtBoot => {
                write!(f, "the kernel hangs, though its release is good: the watchdog resets")
            }
            Step::Start => write!(f, "the agent starts"),
            Step::Leave => write!(f, "the agent starts, and leaves what is staged to a person"),
            Step::Do(Act::Save(events), _) => {
                let names: Vec<_> = events.iter().map(Event::name).collect();
                write!(f, "the agent writes the journal: {}", names.join(" and "))
            }
            Step::Do(act, Verdict::Well) => write!(f, "the agent: {act:?}"),
            Step::Do(act, Verdict::Badly) => write!(f, "the agent: {act:?} fails"),
            Step::Flush => write!(f, "the agent flushes"),
            Step::Cut(fates) => {
                write!(f, "POWER CUT")?;
                fates.iter().try_for_each(|(item, fate)| write!(f, ", {item}: {fate:?}"))
            }
            Step::LoseCopy(copy) => write!(f, "LOST: {}", Item::Journal(*copy)),
            Step::LoseFlag => write!(f, "LOST: {}", Item::Flag),
            Step::Kill => write!(f, "KILLED: the agent"),
            Step::Hang => write!(f, "HANG: the watchdog resets the machine"),
            Step::Offer(rel) => write!(f, "release {rel} is offered"),
            Step::Insist(rel) => write!(f, "release {rel} is offered, rejected or not"),
            Step::GoBack => write!(f, "an operator wants to go back"),
        }
    }
}

/// The slot that a new device boots.
pub fn first_states() -> Vec<Machine> {
    Slot::ALL.map(Machine::new).into()
}
