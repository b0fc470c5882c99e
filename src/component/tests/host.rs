//! The system around a device, as far as an update of a component asks it.
use crate::ports::{Answer, Exit, Fault, Host, HostError, KnownTime, Never, Request, UnitState, WallClock};
use bistable_boot::BootId;
use std::time::Duration;

/// What differs between the devices of these tests.
pub(super) trait Outside {
    /// Fails once the power is gone.
    fn reached(&mut self) -> Result<(), HostError> {
        Ok(())
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError>;
    /// The page that the running version serves.
    fn page(&mut self, url: &str) -> Result<Answer, HostError>;
    /// The time, in seconds since 1970.
    fn time(&mut self) -> u64;
}

/// The host of a device in its numbered boot.
pub(super) struct TestHost<O> {
    pub(super) boot: u64,
    pub(super) outside: O,
}

impl<O: Outside> Host for TestHost<O> {
    fn run(&mut self, _: &[String], _: Duration) -> Result<Exit, HostError> {
        self.outside.reached()?;
        Ok(Exit { code: Some(0), said: String::new() })
    }
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError> {
        self.outside.unit(unit, timeout)
    }
    fn http_get(&mut self, url: &str, _: Duration) -> Result<Answer, HostError> {
        self.outside.page(url)
    }
    fn http_post(&mut self, request: &Request, _: Duration) -> Result<Answer, HostError> {
        self.outside.page(&request.url)
    }
    fn boot_id(&self) -> BootId {
        BootId::numbered(self.boot)
    }
    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        Ok(WallClock::Synchronized)
    }
    fn unix_time(&mut self) -> Result<u64, HostError> {
        Ok(self.outside.time())
    }
    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }
    fn saved_time(&mut self) -> Option<u64> {
        None
    }
    fn known_time(&mut self) -> Option<KnownTime> {
        None
    }
    fn keep_time(&mut self, _: KnownTime) {}
    fn serial(&mut self) -> Result<String, HostError> {
        Ok("1".into())
    }
    fn free_bytes(&mut self) -> Result<u64, HostError> {
        Ok(8 << 30)
    }
    fn reboot(&mut self) -> Result<Never, Fault> {
        Err(Fault::Unfit("no reboot here".into()))
    }
}
