//! The agent: load, ask what to do, do it, save, repeat.
//!
//! Everything durable is decided in [`bistable_boot::State`]; this is the one place where a decision meets the world.
//! Each method saves the state *before* it does what the state names, and each may be cut short anywhere.
//!
//! | file | noun |
//! |---|---|
//! | `stage` | from an offer to a reboot into the trial |
//! | `prove` | the trial: health and commit |
//! | `back` | the way back |
mod back;
mod prove;
mod stage;

use crate::{
    Device, Error,
    ports::{Fault, Stop},
    selftest,
    steps::{health, install::Stats, preflight},
};
use bistable_boot::{Action, Event, Failure, Slot, State, Target};
use bistable_format::Release;

/// What the agent tells while it works.
#[allow(missing_debug_implementations, reason = "reports are borrowed for a moment only")]
pub enum Note<'a> {
    /// The state changed, and the change is saved.
    State(&'a State),
    /// The preflight ran.
    Preflight(&'a preflight::Report),
    /// A release was verified and accepted.
    Accepted(&'a Target, &'a Release),
    /// Its data is about to be written.
    Writing(&'a Target, &'a Release),
    /// Bytes of the bundle that were read since the last time.
    Read(u64),
    /// The image is on the card, and was read back.
    Installed(&'a Target, &'a Stats),
    /// The self-tests ran.
    SelfTests(&'a selftest::Report),
    /// The health check ran.
    Health(&'a health::Verdict),
    /// The boot flag was repaired: it was torn, and named this slot twice.
    Repaired(Slot),
    /// The one-shot boot flag is set; the reboot follows.
    Rebooting(Slot),
    /// The slot is the default now.
    Committed(&'a Target),
    /// The old slot is default and running again.
    Reverted(&'a Target, &'a Failure),
}

/// Who listens.
pub trait Listener {
    /// Hear a note.
    fn hear(&mut self, note: Note<'_>);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silence;

impl Listener for Silence {
    fn hear(&mut self, _: Note<'_>) {}
}

/// Where the agent comes to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing in flight.
    Idle,
    /// Half installed: goes on when the bundle is offered again.
    WantsBundle(Target),
    /// Staged, as was asked for.
    Staged(Target),
    /// Armed, as was asked for.
    Armed(Target),
}

/// The agent of one device.
#[allow(missing_debug_implementations, reason = "the listener is a trait object")]
pub struct Agent<'a> {
    /// The device.
    pub device: Device,
    listener: &'a mut dyn Listener,
}

impl<'a> Agent<'a> {
    /// Take the device over: tell the state machine which slot is running.
    ///
    /// # Errors
    /// When the journal can't be saved.
    pub fn start(device: Device, listener: &'a mut dyn Listener) -> Result<Self, Error> {
        let mut agent = Agent { device, listener };
        let booted = agent.device.board.boot.booted();
        agent.on(Event::Booted(booted))?;
        if let State::Committing { target, .. } = agent.state()
            && booted == target.slot
            && agent.device.board.boot.default_slot()? != booted
        {
            // Perhaps it was on this boot that the system was healthy, perhaps on another: only this one counts.
            agent.on(Event::Unproven)?;
        }
        Ok(agent)
    }

    /// Look at the device without taking it over: nothing is saved.
    pub fn look(device: Device, listener: &'a mut dyn Listener) -> Self {
        Agent { device, listener }
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.device.record.state
    }

    /// Load the journal and go on until there is nothing to do, or the machine reboots: what the boot unit runs.
    ///
    /// # Errors
    /// [`Fault::Stopping`] when the machine goes down; otherwise what went wrong. The state is saved in any case.
    pub fn resume(&mut self) -> Result<Rest, Error> {
        let mut failed = None;
        loop {
            match self.state().todo() {
                Action::Wait => {
                    return match failed {
                        None => Ok(Rest::Idle),
                        Some(e) => Err(e),
                    };
                }
                Action::Install => {
                    return Ok(match self.state() {
                        State::Installing(target) => Rest::WantsBundle(target.clone()),
                        _ => Rest::Idle,
                    });
                }
                Action::SelfTest => {
                    if let Err(e) = self.arm() {
                        match self.state() {
                            State::Idle => failed = Some(e),
                            _ => return Err(e),
                        }
                    }
                }
                Action::Try => return self.reboot_into_trial(),
                Action::HealthCheck => failed = self.trial()?,
                Action::Commit => self.commit()?,
                Action::Revert => match self.revert() {
                    // The reboot is the way back; the news is why.
                    Err(e) if is_reboot(&e) => return Err(failed.unwrap_or(e)),
                    reverted => reverted?,
                },
            }
        }
    }

    /// Tell the state machine, and save what it makes of it before anything is done about it. Memory never runs ahead
    /// of the card.
    fn on(&mut self, event: Event) -> Result<(), Error> {
        let name = event.name();
        let mut next = self.device.record.clone();
        if next.on(event)? {
            self.device.save(next)?;
            log::info!("event={name} state={}", self.state().name());
            self.listener.hear(Note::State(&self.device.record.state));
        }
        Ok(())
    }
}

/// Whether an error only says that the machine goes down, as was asked for.
pub fn is_reboot(e: &Error) -> bool {
    matches!(e, Error::Fault(Fault::Stopping(Stop::Reboot)))
}
