//! What can be asked of the simulated Pi.
use bistable_format::selftest::{I2C_ADDRESSES, Pin};
use clap::{Subcommand, ValueEnum};

/// What can be done to a simulated Pi.
#[derive(Clone, Debug, Subcommand)]
pub enum SimVerb {
    /// Cut or restore its power
    Power {
        /// off, on, or cycle: off and on
        #[arg(value_enum)]
        what: Power,
    },
    /// Let the power fail in the middle of a write to the card
    Cut {
        /// Which one, counted from now: 1 is the next
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        at_write: u64,
        /// How many bytes of that write still reach the card; half of them if this isn't said
        #[arg(long, value_name = "M")]
        at_byte: Option<u64>,
    },
    /// Connect two pins with a wire
    Wire {
        /// One end
        #[arg(value_parser = pin())]
        a: u8,
        /// The other end
        #[arg(value_parser = pin())]
        b: u8,
    },
    /// Take everything off a pin: wires, pulses, whatever it is stuck at
    Unwire {
        /// The pin
        #[arg(value_parser = pin())]
        pin: u8,
    },
    /// Tie a pin to the supply or to ground
    Stuck {
        /// The pin
        #[arg(value_parser = pin())]
        pin: u8,
        /// high or low
        #[arg(value_enum)]
        level: StuckAt,
    },
    /// Feed pulses into a pin, as a fan's tachometer does
    Pulse {
        /// The pin
        #[arg(value_parser = pin())]
        pin: u8,
        /// Pulses per second
        hz: u32,
    },
    /// Connect a chip to an I²C bus, or take it away
    I2c {
        /// The bus: N in /dev/i2c-N
        bus: u8,
        /// The chip's address, for example 0x48
        #[arg(value_parser = i2c_address)]
        address: u8,
        /// on or off
        #[arg(value_enum)]
        what: Connected,
    },
    /// Connect what an SPI bus or a serial port sends to what it receives, or break that
    Loop {
        /// The device: for example /dev/spidev0.0 or /dev/serial0
        device: String,
        /// on or off
        #[arg(value_enum)]
        what: Connected,
    },
    /// Say what the service manager says of a unit
    Unit {
        /// The unit, for example app.service
        unit: String,
        /// For example active or failed
        state: String,
        /// Only while a system of this version runs
        #[arg(long)]
        version: Option<semver::Version>,
    },
    /// Show what the simulated Pi is wired to and what runs on it
    World,
}

fn pin() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=i64::from(Pin::MAX))
}

fn i2c_address(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    parsed.filter(|a| I2C_ADDRESSES.contains(a)).ok_or_else(|| "addresses go from 0x08 to 0x77".into())
}

/// Whether something is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Connected {
    /// Connected
    On,
    /// Not connected
    Off,
}

/// Power verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Power {
    /// Switch on
    On,
    /// Switch off
    Off,
    /// Off and on
    Cycle,
}

/// Where a pin can be stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StuckAt {
    /// At the supply
    High,
    /// At ground
    Low,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_both_notations() {
        for (text, address) in
            [("0x48", Some(0x48)), ("72", Some(72)), ("0x08", Some(8)), ("0x77", Some(0x77))]
                .into_iter()
                .chain(["7", "0x78", "0x", "48h", "-1", ""].map(|bad| (bad, None)))
        {
            assert_eq!(i2c_address(text).ok(), address, "{text}");
        }
    }
}
