use super::report::Outcome;
use crate::ports::{BusError, Clock, GpioError};
use std::time::Duration;

/// Why a test ended early.
#[derive(Debug)]
pub(super) enum Early {
    /// Its time is up.
    Late,
    /// The pins can't be used.
    Gpio(GpioError),
    /// The bus can't be used.
    Bus(BusError),
}

impl From<BusError> for Early {
    fn from(e: BusError) -> Early {
        Early::Bus(e)
    }
}

impl From<GpioError> for Early {
    fn from(e: GpioError) -> Early {
        Early::Gpio(e)
    }
}

/// The time that one test may take, from now on.
#[derive(Clone, Copy)]
pub(super) struct Limit<'a> {
    clock: &'a dyn Clock,
    start: Duration,
    allowed: Duration,
}

impl<'a> Limit<'a> {
    /// At most `timeout`, and not beyond the moment `until`.
    pub(super) fn new(clock: &'a dyn Clock, timeout: Duration, until: Duration) -> Limit<'a> {
        let start = clock.now();
        Limit { clock, start, allowed: timeout.min(until.saturating_sub(start)) }
    }

    /// Time that the test may take in all.
    pub(super) fn allowed(&self) -> Duration {
        self.allowed
    }

    /// Time that it still has.
    pub(super) fn left(&self) -> Duration {
        self.allowed.saturating_sub(self.took())
    }

    /// Time since it began.
    pub(super) fn took(&self) -> Duration {
        self.clock.now().saturating_sub(self.start)
    }

    /// Wait, unless this would take longer than allowed: then no time passes.
    pub(super) fn wait(&self, time: Duration) -> Result<(), Early> {
        self.spend(time)?;
        self.clock.wait(time);
        Ok(())
    }

    /// Whether `time` is left.
    pub(super) fn spend(&self, time: Duration) -> Result<(), Early> {
        if self.took().saturating_add(time) > self.allowed { Err(Early::Late) } else { Ok(()) }
    }

    /// What a test gave, unless it came too late.
    pub(super) fn outcome(&self, result: Result<Outcome, Early>) -> Outcome {
        match result {
            Err(Early::Gpio(e)) => Outcome::error(e.to_string()),
            Err(Early::Bus(e)) => Outcome::error(e.to_string()),
            Err(Early::Late) => Outcome::failed(format!("not done within {} ms", self.allowed.as_millis())),
            Ok(_) if self.took() > self.allowed => Outcome::failed(format!(
                "took {} ms, longer than the {} ms allowed",
                self.took().as_millis(),
                self.allowed.as_millis()
            )),
            Ok(outcome) => outcome,
        }
    }
}
