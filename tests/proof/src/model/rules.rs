//! What must hold in each state, and what must be possible.
use super::{
    Model,
    card::{Card, Flag},
    machine::{Agent, At, Counts, Machine, Stuck, Work},
    memory::Memory,
    steps::{self, Step},
    world::{Nature, Rel, Rels},
};
use bistable_boot::{Action, MAX_ATTEMPTS, Saved, Slot};
use stateright::Property;

/// Steps within which a machine that is left alone comes to rest. Three trials of a release that never reports take
/// the most, about fifty.
const SETTLES_WITHIN: usize = 100;

/// All that can be asked within these bounds: without an operator, no device goes back.
pub fn all(bounds: &Counts) -> Vec<Property<Model>> {
    type Is = fn(&Model, &Machine) -> bool;
    let always: [(&'static str, Is); 15] = [
        ("something boots, whatever happens next", |_, m| {
            m.at != At::Bricked && cards(m).all(boots_something)
        }),
        ("the default slot is complete and was healthy", |_, m| {
            cards(m).all(|card| default_is_good(card, m.witness.healthy))
        }),
        ("neither the running nor the default slot is written", |_, m| !m.witness.wrote_live_slot),
        ("a slot that looks bootable is complete", |_, m| cards(m).all(no_half_slot)),
        ("a commit needs self-tests and health on this boot", |_, m| !m.witness.unproven_commit),
        ("a commit that returned is not undone by itself", |_, m| {
            loses_a_copy(m) || !m.witness.undone_commit && commit_stays(m)
        }),
        ("floors never fall", |_, m| floor_holds(m)),
        ("floors rise only with a commit", |_, m| {
            let most = m.witness.committed.security_version();
            memories(m).all(|memory| memory.floors.security_version <= most)
        }),
        ("an offer gets three trials at most", |_, m| m.witness.trials <= MAX_ATTEMPTS + m.spent.losses),
        ("no attempt counts that did not happen", |_, m| {
            // After a cut or a hang between request and reboot, nothing tells the next boot of the old slot from one
            // after a trial that died early.
            let lost = m.spent.cuts + m.spent.faults + m.spent.losses;
            memories(m)
                .all(|memory| memory.now().attempts().unwrap_or(0) <= m.witness.trials.saturating_add(lost))
        }),
        ("a good release is not rejected after one cut", |_, m| good_is_not_rejected(m)),
        ("no release is armed whose self-tests fail", |_, m| {
            memories(m).all(|memory| match &memory.state {
                Saved::Idle | Saved::Installing(_) | Saved::Staged(_) => true,
                state => state.target().is_none_or(|t| Rel::named(&t.release).nature() != Nature::Unwired),
            })
        }),
        ("a release that failed its trial does not look bootable", |_, m| {
            loses_a_copy(m) || failed_is_erased(m)
        }),
        ("one fault does not lose the journal", |_, m| {
            m.medium.seen.load().is_some() || m.spent.losses + m.spent.cuts >= 2
        }),
        ("a machine that is left alone comes to rest", comes_to_rest),
    ];
    let sometimes: [(&'static str, Is); 4] = [
        ("a release is committed", |_, m| ended(m, Action::Commit)),
        ("a release is reverted", |_, m| ended(m, Action::Revert)),
        ("a release is rejected", |_, m| memories(m).any(|memory| !memory.rejected.is_empty())),
        ("a release gets its third trial", |_, m| m.witness.trials == MAX_ATTEMPTS),
    ];
    let with_an_operator: [(&'static str, Is); 1] = [("an older release is gone back to", |_, m| {
        ended(m, Action::Commit)
            && m.up().and_then(|up| m.medium.seen.slots[up.slot].release()) == Some(Rel::FACTORY)
    })];
    let with_a_cut: [(&'static str, Is); 3] = [
        ("a release is committed after a cut", |_, m| ended(m, Action::Commit) && m.spent.cuts > 0),
        ("a torn flag is repaired", |_, m| m.medium.durable.flag.is_torn() && !m.flag().is_torn()),
        ("a flag that its own write destroyed is rewritten", |_, m| {
            m.medium.durable.flag == Flag::Lost && m.flag() != Flag::Lost
        }),
    ];
    let with_an_operator = with_an_operator.into_iter().filter(|_| bounds.operator > 0);
    let with_a_cut = with_a_cut.into_iter().filter(|_| bounds.cuts > 0);
    let sometimes = sometimes.into_iter().chain(with_an_operator).chain(with_a_cut);
    let always = always.map(|(name, holds)| Property::always(name, holds));
    always.into_iter().chain(sometimes.map(|(name, is)| Property::sometimes(name, is))).collect()
}

/// The card as it would be if all of its cache was lost, or none.
fn cards(m: &Machine) -> impl Iterator<Item = &Card> {
    [&m.medium.durable, &m.medium.seen].into_iter()
}

/// What the agent holds, and what is stored.
fn memories(m: &Machine) -> impl Iterator<Item = &Memory> {
    m.work().map(|(_, work)| &work.memory).into_iter().chain(m.medium.seen.load())
}

fn boots_something(card: &Card) -> bool {
    card.firmware(false).is_some_and(|slot| card.slots[slot].comes_up())
}

fn default_is_good(card: &Card, healthy: Rels) -> bool {
    let Some(default) = card.flag.default_slot() else { return true };
    card.slots[default].release().is_some_and(|rel| healthy.has(rel) && rel.nature() == Nature::Good)
}

/// With the newest copy of the journal, the last save is lost: what was decided is decided again, on what is known
/// then. That must be harmless; but an attempt may be made once more, and the verdict may be another one.
fn loses_a_copy(m: &Machine) -> bool {
    m.spent.losses > 0
}

fn no_half_slot(card: &Card) -> bool {
    Slot::ALL.into_iter().all(|slot| {
        let content = card.slots[slot];
        content.header.is_none() || content.header == content.body
    })
}

fn commit_stays(m: &Machine) -> bool {
    match (m.witness.kept, m.medium.durable.flag.default_slot()) {
        (Some(kept), Some(default)) => kept == default,
        _ => true,
    }
}

/// A copy that was lost may take the last save with it: then that commit is done again.
fn floor_holds(m: &Machine) -> bool {
    let Some(memory) = m.medium.seen.load() else { return true };
    let floor = m.witness.floor;
    // An operator may take it back instead.
    loses_a_copy(m) && m.spent.operator > 0
        || memory.floors.security_version >= floor
        || match &memory.state {
            Saved::Committing { target, .. } => target.security_version >= floor,
            _ => false,
        }
}

fn good_is_not_rejected(m: &Machine) -> bool {
    let excused = m.spent.cuts > 1 || m.spent.faults + m.spent.losses > 0 || m.spent.operator > 0;
    excused
        || memories(m)
            .all(|memory| memory.rejected.iter().all(|r| Rel::named(&r.release).nature() != Nature::Good))
}

fn failed_is_erased(m: &Machine) -> bool {
    let Some(up) = m.up().filter(|up| up.agent == Agent::Resting) else { return true };
    let other = m.medium.seen.slots[!up.slot];
    m.witness.trials == 0 || other.header.is_none_or(|rel| m.witness.committed.has(rel))
}

/// Each chain of natural steps continues forever only through the first act of what a state asks for: it is enough to
/// begin there, and to look at where it ends.
fn comes_to_rest(model: &Model, m: &Machine) -> bool {
    let begins = match &m.at {
        At::Firmware => false,
        At::Up(up) => match &up.agent {
            Agent::Due => false,
            Agent::Resting | Agent::Stuck(_) => true,
            Agent::Working(work) => work.at == 0 && work.flush.is_none(),
        },
        At::Bricked => return false,
    };
    if !begins {
        return true;
    }
    let mut now = m.clone();
    for _ in 0..SETTLES_WITHIN {
        // What is stored may want something again after a loss: the next boot asks it.
        let step = steps::natural(model, &now).or_else(|| wants_a_start(&now).then_some(Step::Start));
        match step.and_then(|step| steps::take(model, &now, &step)) {
            Some(next) => now = next,
            None => return rests_well(&now),
        }
    }
    false
}

fn wants_a_start(m: &Machine) -> bool {
    let rests = m.up().is_some_and(|up| up.agent == Agent::Resting);
    let todo = m.medium.seen.load().map_or(Action::Wait, |memory| memory.now().todo());
    rests && !matches!(todo, Action::Wait | Action::Install)
}

fn rests_well(m: &Machine) -> bool {
    let Some(up) = m.up() else { return false };
    match (&up.agent, m.medium.seen.load()) {
        // Its own write destroyed the flag, and the copy that said so is lost too: the same.
        (Agent::Stuck(Stuck::Flag) | Agent::Resting, _) if m.flag() == Flag::Lost => loses_a_copy(m),
        (Agent::Resting, Some(memory)) => {
            matches!(memory.state, Saved::Idle | Saved::Installing(_))
                // With a lost save, it may be on the slot that it was trying; the next boot is the default's.
                && (loses_a_copy(m) || m.flag().default_slot() == Some(up.slot))
        }
        // The lost save said that the slot was given up. Its header is erased, so the boot loader can't try it: the old
        // system runs, and waits for a person or another offer.
        (Agent::Stuck(Stuck::NotTried), Some(_)) => {
            loses_a_copy(m) && m.flag().default_slot() == Some(up.slot)
        }
        // Two faults at once: the device runs, and says that an operator has to repair it.
        (Agent::Resting | Agent::Stuck(Stuck::Journal), None) => true,
        _ => false,
    }
}

fn ended(m: &Machine, todo: Action) -> bool {
    m.work().is_some_and(|(_, Work { todo: was, memory, .. })| *was == todo && memory.now().is_idle())
}
