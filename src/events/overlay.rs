//! The log of a partition that can be read and not written any more, as of a card that failed: what was written before lies there, and
//! what comes is written into memory, with the numbers that follow. So a reader of the log, a webhook among them, misses nothing.
//!
//! A file that is continued is copied into memory first. What is in memory continues the partition only if it was written over it: events
//! that were written while nothing was mounted have numbers of their own, and stay by themselves.
use super::{SNAPSHOT, Segment, SegmentName};
use crate::ports::{EventPorts, EventStore};
use std::{collections::BTreeMap, io, path::PathBuf};

/// The fold of both folders, in memory: memory's own snapshot is that of events which were written while nothing was mounted.
pub(super) const OVERLAY_SNAPSHOT: &str = "overlay.snapshot";

/// Both folders as one.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct Overlay {
    partition: Box<dyn EventStore>,
    memory: Box<dyn EventStore>,
    /// Whether what is in memory continues the partition, since the files were listed last.
    is_continued: bool,
}

/// The folder that holds the log for a reader: the partition with what continues it in memory, or what there is of the two.
///
/// # Errors
/// When there is neither.
pub fn readable(ports: EventPorts) -> io::Result<Box<dyn EventStore>> {
    match (ports.persistent, ports.volatile) {
        (Ok(partition), Ok(memory)) => Ok(Box::new(Overlay::new(partition, memory))),
        (partition, memory) => partition.or(memory),
    }
}

impl Overlay {
    /// What is in `memory` over what is in `partition`.
    pub fn new(partition: Box<dyn EventStore>, memory: Box<dyn EventStore>) -> Overlay {
        Overlay { partition, memory, is_continued: false }
    }

    /// The folder of a writer that can only read the partition: memory alone, if what is in it doesn't continue the partition.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn over(
        partition: Box<dyn EventStore>,
        memory: Box<dyn EventStore>,
    ) -> io::Result<Box<dyn EventStore>> {
        let mut overlay = Overlay::new(partition, memory);
        overlay.files()?;
        let is_empty = overlay.memory.files()?.iter().all(|(name, _)| name.parse::<SegmentName>().is_err());
        Ok(if is_empty || overlay.is_continued { Box::new(overlay) } else { overlay.memory })
    }

    /// Whether what is in memory was written over what is on the partition.
    fn continues(&mut self, partition: &[(String, u64)], memory: &[(String, u64)]) -> io::Result<bool> {
        let segments = |files: &[(String, u64)]| -> Vec<SegmentName> {
            files.iter().filter_map(|(name, _)| name.parse().ok()).collect()
        };
        let (below, above) = (segments(partition), segments(memory));
        let last = below.iter().map(|name| name.first).max().unwrap_or_default();
        for name in &above {
            if !below.contains(name) {
                if name.first <= last {
                    return Ok(false);
                }
                continue;
            }
            // The first entry's id has the boot in it, so it is the same one only in a copy.
            let first =
                |bytes: Vec<u8>| Segment::parse(&bytes).entries.into_iter().next().map(|entry| entry.id);
            let name = name.to_string();
            if first(self.memory.read(&name)?) != first(self.partition.read(&name)?) {
                return Ok(false);
            }
        }
        Ok(!above.is_empty())
    }

    fn is_in_memory(&mut self, name: &str) -> io::Result<bool> {
        Ok(self.memory.files()?.iter().any(|(other, _)| other == name))
    }
}

impl EventStore for Overlay {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        let (below, above) = (self.partition.files()?, self.memory.files()?);
        self.is_continued = self.continues(&below, &above)?;
        if !self.is_continued {
            return Ok(below);
        }
        let mut files: BTreeMap<String, u64> = below.into_iter().collect();
        files.extend(
            above.into_iter().filter(|(name, _)| name != SNAPSHOT).map(|(name, bytes)| {
                (if name == OVERLAY_SNAPSHOT { SNAPSHOT.to_owned() } else { name }, bytes)
            }),
        );
        Ok(files.into_iter().collect())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        if !self.is_continued {
            return self.partition.read(name);
        }
        match self.memory.read(if name == SNAPSHOT { OVERLAY_SNAPSHOT } else { name }) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.partition.read(name),
            above => above,
        }
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at > 0 && !self.is_in_memory(name)? {
            let before = self.partition.read(name)?;
            self.memory.append(name, 0, &before)?;
        }
        self.is_continued = true;
        self.memory.append(name, at, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        if self.is_continued && self.is_in_memory(name)? {
            return self.memory.sync(name);
        }
        match self.partition.sync(name) {
            // Nothing in it changes any more.
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done,
        }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.memory.replace(if name == SNAPSHOT { OVERLAY_SNAPSHOT } else { name }, bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        // What lies on the partition takes no room in memory, which is what limits are about here.
        if self.is_in_memory(name)? { self.memory.remove(name) } else { Ok(()) }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.partition.folders();
        folders.extend(self.memory.folders());
        folders
    }
}
