use crate::{board::CardError, ports::Fault};
use bistable_boot::Slot;
use std::{io, path::PathBuf};

/// Why the real board can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PiError {
    /// The disk can't be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A port failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// There is no device tree, so this is something else.
    #[cfg_attr(
        feature = "sim",
        error(
            "this is not a Raspberry Pi: there is no {}; a simulated one is named by its card, with --card FILE or \
             BISTABLE_CARD",
            .0.display()
        )
    )]
    #[cfg_attr(not(feature = "sim"), error("this is not a Raspberry Pi: there is no {}", .0.display()))]
    NotAPi(PathBuf),
    /// A file of the running system can't be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the running system says something that makes no sense.
    #[error("{}: {problem}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The device tree names no board that releases have a word for.
    #[error(
        "unknown board ({0}): set `[board] name = \"…\"` in /etc/bistable/config.d to the name used in releases"
    )]
    UnknownBoard(String),
    /// The firmware doesn't say what it booted.
    #[error(
        "{} is missing, so it isn't known which slot was booted: update the firmware, or boot with U-Boot, which puts \
         bistable.slot= on the kernel's command line", .0.display()
    )]
    NoBootedPartition(PathBuf),
    /// It says 0, which is no partition: an EEPROM that doesn't tell.
    #[error(
        "{eeprom} doesn't say which partition it booted (it says 0): {advice}",
        eeprom = .built.as_ref().map_or_else(|| "this firmware".into(), |date| format!("this boot EEPROM, built on {date},"))
    )]
    UnknownPartition {
        /// When the EEPROM was built, if it has one.
        built: Option<String>,
        /// How to update it.
        advice: String,
    },
    /// It booted something else than a slot.
    #[error("the firmware booted partition {partition}, which does not belong to a slot: slots boot from {} and {}", .slots[0], .slots[1])]
    NotASlot {
        /// The partition's number.
        partition: u32,
        /// Those of the slots.
        slots: [u8; 2],
    },
    /// The command line says which slot was booted, but not in our words.
    #[error(
        "the kernel's command line has {found}, and must have bistable.slot=A or B with bistable.trial=0 or 1: see the \
         boot script"
    )]
    CommandLine {
        /// What it has.
        found: String,
    },
    /// The disk of the running system can't be found.
    #[error(
        "the disk of the running system can't be found: / is on {root}, and there is no \
         /dev/disk/by-slot/active/system: name it with `[board] disk = \"/dev/…\"` in /etc/bistable/config.d"
    )]
    NoDisk {
        /// What is mounted on `/`.
        root: String,
    },
    /// There are several disks that it might be.
    #[error(
        "the disk of the running system can't be told: / is on {root}, and {disks} each have a partition named \"state\": \
         name the right one with `[board] disk = \"/dev/…\"` in /etc/bistable/config.d, or take the other one out"
    )]
    SeveralDisks {
        /// What is mounted on `/`.
        root: String,
        /// Their names, with "and" between them.
        disks: String,
    },
    /// The setting isn't a disk.
    #[error("[board] disk: {} {problem}", .path.display())]
    Disk {
        /// What was set.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The setting names another disk than the running one.
    #[error(
        "[board] disk is {configured}, but the system runs from {running}; refusing to write to any other disk"
    )]
    OtherDisk {
        /// The disk that is set.
        configured: String,
        /// The disk that the system runs from.
        running: String,
    },
    /// The root file system isn't the booted slot's.
    #[error(
        "slot {booted} was booted, but / is on {root}, not on partition {} ({}): the slot's command line names the \
         wrong root", .expected.number(), .expected.name()
    )]
    WrongRoot {
        /// The slot whose kernel runs.
        booted: Slot,
        /// The partition that `/` is on.
        root: String,
        /// The one that it must be on.
        expected: bistable_boot::layout::Partition,
    },
    /// The partition table on the disk isn't the one that the kernel works with.
    #[error(
        "partition {number} ({name}) of {disk}: {problem}: if the table was changed while the system ran, reboot"
    )]
    Table {
        /// The disk.
        disk: String,
        /// The partition's number.
        number: u8,
        /// Its name.
        name: &'static str,
        /// What differs.
        problem: String,
    },
    /// The boot flow isn't in this build.
    #[error("{0}")]
    Flow(String),
}
