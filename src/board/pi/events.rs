//! Where a Raspberry Pi's events go: `bistable/events` on the partition `persistent`, wherever it is mounted, and otherwise
//! `/run/bistable/events`.
use super::{DevNo, Mounts, PiClock, Sysroot, host::PiHost};
use crate::{
    board::{
        Access,
        event_folder::{EventFolder, not_mounted, read_only},
    },
    ports::{Clock, EventPorts, EventStore, Host, Stamp, Stamps, WallClock},
};
use std::{io, path::Path};

/// The ports of the event log.
pub(super) fn ports(
    sysroot: &Sysroot,
    mounts: &Mounts,
    persistent: DevNo,
    access: Access,
    host: PiHost,
) -> EventPorts {
    let open = |folder: &Path| -> io::Result<Box<dyn EventStore>> {
        let store = EventFolder::open(&sysroot.join(folder), access)?;
        Ok(Box::new(store))
    };
    let folder = mounts.folder(persistent);
    let persistent = folder.ok_or_else(not_mounted).and_then(open);
    let readable = folder.and_then(|folder| read_only(&sysroot.join(folder), &persistent));
    EventPorts {
        persistent,
        read_only: readable.map(|store| Box::new(store) as Box<dyn EventStore>),
        volatile: open(Path::new("/run")),
        stamps: Box::new(host),
    }
}

impl Stamps for PiHost {
    fn now(&mut self) -> Stamp {
        Stamp {
            unix: self.unix_time().unwrap_or_default(),
            synchronized: matches!(self.wall_clock(), Ok(WallClock::Synchronized)),
            boot: self.boot_id(),
            uptime: PiClock.now(),
        }
    }
}
