//! `autoboot.txt`: the boot flag of the Raspberry Pi firmware.
//!
//! The firmware reads at most 512 bytes of it (Raspberry Pi documentation, "autoboot.txt"). We keep it exactly 512
//! bytes long, in one of two texts that differ in two bytes, the partition numbers, so that changing it is the
//! writing of one sector, and a sector torn at any byte is still a configuration that boots.
use crate::{BySlot, SECTOR, Slot};

/// Which boot partition belongs to each slot, and which slot is the default: all that the text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoboot {
    /// Boot partition number of each slot, counted from 1. One digit, so that both texts are alike.
    pub partitions: BySlot<u8>,
    /// The slot that boots when nothing is being tried.
    pub default: Slot,
}

/// What a text tells the firmware, whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether `tryboot` switches partitions (`tryboot_a_b=1`).
    pub tryboot_a_b: bool,
    /// Partition that boots normally.
    pub default: Option<u8>,
    /// Partition that boots with the one-shot tryboot flag.
    pub tryboot: Option<u8>,
}

const HEAD: &[u8] = b"[all]\ntryboot_a_b=1\nboot_partition=";
const MIDDLE: &[u8] = b"\n[tryboot]\nboot_partition=";
const NOTE: &[u8] =
    b"\n# Written by Bistable as one sector of exactly 512 bytes: the two digits are all that changes.\n\
# Don't edit: run `bistable status` to see what boots, `bistable revert` to go back.\n";

impl Autoboot {
    /// The text: always the same but for the two digits.
    ///
    /// Partition numbers above 9 are written as 9: [`layout`](crate::layout) has none.
    pub fn render(&self) -> [u8; SECTOR] {
        let digit = |slot: Slot| [b'0' + self.partitions[slot].min(9)];
        let mut text = [b'\n'; SECTOR];
        let mut at = 0;
        for part in [HEAD, &digit(self.default), MIDDLE, &digit(!self.default), NOTE] {
            text[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        text
    }

    /// What the firmware makes of any text: only `[all]` (or no section) and `[tryboot]` count, unknown lines and
    /// sections are passed over, only the first 512 bytes are read. Sections are filters, not name spaces: a line
    /// below `[all]` also counts with the tryboot flag, and the last line that counts wins.
    pub fn read(text: &[u8]) -> Reading {
        let mut reading = Reading::default();
        let mut section: &[u8] = b"all";
        for line in text[..text.len().min(SECTOR)].split(|b| *b == b'\n') {
            let line = line.trim_ascii();
            if let Some(name) = line.strip_prefix(b"[").and_then(|l| l.strip_suffix(b"]")) {
                section = name;
            } else if let Some(at) = line.iter().position(|b| *b == b'=') {
                let (key, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
                match (section, key) {
                    (b"all", b"tryboot_a_b") => reading.tryboot_a_b = value == b"1",
                    (b"all", b"boot_partition") => {
                        reading.default = number(value).or(reading.default);
                        reading.tryboot = number(value).or(reading.tryboot);
                    }
                    (b"tryboot", b"boot_partition") => reading.tryboot = number(value).or(reading.tryboot),
                    _ => {}
                }
            }
        }
        reading
    }

    /// Whether the sector holds one of our two texts, or a byte-wise mix of them: the only thing that may be
    /// overwritten. Gives what it says.
    pub fn recognize(sector: &[u8; SECTOR], partitions: BySlot<u8>) -> Option<Reading> {
        let [a, b] = Slot::ALL.map(|default| Autoboot { partitions, default }.render());
        let ours = sector.iter().zip(a.iter().zip(&b)).all(|(s, (a, b))| s == a || s == b);
        ours.then(|| Autoboot::read(sector))
    }
}

impl Reading {
    /// The default slot, if the text names one.
    pub fn default_slot(&self, partitions: BySlot<u8>) -> Option<Slot> {
        slot_of(self.default?, partitions)
    }

    /// The slot that a one-shot boot tries, if the text names one.
    pub fn tryboot_slot(&self, partitions: BySlot<u8>) -> Option<Slot> {
        slot_of(self.tryboot?, partitions)
    }

    /// A text torn between its two digits, or one that names no second partition: still bootable, but a trial would
    /// boot the default. To be repaired by writing the default's text before anything is armed.
    pub fn is_torn(&self) -> bool {
        self.default.is_some() && self.default == self.tryboot
    }
}

fn slot_of(partition: u8, partitions: BySlot<u8>) -> Option<Slot> {
    Slot::ALL.into_iter().find(|s| partitions[*s] == partition)
}

fn number(value: &[u8]) -> Option<u8> {
    core::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::BOOT_PARTITIONS as P;

    fn text(default: Slot) -> [u8; SECTOR] {
        Autoboot { partitions: P, default }.render()
    }

    #[test]
    fn the_two_texts_differ_in_two_bytes() {
        let differ = text(Slot::A).iter().zip(text(Slot::B)).filter(|(a, b)| *a != b).count();
        assert_eq!(differ, 2);
    }

    #[test]
    fn the_text_is_golden() {
        let head =
            b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n# Written by Bistable";
        assert!(text(Slot::A).starts_with(head));
        assert_eq!(text(Slot::A)[SECTOR - 1], b'\n');
        assert!(text(Slot::A).is_ascii());
    }

    /// All 1,026 byte-wise splits: 513 places, both ways.
    #[test]
    fn every_split_boots_a_slot_and_is_recognized() {
        let mut torn = 0;
        for (old, new) in [(Slot::A, Slot::B), (Slot::B, Slot::A)] {
            for cut in 0..=SECTOR {
                let mut mix = text(old);
                mix[..cut].copy_from_slice(&text(new)[..cut]);
                let r = Autoboot::recognize(&mix, P).unwrap();
                assert!(r.tryboot_a_b, "cut at {cut}");
                let default = r.default_slot(P).unwrap();
                assert!(default == old || default == new);
                assert!(r.tryboot_slot(P).is_some());
                if r.is_torn() {
                    torn += 1;
                } else {
                    assert_eq!(r.tryboot_slot(P), Some(!default));
                }
            }
        }
        let gap = MIDDLE.len() + 1;
        assert_eq!(torn, 2 * gap, "torn texts are those cut between the two digits");
    }

    #[test]
    fn foreign_texts_are_read_as_the_firmware_reads_them() {
        let both = |n| Reading { default: Some(n), tryboot: Some(n), tryboot_a_b: false };
        let cases: [(&[u8], Reading); 8] = [
            (b"", Reading::default()),
            (b"boot_partition=2", both(2)),
            (
                b"[all]\r\ntryboot_a_b=1\r\nboot_partition=3\r\n[tryboot]\r\nboot_partition=2\r\n",
                Reading { tryboot_a_b: true, default: Some(3), tryboot: Some(2) },
            ),
            (b"[tryboot]\nboot_partition=2\n[all]\n boot_partition = 3 ", both(3)),
            (b"[pi5]\nboot_partition=7\n", Reading::default()),
            (b"boot_partition=2\nboot_partition=4", both(4)),
            (b"boot_partition=2\nboot_partition=x\n=\n[\n]", both(2)),
            (&[0xff; 600], Reading::default()),
        ];
        for (text, want) in cases {
            assert_eq!(Autoboot::read(text), want, "{:?}", core::str::from_utf8(text));
        }
        let mut far = [b'\n'; 600];
        far[520..536].copy_from_slice(b"boot_partition=2");
        assert_eq!(Autoboot::read(&far), Reading::default(), "only 512 bytes are read");
    }

    #[test]
    fn foreign_text_is_not_recognized() {
        let mut other = text(Slot::A);
        other[500] = b'x';
        assert_eq!(Autoboot::recognize(&other, P), None);
        assert_eq!(Autoboot::recognize(&[0; SECTOR], P), None);
        assert!(!Reading::default().is_torn(), "a text that says nothing is not a torn one");
    }
}
