//! What is connected to the serial buses, and the port that shows it.
//!
//! ```toml
//! [i2c]
//! chips = [{ bus = 1, address = 0x48 }, { bus = 1, address = 0x68, driver = "rtc-ds1307" }]
//! missing = [0]                  # no such device node
//! stuck = [3]                    # something holds the clock down
//!
//! [spi]                          # nothing is connected to what isn't listed
//! "0.0" = "wired"                # open, wired, high, low, shifted, missing or in-use
//!
//! [uart]
//! "/dev/serial0" = "wired"
//! ```
use super::clock::SimClock;
use crate::ports::{BusError, Buses, Clock, I2cAnswer, I2cChip, SpiSelect};
use bistable_format::selftest::I2C_ADDRESSES;
use serde::{Deserialize, Deserializer, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A chip on an I²C bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    bus: u8,
    address: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
}

/// The I²C buses. Nothing answers on one that isn't mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct I2c {
    chips: Vec<Chip>,
    missing: Vec<u8>,
    stuck: Vec<u8>,
}

impl I2c {
    /// For serde's `deserialize_with`: addresses that a chip can have.
    pub(super) fn checked<'de, D: Deserializer<'de>>(from: D) -> Result<I2c, D::Error> {
        let i2c = I2c::deserialize(from)?;
        match i2c.chips.iter().find(|c| !I2C_ADDRESSES.contains(&c.address)) {
            Some(chip) => {
                let problem =
                    format!("no chip can have the address {:#04x}; they go from 0x08 to 0x77", chip.address);
                Err(serde::de::Error::custom(problem))
            }
            None => Ok(i2c),
        }
    }

    /// Connect a chip.
    pub fn connect(&mut self, at: I2cChip) {
        self.disconnect(at);
        self.chips.push(Chip { bus: at.bus, address: at.address, driver: None });
    }

    /// Take a chip away.
    pub fn disconnect(&mut self, at: I2cChip) {
        self.chips.retain(|c| (c.bus, c.address) != (at.bus, at.address));
    }

    fn ask(&self, at: I2cChip) -> Result<I2cAnswer, BusError> {
        let device = at.node();
        if self.missing.contains(&at.bus) {
            return Err(BusError::Missing { device });
        }
        if self.stuck.contains(&at.bus) {
            return Err(BusError::Failed { device, problem: "timed out".into() });
        }
        let chip = self.chips.iter().find(|c| (c.bus, c.address) == (at.bus, at.address));
        Ok(match chip {
            None => I2cAnswer::Silent,
            Some(Chip { driver: Some(driver), .. }) => I2cAnswer::Driver(driver.clone()),
            Some(_) => I2cAnswer::Answers,
        })
    }
}

/// What the receiving line of an SPI bus or of a serial port is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Nothing.
    #[default]
    Open,
    /// The sending line.
    Wired,
    /// The supply.
    High,
    /// Ground.
    Low,
    /// The sending line, but each byte comes in a bit late: a clock that is too fast for the wire.
    Shifted,
    /// There is no such device node.
    Missing,
    /// Another process uses the device.
    InUse,
}

/// SPI selects by `bus.select`.
pub type Spi = BTreeMap<String, Line>;
/// Serial ports by device node.
pub type Uart = BTreeMap<String, Line>;

/// The simulated buses.
#[derive(Clone, Debug, Default)]
pub struct SimBuses {
    i2c: I2c,
    spi: Spi,
    uart: Uart,
    clock: SimClock,
}

impl SimBuses {
    /// Buses that are connected like this.
    pub fn new(i2c: I2c, spi: Spi, uart: Uart, clock: SimClock) -> SimBuses {
        SimBuses { i2c, spi, uart, clock }
    }
}

impl Buses for SimBuses {
    fn i2c_answers(&mut self, chip: I2cChip) -> Result<I2cAnswer, BusError> {
        // A start, nine bits and a stop, at 100 kHz.
        self.clock.wait(Duration::from_micros(110));
        self.i2c.ask(chip)
    }

    fn spi_exchange(&mut self, at: SpiSelect, hz: u32, bytes: &[u8]) -> Result<Vec<u8>, BusError> {
        let line = self.spi.get(&format!("{}.{}", at.bus, at.select)).copied().unwrap_or_default();
        let usable = usable(line, &at.node())?;
        self.clock.wait(duration(bytes.len(), 8, hz));
        Ok(match usable {
            Usable::Wired => bytes.to_vec(),
            // A Pi's MISO has a pull-down.
            Usable::Open | Usable::Low => vec![0; bytes.len()],
            Usable::High => vec![0xff; bytes.len()],
            Usable::Shifted => shifted(bytes),
        })
    }

    fn uart_exchange(
        &mut self,
        device: &str,
        baud: u32,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, BusError> {
        let line = self.uart.get(device).copied().unwrap_or_default();
        let usable = usable(line, device)?;
        let took = duration(bytes.len() + 2, 10, baud);
        let (came, took) = match usable {
            Usable::Wired | Usable::Shifted if took > timeout => {
                let part = bytes.len() as u128 * timeout.as_micros() / took.as_micros();
                let part = usize::try_from(part).unwrap_or(usize::MAX);
                (bytes.get(..part).unwrap_or_default().to_vec(), timeout)
            }
            Usable::Wired => (bytes.to_vec(), took),
            Usable::Shifted => (shifted(bytes), took),
            // An idle line is high, so no byte begins.
            Usable::Open | Usable::High => (Vec::new(), timeout),
            // A break: one start bit without an end.
            Usable::Low => (vec![0], timeout),
        };
        self.clock.wait(took);
        Ok(came)
    }
}

enum Usable {
    Open,
    Wired,
    High,
    Low,
    Shifted,
}

fn usable(line: Line, device: &str) -> Result<Usable, BusError> {
    Ok(match line {
        Line::Open => Usable::Open,
        Line::Wired => Usable::Wired,
        Line::High => Usable::High,
        Line::Low => Usable::Low,
        Line::Shifted => Usable::Shifted,
        Line::Missing => return Err(BusError::Missing { device: device.into() }),
        Line::InUse => return Err(BusError::InUse { device: device.into(), user: "another program".into() }),
    })
}

fn shifted(bytes: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let late = |byte: &u8| {
        let out = (byte >> 1) | carry;
        carry = byte << 7;
        out
    };
    bytes.iter().map(late).collect()
}

fn duration(bytes: usize, bits: u32, per_second: u32) -> Duration {
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(bits.into());
    Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_own_look() {
        let mut buses = SimBuses::default();
        let at = SpiSelect { bus: 0, select: 0 };
        let sent = [0x01, 0x80, 0xff];
        for (line, spi, uart) in [
            (Line::Open, &[0, 0, 0][..], &[][..]),
            (Line::Wired, &sent, &sent),
            (Line::High, &[0xff; 3], &[]),
            (Line::Low, &[0; 3], &[0]),
            (Line::Shifted, &[0x00, 0xc0, 0x7f], &[0x00, 0xc0, 0x7f]),
        ] {
            buses.spi.insert("0.0".into(), line);
            buses.uart.insert("/dev/serial0".into(), line);
            assert_eq!(buses.spi_exchange(at, 1_000_000, &sent).unwrap(), spi, "{line:?}");
            let came = buses.uart_exchange("/dev/serial0", 115_200, &sent, Duration::from_secs(1));
            assert_eq!(came.unwrap(), uart, "{line:?}");
        }
    }

    #[test]
    fn bytes_take_their_time() {
        let (mut buses, second) = (SimBuses::default(), Duration::from_secs(1));
        buses.uart.insert("/dev/x".into(), Line::Wired);
        let came = buses.uart_exchange("/dev/x", 300, &[7; 58], second).unwrap();
        assert_eq!((came.len(), buses.clock.time()), (29, second));
        buses.uart_exchange("/dev/x", 9600, &[7; 94], second).unwrap();
        assert_eq!(buses.clock.time(), Duration::from_millis(1100));
        buses.spi_exchange(SpiSelect { bus: 0, select: 0 }, 10_000, &[7; 125]).unwrap();
        assert_eq!(buses.clock.time(), Duration::from_millis(1200));
    }
}
