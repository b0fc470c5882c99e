//! The system around the agent: systemd, processes, local web servers, the reboot.
use super::{
    DevNo, Mounts, PiClock, PiError, Sysroot, http, identity, process,
    reboot::{self, Next, NoMachine, Power, ThisMachine},
    units,
};
use crate::{
    board::{calls, free_bytes},
    durable, http_client,
    ports::{Answer, BOOT_ID, Exit, Fault, Host, HostError, KnownTime, Never, Request, UnitState, WallClock},
    text::{printable, shorten},
};
use bistable_boot::BootId;
use bistable_format::Root;
use std::{cell::Cell, io, rc::Rc, time::Duration};

/// systemd-timesyncd touches it whenever it sets the clock, and at least each minute while that is synchronized
/// (systemd-timesyncd.service(8)).
const SAVED_CLOCK: &str = "/var/lib/systemd/timesync/clock";
/// systemd-timesyncd makes it when it has set the clock (systemd-time-wait-sync.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// A lower bound of the time, until the next boot: the file system is one in memory.
const KNOWN_TIME: &str = "/run/bistable/time.json";
const SAID_MAX: usize = 200;

/// The system around the agent.
#[derive(Debug)]
pub(super) struct PiHost {
    sysroot: Sysroot,
    boot_id: BootId,
    next: Rc<Cell<Next>>,
    persistent: DevNo,
}

impl PiHost {
    /// `next` is what the boot flag asks of the next reboot; `persistent` is the device that outlives updates.
    pub(super) fn new(sysroot: &Sysroot, next: Rc<Cell<Next>>, persistent: DevNo) -> Result<PiHost, PiError> {
        let text = sysroot.text(BOOT_ID)?.unwrap_or_default();
        let boot_id = BootId::parse(&text).ok_or_else(|| {
            let problem = match shorten(&printable(text.trim()), SAID_MAX).as_str() {
                "" => "is missing or empty".into(),
                found => format!("is not a boot id (a UUID): {found:?}"),
            };
            PiError::Content { path: sysroot.join(BOOT_ID), problem }
        })?;
        Ok(PiHost { sysroot: sysroot.clone(), boot_id, next, persistent })
    }
}

/// Run a program with something to read: see [`process`].
#[cfg(feature = "daemon")]
pub(crate) fn run_program(
    program: &std::path::Path,
    input: &str,
    timeout: Duration,
) -> Result<Exit, HostError> {
    let command = [program.to_string_lossy().into_owned()];
    process::run_with(&command, input, timeout, &PiClock).map(|output| exit(&output))
}

fn exit(output: &process::Output) -> Exit {
    Exit { code: output.code, said: shorten(&printable(output.last_line()), SAID_MAX) }
}

impl Host for PiHost {
    fn run(&mut self, command: &[String], timeout: Duration) -> Result<Exit, HostError> {
        process::run(command, timeout, &PiClock).map(|output| exit(&output))
    }

    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        units::state(unit, timeout, &PiClock)
    }

    fn http_get(&mut self, url: &str, timeout: Duration) -> Result<Answer, HostError> {
        http::get(url, timeout)
    }

    fn http_post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        http_client::post(request, timeout)
    }

    fn boot_id(&self) -> BootId {
        self.boot_id
    }

    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        let synchronized = self.sysroot.join(SYNCHRONIZED).exists()
            || self.sysroot.is_real()
                && calls::clock_is_synchronized().map_err(|e| HostError::Failed(e.to_string()))?;
        Ok(if synchronized { WallClock::Synchronized } else { WallClock::Free })
    }

    fn unix_time(&mut self) -> Result<u64, HostError> {
        crate::board::unix_time()
    }

    fn saved_time(&mut self) -> Option<u64> {
        let saved = std::fs::metadata(self.sysroot.join(SAVED_CLOCK)).ok()?.modified().ok()?;
        Some(saved.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
    }

    fn known_time(&mut self) -> Option<KnownTime> {
        let bytes = self.sysroot.bytes(KNOWN_TIME).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    fn keep_time(&mut self, known: KnownTime) {
        let path = self.sysroot.join(KNOWN_TIME);
        let kept = serde_json::to_vec(&known).map_err(io::Error::from).and_then(|bytes| {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            durable::write(&path, &bytes)
        });
        if let Err(e) = kept {
            log::warn!(path:% = path.display(), reason:% = e; "time_not_kept");
        }
    }

    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        self.sysroot.bytes(Root::SYSTEM_PATH).map_err(|e| HostError::Failed(e.to_string()))
    }

    fn serial(&mut self) -> Result<String, HostError> {
        let found = identity::of(&self.sysroot).map_err(|e| HostError::Failed(e.to_string()))?;
        let neither =
            format!("{} is missing or empty, and {} has no id", identity::SERIAL, identity::MACHINE_ID);
        found.ok_or(HostError::Failed(neither))
    }

    fn free_bytes(&mut self) -> Result<u64, HostError> {
        let mounts = Mounts::read(&self.sysroot).map_err(|e| HostError::Failed(e.to_string()))?;
        let folder = mounts.folder(self.persistent).ok_or_else(|| HostError::Failed("not mounted".into()))?;
        let folder = self.sysroot.join(folder);
        free_bytes(&folder).map_err(|e| HostError::Failed(format!("{}: {e}", folder.display())))
    }

    fn reboot(&mut self) -> Result<Never, Fault> {
        let mut power: Box<dyn Power> = if self.sysroot.is_real() {
            Box::new(ThisMachine)
        } else {
            Box::new(NoMachine(self.sysroot.clone()))
        };
        reboot::run(&self.sysroot, self.next.get(), &PiClock, &mut *power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_in_run_and_what_cannot_be_kept_or_read_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let host = || PiHost {
            sysroot: Sysroot::new(dir.path()),
            boot_id: BootId([0; 16]),
            next: Rc::default(),
            persistent: DevNo { major: 179, minor: 6 },
        };
        assert_eq!(host().known_time(), None);
        let known = KnownTime { unix: 1_700_000_000, uptime: Duration::from_millis(2_500) };
        host().keep_time(known);
        assert_eq!(host().known_time(), Some(known));
        let path = dir.path().join("run/bistable/time.json");
        for damaged in ["", "{", "{\"unix\":-1,\"uptime\":{\"secs\":0,\"nanos\":0}}"] {
            durable::write(&path, damaged.as_bytes()).unwrap();
            assert_eq!(host().known_time(), None, "{damaged}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        host().keep_time(known);
        assert_eq!(host().known_time(), None);
    }
}
