//! The boot flow `tryboot`: `autoboot.txt` on the card, and a one-shot flag in a register that power loss clears.
use crate::{
    boot_flag::BootFlag,
    ports::{BootControl, Fault, Support, Switch, Volume},
};
use bistable_boot::{Slot, layout::BOOT_PARTITIONS};
use std::sync::Arc;

/// The boot flag of a simulated machine; on any card, and with any register.
#[allow(missing_debug_implementations, reason = "the volume and the register are trait objects")]
pub struct Tryboot {
    flag: BootFlag,
    booted: Slot,
    once: Box<dyn FnMut(bool)>,
}

impl Tryboot {
    /// On the `bootconfig` partition of a machine that runs `booted`. `once` sets the firmware's one-shot flag, or
    /// clears it; the machine forgets it when it is reset or loses power.
    pub fn new(bootconfig: Arc<dyn Volume>, booted: Slot, once: Box<dyn FnMut(bool)>) -> Tryboot {
        Tryboot { flag: BootFlag::new(bootconfig, BOOT_PARTITIONS), booted, once }
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
        Ok(Support::Fine("simulated firmware".into()))
    }

    fn is_torn(&mut self) -> Result<bool, Fault> {
        Ok(self.flag.read()?.is_torn())
    }
}
