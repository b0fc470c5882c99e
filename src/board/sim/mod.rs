//! A Raspberry Pi whose card is a file.
//!
//! What a real Pi would keep in RAM and registers lies beside the card, in `<card>.sim/`, so that separate
//! invocations act as one machine:
//!
//! | file | what it is |
//! |---|---|
//! | `machine.json` | power, the running slot, the one-shot boot flag, the time since power-on |
//! | `world.toml` | what the Pi is wired to, and what runs on it |
//! | `pins.json` | the pins that are not in their safe state, while there are any |
//! | `root/` | the running system's files: `etc/bistable`, and what else is laid over its image |
//! | `persistent/` | the partition `persistent` |
//! | `run/` | `/run` of the running system |
//!
//! | file | noun |
//! |---|---|
//! | [`machine`] | power, resets, the memory of one power-on |
//! | [`firmware`] | firmware or U-Boot: reads the boot flag from the card and chooses a slot |
//! | [`console`] | what the kernel says when it starts |
//! | [`world`] | nets, buses, units, web servers |
//! | [`gpio`], [`buses`], [`host`], [`clock`], `events` | the ports |
//! | `services` | the services that run from components |
//! | `persistent` | what the card brings along |
//! | `registers` | the pins as they are seen from outside |
//! | `system_root` | the root that the running system carries |
pub mod buses;
pub mod clock;
pub mod console;
mod error;
mod events;
pub mod firmware;
pub mod gpio;
pub mod host;
pub mod machine;
pub mod nets;
mod persistent;
mod registers;
mod services;
mod system_root;
pub mod world;

pub use error::SimError;
pub use services::SimServices;
pub use system_root::SystemRootFile;

use super::{
    Access, Card, ComponentFolder, Cut, Meter,
    memory::{HostFailure, MemoryEngine, Supply},
};
use crate::flow::{
    tryboot::{Booted, Tryboot},
    uboot::Uboot,
};
use crate::ports::{
    Board, BootControl, EventPorts, Fault, KnownTime, Never, Partitions, Power, Stop, Support,
};
use bistable_boot::{Flow, Slot, layout::Partition};
use clock::SimClock;
use gpio::SimGpio;
use host::SimHost;
use machine::Machine;
use registers::Registers;
use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    rc::Rc,
};

/// The folder beside a card that stands for the rest of the machine.
pub fn folder(card: &Path) -> PathBuf {
    let mut name = card.as_os_str().to_owned();
    name.push(".sim");
    name.into()
}

/// A simulated Pi.
#[allow(missing_debug_implementations, reason = "the board is trait objects")]
pub struct Sim {
    /// Its ports.
    pub board: Board,
    /// Whether it is switched on: always, unless it is only looked at.
    pub power: Power,
    /// Where its events go.
    pub events: EventPorts,
    machine: Rc<RefCell<Machine>>,
    clock: SimClock,
    known_time: Rc<Cell<Option<KnownTime>>>,
    /// What is written to the card.
    pub meter: Meter,
}

impl Sim {
    /// Put the card into the machine. A machine that was never on boots first.
    ///
    /// # Errors
    /// When the card can't be used, the machine is off, or nothing on the card boots.
    pub fn open(path: &Path) -> Result<Sim, SimError> {
        let meter = Meter::default();
        let card = Rc::new(Card::open(path, meter.clone(), Access::Exclusive)?);
        let mut machine = Machine::load(&folder(path))?;
        machine.insert(&card);
        if machine.state.booted.is_none() {
            machine.power_on(&card)?;
        }
        let booted = machine.running()?;
        Sim::plug(card, machine, booted, meter, (path, Access::Exclusive))
    }

    /// Look at the machine from outside, whether its power is on or not, and whoever works on it. Nothing can be
    /// written; what a machine that was never on does at its first boot is forgotten again.
    ///
    /// # Errors
    /// When the card can't be read, or nothing on it boots.
    pub fn open_read_only(path: &Path) -> Result<Sim, SimError> {
        let meter = Meter::default();
        let card = Rc::new(Card::open(path, meter.clone(), Access::ReadOnly)?);
        let mut machine = Machine::load(&folder(path))?;
        machine.insert(&card);
        let booted = match (machine.power(), machine.state.booted) {
            (Power::Off, _) => machine.state.last.unwrap_or_else(|| first_slot(&card)),
            (Power::On, Some(slot)) => slot,
            (Power::On, None) => {
                machine.power_on(&card)?;
                machine.console.clear();
                machine.running()?
            }
        };
        Sim::plug(card, machine, booted, meter, (path, Access::ReadOnly))
    }

    /// Only with exclusive access the pins can be used.
    fn plug(
        card: Rc<Card>,
        machine: Machine,
        booted: Slot,
        meter: Meter,
        (path, access): (&Path, Access),
    ) -> Result<Sim, SimError> {
        let power = machine.power();
        if let Some(at) = machine.state.cut_at {
            meter.cut_at(at);
        }
        let facts = machine.facts(&card, booted);
        let clock = SimClock::new(machine.uptime()).at_pace(machine.world.pace);
        let name = machine.world.board.clone();
        let system = card.volume(Partition::System(booted)).ok();
        let system_root = SystemRootFile { file: machine.system_root(), system };
        let boot_id = machine.boot_id();
        let mut gpio = SimGpio::new(machine.world.gpio.clone(), clock.clone());
        if access == Access::Exclusive {
            gpio = gpio.with_registers(Registers::beside(&folder(path)));
        }
        let buses = machine.world.buses(clock.clone());
        // Before the event log, which makes the folder; what only looks finds a new machine as it will be, too.
        if let Ok(partition) = card.volume(Partition::Persistent) {
            let path = folder(path).join("persistent");
            persistent::provision(partition, &path).map_err(|source| SimError::Folder { path, source })?;
        }
        let events = events::ports(&folder(path), access, &facts, boot_id, clock.clone(), &meter);
        let machine = Rc::new(RefCell::new(machine));
        let register = Rc::clone(&machine);
        let once = Box::new(move |once| register.borrow_mut().state.tryboot = once);
        let flow = firmware::flow(&mut &*card)?;
        let booted = Booted { slot: booted, flagged: machine.borrow().state.flagged };
        let boot = boot_control(&mut &*card, flow, booted, once)?;
        let reboot = {
            let (machine, card) = (Rc::clone(&machine), Rc::clone(&card));
            Box::new(move || -> Result<Never, Fault> {
                machine.borrow_mut().reset(&card).map_err(|e| Fault::Unfit(e.to_string()))?;
                Err(Fault::Stopping(Stop::Reboot))
            })
        };
        let known_time = Rc::new(Cell::new(machine.borrow().state.known_time));
        let top = folder(path);
        // Links lead there from other folders.
        let top = std::path::absolute(&top).unwrap_or(top);
        let persistent = top.join("persistent");
        let is_mounted = facts.free_mib.is_some();
        let store = ComponentFolder::new(
            &top.join("root"),
            is_mounted.then_some(&*persistent),
            &top.join("run"),
            meter.clone(),
        );
        let services = SimServices::new(facts.clone(), &top.join("run"));
        // A simulated Pi has no container engine.
        let engine = MemoryEngine::new(Supply::new(), &[]);
        engine.change(|facts| facts.silence = Some(HostFailure::Stopped));
        let host = SimHost::new(facts, clock.clone(), boot_id, reboot)
            .with_services(services.clone())
            .with_system_root(system_root)
            .with_known_time(Rc::clone(&known_time));
        let board = Board {
            name,
            boot,
            partitions: Box::new(Shared(card)),
            gpio: Box::new(gpio),
            buses: Box::new(buses),
            host: Box::new(host),
            store: Box::new(store),
            services: Box::new(services),
            engine: Box::new(engine.clone()),
            compose: Box::new(engine),
            clock: Rc::new(clock.clone()),
        };
        Ok(Sim { board, power, events, machine, clock, known_time, meter })
    }

    /// Keep what the machine would remember, when an invocation ends.
    pub fn session(&self) -> SimSession {
        SimSession {
            machine: Rc::clone(&self.machine),
            boots: self.machine.borrow().state.boots,
            clock: self.clock.clone(),
            known_time: Rc::clone(&self.known_time),
            meter: self.meter.clone(),
        }
    }
}

/// Saves the machine's memory at the end of an invocation, however it ends.
#[derive(Debug)]
pub struct SimSession {
    machine: Rc<RefCell<Machine>>,
    /// The number of the boot in which the invocation began.
    boots: u64,
    clock: SimClock,
    known_time: Rc<Cell<Option<KnownTime>>>,
    meter: Meter,
}

impl SimSession {
    /// Lines that came over the machine's console in this invocation.
    pub fn console(&self) -> Vec<String> {
        std::mem::take(&mut self.machine.borrow_mut().console)
    }

    /// Whether the power went in this invocation.
    pub fn lost_power(&self) -> bool {
        self.meter.is_cut()
    }

    /// The slot that runs now: after a reboot, the one that was booted.
    pub fn booted(&self) -> Option<Slot> {
        self.machine.borrow().state.booted
    }

    /// Save.
    ///
    /// # Errors
    /// When the folder beside the card can't be written.
    pub fn save(&self) -> Result<(), SimError> {
        let mut machine = self.machine.borrow_mut();
        if self.meter.is_cut() {
            machine.power_off();
        } else {
            if let Some(at) = machine.state.cut_at {
                let write = at.write.saturating_sub(self.meter.writes()).max(1);
                machine.state.cut_at = Some(Cut { write, ..at });
            }
            machine.set_uptime(self.clock.time());
            if machine.state.boots == self.boots {
                machine.state.known_time = self.known_time.get();
            }
        }
        machine.save()
    }
}

/// The boot flag of a card with that boot loader. `once` is the firmware's one-shot flag, where the flow has one.
///
/// # Errors
/// When the card is gone.
pub fn boot_control(
    card: &mut dyn Partitions,
    flow: Flow,
    booted: Booted,
    mut once: Box<dyn FnMut(bool)>,
) -> Result<Box<dyn BootControl>, Fault> {
    Ok(match flow {
        Flow::Tryboot => {
            let support = Box::new(|| Ok(Support::Supported("simulated firmware".into())));
            let set = Box::new(move |other| {
                once(other);
                Ok(())
            });
            Box::new(Tryboot::new(card.open(Partition::Bootconfig)?, booted, set, support))
        }
        Flow::Uboot => Box::new(Uboot::new(card.open(Partition::State)?, booted.slot)),
    })
}

/// The slot that a machine that was never on would boot. Only a guess is possible where the flag is damaged.
fn first_slot(card: &Card) -> Slot {
    let flow = firmware::flow(&mut &*card);
    let any = Booted { slot: Slot::A, flagged: false };
    let flag = flow.and_then(|flow| boot_control(&mut &*card, flow, any, Box::new(|_| {})));
    flag.and_then(|mut flag| flag.default_slot()).unwrap_or(Slot::A)
}

struct Shared(Rc<Card>);

impl crate::ports::Partitions for Shared {
    fn open(&mut self, partition: Partition) -> Result<std::sync::Arc<dyn crate::ports::Volume>, Fault> {
        self.0.volume(partition)
    }
    fn check_disk(&mut self) -> Result<(), Fault> {
        (&*self.0).check_disk()
    }
}
