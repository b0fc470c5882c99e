//! Whether the firmware can do what the tryboot flow needs.
use super::{PiError, device_tree::DeviceTree};
use crate::ports::{Fault, Support};

/// 2022-11-25 00:00 UTC: the oldest build with `tryboot_a_b` and right partition numbers. It became the default
/// release on 2022-12-01 (release notes of rpi-eeprom for the Pi 4); every build for the Pi 5 is younger.
const TRYBOOT_A_B: u32 = 1_669_334_400;
/// 2025-08-13 00:00 UTC: from then on, `PARTITION_WALK` is on unless it is configured otherwise.
const PARTITION_WALK: u32 = 1_755_043_200;
/// Bit of `capabilities` (Raspberry Pi documentation, device tree, bootloader properties).
const CAN_TRYBOOT_A_B: u32 = 1 << 2;

/// What is known about the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Firmware {
    /// Whether the boot loader is in an EEPROM: on the Pi 4, 5 and their kin.
    pub(super) eeprom: bool,
    /// When the EEPROM's content was built, in seconds since 1970.
    pub(super) built: Option<u32>,
    /// What it can do, as bits, on a Pi 4.
    pub(super) capabilities: Option<u32>,
    /// Whether this boot was a trial.
    pub(super) tryboot: Option<u32>,
}

impl Firmware {
    pub(super) fn read(tree: &DeviceTree) -> Result<Firmware, PiError> {
        let compatible = tree.compatible()?;
        let has = |soc: &str| compatible.iter().any(|c| c == soc);
        let (pi4, pi5) = (has("brcm,bcm2711"), has("brcm,bcm2712"));
        Ok(Firmware {
            eeprom: pi4 || pi5,
            built: tree.bootloader("build-timestamp")?,
            // What the bits mean on a Pi 5 isn't documented.
            capabilities: if pi4 { tree.bootloader("capabilities")? } else { None },
            tryboot: tree.bootloader("tryboot")?,
        })
    }

    /// Pure: the same facts give the same answer.
    pub(super) fn support(self) -> Result<Support, Fault> {
        if !self.eeprom {
            return Ok(Support::Note(
                "this board has no boot EEPROM: switching slots by autoboot.txt isn't verified on it; U-Boot is".into(),
            ));
        }
        let too_old = |what: String| {
            Fault::Unfit(format!(
                "the boot EEPROM {what}, and slots are switched only by one of 2022-11-25 or later: update it with \
                 `rpi-eeprom-update -a` and reboot"
            ))
        };
        let built = self.built.ok_or_else(|| too_old("doesn't say when it was built".into()))?;
        let date = date(built);
        if built < TRYBOOT_A_B {
            return Err(too_old(format!("was built on {date}")));
        }
        if self.capabilities.is_some_and(|c| c & CAN_TRYBOOT_A_B == 0) {
            return Err(too_old(format!("of {date} says that it can't (capabilities, bit 2)")));
        }
        if self.tryboot.is_none() {
            return Err(Fault::Unfit(
                "the firmware doesn't say whether this boot was a trial (chosen/bootloader/tryboot is missing): \
                 update the firmware files on the boot volume"
                    .into(),
            ));
        }
        if built < PARTITION_WALK {
            return Ok(Support::Note(format!(
                "EEPROM of {date}: switches slots; before 2025-08-13, it doesn't look for another slot by itself when the \
                 default one is damaged"
            )));
        }
        Ok(Support::Fine(format!("EEPROM of {date}")))
    }
}

/// Year, month and day of a second since 1970, UTC.
fn date(seconds: u32) -> String {
    // Days from 1 March 0000, in cycles of 400 years: then leap days come last and months follow one rule
    // (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = seconds / 86_400 + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", cycle * 400 + year + u32::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let table = [
            (0, "1970-01-01"),
            (TRYBOOT_A_B, "2022-11-25"),
            (TRYBOOT_A_B - 1, "2022-11-24"),
            (PARTITION_WALK, "2025-08-13"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (u32::MAX, "2106-02-07"),
        ];
        for (seconds, expected) in table {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn what_each_firmware_can_do() {
        let pi4 = |built| Firmware { eeprom: true, built, capabilities: Some(0x7f), tryboot: Some(0) };
        #[rustfmt::skip]
        let table = [
            ("new", pi4(Some(PARTITION_WALK)), "Fine EEPROM of 2025-08-13"),
            ("no walk", pi4(Some(PARTITION_WALK - 1)), "Note EEPROM of 2025-08-12: switches slots"),
            ("just new enough", pi4(Some(TRYBOOT_A_B)), "Note EEPROM of 2022-11-25"),
            ("too old", pi4(Some(TRYBOOT_A_B - 1)), "Stop the boot EEPROM was built on 2022-11-24"),
            ("no date", pi4(None), "Stop the boot EEPROM doesn't say when"),
            ("no capabilities told", Firmware { capabilities: None, ..pi4(Some(u32::MAX)) }, "Fine"),
            ("can't", Firmware { capabilities: Some(0xfb), ..pi4(Some(u32::MAX)) }, "Stop the boot EEPROM of 2106-02-07 says"),
            ("no tryboot told", Firmware { tryboot: None, ..pi4(Some(u32::MAX)) }, "Stop the firmware doesn't say"),
            ("pi 3", Firmware::default(), "Note this board has no boot EEPROM"),
        ];
        for (case, firmware, expected) in table {
            let said = match firmware.support() {
                Ok(Support::Fine(said)) => format!("Fine {said}"),
                Ok(Support::Note(said)) => format!("Note {said}"),
                Err(e) => format!("Stop {e}"),
            };
            assert!(said.starts_with(expected), "{case}: {said}");
        }
    }
}
