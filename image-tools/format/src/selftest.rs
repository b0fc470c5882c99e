//! The plan of hardware-interface self-tests, as TOML.
//!
//! ```toml
//! [[test]]
//! name = "relay"             # what reports call it
//! kind = "loopback"          # `out` is driven high and low, `in` must follow
//! out = 17                   # GPIO numbers as the Raspberry Pi documentation has them (BCM)
//! in = 27
//!
//! [[test]]
//! name = "door-contact"
//! kind = "level"             # the pin must read as expected
//! pin = 22
//! pull = "up"                # up, down or none (the default)
//! expect = "low"
//! need = "wanted"            # a failure is reported, and the update goes on; `required` is the default
//!
//! [[test]]
//! name = "fan"
//! kind = "pulse"             # rising edges per second over a window, both ends allowed
//! pin = 24
//! min_hz = 20
//! max_hz = 200
//! window_ms = 500
//!
//! [[test]]
//! name = "modem"
//! kind = "command"           # must end with exit code 0
//! run = ["/usr/bin/modem-check", "--quick"]
//! timeout_ms = 10000         # each test has one; 5000 is the default
//! ```
use crate::{DecodeError, limits, release::check_name};
use alloc::{format, string::String, vec::Vec};
use serde::Deserialize;

/// A GPIO number, as the Raspberry Pi documentation has them (BCM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Pin(pub u8);

impl Pin {
    /// The highest GPIO that any Pi's chip brings to the outside: BCM2711's bank ends at 57.
    pub const MAX: u8 = 57;
}

impl core::fmt::Display for Pin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "GPIO{}", self.0)
    }
}

/// A logic level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Near the supply voltage.
    High,
    /// Near ground.
    Low,
}

impl core::fmt::Display for Level {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Level::High => "high",
            Level::Low => "low",
        })
    }
}

/// The chip's own pull resistor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// Towards the supply voltage.
    Up,
    /// Towards ground.
    Down,
    /// None.
    #[default]
    None,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// The update is refused.
    #[default]
    Required,
    /// It is reported, and the update goes on.
    Wanted,
}

/// What a test does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Drives one pin and expects another to follow.
    Loopback {
        /// Driven.
        out: Pin,
        /// Read.
        #[serde(rename = "in")]
        input: Pin,
    },
    /// Reads one pin.
    Level {
        /// Read.
        pin: Pin,
        /// Pull resistor while reading.
        #[serde(default)]
        pull: Pull,
        /// What must be read.
        expect: Level,
    },
    /// Counts rising edges.
    Pulse {
        /// Read.
        pin: Pin,
        /// Fewest per second.
        min_hz: u32,
        /// Most per second.
        max_hz: u32,
        /// Time over which they are counted, in milliseconds.
        window_ms: u32,
    },
    /// Runs a program.
    Command {
        /// Absolute path, then arguments; no shell.
        run: Vec<String>,
    },
}

impl Kind {
    /// The pins that the test uses.
    pub fn pins(&self) -> Vec<Pin> {
        match self {
            Kind::Loopback { out, input } => alloc::vec![*out, *input],
            Kind::Level { pin, .. } | Kind::Pulse { pin, .. } => alloc::vec![*pin],
            Kind::Command { .. } => Vec::new(),
        }
    }

    /// The kind's name, as in the plan.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Loopback { .. } => "loopback",
            Kind::Level { .. } => "level",
            Kind::Pulse { .. } => "pulse",
            Kind::Command { .. } => "command",
        }
    }
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What reports call it.
    pub name: String,
    /// What a failure means.
    pub need: Need,
    /// Longest time, in milliseconds.
    pub timeout_ms: u32,
    /// What it does.
    pub kind: Kind,
}

/// All tests, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The tests. No two of them share a pin.
    pub tests: Vec<Test>,
}

/// Longest time that one test may be given, in milliseconds.
pub const TIMEOUT_MAX_MS: u32 = 5 * 60 * 1000;
const TIMEOUT_MS: u32 = 5000;

// TOML gives unknown keys away only if each table knows its keys; with a flattened or tagged enum serde can't. So the
// table is read key by key, and what is left over is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default, rename = "test")]
    tests: Vec<toml::Table>,
}

impl Plan {
    /// Read and check a plan. Empty text is an empty plan.
    ///
    /// # Errors
    /// [`DecodeError`], naming the test and what is wrong with it.
    pub fn parse(text: &str) -> Result<Plan, DecodeError> {
        const WHAT: &str = "self-test plan";
        let raw: RawPlan = parse_toml(WHAT, text)?;
        if raw.tests.len() > limits::TESTS {
            return Err(invalid(WHAT, format!("{} tests, more than {}", raw.tests.len(), limits::TESTS)));
        }
        let mut tests: Vec<Test> = Vec::new();
        for (i, mut table) in raw.tests.into_iter().enumerate() {
            let common = Common::take(WHAT, "test", i, &mut table)?;
            let Common { name, need, timeout_ms } = common;
            if tests.iter().any(|t| t.name == name) {
                return Err(invalid(WHAT, format!("two tests are called \"{name}\"")));
            }
            let kind: Kind = kind_of(
                WHAT,
                &name,
                table,
                &["out", "in", "pin", "pull", "expect", "min_hz", "max_hz", "window_ms", "run"],
                allowed_keys,
            )?;
            check_kind(&kind, timeout_ms).map_err(|p| invalid(WHAT, format!("test \"{name}\": {p}")))?;
            tests.push(Test { name, need, timeout_ms, kind });
        }
        let mut used: Vec<(Pin, &str)> = Vec::new();
        for test in &tests {
            for pin in test.kind.pins() {
                if let Some((_, other)) = used.iter().find(|(p, _)| *p == pin) {
                    let problem = format!("{pin} is named twice, by \"{other}\" and by \"{}\"", test.name);
                    return Err(invalid(WHAT, problem));
                }
                used.push((pin, &test.name));
            }
        }
        Ok(Plan { tests })
    }
}

fn allowed_keys(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "loopback" => &["out", "in"],
        "level" => &["pin", "pull", "expect"],
        "pulse" => &["pin", "min_hz", "max_hz", "window_ms"],
        "command" => &["run"],
        _ => return None,
    })
}

fn check_kind(kind: &Kind, timeout_ms: u32) -> Result<(), String> {
    if let Some(pin) = kind.pins().into_iter().find(|p| p.0 > Pin::MAX) {
        return Err(format!("there is no {pin}"));
    }
    match kind {
        Kind::Pulse { min_hz, max_hz, window_ms, .. } => {
            if min_hz > max_hz {
                return Err(format!("min_hz {min_hz} is above max_hz {max_hz}"));
            }
            if *window_ms == 0 || *window_ms > timeout_ms {
                return Err(format!(
                    "window_ms {window_ms} must be at least 1 and within timeout_ms {timeout_ms}"
                ));
            }
            Ok(())
        }
        Kind::Command { run } => check_command(run),
        Kind::Loopback { .. } | Kind::Level { .. } => Ok(()),
    }
}

/// What tests and checks have in common.
pub(crate) struct Common {
    pub(crate) name: String,
    pub(crate) need: Need,
    pub(crate) timeout_ms: u32,
}

impl Common {
    /// Take the common keys out of entry `index`'s table.
    pub(crate) fn take(
        what: &'static str,
        entry: &str,
        index: usize,
        table: &mut toml::Table,
    ) -> Result<Common, DecodeError> {
        let name = match table.remove("name") {
            Some(toml::Value::String(name)) => name,
            _ => return Err(invalid(what, format!("{entry} {} has no name", index + 1))),
        };
        check_name(what, &name)?;
        let bad = |problem: &str| invalid(what, format!("{entry} \"{name}\": {problem}"));
        let need = match table.remove("need") {
            None => Need::Required,
            Some(value) => value.try_into().map_err(|_| bad("need is \"required\" or \"wanted\""))?,
        };
        let timeout_ms = match table.remove("timeout_ms") {
            None => TIMEOUT_MS,
            Some(value) => value
                .try_into()
                .ok()
                .filter(|t| (1..=TIMEOUT_MAX_MS).contains(t))
                .ok_or_else(|| bad("timeout_ms is a number of milliseconds from 1 to 300000"))?,
        };
        Ok(Common { name, need, timeout_ms })
    }
}

/// Decode what is left of an entry's table as its kind, with unknown keys named.
pub(crate) fn kind_of<T: serde::de::DeserializeOwned>(
    what: &'static str,
    name: &str,
    table: toml::Table,
    all: &[&str],
    allowed: fn(&str) -> Option<&'static [&'static str]>,
) -> Result<T, DecodeError> {
    let bad = |problem: String| invalid(what, format!("\"{name}\": {problem}"));
    let kind = match table.get("kind") {
        Some(toml::Value::String(kind)) => kind.clone(),
        _ => return Err(bad("kind is missing".into())),
    };
    let Some(keys) = allowed(&kind) else {
        return Err(bad(format!("unknown kind \"{}\"", kind.escape_debug())));
    };
    if let Some(key) = table.keys().find(|k| *k != "kind" && !keys.contains(&k.as_str())) {
        let problem = if all.contains(&key.as_str()) {
            format!("a {kind} has no key {key}; it has {}", keys.join(", "))
        } else {
            format!("unknown key \"{}\"", key.escape_debug())
        };
        return Err(bad(problem));
    }
    toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| bad(one_line(e.message())))
}

/// A command is an absolute path and its arguments.
pub(crate) fn check_command(run: &[String]) -> Result<(), String> {
    if run.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument has a NUL, which no program can be given".into());
    }
    match run.first() {
        Some(program) if program.starts_with('/') => Ok(()),
        Some(program) => Err(format!("\"{}\" is no absolute path", program.escape_debug())),
        None => Err("run is empty".into()),
    }
}

/// Read limited TOML text.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, DecodeError> {
    if text.len() > limits::PLAN {
        return Err(DecodeError::TooLarge { what, bytes: text.len(), limit: limits::PLAN });
    }
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| text.get(..s.start).unwrap_or(text).matches('\n').count() + 1);
        invalid(what, format!("line {line}: {}", one_line(e.message())))
    })
}

/// The parser's messages quote what it read: without control characters they are safe to print.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line
}

pub(crate) fn invalid(what: &'static str, problem: String) -> DecodeError {
    DecodeError::Invalid { what, problem }
}
