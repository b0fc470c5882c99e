use crate::ports::{Fault, Stop};
use std::{cell::Cell, rc::Rc};

/// What a power cut does to what was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// All of it is gone: files are there and empty, names are as they were.
    All,
    /// By chance all of it had been written.
    Nothing,
}

/// The power of a board in memory. Each operation that changes something counts, and at a chosen one the power goes: before it, or, if
/// nothing is lost, after it.
#[derive(Clone, Debug)]
pub struct Supply(Rc<State>);

#[derive(Debug)]
struct State {
    operations: Cell<u64>,
    cut: Cell<Option<(u64, Loss)>>,
    is_off: Cell<bool>,
}

impl Default for Supply {
    fn default() -> Self {
        Supply::new()
    }
}

impl Supply {
    /// Power that never goes.
    pub fn new() -> Supply {
        Supply(Rc::new(State { operations: Cell::new(0), cut: Cell::new(None), is_off: Cell::new(false) }))
    }

    /// The power goes at that operation from now on, counted from 1.
    pub fn cut_at(&self, operation: u64, loss: Loss) {
        self.0.operations.set(0);
        self.0.cut.set(Some((operation, loss)));
    }

    /// The power is back, and stays.
    pub fn restore(&self) {
        self.0.operations.set(0);
        self.0.cut.set(None);
        self.0.is_off.set(false);
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.operations.get()
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.0.is_off.get()
    }

    /// One operation: whether it takes effect, and whether it returns.
    ///
    /// # Errors
    /// [`Stop::PowerLost`] when the power is gone already.
    pub fn operate<T>(&self, effect: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let lost = || Fault::Stopping(Stop::PowerLost);
        if self.is_off() {
            return Err(lost());
        }
        let number = self.0.operations.get() + 1;
        self.0.operations.set(number);
        match self.0.cut.get() {
            Some((at, loss)) if number == at => {
                if loss == Loss::Nothing {
                    effect()?;
                }
                self.0.is_off.set(true);
                Err(lost())
            }
            _ => effect(),
        }
    }

    /// A look, which changes nothing.
    ///
    /// # Errors
    /// [`Stop::PowerLost`] when the power is gone.
    pub fn look(&self) -> Result<(), Fault> {
        if self.is_off() { Err(Fault::Stopping(Stop::PowerLost)) } else { Ok(()) }
    }
}
