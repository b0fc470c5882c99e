use bistable_format::selftest::{Level, Pin, Pull};
use std::time::Duration;

/// Why a pin can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpioError {
    /// The board has no such pin.
    #[error("{0} does not exist on this board")]
    NoSuchPin(Pin),
    /// A driver or another process uses it.
    #[error("{pin} is in use by {user}")]
    InUse {
        /// The pin.
        pin: Pin,
        /// Who uses it.
        user: String,
    },
    /// It wasn't claimed for that.
    #[error("{0} was not claimed for this")]
    NotClaimed(Pin),
    /// The hardware or its driver failed.
    #[error("{pin}: {problem}")]
    Failed {
        /// The pin.
        pin: Pin,
        /// What happened.
        problem: String,
    },
}

/// The pins. A claimed pin stays claimed until it is released.
pub trait Gpio {
    /// Claim a pin as an output that starts at `level`.
    ///
    /// # Errors
    /// See [`GpioError`]; the pin is then untouched.
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError>;

    /// Claim a pin as an input with a pull resistor.
    ///
    /// # Errors
    /// See [`GpioError`]; the pin is then untouched.
    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError>;

    /// Drive an output.
    ///
    /// # Errors
    /// See [`GpioError`].
    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError>;

    /// Read an input.
    ///
    /// # Errors
    /// See [`GpioError`].
    fn read(&mut self, pin: Pin) -> Result<Level, GpioError>;

    /// Count an input's rising edges over a time.
    ///
    /// # Errors
    /// See [`GpioError`].
    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError>;

    /// Put a pin into its safe state: an input without pull, without an owner. Releasing what isn't claimed is fine.
    fn release(&mut self, pin: Pin);

    /// Which implementation this is, for reports; if it isn't the first choice, then why.
    fn backend(&self) -> &str;
}
