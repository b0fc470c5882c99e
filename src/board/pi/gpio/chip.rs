//! The kernel's GPIO chip with the header's pins, and who uses its lines.
//!
//! The kernel knows of a line that a driver or a process has requested. Of one that a driver uses for something else,
//! as I²C, it need not (the pinctrl drivers up to Pi 4 aren't strict), but the pin multiplexer does and shows it in
//! debugfs, to root.
use super::choice;
use crate::ports::GpioError;
use bistable_format::selftest::Pin;
use gpiocdev::chip::{Chip as Lines, chips};
use std::path::{Path, PathBuf};

const PINCTRL: &str = "/sys/kernel/debug/pinctrl";

/// The chip whose line numbers are the pins'.
#[derive(Debug)]
pub(super) struct Chip {
    lines: Lines,
    label: String,
    count: u32,
    // Where the pin multiplexer says who has which pin, if it is there.
    owners: Option<PathBuf>,
}

impl Chip {
    /// Look for it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn find() -> Result<Chip, String> {
        let mut found = Vec::new();
        let mut problem = None;
        for path in chips().unwrap_or_default() {
            match Lines::from_path(&path).and_then(|lines| lines.info().map(|info| (lines, info))) {
                Ok(chip) => found.push(chip),
                Err(e) => problem = Some(format!("{}: {e}", path.display())),
            }
        }
        let labels: Vec<&str> = found.iter().map(|(_, info)| info.label.as_str()).collect();
        // A chip that can't be opened may be the one: then this is the better reason.
        let at = choice::chip(&labels).map_err(|why| problem.unwrap_or(why))?;
        let (lines, info) = found.swap_remove(at);
        let owners = owners_file(Path::new(PINCTRL), &info.label);
        Ok(Chip { lines, label: info.label, count: info.num_lines, owners })
    }

    /// The kernel's name for it.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Its device node.
    pub(super) fn path(&self) -> &Path {
        self.lines.path()
    }

    /// Refuse a pin that isn't there, or that is in use.
    pub(super) fn check_free(&self, pin: Pin) -> Result<(), GpioError> {
        if u32::from(pin.0) >= self.count {
            return Err(GpioError::NoSuchPin(pin));
        }
        match self.user(pin)? {
            Some(user) => Err(GpioError::InUse { pin, user }),
            None => Ok(()),
        }
    }

    /// What went wrong with a request: another process was faster, or something else.
    pub(super) fn refused(&self, pin: Pin, e: &gpiocdev::Error) -> GpioError {
        match self.user(pin) {
            Ok(Some(user)) => GpioError::InUse { pin, user },
            _ => GpioError::Failed { pin, problem: e.to_string() },
        }
    }

    fn user(&self, pin: Pin) -> Result<Option<String>, GpioError> {
        let line = self
            .lines
            .line_info(pin.0.into())
            .map_err(|e| GpioError::Failed { pin, problem: format!("can't ask who uses it: {e}") })?;
        if line.used {
            let named = Some(line.consumer).filter(|c| !c.is_empty());
            return Ok(Some(named.unwrap_or_else(|| "a kernel driver".into())));
        }
        // Only root may see it, and only if debugfs is mounted: it can add a reason, and not be required.
        let table = self.owners.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        Ok(table.and_then(|table| owner(&table, pin)))
    }
}

/// The multiplexer's file for a pin controller: its folder is named after the device and the driver.
fn owners_file(pinctrl: &Path, label: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir(pinctrl).ok()?;
    let ending = format!("-{label}");
    let folder =
        folders.filter_map(Result::ok).find(|f| f.file_name().to_string_lossy().ends_with(&ending))?;
    Some(folder.path().join("pinmux-pins"))
}

/// The device that has a pin for another function than GPIO, from the text of `pinmux-pins`. Its lines, as the kernel's
/// `drivers/pinctrl/pinmux.c` writes them:
///
/// ```text
/// pin 2 (gpio2): fe804000.i2c (GPIO UNCLAIMED) function alt0 group gpio2
/// pin 4 (gpio4): (MUX UNCLAIMED) (GPIO UNCLAIMED)
/// pin 2 (gpio2): device 1f00074000.i2c function i2c1 group gpio2            (strict controllers)
/// pin 4 (gpio4): UNCLAIMED
/// ```
fn owner(table: &str, pin: Pin) -> Option<String> {
    let start = format!("pin {} ", pin.0);
    let line = table.lines().find(|line| line.starts_with(&start))?;
    let (_, rest) = line.split_once("): ")?;
    let device = rest.strip_prefix("device ").unwrap_or(rest).split(' ').next().filter(|d| !d.is_empty())?;
    if device.starts_with('(') || device == "UNCLAIMED" || device == "GPIO" {
        return None;
    }
    let function = rest.split_once(" function ").and_then(|(_, f)| f.split(' ').next()).unwrap_or("unknown");
    // A process that uses it as GPIO has requested the line too, or doesn't need it any more.
    (!function.starts_with("gpio")).then(|| format!("{device} (function {function})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_pin_for_another_function() {
        let table = "Pinmux settings per pin\n\
            Format: pin (name): mux_owner gpio_owner hog?\n\
            pin 0 (gpio0): (MUX UNCLAIMED) (GPIO UNCLAIMED)\n\
            pin 2 (gpio2): fe804000.i2c (GPIO UNCLAIMED) function alt0 group gpio2\n\
            pin 4 (gpio4): (MUX UNCLAIMED) pinctrl-bcm2711:516\n\
            pin 14 (gpio14): fe201000.serial (GPIO UNCLAIMED) function alt0 group gpio14\n\
            pin 20 (gpio20): leds (GPIO UNCLAIMED) function gpio_out group gpio20\n\
            pin 22 (gpio22): fe200000.gpio (GPIO UNCLAIMED) (HOG) function alt5 group gpio22\n\
            pin 40 (gpio40): device 1f00074000.i2c function i2c1 group gpio40\n\
            pin 41 (gpio41): GPIO pinctrl-rp1:610\n\
            pin 42 (gpio42): UNCLAIMED\n\
            pin 43 (gpio43):\n";
        for (pin, expected) in [
            (0, None),
            (1, None),
            (2, Some("fe804000.i2c (function alt0)")),
            (4, None),
            (14, Some("fe201000.serial (function alt0)")),
            (20, None),
            (22, Some("fe200000.gpio (function alt5)")),
            (40, Some("1f00074000.i2c (function i2c1)")),
            (41, None),
            (42, None),
            (43, None),
        ] {
            assert_eq!(owner(table, Pin(pin)).as_deref(), expected, "{pin}");
        }
        assert_eq!(owner("", Pin(2)), None);
    }

    #[test]
    fn the_multiplexer_is_found_by_the_chips_label() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["fe200000.gpio-pinctrl-bcm2711", "pinctrl-handles", "x-pinctrl-bcm27110"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let file = owners_file(folder.path(), "pinctrl-bcm2711").unwrap();
        assert!(file.ends_with("fe200000.gpio-pinctrl-bcm2711/pinmux-pins"));
        assert_eq!(owners_file(folder.path(), "pinctrl-rp1"), None);
        assert_eq!(owners_file(&folder.path().join("none"), "pinctrl-rp1"), None);
    }
}
