//! Where a simulated Pi's events go: a folder that stands for the partition `persistent`, and one for `/run`.
use super::{clock::SimClock, world::Facts};
use crate::{
    board::{
        Access, Meter,
        event_folder::{EventFolder, not_mounted, read_only},
    },
    ports::{EventPorts, EventStore, Stamp, Stamps, WallClock},
};
use bistable_boot::BootId;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The ports of the event log. `folder` is the one beside the card.
pub(super) fn ports(
    folder: &Path,
    access: Access,
    facts: &Facts,
    boot: BootId,
    clock: SimClock,
    meter: &Meter,
) -> EventPorts {
    let open = |name: &str, is_full: bool| -> io::Result<Box<dyn EventStore>> {
        let top = folder.join(name);
        if access == Access::Exclusive {
            fs::create_dir_all(&top)?;
        }
        let inner = EventFolder::open(&top, access)?;
        Ok(Box::new(SimStore { inner, meter: meter.clone(), is_full }))
    };
    let persistent = match facts.free_mib {
        Some(mib) => open("persistent", mib == 0),
        None => Err(not_mounted()),
    };
    let stamps = SimStamps { facts: facts.clone(), boot, clock };
    let readable = read_only(&folder.join("persistent"), &persistent);
    let read_only = readable.map(|store| Box::new(store) as Box<dyn EventStore>);
    EventPorts { persistent, read_only, volatile: open("run", false), stamps: Box::new(stamps) }
}

/// A folder that nothing reaches any more once the power is gone, and that may be full.
struct SimStore {
    inner: EventFolder,
    meter: Meter,
    is_full: bool,
}

impl SimStore {
    fn check(&self) -> io::Result<()> {
        if self.meter.is_cut() {
            return Err(io::Error::other("the power is gone"));
        }
        if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl EventStore for SimStore {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.inner.files()
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.append(name, at, bytes)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.inner.sync(name)
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.replace(name, bytes)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.check()?;
        self.inner.remove(name)
    }
    fn folders(&self) -> Vec<PathBuf> {
        self.inner.folders()
    }
}

/// The moment, as the world says.
struct SimStamps {
    facts: Facts,
    boot: BootId,
    clock: SimClock,
}

impl Stamps for SimStamps {
    fn now(&mut self) -> Stamp {
        Stamp {
            unix: self.facts.time.or_else(|| crate::board::unix_time().ok()).unwrap_or_default(),
            synchronized: self.facts.wall_clock == WallClock::Synchronized,
            boot: self.boot,
            uptime: self.clock.time(),
        }
    }
}
