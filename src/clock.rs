//! Time on any system, for what talks to the network and for the end of the program: a simulated Pi's clock stands still while a server stalls.
use crate::ports::{Clock, Wake};
use std::{
    io,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

static AT_WAIT: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Do this whenever a thread of this program has waited through a clock: whoever waits lives. Only the first one counts.
#[cfg(feature = "daemon")]
pub(crate) fn at_wait(act: impl Fn() + Send + Sync + 'static) {
    let _ = AT_WAIT.set(Box::new(act));
}

/// This thread waited.
pub(crate) fn waited() {
    if let Some(act) = AT_WAIT.get() {
        act();
    }
}

/// Wakes once a second, for what can't say that something happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EachSecond;

impl Wake for EachSecond {
    fn wait(&mut self) -> io::Result<()> {
        SystemClock.wait(Duration::from_secs(1));
        Ok(())
    }
}

/// The system's monotonic clock, from the first time that anybody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn wait(&self, time: Duration) {
        thread::sleep(time);
        waited();
    }
}
