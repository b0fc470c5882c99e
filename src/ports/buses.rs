use std::{fmt, time::Duration};

/// A chip on an I²C bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct I2cChip {
    /// N in `/dev/i2c-N`.
    pub bus: u8,
    /// 7-bit address.
    pub address: u8,
}

impl I2cChip {
    /// The bus' device node.
    pub fn node(self) -> String {
        format!("/dev/i2c-{}", self.bus)
    }
}

impl fmt::Display for I2cChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} on I²C bus {}", self.address, self.bus)
    }
}

/// Whether a chip is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum I2cAnswer {
    /// It acknowledged its address.
    Answers,
    /// No device did.
    Silent,
    /// A kernel driver has the address, so it wasn't asked: to disturb the driver's chip would be worse.
    Driver(String),
}

/// A chip select of an SPI bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiSelect {
    /// N in `/dev/spidevN.M`.
    pub bus: u8,
    /// M in `/dev/spidevN.M`.
    pub select: u8,
}

impl SpiSelect {
    /// Its device node.
    pub fn node(self) -> String {
        format!("/dev/spidev{}.{}", self.bus, self.select)
    }
}

/// Why a bus can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// There is no such device node.
    #[error("{device} does not exist: {}", enabled_by(device))]
    Missing {
        /// The device node.
        device: String,
    },
    /// Another process uses it.
    #[error("{device} is in use by {user}")]
    InUse {
        /// The device node.
        device: String,
        /// Who uses it.
        user: String,
    },
    /// The hardware or its driver failed, or there is no permission.
    #[error("{device}: {problem}")]
    Failed {
        /// The device node.
        device: String,
        /// What happened.
        problem: String,
    },
}

/// What brings a device node into being, as the Raspberry Pi documentation of `config.txt` and of the overlays has it.
fn enabled_by(device: &str) -> String {
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let number = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse::<u8>().ok());
    let spi = name.strip_prefix("spidev").and_then(|n| n.split_once('.'));
    let line = match (number("i2c-"), spi) {
        (Some(0), _) => "dtparam=i2c_vc=on".into(),
        (Some(1), _) => "dtparam=i2c_arm=on".into(),
        (Some(n), _) => format!("dtoverlay=i2c{n}"),
        (None, Some(("0", "0" | "1"))) => "dtparam=spi=on".into(),
        (None, Some((bus, select))) => {
            let selects =
                select.parse::<u8>().map_or(1, |s| s.saturating_add(1).max(if bus == "0" { 2 } else { 1 }));
            format!("dtoverlay=spi{bus}-{selects}cs")
        }
        (None, None) => match number("ttyAMA") {
            Some(n @ 2..=5) => format!("dtoverlay=uart{n}"),
            _ if name == "serial0" || name == "ttyS0" || name == "ttyAMA0" => "enable_uart=1".into(),
            _ => return "is its driver loaded, and is it plugged in?".into(),
        },
    };
    match number("i2c-") {
        Some(_) => format!("config.txt needs {line}, and the kernel the module i2c-dev"),
        None => format!("config.txt needs {line}"),
    }
}

/// Serial buses. Nothing stays open from one call to the next.
pub trait Buses {
    /// Ask whether a chip answers to its address. Nothing is written to the chip. The bus' driver bounds the time: to
    /// about a second on a Pi, if the bus hangs.
    ///
    /// # Errors
    /// See [`BusError`]; that no device answers is not an error.
    fn i2c_answers(&mut self, chip: I2cChip) -> Result<I2cAnswer, BusError>;

    /// Send bytes in one transfer of mode 0, most significant bit first, and return what came in meanwhile: as many.
    /// Takes 8 bits' time for each.
    ///
    /// # Errors
    /// See [`BusError`].
    fn spi_exchange(&mut self, at: SpiSelect, hz: u32, bytes: &[u8]) -> Result<Vec<u8>, BusError>;

    /// Send bytes, with 8 data bits, no parity, one stop bit and no flow control, and return what came in: at most as
    /// many. Returns when that many came, or when `timeout` is over. What comes in in the first two bytes' time is
    /// dropped, and only then it sends; so it takes 10 bits' time for each byte and for two more.
    ///
    /// # Errors
    /// See [`BusError`].
    fn uart_exchange(
        &mut self,
        device: &str,
        baud: u32,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, BusError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_says_what_enables_it() {
        #[rustfmt::skip]
        let table = [
            ("/dev/i2c-1", "config.txt needs dtparam=i2c_arm=on, and the kernel the module i2c-dev"),
            ("/dev/i2c-0", "config.txt needs dtparam=i2c_vc=on, and the kernel the module i2c-dev"),
            ("/dev/i2c-4", "config.txt needs dtoverlay=i2c4, and the kernel the module i2c-dev"),
            ("/dev/spidev0.0", "config.txt needs dtparam=spi=on"),
            ("/dev/spidev0.1", "config.txt needs dtparam=spi=on"),
            ("/dev/spidev0.2", "config.txt needs dtoverlay=spi0-3cs"),
            ("/dev/spidev1.0", "config.txt needs dtoverlay=spi1-1cs"),
            ("/dev/spidev1.2", "config.txt needs dtoverlay=spi1-3cs"),
            ("/dev/serial0", "config.txt needs enable_uart=1"),
            ("/dev/ttyAMA0", "config.txt needs enable_uart=1"),
            ("/dev/ttyAMA3", "config.txt needs dtoverlay=uart3"),
            ("/dev/ttyUSB0", "is its driver loaded, and is it plugged in?"),
            ("/dev/i2c-", "is its driver loaded, and is it plugged in?"),
        ];
        for (device, hint) in table {
            let text = BusError::Missing { device: device.into() }.to_string();
            assert_eq!(text, format!("{device} does not exist: {hint}"));
        }
    }

    #[test]
    fn names_as_the_kernel_has_them() {
        assert_eq!(I2cChip { bus: 1, address: 8 }.to_string(), "0x08 on I²C bus 1");
        assert_eq!(I2cChip { bus: 20, address: 8 }.node(), "/dev/i2c-20");
        assert_eq!(SpiSelect { bus: 1, select: 2 }.node(), "/dev/spidev1.2");
    }
}
