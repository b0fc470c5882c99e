//! The pins through the kernel, with gpiocdev: works on any kernel with a GPIO chip, and no pin in use can be taken.
use super::{
    Role,
    chip::Chip,
    edges,
    safe::{rest, undo},
};
use crate::{
    ports::{Clock, Gpio, GpioError},
    teardown::{self, Entry},
};
use bistable_format::selftest::{Level, Pin, Pull};
use gpiocdev::{
    Request,
    line::{Bias, Value},
    request::Builder,
};
use std::{collections::BTreeMap, mem, rc::Rc, sync::Arc, time::Duration};

/// A pin that is claimed. The thread that ends the program reaches it too (I15).
struct Claim {
    request: Arc<Request>,
    role: Role<Bias>,
    _entry: Entry,
}

/// All pins, through the kernel.
pub(super) struct Cdev {
    chip: Chip,
    clock: Rc<dyn Clock>,
    claims: BTreeMap<Pin, Claim>,
    name: String,
}

impl Cdev {
    pub(super) fn new(chip: Chip, clock: Rc<dyn Clock>, name: String) -> Cdev {
        Cdev { chip, clock, claims: BTreeMap::new(), name }
    }

    fn claim(
        &mut self,
        pin: Pin,
        role: Role<Bias>,
        set_up: impl FnOnce(&mut Builder),
    ) -> Result<(), GpioError> {
        if self.claims.contains_key(&pin) {
            return Err(GpioError::InUse { pin, user: "bistable".into() });
        }
        self.chip.check_free(pin)?;
        let mut builder = Request::builder();
        builder.on_chip(self.chip.path()).with_consumer("bistable").with_line(pin.0.into());
        set_up(&mut builder);
        let start = || builder.request().map(Arc::new);
        let (request, entry) =
            teardown::begin(start, |request| undo(pin, request)).map_err(|e| self.chip.refused(pin, &e))?;
        self.claims.insert(pin, Claim { request, role, _entry: entry });
        Ok(())
    }

    fn claim_input(&mut self, pin: Pin, bias: Bias) -> Result<(), GpioError> {
        self.claim(pin, Role::Input(bias), |b| {
            b.as_input().with_bias(bias);
        })
    }
}

impl Gpio for Cdev {
    fn output(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        self.claim(pin, Role::Output, |b| {
            b.as_output(value(level));
        })
    }

    fn input(&mut self, pin: Pin, pull: Pull) -> Result<(), GpioError> {
        let bias = match pull {
            Pull::Up => Bias::PullUp,
            Pull::Down => Bias::PullDown,
            Pull::None => Bias::Disabled,
        };
        self.claim_input(pin, bias)
    }

    fn set(&mut self, pin: Pin, level: Level) -> Result<(), GpioError> {
        match self.claims.get(&pin) {
            Some(Claim { request, role: Role::Output, .. }) => request
                .set_lone_value(value(level))
                .map_err(|e| GpioError::Failed { pin, problem: e.to_string() }),
            _ => Err(GpioError::NotClaimed(pin)),
        }
    }

    fn read(&mut self, pin: Pin) -> Result<Level, GpioError> {
        match self.claims.get(&pin) {
            Some(Claim { request, role: Role::Input(_), .. }) => match request.lone_value() {
                Ok(Value::Active) => Ok(Level::High),
                Ok(Value::Inactive) => Ok(Level::Low),
                Err(e) => Err(GpioError::Failed { pin, problem: e.to_string() }),
            },
            _ => Err(GpioError::NotClaimed(pin)),
        }
    }

    fn rising_edges(&mut self, pin: Pin, window: Duration) -> Result<u32, GpioError> {
        let bias = match self.claims.get(&pin) {
            Some(Claim { role: Role::Input(bias), .. }) => *bias,
            _ => return Err(GpioError::NotClaimed(pin)),
        };
        // Only a request that is new numbers its edges from 1. If the line can't be had again afterwards, it isn't
        // claimed any more, and that is the answer.
        self.claims.remove(&pin);
        let edges = edges::rising(&self.chip, pin, Some(bias), window, &*self.clock);
        self.claim_input(pin, bias)?;
        edges
    }

    fn release(&mut self, pin: Pin) {
        if let Some(claim) = self.claims.remove(&pin) {
            rest(pin, &claim.request);
        }
    }

    fn backend(&self) -> &str {
        &self.name
    }
}

impl Drop for Cdev {
    fn drop(&mut self) {
        for (pin, claim) in mem::take(&mut self.claims) {
            rest(pin, &claim.request);
        }
    }
}

fn value(level: Level) -> Value {
    match level {
        Level::High => Value::Active,
        Level::Low => Value::Inactive,
    }
}
