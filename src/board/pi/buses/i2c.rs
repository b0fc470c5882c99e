//! Whether a chip acknowledges its address.
use super::problem;
use crate::ports::{BusError, I2cAnswer, I2cChip};
use nix::libc::{EBUSY, ENXIO, EREMOTEIO};
use rppal::i2c::{Error, I2c};
use std::{io, path::Path};

/// How a chip is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Its address and the bit for writing, and no data.
    QuickWrite,
    /// One byte is read.
    ReadByte,
}

impl Question {
    /// The one that does the chips that are likely to be at an address no harm. As `i2cdetect` does: a quick write can
    /// change a write-protected EEPROM (0x30 to 0x37 set the protection, 0x50 to 0x5f hold the data), and a read can
    /// hang a bus whose chip can only be written.
    fn to(address: u8, quick: bool, read: bool) -> Option<Question> {
        let memory = matches!(address, 0x30..=0x37 | 0x50..=0x5f);
        match (memory, quick, read) {
            (true, _, true) | (false, false, true) => Some(Question::ReadByte),
            (false, true, _) => Some(Question::QuickWrite),
            // Never a quick write to a memory.
            (true, _, false) | (false, false, false) => None,
        }
    }
}

/// Ask a chip.
pub(super) fn answers(chip: I2cChip) -> Result<I2cAnswer, BusError> {
    let device = chip.node();
    let failed = |e: Error| match e {
        Error::Io(e) => problem(&device, &e),
        other => BusError::Failed { device: device.clone(), problem: other.to_string() },
    };
    let mut bus = I2c::with_bus(chip.bus).map_err(failed)?;
    if let Some(driver) = driver(Path::new("/sys/bus/i2c/devices"), chip) {
        return Ok(I2cAnswer::Driver(driver));
    }
    match bus.set_slave_address(chip.address.into()) {
        Ok(()) => {}
        Err(Error::Io(e)) if e.raw_os_error() == Some(EBUSY) => {
            return Ok(I2cAnswer::Driver("whose name isn't known".into()));
        }
        Err(e) => return Err(failed(e)),
    }
    let can = bus.capabilities();
    let asked = match Question::to(chip.address, can.smbus_quick_command(), can.smbus_receive_byte()) {
        Some(Question::QuickWrite) => bus.smbus_quick_command(false),
        Some(Question::ReadByte) => bus.smbus_receive_byte().map(|_| ()),
        None => {
            let problem = "its driver has no way to ask for an address".into();
            return Err(BusError::Failed { device, problem });
        }
    };
    match asked {
        Ok(()) => Ok(I2cAnswer::Answers),
        Err(Error::Io(e)) if is_silent(&e) => Ok(I2cAnswer::Silent),
        Err(e) => Err(failed(e)),
    }
}

/// Whether an error says that no chip acknowledged. Drivers use two numbers for it (the kernel's
/// `Documentation/i2c/fault-codes.rst` has ENXIO, the Pi's own driver returns EREMOTEIO).
fn is_silent(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(ENXIO | EREMOTEIO))
}

/// The name of the kernel's driver that has an address. The kernel's own refusal, EBUSY,
/// can't be relied on: an address that lm75 had was given out all the same (Linux 6.1, emulated Pi 3).
fn driver(devices: &Path, chip: I2cChip) -> Option<String> {
    let link = devices.join(format!("{}-{:04x}/driver", chip.bus, chip.address));
    let target = std::fs::read_link(link).ok()?;
    Some(target.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_chip_is_asked() {
        use Question::{QuickWrite, ReadByte};
        for (addresses, both, quick_only, read_only) in [
            (0x08..=0x2f, Some(QuickWrite), Some(QuickWrite), Some(ReadByte)),
            (0x30..=0x37, Some(ReadByte), None, Some(ReadByte)),
            (0x38..=0x4f, Some(QuickWrite), Some(QuickWrite), Some(ReadByte)),
            (0x50..=0x5f, Some(ReadByte), None, Some(ReadByte)),
            (0x60..=0x77, Some(QuickWrite), Some(QuickWrite), Some(ReadByte)),
        ] {
            for address in addresses {
                assert_eq!(Question::to(address, true, true), both, "{address:#04x}");
                assert_eq!(Question::to(address, true, false), quick_only, "{address:#04x}");
                assert_eq!(Question::to(address, false, true), read_only, "{address:#04x}");
                assert_eq!(Question::to(address, false, false), None, "{address:#04x}");
            }
        }
    }

    #[test]
    fn the_driver_that_has_an_address() {
        let devices = tempfile::tempdir().unwrap();
        for name in ["1-0048", "1-0049"] {
            std::fs::create_dir(devices.path().join(name)).unwrap();
        }
        let link = devices.path().join("1-0048/driver");
        std::os::unix::fs::symlink("../../../bus/i2c/drivers/lm75", link).unwrap();
        let of = |bus, address| driver(devices.path(), I2cChip { bus, address });
        assert_eq!(of(1, 0x48).as_deref(), Some("lm75"));
        // One that the kernel knows of and has no driver for, and two that it doesn't know.
        assert_eq!((of(1, 0x49), of(1, 0x4a), of(0, 0x48)), (None, None, None));
    }

    #[test]
    fn silence_is_told_from_a_bus_that_hangs() {
        let silent = |code| is_silent(&io::Error::from_raw_os_error(code));
        assert!(silent(ENXIO) && silent(EREMOTEIO));
        assert!(!silent(nix::libc::ETIMEDOUT) && !silent(nix::libc::EIO) && !silent(EBUSY));
    }
}
