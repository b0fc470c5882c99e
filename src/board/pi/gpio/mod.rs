//! The pins of a real Pi.
//!
//! | file | noun |
//! |---|---|
//! | `choice` | which implementation, as a function of what was found |
//! | `chip` | the kernel's GPIO chip, and who uses its lines |
//! | `rppal` | the first implementation: the chip's registers |
//! | `cdev` | the second: the kernel's character device |
//! | `edges` | pulses, counted by the kernel for both |
//! | `safe` | the state that a line is left in |
//!
//! Before a pin is claimed, by either, the chip is asked who uses it.
mod cdev;
mod chip;
mod choice;
mod edges;
mod rppal;
mod safe;
#[cfg(test)]
pub(super) mod tests;

use crate::ports::{Clock, Gpio, GpioError};
use bistable_format::selftest::{Level, Pin, Pull};
use cdev::Cdev;
use chip::Chip;
use choice::{Choice, Problem};
use rppal::Rppal;
use std::{cell::LazyCell, rc::Rc, time::Duration};

/// What a claimed pin is for. `B` is its pull, in the words of the library.
#[derive(Clone, Copy)]
enum Role<B> {
    Output,
    Input(B),
}

/// The pins. Nothing is opened before the first pin is asked for, so that a verb that only reads touches no pin.
pub fn open(clock: Box<dyn Clock>) -> Box<dyn Gpio> {
    Box::new(Lazy(LazyCell::new(Box::new(|| choose(clock.into())))))
}

fn choose(clock: Rc<dyn Clock>) -> Box<dyn Gpio> {
    let chip = Chip::find();
    let registers = ::rppal::gpio::Gpio::new().map_err(|e| match e {
        ::rppal::gpio::Error::UnknownModel => Problem::UnknownModel,
        other => Problem::Registers(other.to_string()),
    });
    let label = chip.as_ref().map(Chip::label).map_err(String::as_str);
    let choice = Choice::of(label, registers.as_ref().map(|_| ()));
    log::info!(backend = choice.name(); "gpio_chosen");
    match (choice, chip, registers) {
        (Choice::Rppal, Ok(chip), Ok(registers)) => Box::new(Rppal::new(registers, chip, clock)),
        (choice @ Choice::Kernel(_), Ok(chip), _) => Box::new(Cdev::new(chip, clock, choice.name())),
        (choice, _, _) => Box::new(Absent { name: choice.name() }),
    }
}

type Opening = Box<dyn FnOnce() -> Box<dyn Gpio>>;

struct Lazy(LazyCell<Box<dyn Gpio>, Opening>);

impl Gpio for Lazy {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.0.output(pin, level)
    }

    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        self.0.input(pin, pull)
    }

    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.0.set(pin, level)
    }

    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        self.0.read(pin)
    }

    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        self.0.rising_edges(pin, window)
    }

    fn release(&mut self, pin: Pin) {
        self.0.release(pin);
    }

    fn backend(&self) -> &str {
        self.0.backend()
    }
}

/// A machine without usable pins.
struct Absent {
    name: String,
}

impl Absent {
    fn none<T>(&self, pin: Pin) -> Result<T, GpioError> {
        Err(GpioError::Failed { pin, problem: format!("no GPIO backend: {}", self.name) })
    }
}

impl Gpio for Absent {
    fn output(&mut self, pin: Pin, _level: Level) -> Result<(), GpioError> {
        self.none(pin)
    }

    fn input(&mut self, pin: Pin, _pull: Pull) -> Result<(), GpioError> {
        self.none(pin)
    }

    fn set(&mut self, pin: Pin, _level: Level) -> Result<(), GpioError> {
        self.none(pin)
    }

    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        self.none(pin)
    }

    fn rising_edges(&mut self, pin: Pin, _window: Duration) -> Result<u32, GpioError> {
        self.none(pin)
    }

    fn release(&mut self, _pin: Pin) {}

    fn backend(&self) -> &str {
        &self.name
    }
}
