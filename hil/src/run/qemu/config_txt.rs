//! `config.txt` and `autoboot.txt` as the Pi's firmware reads them: lines `key=value`, filters in brackets.
//!
//! Raspberry Pi documentation, "config.txt", "Conditional filters": `[all]` and `[none]` reset, a filter holds until the
//! next one of its kind, filters of different kinds are combined. `[tryboot]` and `[boot_partition=N]` are kinds of their
//! own; so are the models, of which the emulated board is a Pi 3.
use std::collections::BTreeMap;

/// What a filter is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The partition that is booted; 0 while it is being chosen.
    pub partition: u8,
    /// Whether the one-shot flag was set.
    pub tryboot: bool,
}

/// The settings that count for a boot. Of a key that is given twice the later one does.
pub fn settings(text: &[u8], boot: Boot) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut filters = Filters::default();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(filter) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            filters.set(filter, boot);
        } else if !filters.hold() {
        } else if let Some(rest) = line.strip_prefix("initramfs ") {
            let name = rest.split_whitespace().next().unwrap_or_default();
            found.insert("initramfs".into(), name.into());
        } else if let Some((key, value)) = line.split_once('=') {
            found.insert(key.trim().into(), value.trim().into());
        }
    }
    found
}

/// One answer for each kind of filter.
#[derive(Clone, Copy, Debug)]
struct Filters {
    none: bool,
    model: bool,
    tryboot: bool,
    partition: bool,
}

impl Default for Filters {
    fn default() -> Self {
        Filters { none: false, model: true, tryboot: true, partition: true }
    }
}

impl Filters {
    fn set(&mut self, filter: &str, boot: Boot) {
        let filter = filter.to_ascii_lowercase();
        match filter.as_str() {
            "all" => *self = Filters::default(),
            "none" => self.none = true,
            "tryboot" => self.tryboot = boot.tryboot,
            "pi3" => self.model = true,
            other => match other.strip_prefix("boot_partition=") {
                Some(number) => self.partition = number.parse() == Ok(boot.partition),
                // Other models, EEPROM settings, displays: none of them is what is emulated.
                None => self.model = false,
            },
        }
    }

    fn hold(self) -> bool {
        !self.none && self.model && self.tryboot && self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_obeyed() {
        let text = b"kernel=kernel8.img # the kernel\ninitramfs initrd.img followkernel\n[pi4]\nkernel=other\n[all]\n\
                     [boot_partition=2]\ncmdline=cmdline-a.txt\n[boot_partition=3]\ncmdline=cmdline-b.txt\n\
                     [tryboot]\nmark=both\n[all]\r\n a = b \r\n[none]\na=c\n[all]\n[tryboot]\nonce=1\n[pi3]\nthree=1\n";
        let get = |partition, tryboot| settings(text, Boot { partition, tryboot });
        let plain = get(2, false);
        let want = [
            ("kernel", "kernel8.img"),
            ("initramfs", "initrd.img"),
            ("cmdline", "cmdline-a.txt"),
            ("a", "b"),
        ];
        for (key, value) in want {
            assert_eq!(plain.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(plain.len(), want.len(), "{plain:?}");
        let trial = get(3, true);
        assert_eq!(trial.get("cmdline").map(String::as_str), Some("cmdline-b.txt"));
        // Filters of two kinds are combined.
        for key in ["mark", "once", "three"] {
            assert!(trial.contains_key(key), "{key}");
        }
        assert!(!get(2, true).contains_key("mark"));
    }

    #[test]
    fn our_boot_flag_reads_as_it_does_for_the_agent() {
        use bistable_boot::{Autoboot, Slot, layout::BOOT_PARTITIONS};
        for default in Slot::ALL {
            let text = Autoboot { partitions: BOOT_PARTITIONS, default }.render();
            let partition = |tryboot| {
                let found = settings(&text, Boot { partition: 0, tryboot });
                found.get("boot_partition").and_then(|n| n.parse::<u8>().ok())
            };
            assert_eq!(partition(false), Some(BOOT_PARTITIONS[default]));
            assert_eq!(partition(true), Some(BOOT_PARTITIONS[!default]));
        }
    }
}
