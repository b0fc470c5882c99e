//! The boot flow `tryboot`: `autoboot.txt` on the card, and a one-shot flag that the firmware forgets: simulated it is a
//! register, on a real Pi the argument of the next reboot.
use crate::{
    boot_flag::BootFlag,
    ports::{BootControl, Fault, Support, Switch, Volume},
};
use bistable_boot::{Slot, layout::BOOT_PARTITIONS};
use std::sync::Arc;

/// Says what the firmware can do.
pub type AskFirmware = Box<dyn FnMut() -> Result<Support, Fault>>;

/// The boot flag of a machine whose firmware reads `autoboot.txt`.
#[allow(missing_debug_implementations, reason = "the volume and the firmware are trait objects")]
pub struct Tryboot {
    flag: BootFlag,
    booted: Slot,
    once: Box<dyn FnMut(bool)>,
    support: AskFirmware,
}

impl Tryboot {
    /// On the `bootconfig` partition of a machine that runs `booted`. `once` sets the firmware's one-shot flag, or
    /// clears it; the machine forgets it when it is reset or loses power.
    pub fn new(
        bootconfig: Arc<dyn Volume>,
        booted: Slot,
        once: Box<dyn FnMut(bool)>,
        support: AskFirmware,
    ) -> Tryboot {
        Tryboot { flag: BootFlag::new(bootconfig, BOOT_PARTITIONS), booted, once, support }
    }
}

impl BootControl for Tryboot {
    fn booted(&self) -> Slot {
        self.booted
    }

    fn default_slot(&mut self) -> Result<Slot, Fault> {
        self.flag.default_slot()
    }

    fn switch(&mut self, slot: Slot, how: Switch) -> Result<(), Fault> {
        match how {
            Switch::Always => self.flag.write(slot),
            Switch::Once => {
                // The firmware's one-shot flag means "the other one": it can't name a slot.
                let other = self.flag.default_slot()? != slot;
                (self.once)(other);
                Ok(())
            }
        }
    }

    fn rewrite(&mut self, slot: Slot) -> Result<(), Fault> {
        self.flag.rewrite(slot)
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.flag.check()
    }

    fn support(&mut self) -> Result<Support, Fault> {
        (self.support)()
    }

    fn is_torn(&mut self) -> Result<bool, Fault> {
        Ok(self.flag.read()?.is_torn())
    }
}
