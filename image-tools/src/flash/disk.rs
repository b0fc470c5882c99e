//! A disk of this computer as data, and whether a card image may be written onto it.
use crate::size::Bytes;
use nix::libc;
use nix::sys::stat::{major, minor};
use std::fmt;

/// The kernel's number of a disk or partition: `8:16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// The driver.
    pub major: u64,
    /// Which of its disks or partitions.
    pub minor: u64,
}

impl Number {
    /// Of a device's node.
    #[allow(clippy::useless_conversion, reason = "the types differ by system")]
    pub fn of(device: libc::dev_t) -> Number {
        Number { major: major(device).into(), minor: minor(device).into() }
    }
}

/// What a disk is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// USB: card readers, sticks, and modules in their boot mode.
    Usb,
    /// A slot for SD cards.
    Sd,
    /// Flash memory that is soldered in.
    Emmc,
    /// NVMe.
    Nvme,
    /// SATA.
    Sata,
    /// No hardware: loop devices and the like.
    Virtual,
    /// Anything else.
    Other,
}

impl Bus {
    /// What it is called, in text and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Bus::Usb => "USB",
            Bus::Sd => "SD",
            Bus::Emmc => "eMMC",
            Bus::Nvme => "NVMe",
            Bus::Sata => "SATA",
            Bus::Virtual => "virtual",
            Bus::Other => "other",
        }
    }
}

/// A partition of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name: `sdb1`.
    pub name: String,
    /// Its number.
    pub number: Number,
}

/// What uses a disk or a part of it now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The disk, the partition, or what was made of it (`dm-0`).
    pub what: String,
    /// How.
    pub how: How,
}

/// How something is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is mounted there.
    Mounted(String),
    /// It is swap space.
    Swap,
    /// It is a part of that: of a volume group, a RAID, an encrypted volume.
    PartOf(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.how {
            How::Mounted(at) => write!(f, "{what} on {at}"),
            How::Swap => write!(f, "{what} as swap"),
            How::PartOf(of) => write!(f, "{what} in {of}"),
        }
    }
}

/// What identifies a disk: another card in the same reader differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The kernel's number.
    pub number: Number,
    /// The kernel's count of disks and of exchanged media, where it has one (Linux 5.15).
    pub sequence: Option<u64>,
    /// Bytes in all.
    pub bytes: u64,
    /// Manufacturer and model.
    pub model: String,
    /// The serial number, where there is one.
    pub serial: Option<String>,
}

/// A disk of this computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name: `sdb`.
    pub name: String,
    /// What identifies it.
    pub identity: Identity,
    /// What it is attached to.
    pub bus: Bus,
    /// Whether its medium can be taken out.
    pub removable: bool,
    /// Whether it can't be written: a card's switch, or the reader.
    pub read_only: bool,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// What uses it or its partitions.
    pub uses: Vec<Use>,
}

/// Which disks may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// Those that are removable, at USB, or an SD card.
    #[default]
    Removable,
    /// Any.
    Any,
}

/// Why a disk is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is a reader without a card.
    #[error("the reader has no card")]
    Empty,
    /// This computer's own system is on it.
    #[error("this computer's system is on it ({0})")]
    System(Use),
    /// It is in use.
    #[error("it is in use ({used}); {} first", used.advice())]
    InUse {
        /// By what.
        used: Use,
    },
    /// It can't be written.
    #[error("it is read-only; move the switch on the card's side, or use another reader")]
    ReadOnly,
    /// It isn't a card or a stick.
    #[error("it is neither removable nor at USB nor an SD card ({}); if it is the right one, add --any-disk", .0.name())]
    Fixed(Bus),
    /// The image is larger.
    #[error("it has {} and the image needs {}; use a larger card", Bytes(*.bytes), Bytes(*.needed))]
    TooSmall {
        /// Bytes of the disk.
        bytes: u64,
        /// Bytes of the image.
        needed: u64,
    },
}

impl Use {
    /// How to end it.
    fn advice(&self) -> String {
        let what = &self.what;
        match &self.how {
            How::Mounted(_) => format!("run `umount /dev/{what}`"),
            How::Swap => format!("run `swapoff /dev/{what}`"),
            How::PartOf(of) => format!("stop {of}"),
        }
    }

    /// Whether the running system needs it.
    fn is_of_the_system(&self) -> bool {
        matches!(&self.how, How::Mounted(at) if SYSTEM.contains(&at.as_str()) || at.starts_with("/boot/"))
    }
}

/// Where a system's own file systems are mounted.
const SYSTEM: [&str; 8] = ["/", "/boot", "/efi", "/usr", "/etc", "/var", "/home", "/nix"];

impl Disk {
    /// Its path.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// Whether it is a card or a stick by all that is known.
    pub fn is_removable(&self) -> bool {
        self.removable || matches!(self.bus, Bus::Usb | Bus::Sd)
    }

    /// Why an image of that many bytes is not written onto it; `None` if it may be. What is worst comes first.
    pub fn unfit(&self, image_bytes: u64, kinds: Kinds) -> Option<Unfit> {
        let bytes = self.identity.bytes;
        if let Some(system) = self.uses.iter().find(|used| used.is_of_the_system()) {
            return Some(Unfit::System(system.clone()));
        }
        if kinds == Kinds::Removable && !self.is_removable() {
            return Some(Unfit::Fixed(self.bus));
        }
        // A mount can be ended by its user, and what it is a part of ends before that can.
        if let Some(used) = self.uses.iter().min_by_key(|used| &used.how) {
            return Some(Unfit::InUse { used: used.clone() });
        }
        match () {
            () if bytes == 0 => Some(Unfit::Empty),
            () if self.read_only => Some(Unfit::ReadOnly),
            () if bytes < image_bytes => Some(Unfit::TooSmall { bytes, needed: image_bytes }),
            () => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A card in a USB reader that nothing speaks against.
    pub(crate) fn card() -> Disk {
        Disk {
            name: "sdb".into(),
            identity: Identity {
                number: Number { major: 8, minor: 16 },
                sequence: Some(7),
                bytes: 8 << 30,
                model: "Generic Reader".into(),
                serial: Some("0815".into()),
            },
            bus: Bus::Usb,
            removable: true,
            read_only: false,
            partitions: vec![Partition { name: "sdb1".into(), number: Number { major: 8, minor: 17 } }],
            uses: vec![],
        }
    }

    fn used(what: &str, how: How) -> Use {
        Use { what: what.into(), how }
    }

    #[test]
    fn only_an_unused_writable_card_that_is_large_enough_is_written() {
        type Change = fn(&mut Disk);
        let mounted = |at: &str| used("sdb1", How::Mounted(at.into()));
        let fixed = |bus| Some(Unfit::Fixed(bus));
        let table: [(Change, Kinds, Option<Unfit>); 18] = [
            (|_| {}, Kinds::Removable, None),
            (|d| d.bus = Bus::Sd, Kinds::Removable, None),
            (|d| d.removable = false, Kinds::Removable, None),
            (|d| (d.bus, d.removable) = (Bus::Sata, true), Kinds::Removable, None),
            (|d| (d.bus, d.removable) = (Bus::Sata, false), Kinds::Removable, fixed(Bus::Sata)),
            (|d| (d.bus, d.removable) = (Bus::Nvme, false), Kinds::Removable, fixed(Bus::Nvme)),
            (|d| (d.bus, d.removable) = (Bus::Emmc, false), Kinds::Removable, fixed(Bus::Emmc)),
            (|d| (d.bus, d.removable) = (Bus::Virtual, false), Kinds::Removable, fixed(Bus::Virtual)),
            (|d| (d.bus, d.removable) = (Bus::Nvme, false), Kinds::Any, None),
            (|d| d.read_only = true, Kinds::Any, Some(Unfit::ReadOnly)),
            (|d| d.identity.bytes = 0, Kinds::Removable, Some(Unfit::Empty)),
            (
                |d| d.identity.bytes = (2 << 30) - 512,
                Kinds::Any,
                Some(Unfit::TooSmall { bytes: (2 << 30) - 512, needed: 2 << 30 }),
            ),
            (|d| d.identity.bytes = 2 << 30, Kinds::Removable, None),
            (
                |d| d.uses = vec![used("sdb1", How::Mounted("/media/me/boot".into()))],
                Kinds::Any,
                Some(Unfit::InUse { used: mounted("/media/me/boot") }),
            ),
            (
                |d| d.uses = vec![used("sdb", How::Swap)],
                Kinds::Any,
                Some(Unfit::InUse { used: used("sdb", How::Swap) }),
            ),
            (
                |d| d.uses = vec![used("sdb1", How::PartOf("md0".into()))],
                Kinds::Any,
                Some(Unfit::InUse { used: used("sdb1", How::PartOf("md0".into())) }),
            ),
            // The system may run from a stick: no option takes that.
            (
                |d| {
                    d.uses = vec![
                        used("sdb2", How::PartOf("dm-0".into())),
                        used("dm-0", How::Mounted("/".into())),
                    ];
                },
                Kinds::Any,
                Some(Unfit::System(used("dm-0", How::Mounted("/".into())))),
            ),
            (
                |d| d.uses = vec![used("sdb1", How::Mounted("/boot/firmware".into()))],
                Kinds::Any,
                Some(Unfit::System(mounted("/boot/firmware"))),
            ),
        ];
        for (at, (change, kinds, expected)) in table.into_iter().enumerate() {
            let mut disk = card();
            change(&mut disk);
            assert_eq!(disk.unfit(2 << 30, kinds), expected, "row {at}: {disk:?}");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let mounted = Unfit::InUse { used: used("sdb1", How::Mounted("/media/me/boot".into())) };
        assert_eq!(
            mounted.to_string(),
            "it is in use (sdb1 on /media/me/boot); run `umount /dev/sdb1` first"
        );
        let small = Unfit::TooSmall { bytes: 1 << 30, needed: 2 << 30 };
        assert_eq!(small.to_string(), "it has 1.0 GiB and the image needs 2.0 GiB; use a larger card");
        assert!(Unfit::Fixed(Bus::Nvme).to_string().contains("--any-disk"));
    }
}
