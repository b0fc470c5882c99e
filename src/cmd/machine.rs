//! The machine that a verb runs on, whichever it is, and what it keeps when the verb has ended.
use super::say;
use crate::{
    Error,
    app::CardWrites,
    board::{Access, Meter},
    cli::GlobalArgs,
    config::BoardSettings,
    ports::{Board, EventPorts, Power},
};
use bistable_boot::Slot;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::time::Duration;

/// A machine, opened.
pub(super) struct Machine {
    pub(super) board: Board,
    pub(super) power: Power,
    pub(super) verb_end: VerbEnd,
    pub(super) events: EventPorts,
}

/// What is done when a verb has ended, however it ended.
pub(super) struct VerbEnd {
    /// What this invocation writes.
    pub(super) meter: Meter,
    /// What only a simulated machine needs.
    pub(super) memory: Option<Box<dyn Memory>>,
}

/// What a simulated machine has to be told that a real one does by itself.
pub(super) trait Memory {
    /// Tell what came over the machine's console.
    fn tell_console(&self);
    /// Keep what the machine would remember, and tell what happened to it.
    fn save(&self) -> Result<(), Error>;
    /// The slot that runs.
    fn booted(&self) -> Option<Slot>;
}

#[cfg(target_os = "linux")]
pub(super) fn pi(
    at: &GlobalArgs,
    patience: Duration,
    board: &BoardSettings,
    access: Access,
) -> Result<Machine, Error> {
    use super::lock_wait;
    use crate::board::pi::{Pi, PiClock, PiError, Sysroot};
    let sysroot = Sysroot::new(at.sysroot.clone().unwrap_or_else(|| "/".into()));
    let tell = |path: &Path| {
        log::info!(path:% = path.display(); "waiting");
        // Words between JSON lines would be no JSON.
        if !matches!(at.progress, crate::cli::ProgressMode::Json | crate::cli::ProgressMode::Quiet) {
            say(&lock_wait::text(path, patience));
        }
    };
    lock_wait::wait(&PiClock, patience, tell, || match Pi::open(&sysroot, board, access) {
        Ok(pi) => Ok(Machine {
            board: pi.board,
            power: Power::On,
            verb_end: VerbEnd { meter: pi.meter, memory: None },
            events: pi.events,
        }),
        // Nothing says that this is a board.
        Err(e @ PiError::NotAPi(_)) if at.board.is_none() => Err(Error::Usage(e.to_string())),
        Err(e) => Err(e.into()),
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn pi(_: &GlobalArgs, _: Duration, _: &BoardSettings, _: Access) -> Result<Machine, Error> {
    let text =
        "this is not a Raspberry Pi; a simulated one is named by its card, with --card FILE or BISTABLE_CARD";
    Err(Error::Usage(text.into()))
}

impl VerbEnd {
    /// Tell what came over the machine's console.
    pub(super) fn tell_console(&self) {
        if let Some(memory) = &self.memory {
            memory.tell_console();
        }
    }

    /// Keep what the machine would remember, and tell what happened to it.
    pub(super) fn save(&self) -> Result<(), Error> {
        self.memory.as_ref().map_or(Ok(()), |memory| memory.save())
    }

    /// What this invocation wrote.
    pub(super) fn written(&self) -> CardWrites {
        CardWrites { writes: self.meter.writes(), bytes: self.meter.bytes() }
    }

    /// The slot that runs after a reboot that this invocation asked for; `None` while that isn't known.
    pub(super) fn booted(&self) -> Option<Slot> {
        self.memory.as_ref()?.booted()
    }
}

#[cfg(target_os = "linux")]
impl From<crate::board::pi::PiError> for Error {
    fn from(e: crate::board::pi::PiError) -> Self {
        use crate::board::pi::PiError;
        match e {
            PiError::Card(e) => Error::Card(e),
            PiError::Fault(e) => Error::Fault(e),
            e => Error::Pi(Box::new(e)),
        }
    }
}
