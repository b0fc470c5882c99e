//! One output, one input, one wire.
//!
//! The input is read twice for each driven level, with the pull resistor up and down. A wire wins over the resistor, so
//! whichever of the two is read says who holds the pin:
//!
//! | driven, pulled | high, up | high, down | low, up | low, down |
//! |---|---|---|---|---|
//! | wired | high | high | low | low |
//! | inverted | low | low | high | high |
//! | floating | high | low | high | low |
//! | stuck high | high | high | high | high |
//! | stuck low | low | low | low | low |
//!
//! An input that only floats can't pass by chance. What drives it must win over the chip's pull resistor (about 50 kΩ).
use super::{Early, Limit, Outcome, Pins};
use bistable_format::selftest::{Level, Pin, Pull};
use std::time::Duration;

// A relay's contact takes 15 ms to close and to stop bouncing.
const DRIVE_SETTLE: Duration = Duration::from_millis(50);
const PULL_SETTLE: Duration = Duration::from_millis(1);
// A source of pulses on the input must not look like a wire, whatever its frequency. A low for one step only needs half a
// period of less than two steps, a high over three needs more.
const DRIVEN: [Level; 5] = [Level::High, Level::Low, Level::High, Level::High, Level::High];

/// What an input did while another pin was driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Follows,
    Inverted,
    Floating,
    Stuck(Level),
    Unsteady,
}

/// One pass over the driven levels: what each watched pin read, with the pull up and with the pull down.
struct Sample {
    driven: Level,
    up: Level,
    down: Level,
}

/// Drive `out`, expect `input` to follow and `others` not to.
pub(super) fn run(
    out: Pin,
    input: Pin,
    others: &[Pin],
    pins: &mut Pins<'_>,
    limit: &Limit<'_>,
) -> Result<Outcome, Early> {
    pins.input(input, Pull::None)?;
    // Another test's input may be in use: that is for its own test to report.
    let others: Vec<Pin> = others.iter().copied().filter(|p| pins.input(*p, Pull::None).is_ok()).collect();
    pins.output(out, Level::Low)?;
    let watched: Vec<Pin> = std::iter::once(input).chain(others).collect();
    let mut samples: Vec<Vec<Sample>> = watched.iter().map(|_| Vec::new()).collect();
    for driven in DRIVEN {
        pins.set(out, driven)?;
        limit.wait(DRIVE_SETTLE)?;
        let up = read_all(&watched, Pull::Up, pins, limit)?;
        let down = read_all(&watched, Pull::Down, pins, limit)?;
        for ((samples, up), down) in samples.iter_mut().zip(up).zip(down) {
            samples.push(Sample { driven, up, down });
        }
    }
    let findings: Vec<Finding> = samples.iter().map(|s| Finding::of(s)).collect();
    let strangers: Vec<Pin> =
        watched.iter().zip(&findings).skip(1).filter(|(_, f)| f.moves()).map(|(p, _)| *p).collect();
    let (Some(finding), Some(samples)) = (findings.first(), samples.first()) else {
        return Ok(Outcome::error("no input was watched"));
    };
    let conclusion = match (finding, strangers.first()) {
        (Finding::Follows, None) => None,
        (Finding::Follows, Some(other)) => Some(format!("{other} moved too, bridged to {out}?")),
        (_, Some(other)) => Some(format!("{other} moved instead, swapped wires?")),
        (Finding::Inverted, None) => Some(format!("{input} is inverted")),
        (Finding::Floating, None) => Some(format!("{input} is floating")),
        (Finding::Stuck(level), None) => Some(format!("{input} is stuck {level}")),
        (Finding::Unsteady, None) => Some(format!("{input} is unsteady")),
    };
    let read = |level: Level| {
        let mut all = samples.iter().filter(|s| s.driven == level).flat_map(|s| [s.up, s.down]);
        match all.next() {
            Some(first) if all.all(|l| l == first) => first.to_string(),
            _ => "high and low".into(),
        }
    };
    let measured = format!("drove {out} high: {input} read {}; low: {}", read(Level::High), read(Level::Low));
    Ok(match conclusion {
        None => Outcome::passed(measured),
        Some(conclusion) => Outcome::failed(format!("{conclusion}: {measured}")),
    })
}

fn read_all(
    watched: &[Pin],
    pull: Pull,
    pins: &mut Pins<'_>,
    limit: &Limit<'_>,
) -> Result<Vec<Level>, Early> {
    for pin in watched {
        pins.input(*pin, pull)?;
    }
    limit.wait(PULL_SETTLE)?;
    watched.iter().map(|pin| Ok(pins.read(*pin)?)).collect()
}

impl Finding {
    fn of(samples: &[Sample]) -> Finding {
        let all = |holds: fn(&Sample) -> bool| samples.iter().all(holds);
        if all(|s| s.up == s.driven && s.down == s.driven) {
            Finding::Follows
        } else if all(|s| s.up != s.driven && s.down != s.driven) {
            Finding::Inverted
        } else if all(|s| s.up == Level::High && s.down == Level::Low) {
            Finding::Floating
        } else if all(|s| s.up == Level::High && s.down == Level::High) {
            Finding::Stuck(Level::High)
        } else if all(|s| s.up == Level::Low && s.down == Level::Low) {
            Finding::Stuck(Level::Low)
        } else {
            Finding::Unsteady
        }
    }

    // Whether the driven pin has something to do with it.
    fn moves(self) -> bool {
        matches!(self, Finding::Follows | Finding::Inverted)
    }
}
