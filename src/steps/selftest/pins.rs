use crate::ports::{Gpio, GpioError};
use bistable_format::selftest::{Level, Pin, Pull};
use std::time::Duration;

/// The pins that one test has claimed. All of them are released when this goes, however the test ends: done, failed,
/// refused the second pin, or panicked.
pub(super) struct Pins<'a> {
    gpio: &'a mut dyn Gpio,
    // In the order of claiming. Released the other way round, so a loopback's output, claimed last, stops driving first.
    claimed: Vec<Pin>,
}

impl<'a> Pins<'a> {
    pub(super) fn new(gpio: &'a mut dyn Gpio) -> Pins<'a> {
        Pins { gpio, claimed: Vec::new() }
    }

    /// Claim an input; one that is claimed already gets another pull resistor.
    pub(super) fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        self.release(pin);
        self.gpio.input(pin, pull)?;
        self.claimed.push(pin);
        Ok(())
    }

    pub(super) fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.release(pin);
        self.gpio.output(pin, level)?;
        self.claimed.push(pin);
        Ok(())
    }

    pub(super) fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.gpio.set(pin, level)
    }

    pub(super) fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        self.gpio.read(pin)
    }

    pub(super) fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        self.gpio.rising_edges(pin, window)
    }

    // Never of a pin that another user has: it would lose its function.
    fn release(&mut self, pin: Pin) {
        if let Some(at) = self.claimed.iter().position(|p| *p == pin) {
            self.claimed.remove(at);
            self.gpio.release(pin);
        }
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        while let Some(pin) = self.claimed.pop() {
            self.gpio.release(pin);
        }
    }
}
