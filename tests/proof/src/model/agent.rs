//! How each act changes the machine, and what it needs of the world.
use super::{
    Protocol,
    acts::Act,
    card::{Content, Flag},
    machine::{After, Agent, Goal, Machine, Stuck, Up, Work},
    memory::Memory,
    world::{Nature, Rel},
};
use bistable_boot::{Action, Event, Failure, Image, Now, Origin, Reason, Saved, Slot, Target};
use bistable_format::version;

/// How a check turned out, or whether a step that may fail did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Well,
    /// Badly.
    Badly,
}

/// What follows an act.
enum Next {
    /// A flush, then that.
    Flush(After),
    /// That, at once.
    Now(After),
    /// Nothing.
    End(Agent),
}

const GO_ON: Next = Next::Now(After::Next);

/// `Agent::start`: what the agent holds in memory before it does anything. Nothing is saved.
///
/// # Errors
/// When the journal is lost.
pub fn wake(machine: &Machine, up: &Up) -> Result<Memory, Stuck> {
    let slot = up.slot;
    let stored = machine.medium.seen.load().ok_or(Stuck::Journal)?;
    let memory = stored.booted(up.as_found(&stored.state));
    Ok(match &stored.state {
        Saved::Committing { target, .. }
            if target.slot == slot && machine.flag().default_slot() != Some(slot) =>
        {
            memory.doubted()
        }
        _ => memory,
    })
}

/// `Agent::mend_flag`: the slot that a flag gets back which can't be read while an update is in flight.
pub fn lost_flag(machine: &Machine) -> Option<Slot> {
    let stored = machine.medium.seen.load()?;
    let target = stored.state.target().filter(|_| machine.flag() == Flag::Lost)?;
    Some(!target.slot)
}

/// `Agent::accept`: whether an update with this release may begin or continue.
pub fn accepts(machine: &Machine, slot: Slot, memory: &Memory, rel: Rel, retry: bool) -> bool {
    // A release that is armed is tried, whatever is offered.
    let possible = matches!(memory.now().todo(), Action::Wait | Action::Install | Action::SelfTest);
    let preflight = machine.flag().default_slot() == Some(slot);
    let Image { release, version, security_version, .. } = rel.image();
    let running = memory.slots[slot].as_ref();
    possible
        && preflight
        && (retry || memory.rejection(&release).is_none())
        && running.is_none_or(|r| r.release != release && version::is_newer(&version, &r.version))
        && security_version >= memory.floors.security_version
}

/// `Agent::roll_back`: what an operator's goal to go back comes to, if to anything.
pub fn way_back(machine: &Machine, slot: Slot, memory: &Memory) -> Option<Event> {
    match memory.now().todo() {
        // `steps::revert::previous`
        Action::Wait => {
            let image = memory.slots[!slot].clone()?;
            let default = machine.flag().default_slot()?;
            let fits = image.security_version >= memory.floors.security_version;
            // `Device::release_of`: the slot may have been written since, if the newest record is lost.
            let there = machine.medium.seen.releases[!slot] == Some(Rel::named(&image.release));
            (default == slot && fits && there && memory.may_return(&image.release))
                .then(|| Event::Return(image.in_slot(!slot)))
        }
        Action::Revert => None,
        Action::Install | Action::SelfTest | Action::Try | Action::HealthCheck | Action::Commit => {
            Some(failed(Reason::Operator))
        }
    }
}

/// What verdicts an act may come to: by the release's nature, and by bad luck.
pub fn verdicts(act: Act, memory: &Memory) -> (Verdict, Option<Verdict>) {
    let nature = memory.now().target().map(|t| Rel::named(&t.release).nature());
    match (act, nature) {
        (Act::SelfTest, Some(Nature::Unwired)) | (Act::Health, Some(Nature::Sick)) => (Verdict::Badly, None),
        (Act::Open | Act::SelfTest | Act::Health | Act::Reboot, _) => (Verdict::Well, Some(Verdict::Badly)),
        _ => (Verdict::Well, None),
    }
}

/// Do the next act, or the flush that a write before it needs.
pub fn resume(protocol: &Protocol, machine: &mut Machine, verdict: Verdict) -> Option<()> {
    let (up, work) = machine.work()?;
    let (mut up, mut work) = (up.clone(), work.clone());
    let acts = (protocol.order)(work.todo);
    let act = *acts.get(usize::from(work.at))?;
    let next = match work.flush.take() {
        Some(after) => {
            machine.medium.flush();
            let floor = &mut machine.witness.floor;
            *floor = work.memory.floors.security_version.max(*floor);
            if act == Act::SwitchAlways
                && let Some(target) = work.memory.now().target()
            {
                machine.witness.kept = Some(target.slot);
                machine.witness.committed = machine.witness.committed.with(Rel::named(&target.release));
            }
            Next::Now(after)
        }
        None => perform(act, verdict, machine, &mut up, &mut work),
    };
    match next {
        Next::Flush(after) => work.flush = Some(after),
        Next::Now(After::Next) if usize::from(work.at) + 1 < acts.len() => work.at += 1,
        Next::Now(After::Next | After::Again) => work = Work::new(work.memory, work.goal),
        Next::Now(After::Reset) => {
            machine.reset();
            return Some(());
        }
        Next::End(agent) => {
            machine.at = super::machine::At::Up(Up { agent, ..up });
            return Some(());
        }
    }
    machine.at = super::machine::At::Up(Up { agent: Agent::Working(work), ..up });
    Some(())
}

/// `Agent::on`: save what the events make of the record; its flush is still to come.
pub fn save(machine: &mut Machine, work: &mut Work, events: &[Event]) -> Result<bool, Stuck> {
    let Some(memory) = work.memory.on(events).map_err(|_| Stuck::Refused)? else { return Ok(false) };
    if events.iter().any(|e| matches!(e, Event::Offer(_) | Event::Return(_))) {
        machine.witness.trials = 0;
    }
    machine.medium.write_journal(memory.clone());
    work.memory = memory;
    Ok(true)
}

fn saved(machine: &mut Machine, work: &mut Work, events: &[Event], after: After) -> Next {
    match save(machine, work, events) {
        Ok(true) => Next::Flush(after),
        Ok(false) => Next::Now(after),
        Err(stuck) => Next::End(Agent::Stuck(stuck)),
    }
}

fn perform(act: Act, verdict: Verdict, machine: &mut Machine, up: &mut Up, work: &mut Work) -> Next {
    let badly = verdict == Verdict::Badly;
    let offered = match work.goal {
        Goal::Bundle(rel) => Some(rel),
        Goal::None => None,
    };
    let Some(target) = work.memory.now().target().cloned() else {
        return match (act, offered) {
            (Act::Begin, Some(rel)) => {
                saved(machine, work, &[Event::Offer(rel.target(!up.slot))], After::Again)
            }
            (Act::Begin, None) => Next::End(Agent::Resting),
            _ => Next::Now(After::Again),
        };
    };
    let rel = Rel::named(&target.release);
    let there = machine.medium.seen.slots[target.slot];
    match act {
        Act::Begin => Next::Now(After::Again),
        Act::Open if offered.is_none() => Next::End(Agent::Resting),
        Act::Open if badly => {
            work.goal = Goal::None;
            saved(machine, work, &[failed(Reason::Install)], After::Again)
        }
        Act::Open | Act::SelfTest if offered.is_some_and(|o| o != rel) => {
            saved(machine, work, &[failed(Reason::Install)], After::Again)
        }
        Act::Open => GO_ON,
        Act::StoreRelease => {
            machine.medium.seen.releases[target.slot] = Some(rel);
            Next::Flush(After::Next)
        }
        // What is right already isn't written again.
        Act::EraseHeader | Act::BeginData | Act::WriteData | Act::WriteHeader
            if there.release() == Some(rel) =>
        {
            GO_ON
        }
        Act::EraseHeader => write_slot(machine, up, &target, Content { header: None, ..there }),
        Act::BeginData => {
            let _ = write_slot(machine, up, &target, Content { body: None, ..there });
            GO_ON
        }
        Act::WriteData => write_slot(machine, up, &target, Content { body: Some(rel), ..there }),
        Act::WriteHeader => write_slot(machine, up, &target, Content { header: Some(rel), ..there }),
        // `Device::self_test_plan` and `health_profile`: no release, no plan.
        Act::SelfTest if machine.medium.seen.releases[target.slot] != Some(rel) => {
            saved(machine, work, &[failed(Reason::Install)], After::Again)
        }
        Act::SelfTest if badly => {
            work.goal = Goal::None;
            saved(machine, work, &[failed(Reason::SelfTest)], After::Again)
        }
        Act::SelfTest => {
            work.goal = Goal::None;
            GO_ON
        }
        // `Agent::try_once`: the boot loader refused too often.
        Act::RepairFlag if work.memory.now().is_refused() => {
            machine.once = false;
            Next::End(Agent::Stuck(Stuck::NotTried))
        }
        Act::RepairFlag => repair_flag(machine),
        Act::Save(events) => {
            let asks = |event: &Event| match event {
                Event::Rebooting(_) => Event::Rebooting(up.asks()),
                event => event.clone(),
            };
            saved(machine, work, &events.iter().map(asks).collect::<Vec<_>>(), After::Next)
        }
        Act::SetOnce if work.memory.now().todo() != Action::Try => Next::Now(After::Again),
        Act::SetOnce => match machine.flag().default_slot() {
            Some(default) => {
                machine.once = default != target.slot;
                GO_ON
            }
            None => Next::End(Agent::Stuck(Stuck::Flag)),
        },
        // `Agent::not_rebooted`, and what watches over the agent starts it again.
        Act::Reboot if badly => {
            machine.once = false;
            saved(machine, work, &[Event::RebootCanceled], After::Again)
        }
        Act::Reboot => Next::Now(After::Reset),
        Act::Health if badly || machine.medium.seen.releases[target.slot] != Some(rel) => {
            saved(machine, work, &[failed(Reason::Health)], After::Again)
        }
        Act::Health => {
            up.passed = Some(rel);
            machine.witness.healthy = machine.witness.healthy.with(rel);
            GO_ON
        }
        Act::SwitchAlways => switch_always(machine, up, work, &target),
        Act::RestoreFlag => restore_flag(machine, work.memory.now()),
        Act::ClearOnce => {
            machine.once = false;
            GO_ON
        }
        Act::Leave if up.slot == target.slot => {
            saved(machine, work, &[Event::Rebooting(up.asks())], After::Reset)
        }
        Act::Leave => GO_ON,
        Act::EraseFailed if work.memory.origin == Origin::Slot => GO_ON,
        Act::EraseFailed => write_slot(machine, up, &target, Content { header: None, ..there }),
    }
}

fn write_slot(machine: &mut Machine, up: &Up, target: &Target, content: Content) -> Next {
    let Some(default) = machine.flag().default_slot() else { return Next::End(Agent::Stuck(Stuck::Flag)) };
    // `install::open_slot` would refuse it; the order of acts must not need that.
    machine.witness.wrote_live_slot |= target.slot == up.slot || target.slot == default;
    machine.medium.seen.slots[target.slot] = content;
    Next::Flush(After::Next)
}

fn repair_flag(machine: &mut Machine) -> Next {
    match machine.flag() {
        Flag::Lost => Next::End(Agent::Stuck(Stuck::Flag)),
        Flag::Says { default, tryboot } if default == tryboot => write_flag(machine, default),
        Flag::Says { .. } => GO_ON,
    }
}

fn switch_always(machine: &mut Machine, up: &Up, work: &mut Work, target: &Target) -> Next {
    if up.slot != target.slot {
        return Next::End(Agent::Stuck(Stuck::NotRunning));
    }
    match machine.flag().default_slot() {
        None => return saved(machine, work, &[failed(Reason::Environment)], After::Again),
        Some(default) if default == target.slot => {}
        Some(_) => {
            machine.witness.kept = None;
            machine.witness.unproven_commit |= up.passed != Some(Rel::named(&target.release));
        }
    }
    write_flag(machine, target.slot)
}

fn restore_flag(machine: &mut Machine, now: &Now) -> Next {
    let Now::Saved(Saved::Reverting { target, failure, .. }) = now else { return Next::Now(After::Again) };
    let old = !target.slot;
    if machine.flag() == Flag::whole(old) {
        return GO_ON;
    }
    if machine.flag().default_slot() == Some(target.slot) {
        let kept = machine.witness.kept.take();
        machine.witness.undone_commit |= kept == Some(target.slot) && failure.reason != Reason::Operator;
    }
    write_flag(machine, old)
}

/// All writes of the flag write it whole.
fn write_flag(machine: &mut Machine, default: Slot) -> Next {
    machine.medium.seen.flag = Flag::whole(default);
    Next::Flush(After::Next)
}

fn failed(reason: Reason) -> Event {
    Event::Failed(Failure::new(reason, ""))
}
