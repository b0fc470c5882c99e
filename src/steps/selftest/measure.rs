use super::{Early, Limit, Outcome, Pins};
use crate::ports::{Host, HostError};
use bistable_format::selftest::{Level, Pin, Pull};
use std::{ops::RangeInclusive, time::Duration};

// A pull resistor of 50 kΩ charges 1 nF of wire in 0.05 ms.
const READ_EVERY: Duration = Duration::from_millis(1);
const READS: usize = 8;

/// Read a pin several times: one that nothing holds is likely to be caught.
pub(super) fn level(
    pin: Pin,
    pull: Pull,
    expect: Level,
    pins: &mut Pins<'_>,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    pins.input(pin, pull)?;
    let mut wrong = 0;
    for _ in 0..READS {
        limit.wait(READ_EVERY)?;
        if pins.read(pin)? != expect {
            wrong += 1;
        }
    }
    let other = match expect {
        Level::High => Level::Low,
        Level::Low => Level::High,
    };
    Ok(match wrong {
        0 => Outcome::passed(format!("{pin} read {expect}")),
        READS => Outcome::failed(format!("{pin} read {other}")),
        _ => Outcome::failed(format!("{pin} is unsteady: read {other} {wrong} times of {READS}")),
    })
}

/// Count rising edges. With pull-up: a tachometer's output is an open collector, and an input that nothing holds would
/// count noise.
pub(super) fn pulse(
    pin: Pin,
    hz: RangeInclusive<u32>,
    window: Duration,
    pins: &mut Pins<'_>,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    limit.spend(window)?;
    pins.input(pin, Pull::Up)?;
    let edges = pins.rising_edges(pin, window)?;
    let window_ms = window.as_millis().max(1);
    let per_second = u128::from(edges) * 1000;
    // Compared without rounding; shown rounded to a tenth.
    let low = per_second < u128::from(*hz.start()) * window_ms;
    let high = per_second > u128::from(*hz.end()) * window_ms;
    let tenths = (per_second * 10 + window_ms / 2) / window_ms;
    let rate = match tenths % 10 {
        0 => format!("{}", tenths / 10),
        tenth => format!("{}.{tenth}", tenths / 10),
    };
    let measured = format!("{rate} Hz over {window_ms} ms on {pin}");
    Ok(match (low, high) {
        (false, false) => Outcome::passed(measured),
        _ => Outcome::failed(format!("{measured}, wanted {}–{}", hz.start(), hz.end())),
    })
}

/// Run a program.
pub(super) fn command(run: &[String], host: &mut dyn Host, limit: &Limit<'_>) -> Outcome {
    let program = run.first().map_or("", String::as_str);
    let allowed = limit.allowed();
    let (code, said) = match host.run(run, allowed) {
        Ok(exit) => (exit.code, exit.said),
        Err(HostError::Timeout(_)) => {
            return Outcome::failed(format!("still running after {} ms: {program}", allowed.as_millis()));
        }
        Err(HostError::NotRunnable(why)) => return Outcome::not_run(why),
        Err(e @ HostError::Failed(_)) => return Outcome::error(format!("{program}: {e}")),
    };
    let ended = match code {
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".into(),
    };
    let measured = if said.is_empty() { ended } else { format!("{ended}: {said}") };
    if code == Some(0) { Outcome::passed(measured) } else { Outcome::failed(measured) }
}
