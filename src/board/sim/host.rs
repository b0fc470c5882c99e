//! Programs, units and web servers that answer what the world says they do, as late as it says.
use super::{SimServices, SystemRootFile, clock::SimClock, world::Facts};
use crate::ports::{
    Answer, Clock, Exit, Fault, Host, HostError, KnownTime, Never, Request, UnitState, WallClock,
};
use bistable_boot::BootId;
use std::{cell::Cell, fmt, rc::Rc, time::Duration};

const BODY_MAX: usize = 64 << 10;
const SAID_MAX: usize = 200;

/// The system around the agent, simulated.
pub struct SimHost {
    facts: Facts,
    clock: SimClock,
    boot_id: BootId,
    system_root: Option<SystemRootFile>,
    known_time: Rc<Cell<Option<KnownTime>>>,
    services: Option<SimServices>,
    reboot: Box<dyn FnMut() -> Result<Never, Fault>>,
}

impl SimHost {
    /// A host of one boot. `reboot` is what happens when the agent asks for one.
    pub fn new(
        facts: Facts,
        clock: SimClock,
        boot_id: BootId,
        reboot: Box<dyn FnMut() -> Result<Never, Fault>>,
    ) -> SimHost {
        SimHost {
            facts,
            clock,
            boot_id,
            system_root: None,
            known_time: Rc::default(),
            services: None,
            reboot,
        }
    }

    /// The same, and the running system's root is there, if it has one.
    #[must_use]
    pub fn with_system_root(self, at: SystemRootFile) -> SimHost {
        SimHost { system_root: Some(at), ..self }
    }

    /// The same, and what is known of the time lies there: it outlives this program, not the boot.
    #[must_use]
    pub fn with_known_time(self, known_time: Rc<Cell<Option<KnownTime>>>) -> SimHost {
        SimHost { known_time, ..self }
    }

    /// The same, and units and web servers are those of services that run from components.
    #[must_use]
    pub fn with_services(self, services: SimServices) -> SimHost {
        SimHost { services: Some(services), ..self }
    }

    // An answer exactly when the timeout ends is in time.
    fn delay(&self, delay_ms: u32, timeout: Duration) -> Result<(), HostError> {
        let delay = Duration::from_millis(delay_ms.into());
        self.clock.wait(delay.min(timeout));
        if delay > timeout { Err(HostError::Timeout(timeout)) } else { Ok(()) }
    }
}

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimHost")
            .field("facts", &self.facts)
            .field("boot_id", &self.boot_id)
            .finish_non_exhaustive()
    }
}

impl Host for SimHost {
    fn run(&mut self, command: &[String], timeout: Duration) -> Result<Exit, HostError> {
        let known = command.first().and_then(|program| self.facts.commands.get(program));
        let Some(known) = known.cloned() else {
            return Err(HostError::Failed("no such program".into()));
        };
        self.delay(known.delay_ms, timeout)?;
        let last = known.says.lines().next_back().unwrap_or_default();
        Ok(Exit { code: Some(known.exit), said: crate::text::shorten(last, SAID_MAX) })
    }

    fn unit(&mut self, unit: &str, _timeout: Duration) -> Result<UnitState, HostError> {
        Ok(self.services.as_ref().map_or_else(|| self.facts.unit(unit), |services| services.state(unit)))
    }

    fn http_get(&mut self, url: &str, timeout: Duration) -> Result<Answer, HostError> {
        let page = match &self.services {
            Some(services) => services.page(url),
            None => self.facts.http.get(url).cloned(),
        };
        let Some(known) = page else {
            return Err(HostError::Failed("connection refused".into()));
        };
        self.delay(known.delay_ms, timeout)?;
        let mut body = known.body.into_bytes();
        body.truncate(BODY_MAX);
        Ok(Answer { status: known.status, body })
    }

    /// A page gives the same answer to GET and POST.
    fn http_post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        self.http_get(&request.url, timeout)
    }

    fn boot_id(&self) -> BootId {
        self.boot_id
    }

    fn wall_clock(&mut self) -> Result<WallClock, HostError> {
        Ok(self.facts.wall_clock)
    }

    fn unix_time(&mut self) -> Result<u64, HostError> {
        match self.facts.time {
            Some(at) => Ok(at),
            None => crate::board::unix_time(),
        }
    }

    fn saved_time(&mut self) -> Option<u64> {
        self.facts.saved_time
    }

    fn known_time(&mut self) -> Option<KnownTime> {
        self.known_time.get()
    }

    fn keep_time(&mut self, known: KnownTime) {
        self.known_time.set(Some(known));
    }

    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError> {
        self.system_root.as_ref().map_or(Ok(None), SystemRootFile::read)
    }

    fn serial(&mut self) -> Result<String, HostError> {
        Ok(self.facts.serial.clone())
    }

    fn free_bytes(&mut self) -> Result<u64, HostError> {
        match self.facts.free_mib {
            Some(mib) => Ok(u64::from(mib) << 20),
            None => Err(HostError::Failed("not mounted".into())),
        }
    }

    fn reboot(&mut self) -> Result<Never, Fault> {
        (self.reboot)()
    }
}
