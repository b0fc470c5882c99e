//! The boot flow `tryboot`: `autoboot.txt`, and a one-shot flag that the reboot carries to the firmware.
use crate::{
    board::pi::{Sysroot, device_tree::DeviceTree, eeprom::Firmware, reboot::Next},
    boot_flag::BootFlag,
    ports::{BootControl, Fault, Support, Switch, Volume},
};
use bistable_boot::{Slot, layout::BOOT_PARTITIONS};
use std::{cell::Cell, rc::Rc, sync::Arc};

/// The boot flag of a Pi whose firmware reads `autoboot.txt`.
pub(in crate::board::pi) struct Tryboot {
    flag: BootFlag,
    booted: Slot,
    next: Rc<Cell<Next>>,
    sysroot: Sysroot,
}

impl Tryboot {
    /// `next` is what this process asks of its next reboot: nothing of it outlives the process.
    pub(in crate::board::pi) fn new(
        bootconfig: Arc<dyn Volume>,
        booted: Slot,
        next: Rc<Cell<Next>>,
        sysroot: Sysroot,
    ) -> Tryboot {
        Tryboot { flag: BootFlag::new(bootconfig, BOOT_PARTITIONS), booted, next, sysroot }
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
                self.next.set(if other { Next::Tryboot } else { Next::Default });
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

    fn is_torn(&mut self) -> Result<bool, Fault> {
        Ok(self.flag.read()?.is_torn())
    }

    fn support(&mut self) -> Result<Support, Fault> {
        let tree = DeviceTree::of(&self.sysroot);
        let firmware = tree.and_then(|tree| Firmware::read(&self.sysroot, &tree));
        firmware.map_err(|e| Fault::Unfit(e.to_string()))?.support()
    }
}
