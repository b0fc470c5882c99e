//! The disk that the system runs from, by partitions. What is opened, and for what:
//!
//! | partition | for writing |
//! |---|---|
//! | `bootconfig` | at the first write, unless it is mounted read-write |
//! | `state` | yes, locked against a second process |
//! | `boot`, `system` of the running slot | never |
//! | … of the default slot | never |
//! | … of the other slot | if no other process uses them |
//! | `persistent` | never |
use super::{
    DevNo, PiError, Sysroot,
    boot_mode::BootMode,
    bootconfig::Bootconfig,
    node::{self, Claim},
    read_only::ReadOnlyVolume,
    root::Running,
    sysfs::{Device, Part},
};
use crate::{
    board::{Access, CardError, FileVolume, Meter, card},
    ports::{BootControl, Fault, Partitions, Volume},
};
use bistable_boot::{Slot, layout::Partition};
use std::{
    fs::{File, TryLockError},
    sync::{Arc, Weak},
};

/// The disk.
#[allow(missing_debug_implementations, reason = "the boot flag is a trait object")]
pub struct Disk {
    sysroot: Sysroot,
    booted: Slot,
    access: Access,
    meter: Meter,
    /// By [`Partition::ALL`].
    parts: Vec<Part>,
    /// What is open: a claimed partition can't be opened a second time, not even by us.
    open: Vec<Option<Weak<dyn Volume>>>,
    /// Tells the default slot.
    flag: Option<Box<dyn BootControl>>,
    /// What it is, and whether the operator named it.
    running: Running,
    /// What the firmware says that it booted from, if it reads the boot flag on this disk.
    boot_mode: Option<BootMode>,
    /// Held for as long as this lives.
    _lock: Option<File>,
}

impl Disk {
    /// Check that the running disk is laid out as it has to be and that `/` belongs to the booted slot. With
    /// [`Access::Exclusive`], lock it against other processes.
    ///
    /// # Errors
    /// [`CardError::Busy`] when another process works on it; see also [`PiError`].
    pub(super) fn open(
        sysroot: &Sysroot,
        running: &Running,
        booted: Slot,
        access: Access,
        meter: Meter,
        boot_mode: Option<BootMode>,
    ) -> Result<Disk, PiError> {
        let parts = table(sysroot, running)?;
        if let Some(root) = &running.root {
            let expected = Partition::System(booted);
            if root.partition != Some(expected.number().into()) {
                return Err(PiError::WrongRoot { booted, root: root.name.clone(), expected });
            }
        }
        let lock = match access {
            Access::Exclusive => lock(sysroot, part(&parts, Partition::State)?)?,
            Access::ReadOnly => None,
        };
        let open = parts.iter().map(|_| None).collect();
        let (sysroot, running) = (sysroot.clone(), running.clone());
        Ok(Disk { sysroot, booted, access, meter, parts, open, flag: None, running, boot_mode, _lock: lock })
    }

    /// From now on, nothing of the slot that this names as the default is opened for writing.
    pub(super) fn guard(&mut self, flag: Box<dyn BootControl>) {
        self.flag = Some(flag);
    }

    /// The number of a partition's device.
    pub(super) fn number(&self, partition: Partition) -> Result<DevNo, Fault> {
        Ok(part(&self.parts, partition)?.device.dev)
    }

    fn claim(&mut self, partition: Partition) -> (Access, Claim) {
        match partition {
            Partition::State => (Access::Exclusive, Claim::Alone),
            Partition::Boot(slot) | Partition::System(slot) => {
                let default = self.flag.as_mut().and_then(|flag| flag.default_slot().ok());
                if slot == self.booted || default == Some(slot) {
                    (Access::ReadOnly, Claim::Shared)
                } else {
                    (Access::Exclusive, Claim::Alone)
                }
            }
            // The first opens itself for writing.
            Partition::Bootconfig | Partition::Persistent => (Access::ReadOnly, Claim::Shared),
        }
    }
}

impl Disk {
    /// Another disk with a partition of the same name: what the kernel or systemd find by that name may be on either.
    fn twin(&self) -> Result<Option<(String, &'static str)>, PiError> {
        for device in Device::all(&self.sysroot)? {
            let name = device.partition_name();
            let ours =
                Partition::ALL.map(Partition::name).into_iter().find(|ours| name.as_deref() == Some(ours));
            if let (Some(ours), Some(disk)) = (ours, device.disk()?)
                && disk.dev != self.running.disk.dev
            {
                return Ok(Some((disk.name, ours)));
            }
        }
        Ok(None)
    }
}

impl Partitions for Disk {
    fn check_disk(&mut self) -> Result<(), Fault> {
        let unfit = |e: PiError| match e {
            PiError::Fault(fault) => fault,
            e => Fault::Unfit(e.to_string()),
        };
        let disk = &self.running.disk;
        if let Some(mode) = self.boot_mode
            && !mode.may_be(&disk.name)
        {
            return Err(Fault::Unfit(format!(
                "the firmware booted from {}, and / is on {}: an update would be written to a disk that isn't booted; remove \
                 one of them, or write only one of them with this image",
                mode.name(),
                disk.name
            )));
        }
        if !self.running.is_named
            && let Some((other, partition)) = self.twin().map_err(unfit)?
        {
            return Err(Fault::Unfit(format!(
                "{other} has a partition \"{partition}\", too, and the next boot may take / or data from either disk: remove \
                 {other}, or, if nothing is found by these names, set `[board] disk = \"/dev/{}\"` in /etc/bistable/config.d",
                disk.name
            )));
        }
        if disk.is_read_only() || self.parts.iter().any(|part| part.device.is_read_only()) {
            return Err(Fault::InUse(format!("{} {}", disk.name, node::READ_ONLY)));
        }
        let path = disk.node(&self.sysroot);
        card::check_table(&path, &node::open_disk(&self.sysroot, disk).map_err(unfit)?)
    }

    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        let at = usize::from(partition.number() - 1);
        if let Some(open) = self.open.get(at).and_then(Option::as_ref).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let part = part(&self.parts, partition)?.clone();
        let meter = self.meter.clone();
        let volume: Arc<dyn Volume> = match partition {
            Partition::Bootconfig => Arc::new(Bootconfig::open(&self.sysroot, &part, self.access, meter)?),
            _ if self.access == Access::ReadOnly => {
                Arc::new(ReadOnlyVolume::open(&self.sysroot, &part, partition.name(), meter)?)
            }
            _ => {
                let (access, claim) = self.claim(partition);
                let file = Arc::new(node::open(&self.sysroot, &part, access, claim)?);
                Arc::new(FileVolume::open(&file, partition.name(), 0, part.bytes, meter))
            }
        };
        if let Some(place) = self.open.get_mut(at) {
            *place = Some(Arc::downgrade(&volume));
        }
        Ok(volume)
    }
}

/// The kernel's partitions, as the table on the disk says, by [`Partition::ALL`].
fn table(sysroot: &Sysroot, running: &Running) -> Result<Vec<Part>, PiError> {
    let (disk, path) = (&running.disk, running.disk.node(sysroot));
    let ranges = card::partitions(&path, &node::open_disk(sysroot, disk)?)?;
    let kernels = disk.partitions()?;
    let mut parts = Vec::new();
    for ((start, end), partition) in ranges.into_iter().zip(Partition::ALL) {
        let (number, name) = (partition.number(), partition.name());
        let wrong = |problem: String| PiError::Table { disk: disk.name.clone(), number, name, problem };
        let part = kernels.iter().find(|p| p.number == u32::from(number));
        let part = part.ok_or_else(|| wrong("the kernel doesn't know it".into()))?;
        if (part.start, part.start.saturating_add(part.bytes)) != (start, end) {
            let text = format!(
                "the table has bytes {start} to {end}, the kernel {} to {}",
                part.start,
                part.start.saturating_add(part.bytes)
            );
            return Err(wrong(text));
        }
        if let Some(other) = part.name.as_deref().filter(|n| *n != name) {
            return Err(wrong(format!("the kernel calls it \"{}\"", other.escape_debug())));
        }
        parts.push(Part { name: Some(name.into()), ..part.clone() });
    }
    Ok(parts)
}

fn part(parts: &[Part], partition: Partition) -> Result<&Part, Fault> {
    let found = parts.get(usize::from(partition.number() - 1));
    found.ok_or_else(|| Fault::Unfit(format!("there is no partition {}", partition.name())))
}

/// One process at a time. Not O_EXCL, which couldn't tell ours from anybody else's.
fn lock(sysroot: &Sysroot, state: &Part) -> Result<Option<File>, PiError> {
    let path = state.device.node(sysroot);
    let file = File::open(&path).map_err(|source| CardError::Open { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(CardError::Busy { path }.into()),
        Err(TryLockError::Error(source)) => Err(CardError::Open { path, source }.into()),
    }
}
