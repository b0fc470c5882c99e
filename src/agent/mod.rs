//! The agent: load, ask what to do, do it, save, repeat.
//!
//! Everything durable is decided in [`bistable_boot::Now`]; this is the one place where a decision meets the world.
//! Each method saves the state *before* it does what the state names, and each may be cut short anywhere.
//!
//! What is saved is what was decided, once for each thing that is then done: two decisions with nothing done between
//! them are one save. Where the device is, on trial or back from one, is no decision: it follows from what is stored and
//! from the slot that runs, so it is never saved. An update that goes well saves the journal five times: installing,
//! staged, armed, committing, idle.
//!
//! | file | noun |
//! |---|---|
//! | `stage` | from an offer to a reboot into the trial |
//! | `prove` | the trial: health and commit |
//! | [`components`] | what is updated beside the slots |
//! | `bound` | what an image brings along |
//! | `back` | the way back |
//! | `recall` | an update in flight that its channel takes back |
//! | `run` | the one function through which each step passes |
//! | `observer` | what it reports while it works, and to whom |
//! | `lock` | the fleet's lock: not all devices of a site at once |
mod back;
mod bound;
pub mod components;
mod lock;
mod observer;
mod prove;
mod recall;
mod run;
mod stage;

pub use bound::{BoundSource, ImageOnly};
pub use observer::{AgentEvent, Observer, Silence};

use crate::{
    Device, Error,
    ports::{Fault, Stop},
    steps::install::Stats,
};
use bistable_boot::{Action, Event, Now, Saved, Target};

/// Where the agent comes to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing in flight.
    Idle,
    /// The installation is incomplete; it resumes when the bundle is offered again.
    WantsBundle(Target),
    /// Staged, as was asked for.
    Staged(Target),
    /// Armed, as was asked for.
    Armed(Target),
}

/// The agent of one device.
#[allow(missing_debug_implementations, reason = "the observer is a trait object")]
pub struct Agent<'a> {
    /// The device.
    pub device: Device,
    /// What was written and fetched by the last installation.
    pub installed: Option<Stats>,
    observer: &'a mut dyn Observer,
}

impl<'a> Agent<'a> {
    /// Take the device over: find out where it is. Writes nothing, unless a commit's write was cut short and took the
    /// boot flag along.
    ///
    /// # Errors
    /// When the boot flag can't be read, or not be repaired.
    pub fn start(device: Device, observer: &'a mut dyn Observer) -> Result<Self, Error> {
        let mut agent = Agent { device, installed: None, observer };
        // A journal copy that an agent wrote which was killed before its flush reads well and isn't durable: without
        // this, the next save would go over the only copy that is.
        agent.device.settle()?;
        agent.mend_flag()?;
        let booted = agent.device.board.boot.booted();
        if let Now::Saved(Saved::Committing { target, .. }) = agent.now()
            && booted == target.slot
            && agent.device.board.boot.default_slot().ok() != Some(booted)
        {
            // Perhaps it was on this boot that the system was healthy, perhaps on another: only this one counts.
            agent.device.doubt_verdict();
        }
        if !agent.device.is_as_saved() {
            agent.say_state();
        }
        Ok(agent)
    }

    /// A flag whose write was cut short may hold anything: zeros, 0xFF, noise, a part of each. While an update is in
    /// flight it is ours to write: an update is only accepted with a flag that is ours, and the commit, the way back and
    /// the repair of a torn flag write it. So it is written again, with what it said before: the old slot. That keeps
    /// every trial bounded, and is right whichever slot runs: the old one tries again, the new one is on trial again, and
    /// its commit then finds a flag that is ours. What a person wrote there in the middle of an update goes, too: it can't
    /// be told from half a write.
    ///
    /// This comes before anything else is saved: as long as it isn't done, the same state is what is stored.
    fn mend_flag(&mut self) -> Result<(), Error> {
        let Some(old) = self.device.record.state.target().map(|target| !target.slot) else { return Ok(()) };
        let boot = &mut self.device.board.boot;
        match boot.read().and_then(|flag| flag.check_content()) {
            // Nor can a sector be read, for some cards, after its write was cut short; writing it repairs it.
            Err(e) if e.stopping().is_none() => log::warn!(reason:% = e; "boot_flag_lost"),
            sound => return Ok(sound?),
        }
        match boot.overwrite(old) {
            // Its file can't be found: the steps that need it say so, and going back needs no write. What is only in use
            // can be written when it isn't any more; until then the update stays where it is.
            Err(Fault::Unfit(problem)) => log::warn!(reason:% = problem; "boot_flag_not_written"),
            done => {
                done?;
                self.observer.on_event(AgentEvent::Repaired(old));
            }
        }
        Ok(())
    }

    /// Look at the device without taking it over: nothing is saved.
    pub fn attach(device: Device, observer: &'a mut dyn Observer) -> Self {
        Agent { device, installed: None, observer }
    }

    /// Where the device is.
    pub fn now(&self) -> &Now {
        self.device.now()
    }

    /// Tell whoever listens something for people.
    pub fn remark(&mut self, text: &str) {
        self.observer.on_event(AgentEvent::Remark(text));
    }

    /// What a boot does by itself: [`resume`](Self::resume), but `waits` says what of it waits for a person, and why.
    ///
    /// # Errors
    /// [`Error::NotNow`] with the reason when the next trial waits; see also [`resume`](Self::resume).
    pub fn boot(&mut self, waits: impl Fn(&Now) -> Option<String>) -> Result<Rest, Error> {
        let Some(why) = waits(self.now()) else { return self.resume() };
        log::info!(state = self.now().name(), reason = why; "update_waits");
        // A power cut may have come after the lock was taken for a reboot that now waits.
        self.release_lock();
        match self.now().clone() {
            Now::Saved(Saved::Staged(target)) => Ok(Rest::Staged(target)),
            Now::Saved(Saved::Armed { target, .. }) => {
                // A request of an earlier attempt would be honored by any reboot, and what this boot shows of that attempt
                // is gone with the next one.
                Err(self.not_rebooted(!target.slot, Error::NotNow(why)))
            }
            // A decision that was made never waits.
            _ => self.resume(),
        }
    }

    /// Continue from where the journal is, until there is nothing to do or the machine reboots. A person asked for it.
    ///
    /// # Errors
    /// [`Fault::Stopping`] when the machine goes down; otherwise what went wrong. The state is saved in any case.
    pub fn resume(&mut self) -> Result<Rest, Error> {
        let mut failed = None;
        loop {
            match self.now().todo() {
                Action::Wait => {
                    self.give_back();
                    return match failed {
                        None => Ok(Rest::Idle),
                        Some(e) => Err(e),
                    };
                }
                Action::Install => return self.wants_bundle(),
                // The lock is asked first: a device that waits for it doesn't drive its hardware each time.
                Action::SelfTest => match self.may_reboot().and_then(|()| self.tested()) {
                    // Nothing is done between the two decisions, so they are saved as one.
                    Ok(_) => return self.try_once(&[Event::SelfTestsPassed]),
                    Err(e) if self.now().is_idle() => failed = Some(e),
                    Err(e) => return Err(e),
                },
                Action::Try => return self.reboot_into_trial(),
                Action::HealthCheck => failed = self.trial()?,
                Action::Commit => failed = self.commit_slot()?,
                Action::Revert => match self.revert() {
                    // The reboot is the way back; the news is why.
                    Err(e) if is_reboot(&e) => return Err(failed.unwrap_or(e)),
                    reverted => reverted?,
                },
            }
        }
    }

    /// Tell the state machine what was decided, and save what it makes of it before anything is done about it. Memory
    /// never runs ahead of the card.
    fn on(&mut self, event: Event) -> Result<(), Error> {
        self.on_all(&[event])
    }

    /// Several decisions with nothing done between them, as one save: all of them count, or none.
    fn on_all(&mut self, events: &[Event]) -> Result<(), Error> {
        let names = events.iter().map(Event::name).collect::<Vec<_>>().join(", ");
        let (mut next, mut now) = (self.device.record.clone(), self.now().clone());
        let (mut changed, was_idle) = (false, now.is_idle());
        for event in events {
            changed |= next.on(&mut now, event.clone())?;
        }
        if changed {
            self.device.save_state(next)?;
            log::info!(decided = names, state = self.now().name(); "state_saved");
            if let Some(entry) = self.device.record.history.last()
                && !was_idle
                && self.device.now().is_idle()
            {
                self.observer.on_event(AgentEvent::Ended(entry));
            }
            self.observer.on_event(AgentEvent::Saved(self.device.now()));
            self.observer.on_event(AgentEvent::State(self.device.now()));
        }
        Ok(())
    }

    /// Save what only follows from this boot, where the next one can't show it again.
    fn save_derived(&mut self) -> Result<(), Error> {
        let Now::Saved(shown) = self.now() else { return Ok(()) };
        if self.device.is_as_saved() {
            return Ok(());
        }
        let mut next = self.device.record.clone();
        next.state = shown.clone();
        next.attempts = self.now().attempts().unwrap_or(next.attempts);
        self.device.save_state(next)?;
        self.observer.on_event(AgentEvent::Saved(self.device.now()));
        Ok(())
    }

    fn say_state(&mut self) {
        log::info!(saved = self.device.record.state.name(), state = self.now().name(); "state_derived");
        self.observer.on_event(AgentEvent::State(self.device.now()));
    }
}

/// Whether an error only says that the machine goes down, as was asked for.
pub fn is_reboot(e: &Error) -> bool {
    matches!(e, Error::Fault(Fault::Stopping(Stop::Reboot)))
}
