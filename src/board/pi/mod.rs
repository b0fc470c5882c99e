//! A Raspberry Pi that runs Linux: this machine.
//!
//! | file | noun |
//! |---|---|
//! | `sysroot` | where `/proc`, `/sys`, `/dev` and `/run` are |
//! | `device_tree`, `names` | what the firmware tells Linux; how releases name this board |
//! | `boot_mode` | from which kind of disk the firmware booted |
//! | `booted` | how it was booted: by the firmware's `tryboot`, or by U-Boot |
//! | `eeprom` | whether the firmware can switch slots |
//! | `root`, `sysfs`, `mounts` | the disk that the system runs from, what is on it, what is mounted |
//! | [`disk`], `node`, `bootconfig`, `read_only` | its partitions: which may be read, which may be written |
//! | `host`, `process`, `interpreter`, `family`, `units`, `http` | the system around the agent |
//! | `reboot` | in good order, then by force |
//! | `events` | where the event log lies |
//! | `clock`, [`gpio`], [`buses`] | time, pins, I2C, SPI and serial ports |
mod boot_mode;
mod bootconfig;
mod booted;
pub mod buses;
mod clock;
mod containers;
mod device_tree;
pub mod disk;
mod eeprom;
mod error;
mod events;
mod family;
#[doc(hidden)]
pub mod fuzz;
pub mod gpio;
mod host;
mod http;
mod identity;
mod interpreter;
mod mounts;
mod names;
mod node;
mod process;
mod read_only;
mod reboot;
mod root;
mod sysfs;
mod sysroot;
mod units;

pub use booted::Booted;
pub use clock::PiClock;
pub use containers::{Compose, Docker, Programs};
pub use error::PiError;
#[cfg(feature = "daemon")]
pub(crate) use host::run_program;
pub use mounts::{DevNo, Mode, Mount, Mounts};
pub use sysroot::Sysroot;

use super::{Access, ComponentFolder, ComposeFolder, Meter};
use crate::{
    config::BoardSettings,
    flow::{
        tryboot::{self, Tryboot},
        uboot::Uboot,
    },
    ports::{Board, BootControl, EventPorts, Fault, Partitions},
};
use bistable_boot::{Flow, layout::Partition};
use boot_mode::BootMode;
use device_tree::DeviceTree;
use disk::Disk;
use eeprom::Firmware;
use host::PiHost;
use reboot::Next;
use root::Running;
use std::{cell::Cell, rc::Rc};

/// A Raspberry Pi.
#[allow(missing_debug_implementations, reason = "the board is trait objects")]
pub struct Pi {
    /// Its ports.
    pub board: Board,
    /// What was booted, and how.
    pub booted: Booted,
    /// Counts what is written.
    pub meter: Meter,
    /// Where its events go.
    pub events: EventPorts,
}

impl Pi {
    /// This machine. [`Access::Exclusive`] locks it against other processes, for as long as this lives;
    /// [`Access::ReadOnly`] opens nothing for writing.
    ///
    /// # Errors
    /// See [`PiError`].
    pub fn open(sysroot: &Sysroot, settings: &BoardSettings, access: Access) -> Result<Pi, PiError> {
        let tree = DeviceTree::of(sysroot)?;
        let name = match &settings.name {
            Some(name) => name.clone(),
            None => tree.board()?.to_owned(),
        };
        let booted = Booted::read(sysroot, &tree)?;
        let mounts = Mounts::read(sysroot)?;
        let running = Running::find(sysroot, &mounts, settings.disk.as_deref())?;
        let meter = Meter::default();
        // U-Boot may be on one disk and start what is on another.
        let boot_mode = if booted.flow == Flow::Tryboot { BootMode::read(&tree)? } else { None };
        let mut disk = Disk::open(sysroot, &running, booted.slot, access, meter.clone(), boot_mode)?;
        let next = Rc::new(Cell::new(Next::Default));
        let boot = control(sysroot, booted, &mut disk, &next)?;
        let guard = control(sysroot, booted, &mut disk, &next)?;
        disk.guard(guard);
        let persistent = disk.number(Partition::Persistent)?;
        let host = PiHost::new(sysroot, Rc::clone(&next), persistent)?;
        // A host of its own: the log outlives the agent that has the other one.
        let stamps = PiHost::new(sysroot, next, persistent)?;
        let events = events::ports(sysroot, &mounts, persistent, access, stamps);
        let folder = mounts.folder(persistent).map(|folder| sysroot.join(folder));
        let store =
            ComponentFolder::new(&sysroot.join("/"), folder.as_deref(), &sysroot.join("/run"), meter.clone());
        let projects = ComposeFolder::new(folder.as_deref(), &sysroot.join("/run"), meter.clone());
        let gpio = gpio::open(Box::new(PiClock));
        let board = Board {
            name,
            boot,
            partitions: Box::new(disk),
            gpio,
            buses: buses::open(Box::new(PiClock)),
            host: Box::new(host),
            store: Box::new(store),
            services: Box::new(units::Systemd),
            engine: Box::new(Docker::new(Programs::default())),
            compose: Box::new(Compose::new(Programs::default(), projects)),
            clock: Rc::new(PiClock),
        };
        Ok(Pi { board, booted, meter, events })
    }
}

/// The boot flag of the flow that started this system.
fn control(
    sysroot: &Sysroot,
    booted: Booted,
    disk: &mut Disk,
    next: &Rc<Cell<Next>>,
) -> Result<Box<dyn BootControl>, PiError> {
    match booted.flow {
        Flow::Tryboot => {
            let bootconfig = disk.open(Partition::Bootconfig)?;
            // The request itself is kept in this process, until the reboot leaves it with systemd.
            let (next, asked) = (Rc::clone(next), sysroot.clone());
            let once = Box::new(move |once| {
                next.set(if once { Next::Tryboot } else { Next::Default });
                // An earlier process may have left one there.
                if once { Ok(()) } else { reboot::take_back(&asked) }
            });
            let files = sysroot.clone();
            let support = Box::new(move || {
                let firmware = DeviceTree::of(&files).and_then(|tree| Firmware::read(&files, &tree));
                firmware.map_err(|e| Fault::Unfit(e.to_string()))?.support()
            });
            // Whether the firmware can do all this is for `support` to say.
            let flag = DeviceTree::of(sysroot)?.bootloader("tryboot").ok().flatten();
            let flagged = flag.is_some_and(|flag| flag != 0);
            let booted = tryboot::Booted { slot: booted.slot, flagged };
            Ok(Box::new(Tryboot::new(bootconfig, booted, once, support)))
        }
        Flow::Uboot => Ok(Box::new(Uboot::new(disk.open(Partition::State)?, booted.slot))),
    }
}
