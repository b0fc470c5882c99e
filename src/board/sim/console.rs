//! What the simulated machine's kernel says on the console, as a value: written and read in one place.
use super::world::Boots;
use bistable_boot::Slot;
use std::{fmt, str::FromStr};

/// How the start of a slot's kernel went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLine {
    /// The slot.
    pub slot: Slot,
    /// The version in it.
    pub version: String,
    /// How it went.
    pub boots: Boots,
}

/// The line is not one of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a line of the simulated kernel")]
pub struct NotOfTheKernel;

/// Before each line of the kernel.
const KERNEL: &str = "kernel: slot ";
/// What follows slot and version.
const ENDS: [(Boots, &str); 4] = [
    (Boots::Yes, ", is up"),
    (Boots::Panic, ": kernel panic; reset after 5 s"),
    (Boots::Hang, ": no sign of life; the watchdog resets the machine"),
    (Boots::No, ": the kernel does not start; the watchdog resets the machine"),
];

impl fmt::Display for KernelLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = ENDS.iter().find(|(boots, _)| *boots == self.boots).map_or("", |(_, end)| end);
        write!(f, "{KERNEL}{}, {}{end}", self.slot, self.version)
    }
}

impl FromStr for KernelLine {
    type Err = NotOfTheKernel;

    fn from_str(line: &str) -> Result<KernelLine, NotOfTheKernel> {
        let (slot, rest) =
            line.trim().strip_prefix(KERNEL).and_then(|rest| rest.split_once(", ")).ok_or(NotOfTheKernel)?;
        let slot = Slot::ALL.into_iter().find(|known| known.to_string() == slot).ok_or(NotOfTheKernel)?;
        let found = ENDS.iter().find_map(|(boots, end)| Some((*boots, rest.strip_suffix(end)?)));
        let (boots, version) = found.ok_or(NotOfTheKernel)?;
        Ok(KernelLine { slot, version: version.into(), boots })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        for (boots, _) in ENDS {
            let line = KernelLine { slot: Slot::B, version: "1.2.0-rc.1".into(), boots };
            assert_eq!(format!("  {line}").parse(), Ok(line));
        }
        for other in ["", "power off", "kernel: slot C, 1.0.0, is up", "kernel: slot A, 1.0.0, is dow"] {
            assert_eq!(other.parse::<KernelLine>(), Err(NotOfTheKernel), "{other}");
        }
    }
}
