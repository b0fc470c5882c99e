//! I²C, SPI and serial ports of a real Pi, with rppal. It needs their device nodes only, so any board will do that has
//! them.
//!
//! | file | noun |
//! |---|---|
//! | `i2c` | asks a chip for its acknowledgement |
//! | `uart` | a serial port, for one exchange |
//! | `users` | who else has a serial port open |
mod i2c;
mod uart;
mod users;

use crate::ports::{BusError, Buses, Clock, I2cAnswer, I2cChip, SpiSelect};
use rppal::spi::{Bus, Error, Mode, SlaveSelect, Spi};
use std::{io, time::Duration};

/// The buses. Nothing is opened before it is asked for.
pub fn open(clock: Box<dyn Clock>) -> Box<dyn Buses> {
    Box::new(PiBuses { clock })
}

struct PiBuses {
    clock: Box<dyn Clock>,
}

impl Buses for PiBuses {
    fn i2c_answers(&mut self, chip: I2cChip) -> Result<I2cAnswer, BusError> {
        i2c::answers(chip)
    }

    fn spi_exchange(&mut self, at: SpiSelect, hz: u32, bytes: &[u8]) -> Result<Vec<u8>, BusError> {
        let device = at.node();
        let failed = |e: Error| match e {
            Error::Io(e) => problem(&device, &e),
            other => BusError::Failed { device: device.clone(), problem: other.to_string() },
        };
        let (Some(bus), Some(select)) = (spi_bus(at.bus), spi_select(at.select)) else {
            return Err(BusError::Missing { device });
        };
        let spi = Spi::new(bus, select, hz, Mode::Mode0).map_err(failed)?;
        let mut came = vec![0; bytes.len()];
        let count = spi.transfer(&mut came, bytes).map_err(failed)?;
        came.truncate(count);
        Ok(came)
    }

    fn uart_exchange(
        &mut self,
        device: &str,
        baud: u32,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<Vec<u8>, BusError> {
        uart::exchange(device, baud, bytes, timeout, &*self.clock)
    }
}

/// What the system's error means for a device node.
fn problem(device: &str, e: &io::Error) -> BusError {
    let device = device.to_owned();
    match e.kind() {
        io::ErrorKind::NotFound => BusError::Missing { device },
        io::ErrorKind::ResourceBusy => BusError::InUse { device, user: "another program or driver".into() },
        _ => BusError::Failed { device, problem: e.to_string() },
    }
}

fn spi_bus(bus: u8) -> Option<Bus> {
    use Bus::{Spi0, Spi1, Spi2, Spi3, Spi4, Spi5, Spi6};
    [Spi0, Spi1, Spi2, Spi3, Spi4, Spi5, Spi6].into_iter().find(|b| *b as u8 == bus)
}

fn spi_select(select: u8) -> Option<SlaveSelect> {
    use SlaveSelect::{Ss0, Ss1, Ss2, Ss3, Ss4, Ss5, Ss6, Ss7, Ss8, Ss9, Ss10, Ss11, Ss12, Ss13, Ss14, Ss15};
    let all = [Ss0, Ss1, Ss2, Ss3, Ss4, Ss5, Ss6, Ss7, Ss8, Ss9, Ss10, Ss11, Ss12, Ss13, Ss14, Ss15];
    all.into_iter().find(|s| *s as u8 == select)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::sim::clock::SimClock;
    use bistable_format::selftest::{SPI_BUS_MAX, SPI_SELECT_MAX};

    #[test]
    fn what_a_plan_allows_rppal_can_name() {
        assert!((0..=SPI_BUS_MAX).all(|b| spi_bus(b).is_some()) && spi_bus(SPI_BUS_MAX + 1).is_none());
        assert!(
            (0..=SPI_SELECT_MAX).all(|s| spi_select(s).is_some()) && spi_select(SPI_SELECT_MAX + 1).is_none()
        );
    }

    #[test]
    fn a_missing_node_is_told_as_such() {
        // No machine has a bus with that number.
        let mut buses = open(Box::new(SimClock::default()));
        let chip = I2cChip { bus: 250, address: 0x48 };
        assert_eq!(buses.i2c_answers(chip), Err(BusError::Missing { device: "/dev/i2c-250".into() }));
        let at = SpiSelect { bus: 6, select: 15 };
        let missing = Err(BusError::Missing { device: "/dev/spidev6.15".into() });
        assert_eq!(buses.spi_exchange(at, 1_000_000, &[1]), missing);
        let missing = Err(BusError::Missing { device: "/dev/ttyNone".into() });
        assert_eq!(buses.uart_exchange("/dev/ttyNone", 9600, &[1], Duration::from_secs(1)), missing);
    }

    /// What only a machine with buses can show. Run it there as root: `I2C_BUS=1 I2C_ANSWERS=0x48 I2C_SILENT=0x49`,
    /// and `I2C_DRIVER=0x68` for a chip that a driver has; `UART=/dev/ttyAMA1` for a port whose RX follows its TX, and
    /// `UART_USED=/dev/ttyAMA0` for one that is in use.
    #[test]
    #[ignore = "uses buses of the machine that it runs on"]
    fn on_this_machine() {
        let env = |name: &str| std::env::var(name).ok();
        let address = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let mut buses = open(Box::new(crate::board::pi::gpio::tests::Monotonic));
        let mut asked = 0;
        for (name, expected) in
            [("I2C_ANSWERS", "Answers"), ("I2C_SILENT", "Silent"), ("I2C_DRIVER", "Driver")]
        {
            let Some(text) = env(name) else { continue };
            let bus = env("I2C_BUS").unwrap().parse().unwrap();
            let answer = buses.i2c_answers(I2cChip { bus, address: address(&text) });
            println!("{name} {text}: {answer:?}");
            assert!(format!("{:?}", answer.unwrap()).starts_with(expected));
            asked += 1;
        }
        let bytes: Vec<u8> = (0..=255).collect();
        if let Some(device) = env("UART") {
            for baud in [9600, 115_200] {
                let came = buses.uart_exchange(&device, baud, &bytes, Duration::from_secs(5));
                assert_eq!(came, Ok(bytes.clone()), "{device} at {baud}");
                println!("{device} at {baud}: all 256 bytes came back");
            }
            asked += 1;
        }
        if let Some(device) = env("UART_USED") {
            let refused = buses.uart_exchange(&device, 9600, &bytes, Duration::from_secs(1)).unwrap_err();
            println!("{refused}");
            assert!(matches!(refused, BusError::InUse { .. }));
            asked += 1;
        }
        assert!(asked > 0, "there was nothing to ask for");
        println!("BUSES ARE RIGHT");
    }

    #[test]
    fn errors_keep_their_meaning() {
        let of = |code: i32| problem("/dev/x", &io::Error::from_raw_os_error(code));
        assert!(matches!(of(nix::libc::ENOENT), BusError::Missing { .. }));
        assert!(matches!(of(nix::libc::EBUSY), BusError::InUse { .. }));
        assert!(
            matches!(of(nix::libc::EACCES), BusError::Failed { problem, .. } if problem.contains("ermission"))
        );
    }
}
