//! Which implementation works the pins, as a pure function of what was found.
use std::fmt;

/// The labels that the kernel gives the GPIO chip of a Pi's own header (the names of its pinctrl drivers): up to
/// Pi 3 and Zero 2, Pi 4, Pi 5.
pub(super) const LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Which of the GPIO chips has the header's pins: the one with a known label, or else the only one. There, the line's
/// number is the pin's.
///
/// # Errors
/// Why none has.
pub(super) fn chip(labels: &[&str]) -> Result<usize, String> {
    match labels.iter().position(|label| LABELS.contains(label)) {
        Some(at) => Ok(at),
        None if labels.len() == 1 => Ok(0),
        None if labels.is_empty() => Err("there is no GPIO chip: /dev/gpiochip0 does not exist".into()),
        None => Err(format!("none of the GPIO chips is a Pi's: {}", labels.join(", "))),
    }
}

/// Why rppal can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It doesn't know the board.
    UnknownModel,
    /// It can't map the registers: no `/dev/gpiomem`, no permission, …
    Registers(String),
    /// The registers belong to another chip than the one that the kernel was asked about.
    OtherChip,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::UnknownModel => f.write_str("rppal doesn't know this board"),
            Problem::Registers(why) => write!(f, "rppal can't map the registers: {why}"),
            Problem::OtherChip => f.write_str("the GPIO chip is none that rppal knows"),
        }
    }
}

/// Who works the pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// rppal, through the chip's registers.
    Rppal,
    /// The kernel, and why not rppal.
    Kernel(Problem),
    /// No implementation, and why.
    Nobody(String),
}

impl Choice {
    /// Decide. `chip` is the label of the chip that has the pins, or why there is none; `rppal` is how that fared.
    ///
    /// Without a chip it is unknown which pins drivers use, so the registers are left alone too.
    pub(super) fn of(chip: Result<&str, &str>, rppal: Result<(), &Problem>) -> Choice {
        match (chip, rppal) {
            (Err(why), _) => Choice::Nobody(why.into()),
            (Ok(_), Err(problem)) => Choice::Kernel(problem.clone()),
            (Ok(label), Ok(())) if LABELS.contains(&label) => Choice::Rppal,
            (Ok(_), Ok(())) => Choice::Kernel(Problem::OtherChip),
        }
    }

    /// The name for reports.
    pub(super) fn name(&self) -> String {
        match self {
            Choice::Rppal => "rppal".into(),
            Choice::Kernel(problem) => format!("gpiochip ({problem})"),
            Choice::Nobody(why) => format!("none ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chip_with_the_pins() {
        let none = "there is no GPIO chip: /dev/gpiochip0 does not exist";
        let table: [(&[&str], Result<usize, &str>); 7] = [
            (&["pinctrl-bcm2835", "raspberrypi-exp-gpio"], Ok(0)),
            (&["raspberrypi-exp-gpio", "pinctrl-bcm2711"], Ok(1)),
            (&["gpio-brcmstb@107d508500", "gpio-brcmstb@107d517c00", "pinctrl-rp1"], Ok(2)),
            (&["gpio-sim.0-node0"], Ok(0)),
            (&["pinctrl-bcm28"], Ok(0)),
            (&["a", "b"], Err("none of the GPIO chips is a Pi's: a, b")),
            (&[], Err(none)),
        ];
        for (labels, expected) in table {
            assert_eq!(chip(labels), expected.map_err(String::from), "{labels:?}");
        }
    }

    #[test]
    fn who_works_the_pins() {
        use Problem::{OtherChip, Registers, UnknownModel};
        let denied = Registers("permission denied: /dev/gpiomem".into());
        #[rustfmt::skip]
        let table = [
            (Ok("pinctrl-bcm2835"), Ok(()), Choice::Rppal, "rppal"),
            (Ok("pinctrl-bcm2711"), Ok(()), Choice::Rppal, "rppal"),
            (Ok("pinctrl-rp1"), Ok(()), Choice::Rppal, "rppal"),
            (Ok("pinctrl-rp1"), Err(&denied), Choice::Kernel(denied.clone()), "gpiochip (rppal can't map the registers: permission denied: /dev/gpiomem)"),
            (Ok("pinctrl-rp1"), Err(&UnknownModel), Choice::Kernel(UnknownModel), "gpiochip (rppal doesn't know this board)"),
            (Ok("gpio-sim.0"), Err(&UnknownModel), Choice::Kernel(UnknownModel), "gpiochip (rppal doesn't know this board)"),
            // Without knowing who uses what, registers are never written.
            (Ok("gpio-sim.0"), Ok(()), Choice::Kernel(OtherChip), "gpiochip (the GPIO chip is none that rppal knows)"),
            (Err("no chip"), Ok(()), Choice::Nobody("no chip".into()), "none (no chip)"),
            (Err("no chip"), Err(&denied), Choice::Nobody("no chip".into()), "none (no chip)"),
        ];
        for (chip, rppal, expected, name) in table {
            let choice = Choice::of(chip, rppal);
            assert_eq!((choice.name().as_str(), choice), (name, expected), "{chip:?} {rppal:?}");
        }
    }
}
