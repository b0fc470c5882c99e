use super::{Fault, Never};
use bistable_boot::BootId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where Linux has an id of this boot: <https://docs.kernel.org/admin-guide/sysctl/kernel.html#random>.
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The last line that it printed, for reports; at most 200 bytes.
    pub said: String,
}

/// A request to a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Address.
    pub url: String,
    /// Headers beyond those of every request.
    pub headers: [(&'static str, &'static str); 2],
    /// Body.
    pub body: String,
}

/// A web server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
}

/// What the service manager says of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// Running, or done and counted as such.
    Active,
    /// Anything else, in the service manager's word: `activating`, `failed`, `inactive`, …
    Other(String),
    /// There is no such unit.
    Missing,
}

/// Whether a board has power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Power {
    /// It runs.
    #[default]
    On,
    /// It doesn't.
    Off,
}

/// What the system's wall clock goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum WallClock {
    /// By another clock: it can be believed.
    #[default]
    Synchronized,
    /// Unsynchronized: after an offline boot the time is arbitrary.
    Free,
}

/// A moment that is known to have passed, and when in this boot that was known: with the clock of the boot it says what the time
/// is at least, however the wall clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KnownTime {
    /// Seconds since 1970: the time was at least this.
    pub unix: u64,
    /// What [`Clock::now`](super::Clock::now) showed then.
    pub uptime: Duration,
}

impl KnownTime {
    /// What the time is at least at a later moment of the same boot, in seconds since 1970. An earlier moment is of another
    /// boot, of which nothing is known.
    pub fn at(self, uptime: Duration) -> Option<u64> {
        Some(self.unix.saturating_add(uptime.checked_sub(self.uptime)?.as_secs()))
    }
}

/// Why the host couldn't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It took longer than allowed, and was ended.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It couldn't be started or reached.
    #[error("{0}")]
    Failed(String),
    /// The program is there, and this system has nothing to run it with. It says nothing about what the program would find.
    #[error("{0}")]
    NotRunnable(String),
}

/// The system around the agent.
pub trait Host {
    /// Run a program, without a shell, to its end; it and its children are killed after `timeout`.
    ///
    /// # Errors
    /// See [`HostError`].
    fn run(&mut self, command: &[String], timeout: Duration) -> Result<Exit, HostError>;

    /// What the service manager says of a unit.
    ///
    /// # Errors
    /// See [`HostError`].
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError>;

    /// Ask a web server on this device.
    ///
    /// # Errors
    /// See [`HostError`].
    fn http_get(&mut self, url: &str, timeout: Duration) -> Result<Answer, HostError>;

    /// Send something to a web server by POST.
    ///
    /// # Errors
    /// See [`HostError`].
    fn http_post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError>;

    /// An id that changes with each boot and never within one; of a real machine, that of the file [`BOOT_ID`].
    fn boot_id(&self) -> BootId;

    /// What the wall clock goes by.
    ///
    /// # Errors
    /// When that can't be found out.
    fn wall_clock(&mut self) -> Result<WallClock, HostError>;

    /// What the wall clock shows, believed or not: seconds since 1970.
    ///
    /// # Errors
    /// When it can't be asked, or shows a time before that.
    fn unix_time(&mut self) -> Result<u64, HostError>;

    /// The signed root that the running system carries, from [`Root::SYSTEM_PATH`](bistable_format::Root::SYSTEM_PATH);
    /// `None` if it has none.
    ///
    /// # Errors
    /// When it is there and can't be read.
    fn system_root(&mut self) -> Result<Option<Vec<u8>>, HostError>;

    /// What the wall clock showed when the service that sets it last saved that, in seconds since 1970: the time is at least
    /// this. `None` if it never did.
    fn saved_time(&mut self) -> Option<u64>;

    /// What [`keep_time`](Self::keep_time) was given last in this boot. `None` after another boot, or if it wasn't kept.
    fn known_time(&mut self) -> Option<KnownTime>;

    /// Keep this until the next boot, across programs. What can't be kept only makes a later lower bound weaker.
    fn keep_time(&mut self, known: KnownTime);

    /// What no other device has: the board's serial number.
    ///
    /// # Errors
    /// When it has none.
    fn serial(&mut self) -> Result<String, HostError>;

    /// Bytes that are free on the partition that outlives updates.
    ///
    /// # Errors
    /// When it isn't mounted, or can't be asked.
    fn free_bytes(&mut self) -> Result<u64, HostError>;

    /// Reboot, into what [`BootControl::try_once`](super::BootControl::try_once) chose. Ends as
    /// [`Fault::Stopping`] when it works.
    ///
    /// # Errors
    /// Always, as a reboot doesn't return.
    fn reboot(&mut self) -> Result<Never, Fault>;
}
