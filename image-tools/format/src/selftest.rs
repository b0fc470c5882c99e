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
//! need = "wanted"            # a failure is reported, and the update continues; `required` is the default
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
//!
//! [[test]]
//! name = "thermometer"
//! kind = "i2c"               # a chip answers at this address
//! bus = 1                    # as in /dev/i2c-1
//! address = 0x48             # 7 bits, from 0x08 to 0x77: the others are reserved
//!
//! [[test]]
//! name = "spi-header"
//! kind = "spi"               # MOSI is wired to MISO: what is sent comes back
//! bus = 0                    # as in /dev/spidev0.1
//! select = 1
//! hz = 1000000               # the default; from 10 kHz to 125 MHz
//!
//! [[test]]
//! name = "rs232"
//! kind = "uart"              # TX is wired to RX: what is sent comes back, at 8N1 without flow control
//! device = "/dev/serial0"
//! baud = 115200              # the default; a usual rate from 300 to 4000000
//! ```
//!
//! A bus is not a pin: its pins belong to its driver, and no GPIO test can have them.
//!
//! Each test can also say when it runs: `at = "both"` (the default) is before the boot flag is touched and again on the
//! trial, `"before"` and `"trial"` one of the two. At least one test must run before: it gates the flag.
//!
//! A later version may know more kinds and keys. So a test of an unknown kind, or with an unknown key, is
//! [`Kind::Unknown`] and not an error; [`Plan::parse_known`] is for plans that a person just wrote.
use crate::{DecodeError, limits, name::check_name, text::is_printable_char};
use alloc::{format, string::String, vec::Vec};
use core::ops::RangeInclusive;
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
    /// It is reported, and the update continues.
    Wanted,
}

/// When a test or check runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// Before the boot flag is touched, and on the trial.
    #[default]
    Both,
    /// Before the boot flag is touched, on the old system.
    Before,
    /// On the trial, on the new system.
    Trial,
}

impl At {
    /// Whether it runs before the boot flag is touched.
    pub const fn is_before(self) -> bool {
        matches!(self, At::Both | At::Before)
    }

    /// Whether it runs on the trial.
    pub const fn is_on_trial(self) -> bool {
        matches!(self, At::Both | At::Trial)
    }
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
    /// Asks whether a chip answers.
    I2c {
        /// N in `/dev/i2c-N`.
        bus: u8,
        /// 7-bit address; see [`I2C_ADDRESSES`].
        address: u8,
    },
    /// Sends patterns over MOSI and expects them on MISO.
    Spi {
        /// N in `/dev/spidevN.M`, up to [`SPI_BUS_MAX`].
        bus: u8,
        /// M in `/dev/spidevN.M`, up to [`SPI_SELECT_MAX`].
        select: u8,
        /// Clock, in bits per second; see [`SPI_HZ`].
        #[serde(default = "default_hz")]
        hz: u32,
    },
    /// Sends patterns over TX and expects them on RX.
    Uart {
        /// Device node: a path below `/dev`.
        device: String,
        /// Bits per second; one of [`BAUDS`].
        #[serde(default = "default_baud")]
        baud: u32,
    },
    /// Something that this version doesn't know: it can't run here.
    #[serde(skip)]
    Unknown {
        /// The kind as the plan names it.
        kind: String,
        /// What isn't known.
        why: String,
    },
}

/// The 7-bit I²C addresses that a chip can have; the others are reserved (NXP UM10204, 3.1.12).
pub const I2C_ADDRESSES: RangeInclusive<u8> = 0x08..=0x77;
/// The last SPI bus of any Pi's header.
pub const SPI_BUS_MAX: u8 = 6;
/// The last chip select that a bus can have.
pub const SPI_SELECT_MAX: u8 = 15;
/// SPI clocks: the slowest that a Pi's divider reaches, rounded up, to the fastest.
pub const SPI_HZ: RangeInclusive<u32> = 10_000..=125_000_000;
/// Bits per second that a Linux serial port has names for, from 300 on.
pub const BAUDS: [u32; 23] = [
    300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 500_000, 576_000,
    921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];
/// Longest path of a serial port, in bytes.
pub const DEVICE_MAX: usize = 64;

fn default_hz() -> u32 {
    1_000_000
}

fn default_baud() -> u32 {
    115_200
}

impl Kind {
    /// The pins that the test uses.
    pub fn pins(&self) -> Vec<Pin> {
        match self {
            Kind::Loopback { out, input } => alloc::vec![*out, *input],
            Kind::Level { pin, .. } | Kind::Pulse { pin, .. } => alloc::vec![*pin],
            Kind::Command { .. }
            | Kind::I2c { .. }
            | Kind::Spi { .. }
            | Kind::Uart { .. }
            | Kind::Unknown { .. } => Vec::new(),
        }
    }

    /// The kind's name, as in the plan.
    pub fn name(&self) -> &str {
        match self {
            Kind::Loopback { .. } => "loopback",
            Kind::Level { .. } => "level",
            Kind::Pulse { .. } => "pulse",
            Kind::Command { .. } => "command",
            Kind::I2c { .. } => "i2c",
            Kind::Spi { .. } => "spi",
            Kind::Uart { .. } => "uart",
            Kind::Unknown { kind, .. } => kind,
        }
    }

    /// What of it isn't known here, if anything is.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Kind::Unknown { why, .. } => Some(why),
            _ => None,
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
    /// When it runs.
    pub at: At,
    /// Longest time, in milliseconds.
    pub timeout_ms: u32,
    /// What it does.
    pub kind: Kind,
}

/// All tests, in the order in which they run.
///
/// ```
/// use bistable_format::selftest::Plan;
///
/// let text = r#"
///     [[test]]
///     name = "relay"
///     kind = "loopback"
///     out = 17
///     in = 27
/// "#;
/// let plan = Plan::parse(text)?;
/// assert_eq!(plan.tests[0].name, "relay");
///
/// let twice = text.replace("27", "17");
/// assert!(Plan::parse(&twice).is_err(), "one pin can't be both ends");
/// # Ok::<(), bistable_format::DecodeError>(())
/// ```
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
            let Common { name, need, at, timeout_ms } = common;
            if tests.iter().any(|t| t.name == name) {
                return Err(invalid(WHAT, format!("two tests are called \"{name}\"")));
            }
            let kind: Kind = match kind_of(WHAT, &name, table, &ALL_KEYS, allowed_keys)? {
                Known::Kind(kind) => kind,
                Known::No { kind, why } => Kind::Unknown { kind, why },
            };
            check_kind(&kind, timeout_ms).map_err(|p| invalid(WHAT, format!("test \"{name}\": {p}")))?;
            tests.push(Test { name, need, at: at.unwrap_or_default(), timeout_ms, kind });
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

    /// Read and check a plan of which this version must know everything: a person just wrote it, so what isn't known is a
    /// mistake.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); for a kind or key that isn't known; when no test runs before the boot flag is touched.
    pub fn parse_known(text: &str) -> Result<Plan, DecodeError> {
        const WHAT: &str = "self-test plan";
        let plan = Plan::parse(text)?;
        for test in &plan.tests {
            if let Some(why) = test.kind.unknown() {
                return Err(invalid(WHAT, format!("\"{}\": {why}", test.name)));
            }
        }
        if plan.is_ungated() {
            return Err(invalid(
                WHAT,
                "no test runs before the boot flag is touched: let one be `at = \"both\"`".into(),
            ));
        }
        Ok(plan)
    }

    /// The tests that run before the boot flag is touched.
    #[must_use]
    pub fn before(&self) -> Plan {
        self.only(At::is_before)
    }

    /// The tests that run on the trial.
    #[must_use]
    pub fn on_trial(&self) -> Plan {
        self.only(At::is_on_trial)
    }

    fn only(&self, runs: impl Fn(At) -> bool) -> Plan {
        Plan { tests: self.tests.iter().filter(|t| runs(t.at)).cloned().collect() }
    }

    /// Whether it has tests, and none that this version knows runs before the boot flag is touched: nothing would gate it.
    pub fn is_ungated(&self) -> bool {
        let gates = |t: &Test| t.at.is_before() && t.kind.unknown().is_none();
        !self.tests.is_empty() && !self.tests.iter().any(gates)
    }
}

// Each key of each kind, to tell a key of another kind from one that doesn't exist.
const ALL_KEYS: [&str; 15] = [
    "out",
    "in",
    "pin",
    "pull",
    "expect",
    "min_hz",
    "max_hz",
    "window_ms",
    "run",
    "bus",
    "address",
    "select",
    "hz",
    "device",
    "baud",
];

fn allowed_keys(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "loopback" => &["out", "in"],
        "level" => &["pin", "pull", "expect"],
        "pulse" => &["pin", "min_hz", "max_hz", "window_ms"],
        "command" => &["run"],
        "i2c" => &["bus", "address"],
        "spi" => &["bus", "select", "hz"],
        "uart" => &["device", "baud"],
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
        Kind::I2c { address, .. } => check_range("address", *address, I2C_ADDRESSES, |a| format!("{a:#04x}")),
        Kind::Spi { bus, select, hz } => {
            check_range("bus", *bus, 0..=SPI_BUS_MAX, |b| format!("{b}"))?;
            check_range("select", *select, 0..=SPI_SELECT_MAX, |s| format!("{s}"))?;
            check_range("hz", *hz, SPI_HZ, |hz| format!("{hz}"))
        }
        Kind::Uart { device, baud } => {
            check_device(device)?;
            match BAUDS.contains(baud) {
                true => Ok(()),
                false => {
                    Err(format!("baud {baud} is not a usual rate from 300 to 4000000, as 9600 or 115200"))
                }
            }
        }
        Kind::Loopback { .. } | Kind::Level { .. } | Kind::Unknown { .. } => Ok(()),
    }
}

fn check_range<T: PartialOrd + Copy>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
    show: fn(T) -> String,
) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{key} {} must be from {} to {}", show(value), show(*range.start()), show(*range.end())))
}

// A path below /dev that names no other place, and that is safe to print.
fn check_device(device: &str) -> Result<(), String> {
    let plain = |part: &str| {
        let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_.:@+".contains(&b);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(usual)
    };
    match device.strip_prefix("/dev/") {
        Some(rest) if device.len() <= DEVICE_MAX && rest.split('/').all(plain) => Ok(()),
        _ => Err(format!("\"{}\" is not a device such as /dev/serial0", device.escape_debug())),
    }
}

/// What tests and checks have in common.
pub(crate) struct Common {
    pub(crate) name: String,
    pub(crate) need: Need,
    pub(crate) at: Option<At>,
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
        let at = match table.remove("at") {
            None => None,
            Some(value) => {
                Some(value.try_into().map_err(|_| bad("at is \"both\", \"before\" or \"trial\""))?)
            }
        };
        let timeout_ms = match table.remove("timeout_ms") {
            None => TIMEOUT_MS,
            Some(value) => value
                .try_into()
                .ok()
                .filter(|t| (1..=TIMEOUT_MAX_MS).contains(t))
                .ok_or_else(|| bad("timeout_ms is a number of milliseconds from 1 to 300000"))?,
        };
        Ok(Common { name, need, at, timeout_ms })
    }
}

/// A test's or check's kind, or what isn't known of it.
pub(crate) enum Known<T> {
    /// Known, with all its keys.
    Kind(T),
    /// Not known.
    No {
        /// The kind as it is named.
        kind: String,
        /// What isn't known.
        why: String,
    },
}

/// Decode what is left of an entry's table as its kind.
pub(crate) fn kind_of<T: serde::de::DeserializeOwned>(
    what: &'static str,
    name: &str,
    table: toml::Table,
    all: &[&str],
    allowed: fn(&str) -> Option<&'static [&'static str]>,
) -> Result<Known<T>, DecodeError> {
    let bad = |problem: String| invalid(what, format!("\"{name}\": {problem}"));
    let kind = match table.get("kind") {
        Some(toml::Value::String(kind)) => kind.clone(),
        _ => return Err(bad("kind is missing".into())),
    };
    let Some(keys) = allowed(&kind) else {
        let kind: String = kind.escape_debug().take(limits::NAME).collect();
        let why = format!("unknown kind \"{kind}\"");
        return Ok(Known::No { kind, why });
    };
    if let Some(key) = table.keys().find(|k| *k != "kind" && !keys.contains(&k.as_str())) {
        let why = if all.contains(&key.as_str()) {
            format!("a {kind} has no key {key}; it has {}", keys.join(", "))
        } else {
            format!("unknown key \"{}\"", key.escape_debug().take(limits::NAME).collect::<String>())
        };
        return Ok(Known::No { kind, why });
    }
    let value = toml::Value::Table(table).try_into();
    value.map(Known::Kind).map_err(|e: toml::de::Error| bad(one_line(e.message())))
}

/// A command is an absolute path and its arguments.
pub(crate) fn check_command(run: &[String]) -> Result<(), String> {
    if run.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument has a NUL, which no program can be given".into());
    }
    match run.first() {
        Some(program) if program.starts_with('/') => Ok(()),
        Some(program) => Err(format!("\"{}\" is not an absolute path", program.escape_debug())),
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

/// The parser's messages quote what it read: without control and invisible characters they are safe to print.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if !is_printable_char(c) { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line
}

pub(crate) fn invalid(what: &'static str, problem: String) -> DecodeError {
    DecodeError::Invalid { what, problem }
}
