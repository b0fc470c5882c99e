//! The boot flow `tryboot`: `autoboot.txt` on the card, and a one-shot flag that the firmware forgets: simulated it is a
//! register, on a real Pi the argument of the next reboot.
use super::boot_flag::BootFlag;
use crate::ports::{BootControl, Fault, Flag, Support, Volume};
use bistable_boot::{Evidence, Slot, layout::BOOT_PARTITIONS};
use std::sync::Arc;

/// Says what the firmware can do.
pub type AskFirmware = Box<dyn FnMut() -> Result<Support, Fault>>;

/// Sets the firmware's one-shot flag, or clears it.
pub type SetOnce = Box<dyn FnMut(bool) -> Result<(), Fault>>;

/// The boot flag of a machine whose firmware reads `autoboot.txt`.
#[allow(missing_debug_implementations, reason = "the volume and the firmware are trait objects")]
pub struct Tryboot {
    flag: BootFlag,
    booted: Booted,
    once: SetOnce,
    support: AskFirmware,
}

/// What the firmware says of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booted {
    /// The slot that it booted.
    pub slot: Slot,
    /// Whether the one-shot flag was set.
    pub flagged: bool,
}

impl Tryboot {
    /// On the `bootconfig` partition of a machine that was booted like that. `once` sets the firmware's one-shot flag, or
    /// clears it; the machine forgets it when it is reset or loses power.
    pub fn new(bootconfig: Arc<dyn Volume>, booted: Booted, once: SetOnce, support: AskFirmware) -> Tryboot {
        Tryboot { flag: BootFlag::new(bootconfig, BOOT_PARTITIONS), booted, once, support }
    }
}

impl BootControl for Tryboot {
    fn booted(&self) -> Slot {
        self.booted.slot
    }

    fn read(&mut self) -> Result<Flag, Fault> {
        self.flag.read()
    }

    fn try_once(&mut self, slot: Slot) -> Result<(), Fault> {
        // The firmware's one-shot flag means "the other one": it can't name a slot.
        let other = self.flag.read()?.default_slot()? != slot;
        (self.once)(other)
    }

    fn make_default(&mut self, slot: Slot) -> Result<(), Fault> {
        self.flag.write(slot)
    }

    fn overwrite(&mut self, slot: Slot) -> Result<(), Fault> {
        self.flag.rewrite(slot)
    }

    fn put_back(&mut self, slot: Slot) -> Result<(), Fault> {
        self.flag.put_back(slot)
    }

    fn renew(&mut self, slot: Slot) -> Result<(), Fault> {
        self.flag.renew(slot)
    }

    fn support(&mut self) -> Result<Support, Fault> {
        (self.support)()
    }

    /// A trial that dies before init leaves no trace: the flag is for one boot. Only a refusal does.
    fn evidence(&mut self, slot: Slot, _: u32) -> Result<Evidence, Fault> {
        if self.booted.slot == slot {
            return Ok(Evidence::Tried);
        }
        if self.booted.flagged {
            return Ok(Evidence::NotTried);
        }
        match self.support() {
            Ok(_) => Ok(Evidence::Unknown),
            Err(Fault::Unfit(_)) => Ok(Evidence::NotTried),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::boot_control::contract::{self, Became};

    /// The evidence doesn't need the card.
    struct NoCard;

    impl Volume for NoCard {
        fn bytes(&self) -> u64 {
            0
        }
        fn read(&self, _: u64, _: &mut [u8]) -> Result<(), Fault> {
            Err(Fault::Unfit("no card".into()))
        }
        fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
            Err(Fault::Unfit("no card".into()))
        }
        fn flush(&self) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn booted(slot: Slot, flagged: bool, support: AskFirmware) -> Tryboot {
        Tryboot::new(Arc::new(NoCard), Booted { slot, flagged }, Box::new(|_| Ok(())), support)
    }

    fn able() -> AskFirmware {
        Box::new(|| Ok(Support::Supported("an EEPROM".into())))
    }

    #[test]
    fn the_firmware_says_whether_it_ignored_the_one_shot_flag() {
        contract::evidence(|became| {
            let slot = if became == Became::Runs { Slot::B } else { Slot::A };
            let flagged = matches!(became, Became::Runs | Became::Ignored);
            (Box::new(booted(slot, flagged, able())), 0)
        });
    }

    #[test]
    fn a_firmware_that_cannot_try_a_slot_did_not() {
        let unable = || -> AskFirmware { Box::new(|| Err(Fault::Unfit("too old".into()))) };
        assert_eq!(booted(Slot::A, false, unable()).evidence(Slot::B, 0).unwrap(), Evidence::NotTried);
        assert_eq!(booted(Slot::B, true, unable()).evidence(Slot::B, 0).unwrap(), Evidence::Tried);
        assert_eq!(booted(Slot::A, false, able()).evidence(Slot::B, 0).unwrap(), Evidence::Unknown);
    }
}
