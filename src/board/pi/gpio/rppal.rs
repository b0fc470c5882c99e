//! The pins through the chip's registers, with rppal.
//!
//! rppal maps the registers past the kernel, so it could take a pin away from a driver. That is why each pin is looked
//! up first: at the kernel, and in its own function register, where the firmware may have given it to a UART that no
//! driver has asked for.
use super::{Role, chip::Chip, edges};
use crate::{
    ports::{Clock, Gpio, GpioError},
    teardown::{self, Entry},
};
use ::rppal::gpio::{Bias, Error, Gpio as Registers, IoPin, Level as Wire, Mode};
use bistable_format::selftest::{Level, Pin, Pull};
use std::{
    collections::BTreeMap,
    mem,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A pin that is claimed. The thread that ends the program reaches it too (I15).
struct Claim {
    io: Arc<Mutex<IoPin>>,
    role: Role<Bias>,
    _entry: Entry,
}

/// All pins, through registers.
pub(super) struct Rppal {
    registers: Registers,
    chip: Chip,
    clock: Rc<dyn Clock>,
    claims: BTreeMap<Pin, Claim>,
}

impl Rppal {
    pub(super) fn new(registers: Registers, chip: Chip, clock: Rc<dyn Clock>) -> Rppal {
        Rppal { registers, chip, clock, claims: BTreeMap::new() }
    }

    /// Claim a pin. Nothing of it has changed if this fails.
    fn claim(
        &mut self,
        pin: Pin,
        role: Role<Bias>,
        set_up: impl FnOnce(&mut IoPin),
    ) -> Result<(), GpioError> {
        let start = || {
            let mut io = self.take(pin)?;
            set_up(&mut io);
            Ok::<_, GpioError>(Arc::new(Mutex::new(io)))
        };
        let undo = |io: &Arc<Mutex<IoPin>>| -> teardown::Undo {
            let io = Arc::clone(io);
            Box::new(move || {
                let mut io = lock(&io);
                rest(&mut io);
                // Other users of this pin wait until the program has ended.
                mem::forget(io);
            })
        };
        let (io, entry) = teardown::begin(start, undo)?;
        self.claims.insert(pin, Claim { io, role, _entry: entry });
        Ok(())
    }

    /// A free pin, as an input. Nothing of it has changed if this fails.
    fn take(&self, pin: Pin) -> Result<IoPin, GpioError> {
        if self.claims.contains_key(&pin) {
            return Err(GpioError::InUse { pin, user: "bistable".into() });
        }
        self.chip.check_free(pin)?;
        let found = self.registers.get(pin.0).map_err(|e| refused(pin, &e))?;
        if let Some(user) = function(found.mode()) {
            return Err(GpioError::InUse { pin, user });
        }
        let mut io = found.into_io(Mode::Input);
        // It would put back what the pin was before, an output perhaps: `rest` makes it safe instead.
        io.set_reset_on_drop(false);
        Ok(io)
    }

    fn as_input(&self, pin: Pin) -> Result<(MutexGuard<'_, IoPin>, Bias), GpioError> {
        match self.claims.get(&pin) {
            Some(Claim { io, role: Role::Input(bias), .. }) => Ok((lock(io), *bias)),
            _ => Err(GpioError::NotClaimed(pin)),
        }
    }
}

impl Gpio for Rppal {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.claim(pin, Role::Output, |io| {
            io.set_bias(Bias::Off);
            // The level first: the pin never shows the other one.
            io.write(wire(level));
            io.set_mode(Mode::Output);
        })
    }

    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        let bias = match pull {
            Pull::Up => Bias::PullUp,
            Pull::Down => Bias::PullDown,
            Pull::None => Bias::Off,
        };
        self.claim(pin, Role::Input(bias), |io| io.set_bias(bias))
    }

    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        match self.claims.get(&pin) {
            Some(Claim { io, role: Role::Output, .. }) => {
                lock(io).write(wire(level));
                Ok(())
            }
            _ => Err(GpioError::NotClaimed(pin)),
        }
    }

    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        Ok(match self.as_input(pin)?.0.read() {
            Wire::High => Level::High,
            Wire::Low => Level::Low,
        })
    }

    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        // Not locked while it counts, or the end of the program would wait for it.
        drop(self.as_input(pin)?);
        let edges = edges::rising(&self.chip, pin, None, window, &*self.clock);
        // The kernel had the line meanwhile, and when it lets go of one it may change it.
        if let Ok((mut io, bias)) = self.as_input(pin) {
            io.set_mode(Mode::Input);
            io.set_bias(bias);
        }
        edges
    }

    fn release(&mut self, pin: Pin) {
        if let Some(claim) = self.claims.remove(&pin) {
            rest(&mut lock(&claim.io));
        }
    }

    fn backend(&self) -> &str {
        "rppal"
    }
}

impl Drop for Rppal {
    fn drop(&mut self) {
        for (_, claim) in mem::take(&mut self.claims) {
            rest(&mut lock(&claim.io));
        }
    }
}

fn lock(io: &Mutex<IoPin>) -> MutexGuard<'_, IoPin> {
    io.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The safe state: an input without pull.
fn rest(io: &mut IoPin) {
    io.set_mode(Mode::Input);
    io.set_bias(Bias::Off);
}

/// What uses a pin whose register says that it is no GPIO. `Null` is what Pi 5 leaves an unused pin in.
fn function(mode: Mode) -> Option<String> {
    match mode {
        Mode::Input | Mode::Output | Mode::Null => None,
        other => Some(format!("another function of the chip ({other})")),
    }
}

fn wire(level: Level) -> Wire {
    match level {
        Level::High => Wire::High,
        Level::Low => Wire::Low,
    }
}

fn refused(pin: Pin, e: &Error) -> GpioError {
    match e {
        Error::PinNotAvailable(_) => GpioError::NoSuchPin(pin),
        Error::PinUsed(_) => GpioError::InUse { pin, user: "bistable".into() },
        other => GpioError::Failed { pin, problem: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gpio_functions_are_free() {
        for mode in [Mode::Input, Mode::Output, Mode::Null] {
            assert_eq!(function(mode), None);
        }
        for mode in [Mode::Alt0, Mode::Alt3, Mode::Alt5, Mode::Alt8] {
            assert_eq!(function(mode).unwrap(), format!("another function of the chip ({mode})"));
        }
    }

    #[test]
    fn errors_keep_their_meaning() {
        let pin = Pin(40);
        assert_eq!(refused(pin, &Error::PinNotAvailable(40)), GpioError::NoSuchPin(pin));
        assert!(matches!(refused(pin, &Error::PinUsed(40)), GpioError::InUse { .. }));
        let failed = refused(pin, &Error::PermissionDenied("/dev/gpiomem".into()));
        assert_eq!(failed.to_string(), "GPIO40: Permission denied: /dev/gpiomem");
    }
}
