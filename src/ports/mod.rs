//! Everything that touches the world, as small traits. A simulated, an emulated and a real Pi implement the same
//! ones, so whatever the agent does can be run, and cut short, in a test.
//!
//! | port | what it stands for |
//! |---|---|
//! | [`BootControl`] | the boot flag |
//! | [`Partitions`], [`Volume`] | the card |
//! | [`Gpio`] | the pins |
//! | [`Buses`] | I²C, SPI, serial ports |
//! | [`Host`] | processes, services, local web servers, the reboot |
//! | [`ComponentStore`], [`ServiceManager`] | the versions of components, and the services that run from them |
//! | [`ContainerEngine`], [`ComposeProject`] | the images and containers of an engine, and the Compose projects that it runs |
//! | [`Clock`], [`Wake`] | monotonic time; waiting for something to happen |
//! | [`EventStore`], [`Stamps`] | the folder of the event log, and the moment of an event |
pub(crate) mod boot_control;
mod buses;
mod clock;
mod component_store;
mod compose_project;
mod container_engine;
mod event_store;
mod gpio;
mod host;
mod service_manager;
mod volume;
mod wake;

pub use boot_control::{BootControl, Content, Flag, Support, Writable};
pub use buses::{BusError, Buses, I2cAnswer, I2cChip, SpiSelect};
pub use clock::Clock;
pub use component_store::{
    COMPONENT_LINKS, CONFIGURATION_LINKS, ComponentStore, STORED_MAX, StoredVersion, parts_of,
};
pub use compose_project::{ComposeFile, ComposeProject, ServiceOf};
pub use container_engine::{Container, ContainerEngine, EngineInfo, ImageParts, ImageStore};
pub use event_store::{EventPorts, EventStore, Stamp, Stamps};
pub use gpio::{Gpio, GpioError};
pub use host::{Answer, BOOT_ID, Exit, Host, HostError, KnownTime, Power, Request, UnitState, WallClock};
pub use service_manager::{Service, ServiceManager};
pub use volume::{Partitions, Sectors, Volume};
pub use wake::Wake;

use std::{convert::Infallible, fmt, io, rc::Rc};

/// What a port returns when something can't be done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The machine is going down, or the power went. Unwind, save nothing, report nothing: whatever was to be
    /// remembered was saved before.
    #[error("{0}")]
    Stopping(Stop),
    /// Input or output failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path or partition.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// Something isn't as it has to be.
    #[error("{0}")]
    Unfit(String),
    /// Valid, but in use by another process, so it isn't written now. Transient; not a verdict on a
    /// release: try again.
    #[error("{0}")]
    InUse(String),
    /// A card gives back other bytes than were written.
    #[error("{0}")]
    Failing(String),
}

impl Fault {
    /// An I/O error with what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
        let what = what.into();
        move |source| Fault::Io { what, source }
    }

    /// Whether the machine is going down.
    pub fn stopping(&self) -> Option<Stop> {
        match self {
            Fault::Stopping(stop) => Some(*stop),
            _ => None,
        }
    }
}

/// Why the machine is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A reboot that was asked for.
    Reboot,
    /// The power is gone.
    PowerLost,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Reboot => "the machine reboots",
            Stop::PowerLost => "the power is gone",
        })
    }
}

/// Everything that the agent is plugged into.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct Board {
    /// What kind of board it is, as releases name it: for example `pi4`.
    pub name: String,
    /// The boot flag.
    pub boot: Box<dyn BootControl>,
    /// The card.
    pub partitions: Box<dyn Partitions>,
    /// The pins.
    pub gpio: Box<dyn Gpio>,
    /// I²C, SPI, serial ports.
    pub buses: Box<dyn Buses>,
    /// Processes, services, the reboot.
    pub host: Box<dyn Host>,
    /// The versions of components.
    pub store: Box<dyn ComponentStore>,
    /// The services that run from them.
    pub services: Box<dyn ServiceManager>,
    /// The container engine.
    pub engine: Box<dyn ContainerEngine>,
    /// The Compose projects that it runs.
    pub compose: Box<dyn ComposeProject>,
    /// Time. Shared, so that a step that has the board to itself can be timed.
    pub clock: Rc<dyn Clock>,
}

/// A reboot doesn't return.
pub type Never = Infallible;
