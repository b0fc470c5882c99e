//! Hardware-interface self-tests: the step that refuses an update before the boot flag moved.
//!
//! | kind | does | passes if |
//! |---|---|---|
//! | `loopback` | drives `out` high and low, several times; reads `in` against the chip's pull resistor each time | `in` followed each time, and no other loopback's `in` did |
//! | `level` | reads `pin` eight times, 1 ms apart | each was the expected level |
//! | `pulse` | counts rising edges over the window, with pull-up, as a tachometer is an open collector | edges per second are within both limits |
//! | `command` | runs a program | it ends with exit code 0 in time |
//! | `i2c` | asks whether a chip answers to its address, without writing to it | it does, or a kernel driver has it |
//! | `spi` | sends patterns over MOSI, which is wired to MISO | they come back unchanged |
//! | `uart` | sends patterns over TX, which is wired to RX | they come back unchanged |
//!
//! Tests run one after another in the plan's order, all of them, even after a failure: a report shows everything that
//! is wrong. While one runs, all pins of the others are in their safe state (or, during a loopback, read as inputs), and
//! when it is over so are its own, whatever happened.
mod buses;
mod limit;
mod loopback;
mod measure;
mod pins;
mod report;
#[cfg(test)]
mod tests;

pub use report::{Report, TestReport, Verdict};
pub(crate) use report::{millis, need};

use crate::ports::{Buses, Clock, Gpio, Host, I2cChip, SpiSelect};
use bistable_format::selftest::{Kind, Pin, Plan, Test};
use limit::{Early, Limit};
use pins::Pins;
use report::Outcome;
use std::time::Duration;

/// Run all tests of a plan. Each is bounded by its own timeout, in monotonic time.
pub fn run(
    plan: &Plan,
    gpio: &mut dyn Gpio,
    buses: &mut dyn Buses,
    host: &mut dyn Host,
    clock: &dyn Clock,
) -> Report {
    run_until(plan, gpio, buses, host, clock, Duration::MAX)
}

/// Run all tests of a plan, and begin or wait for nothing beyond the moment `until` of the clock: what isn't done by
/// then has failed.
pub fn run_until(
    plan: &Plan,
    gpio: &mut dyn Gpio,
    buses: &mut dyn Buses,
    host: &mut dyn Host,
    clock: &dyn Clock,
    until: Duration,
) -> Report {
    let mut tests = Vec::with_capacity(plan.tests.len());
    for test in &plan.tests {
        let limit = Limit::new(clock, Duration::from_millis(test.timeout_ms.into()), until);
        let others = other_inputs(plan, test);
        let outcome = limit.outcome(perform(&test.kind, &others, gpio, buses, host, &limit));
        log::info!(
            name = test.name,
            verdict:% = outcome.verdict,
            measured = outcome.measured;
            "self_test"
        );
        tests.push(TestReport::new(test, expected(&test.kind), &outcome, limit.took()));
    }
    Report { backend: gpio.backend().to_owned(), tests }
}

/// What the tests of a plan drive, send to or ask: in words, one for each test that does more than read a pin or run a program.
pub fn drives(plan: &Plan) -> Vec<String> {
    let driven = plan.tests.iter().filter_map(|test| match &test.kind {
        Kind::Loopback { out, .. } => Some(out.to_string()),
        Kind::I2c { bus, address } => Some(format!("I2C bus {bus} (0x{address:02x})")),
        Kind::Spi { bus, select, .. } => Some(format!("SPI {bus}.{select}")),
        Kind::Uart { device, .. } => Some(device.clone()),
        Kind::Level { .. } | Kind::Pulse { .. } | Kind::Command { .. } | Kind::Unknown { .. } => None,
    });
    driven.collect()
}

/// The plan without the tests that use pins or buses: a pin that is only read is claimed, too, and gets another pull.
#[must_use]
pub fn without_pins(mut plan: Plan) -> Plan {
    plan.tests.retain(|test| matches!(test.kind, Kind::Command { .. }));
    plan
}

fn perform(
    kind: &Kind,
    others: &[Pin],
    gpio: &mut dyn Gpio,
    buses: &mut dyn Buses,
    host: &mut dyn Host,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    limit.spend(Duration::from_millis(1))?;
    match kind {
        Kind::Loopback { out, input } => loopback::run(*out, *input, others, &mut Pins::new(gpio), limit),
        Kind::Level { pin, pull, expect } => {
            measure::level(*pin, *pull, *expect, &mut Pins::new(gpio), limit)
        }
        Kind::Pulse { pin, min_hz, max_hz, window_ms } => {
            let window = Duration::from_millis((*window_ms).into());
            measure::pulse(*pin, *min_hz..=*max_hz, window, &mut Pins::new(gpio), limit)
        }
        Kind::Command { run } => Ok(measure::command(run, host, limit)),
        Kind::I2c { bus, address } => buses::i2c(I2cChip { bus: *bus, address: *address }, buses),
        Kind::Spi { bus, select, hz } => {
            buses::spi(SpiSelect { bus: *bus, select: *select }, *hz, buses, limit)
        }
        Kind::Uart { device, baud } => buses::uart(device, *baud, buses, limit),
        Kind::Unknown { why, .. } => {
            let measured = format!("not known here: {why}");
            Ok(Outcome { verdict: Verdict::Skipped, measured, not_run: false })
        }
    }
}

// The inputs that must not follow while `test` drives its own.
fn other_inputs(plan: &Plan, test: &Test) -> Vec<Pin> {
    let others = plan.tests.iter().filter(|t| t.name != test.name);
    others
        .filter_map(|t| match t.kind {
            Kind::Loopback { input, .. } => Some(input),
            _ => None,
        })
        .collect()
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Loopback { out, input } => format!("{input} follows {out}"),
        Kind::Level { pin, expect, .. } => format!("{pin} reads {expect}"),
        Kind::Pulse { min_hz, max_hz, .. } => format!("{min_hz}–{max_hz} Hz"),
        Kind::Command { .. } => "exit code 0".into(),
        Kind::I2c { bus, address } => format!("{} answers", I2cChip { bus: *bus, address: *address }),
        Kind::Spi { .. } => "MISO follows MOSI".into(),
        Kind::Uart { .. } => "RX follows TX".into(),
        Kind::Unknown { .. } => "a version of Bistable that knows it".into(),
    }
}
