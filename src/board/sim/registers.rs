//! The pins' registers as a file: other processes can read it, and it outlives a process that is killed.
use bistable_format::selftest::Pin;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// `pins.json` beside the card: each pin that isn't in its safe state, with its state. The file is missing while all pins are
/// safe.
#[derive(Clone, Debug)]
pub(super) struct Registers(PathBuf);

impl Registers {
    /// Those in a machine's folder.
    pub(super) fn beside(folder: &Path) -> Registers {
        Registers(folder.join("pins.json"))
    }

    /// Set all of them. Like registers, they need not survive a loss of power; and pins work without the file.
    pub(super) fn set(&self, pins: &BTreeMap<Pin, String>) {
        let done = if pins.is_empty() {
            fs::remove_file(&self.0)
        } else {
            let by_name: BTreeMap<String, &String> = pins.iter().map(|(p, is)| (p.to_string(), is)).collect();
            let text = serde_json::to_string(&by_name).unwrap_or_default();
            File::create(&self.0).and_then(|mut file| file.write_all(text.as_bytes()))
        };
        if let Err(e) = done {
            log::debug!(path:% = self.0.display(), reason:% = e; "registers_not_written");
        }
    }

    /// The power went, or the chip was reset.
    pub(super) fn reset(&self) {
        self.set(&BTreeMap::new());
    }
}
