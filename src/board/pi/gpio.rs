//! The pins, in a build without a driver for them.
use crate::ports::{Clock, Gpio, GpioError};
use bistable_format::selftest::{Level, Pin, Pull};
use std::time::Duration;

/// The pins of this board.
pub fn open(_clock: Box<dyn Clock>) -> Box<dyn Gpio> {
    Box::new(NoGpio)
}

struct NoGpio;

fn none(pin: Pin) -> GpioError {
    GpioError::Failed { pin, problem: "this build has no GPIO".into() }
}

impl Gpio for NoGpio {
    fn output(&mut self, pin: Pin, _: Level) -> Result<(), GpioError> {
        Err(none(pin))
    }
    fn input(&mut self, pin: Pin, _: Pull) -> Result<(), GpioError> {
        Err(none(pin))
    }
    fn set(&mut self, pin: Pin, _: Level) -> Result<(), GpioError> {
        Err(none(pin))
    }
    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        Err(none(pin))
    }
    fn rising_edges(&mut self, pin: Pin, _: Duration) -> Result<u32, GpioError> {
        Err(none(pin))
    }
    fn release(&mut self, _: Pin) {}
    fn backend(&self) -> &'static str {
        "none"
    }
}
