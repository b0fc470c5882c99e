//! Whether the firmware can do what the tryboot flow needs.
use super::{PiError, Sysroot, device_tree::DeviceTree};
use crate::{
    date::utc_date,
    ports::{Fault, Support},
};

/// 2022-11-25 00:00 UTC: the oldest build with `tryboot_a_b` and right partition numbers. It became the default
/// release on 2022-12-01 (release notes of rpi-eeprom for the Pi 4); every build for the Pi 5 is younger.
const TRYBOOT_A_B: u32 = 1_669_334_400;
/// 2025-03-10 00:00 UTC: on a Pi 5, from then on, the filter `[boot_partition=N]` of `config.txt` is understood (release
/// notes of rpi-eeprom for the Pi 5). It chooses the slot's command line.
const BOOT_PARTITION_FILTER: u32 = 1_741_564_800;
/// 2025-08-13 00:00 UTC: from then on, `PARTITION_WALK` is on unless it is configured otherwise.
const PARTITION_WALK: u32 = 1_755_043_200;
/// Bit of `capabilities` (Raspberry Pi documentation, device tree, bootloader properties).
const CAN_TRYBOOT_A_B: u32 = 1 << 2;
/// The mailbox to the firmware. Only Raspberry Pi's own kernel has it (there, `CONFIG_BCM_VCIO=y`), and only that kernel
/// hands the reboot argument on to the firmware.
const MAILBOX: &str = "/dev/vcio";

/// Which boot loader is in an EEPROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eeprom {
    /// That of the Pi 4 and its kin (bcm2711): `config.txt` is read by `start4.elf`, a file on the boot volume.
    Pi4,
    /// That of the Pi 5 and its kin (bcm2712): it reads `config.txt` itself.
    Pi5,
}

impl Eeprom {
    fn of(compatible: &[String]) -> Option<Eeprom> {
        compatible.iter().find_map(|c| match c.as_str() {
            "brcm,bcm2711" => Some(Eeprom::Pi4),
            "brcm,bcm2712" => Some(Eeprom::Pi5),
            _ => None,
        })
    }

    /// How to update it on a card with two slots. A `recovery.bin` that stays behind on a slot's boot volume stops a later boot
    /// (rpi-eeprom issue 499), and on a Pi 4 an older `start4.elf` doesn't boot a GPT card under a newer EEPROM (issue 854).
    const fn advice(self) -> &'static str {
        match self {
            Eeprom::Pi4 => {
                "update it, but new firmware files come first: an older start4.elf doesn't boot with a newer EEPROM, so write a \
                 card whose release has new ones; then flash the EEPROM from a spare card (Raspberry Pi Imager, Misc utility \
                 images), as `rpi-eeprom-update` without flashrom leaves a recovery.bin on a slot's boot volume"
            }
            Eeprom::Pi5 => {
                "update it with `RPI_EEPROM_USE_FLASHROM=1 rpi-eeprom-update -a`, which leaves no recovery.bin on a slot's boot \
                 volume, and reboot"
            }
        }
    }
}

/// How to update what this board boots from.
pub(super) fn advice(compatible: &[String]) -> String {
    let other =
        "update the firmware files on the boot volume, or boot with U-Boot, which says what it booted";
    Eeprom::of(compatible).map_or(other, Eeprom::advice).into()
}

/// What is known about the firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Firmware {
    /// The boot loader in an EEPROM; older boards have none.
    pub(super) eeprom: Option<Eeprom>,
    /// Whether the kernel has [`MAILBOX`], so that a reboot argument reaches the firmware.
    pub(super) mailbox: bool,
    /// When the EEPROM's content was built, in seconds since 1970.
    pub(super) built: Option<u32>,
    /// What it can do, as bits, on a Pi 4.
    pub(super) capabilities: Option<u32>,
    /// Whether this boot was a trial.
    pub(super) tryboot: Option<u32>,
}

impl Firmware {
    pub(super) fn read(sysroot: &Sysroot, tree: &DeviceTree) -> Result<Firmware, PiError> {
        let eeprom = Eeprom::of(&tree.compatible()?);
        // What the bits mean on a Pi 5 isn't documented.
        let told = eeprom == Some(Eeprom::Pi4);
        Ok(Firmware {
            eeprom,
            mailbox: sysroot.join(MAILBOX).exists(),
            built: tree.bootloader("build-timestamp")?,
            capabilities: if told { tree.bootloader("capabilities")? } else { None },
            tryboot: tree.bootloader("tryboot")?,
        })
    }

    /// Pure: the same facts give the same answer.
    pub(super) fn support(self) -> Result<Support, Fault> {
        let Some(eeprom) = self.eeprom else {
            let mut found =
                "this board has no boot EEPROM: switching slots by autoboot.txt isn't verified on it; U-Boot is"
                    .to_owned();
            if !self.mailbox {
                found.push_str("; and without /dev/vcio, this kernel may not tell the firmware of a trial");
            }
            return Ok(Support::Note(found));
        };
        if !self.mailbox {
            return Err(Fault::Unfit(format!(
                "{MAILBOX} is missing, so this is not Raspberry Pi's kernel (or one without CONFIG_BCM_VCIO), and no other \
                 hands the one-shot flag to the firmware: a trial would boot the old slot; use Raspberry Pi's kernel, \
                 or the boot flow uboot"
            )));
        }
        let too_old = |what: String| {
            Fault::Unfit(format!(
                "the boot EEPROM {what}, and slots are switched only by one of 2022-11-25 or later: {}",
                eeprom.advice()
            ))
        };
        let built = self.built.ok_or_else(|| too_old("doesn't say when it was built".into()))?;
        let date = utc_date(built.into());
        if built < TRYBOOT_A_B {
            return Err(too_old(format!("was built on {date}")));
        }
        if self.capabilities.is_some_and(|c| c & CAN_TRYBOOT_A_B == 0) {
            return Err(too_old(format!("of {date} says that it can't (capabilities, bit 2)")));
        }
        if eeprom == Eeprom::Pi5 && built < BOOT_PARTITION_FILTER {
            return Err(Fault::Unfit(format!(
                "the boot EEPROM was built on {date}, and [boot_partition=N] in config.txt, which chooses a slot's command \
                 line, is understood only by one of 2025-03-10 or later: {}",
                eeprom.advice()
            )));
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
        Ok(Support::Supported(format!("EEPROM of {date}")))
    }
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
            (BOOT_PARTITION_FILTER, "2025-03-10"),
            (BOOT_PARTITION_FILTER - 1, "2025-03-09"),
            (PARTITION_WALK, "2025-08-13"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (u32::MAX, "2106-02-07"),
        ];
        for (seconds, expected) in table {
            assert_eq!(utc_date(seconds.into()), expected);
        }
    }

    #[test]
    fn what_each_firmware_can_do() {
        let pi4 = |built| Firmware {
            eeprom: Some(Eeprom::Pi4),
            mailbox: true,
            built,
            capabilities: Some(0x7f),
            tryboot: Some(0),
        };
        let pi5 = |built| Firmware { eeprom: Some(Eeprom::Pi5), capabilities: None, ..pi4(built) };
        let foreign = |firmware| Firmware { mailbox: false, ..firmware };
        #[rustfmt::skip]
        let table = [
            ("new", pi4(Some(PARTITION_WALK)), "Supported EEPROM of 2025-08-13"),
            ("no walk", pi4(Some(PARTITION_WALK - 1)), "Note EEPROM of 2025-08-12: switches slots"),
            ("just new enough", pi4(Some(TRYBOOT_A_B)), "Note EEPROM of 2022-11-25"),
            ("too old", pi4(Some(TRYBOOT_A_B - 1)), "Stop the boot EEPROM was built on 2022-11-24"),
            ("no date", pi4(None), "Stop the boot EEPROM doesn't say when"),
            ("no capabilities told", Firmware { capabilities: None, ..pi4(Some(u32::MAX)) }, "Supported"),
            ("can't", Firmware { capabilities: Some(0xfb), ..pi4(Some(u32::MAX)) }, "Stop the boot EEPROM of 2106-02-07 says"),
            ("no tryboot told", Firmware { tryboot: None, ..pi4(Some(u32::MAX)) }, "Stop the firmware doesn't say"),
            ("another kernel", foreign(pi4(Some(u32::MAX))), "Stop /dev/vcio is missing, so this is not Raspberry Pi's kernel"),
            ("another kernel on a pi 5", foreign(pi5(Some(u32::MAX))), "Stop /dev/vcio is missing"),
            ("pi 5", pi5(Some(PARTITION_WALK)), "Supported EEPROM of 2025-08-13"),
            ("pi 5, just new enough", pi5(Some(BOOT_PARTITION_FILTER)), "Note EEPROM of 2025-03-10"),
            ("pi 5, no filter", pi5(Some(BOOT_PARTITION_FILTER - 1)), "Stop the boot EEPROM was built on 2025-03-09, and [boot_partition=N]"),
            ("pi 4, filter elsewhere", pi4(Some(BOOT_PARTITION_FILTER - 1)), "Note EEPROM of 2025-03-09"),
            ("pi 5, too old for either", pi5(Some(TRYBOOT_A_B - 1)), "Stop the boot EEPROM was built on 2022-11-24"),
            ("pi 3, another kernel", Firmware::default(), "Note this board has no boot EEPROM: switching slots by autoboot.txt isn't verified on it; U-Boot is; and without /dev/vcio"),
            ("pi 3", Firmware { mailbox: true, ..Firmware::default() }, "Note this board has no boot EEPROM"),
        ];
        for (case, firmware, expected) in table {
            let said = match firmware.support() {
                Ok(Support::Supported(said)) => format!("Supported {said}"),
                Ok(Support::Note(said)) => format!("Note {said}"),
                Err(e) => format!("Stop {e}"),
            };
            assert!(said.starts_with(expected), "{case}: {said}");
        }
    }
}
