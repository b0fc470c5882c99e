//! What a person has made anew when it is lost: the journal, the boot flag, or both.
use super::{
    AgentFormats, Device, release_id,
    stored::{Verified, read_release, read_root},
};
use crate::{
    Error,
    config::Settings,
    ports::{Board, Sectors},
};
use bistable_boot::{
    Equivocation, Image, Journal, JournalError, Now, Record, Saved, Slot, layout::Partition,
};
use bistable_format::{Envelope, Release, Role, TrustError};
use std::sync::Arc;

/// What was made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The journal: the new one's sequence number.
    pub journal: Option<u64>,
    /// The boot flag: the slot that it names as the default now.
    pub flag: Option<Slot>,
    /// The equivocation that the operator has seen now, and that is no longer shown.
    pub acknowledged: Option<Equivocation>,
}

impl Device {
    /// Make anew what is broken: first the journal, then the boot flag.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] when neither is; as for [`rebuild`](Self::rebuild); when the flag's file can't be found,
    /// or not be written.
    pub fn repair(mut board: Board, settings: Settings) -> Result<(Device, Repaired), Error> {
        let state = board.partitions.open(Partition::State)?;
        let mut repaired = Repaired::default();
        let mut device = match Journal::new(Sectors(state)).load() {
            Err(JournalError::Lost { .. }) => {
                let device = Device::rebuild(board, settings)?;
                repaired.journal = Some(device.record.seq);
                device
            }
            _ => Device::open(board, settings)?,
        };
        repaired.flag = device.mend_flag()?;
        // While a boot has shown something that no decision followed, nothing else is saved.
        if device.record.equivocation.is_some() && device.is_as_saved() {
            let mut next = device.record.clone();
            repaired.acknowledged = next.equivocation.take();
            device.save(next)?;
        }
        if repaired == Repaired::default() {
            let text = "the journal and the boot flag are readable: there is nothing to repair";
            return Err(Error::NothingToDo(text.into()));
        }
        Ok((device, repaired))
    }

    /// Write a flag that isn't ours or that was torn. Gives the slot that is the default then.
    ///
    /// What runs becomes the default. Not if it is on trial, or given up: then the flag named the other slot when that
    /// update was accepted, and names it again, since only slots that proved themselves are ever the default.
    fn mend_flag(&mut self) -> Result<Option<Slot>, Error> {
        let boot = &mut self.board.boot;
        // One that is in use isn't lost.
        match boot.check_content() {
            Ok(()) => {
                let default = boot.default_slot()?;
                return Ok(boot.repair()?.then_some(default));
            }
            Err(e) if e.stopping().is_some() => return Err(e.into()),
            Err(_) => {}
        }
        let booted = boot.booted();
        let slot = match &self.now {
            Now::Trial { target, .. }
            | Now::Saved(Saved::Committing { target, .. } | Saved::Reverting { target, .. }) => !target.slot,
            _ => booted,
        };
        boot.rewrite(slot)?;
        Ok(Some(slot))
    }

    /// Make the record anew after both journal copies were lost, from what is known otherwise: the running slot and
    /// the signed release stored for it. Refused while the flag says that another slot is the default one.
    ///
    /// # Errors
    /// When the journal is fine, or what is needed can't be read and verified.
    pub fn rebuild(mut board: Board, settings: Settings) -> Result<Device, Error> {
        let state = board.partitions.open(Partition::State)?;
        let formats = AgentFormats::default();
        let mut journal = Journal::new(Sectors(Arc::clone(&state))).with_formats(formats.ours);
        match journal.load() {
            Ok(_) => {
                return Err(Error::NothingToDo("the journal is readable: there is nothing to repair".into()));
            }
            // What a newer version wrote isn't lost, and neither is what can't be read for a moment.
            Err(JournalError::Lost { first, second })
                if ![first, second].iter().any(|e| e.newer_agents().is_some()) => {}
            Err(e) => return Err(e.into()),
        }
        let booted = board.boot.booted();
        match board.boot.default_slot() {
            Ok(default) if default == booted => {}
            Ok(default) => {
                let text = format!("slot {booted} is running and {default} is the default: reboot first");
                return Err(Error::NotNow(text));
            }
            Err(e) if e.stopping().is_some() => return Err(e.into()),
            // Both are lost: the slot that runs is all that is known.
            Err(_) => {}
        }
        let root = read_root(&*state, &Verified::default(), &settings)?;
        let image = |slot| -> Result<(Release, Image), Error> {
            let bytes = read_release(&*state, slot)?;
            let release = match Release::open(&bytes, &root) {
                // By now the root may name other keys than those that signed what runs. Who could put a forgery there could
                // write a journal, too.
                Err(TrustError::UnknownKey { .. } | TrustError::WrongRole { .. }) => {
                    Envelope::parse(&bytes, Role::Release)
                        .map_err(TrustError::from)
                        .and_then(|envelope| Ok(Release::decode(envelope.payload)?))
                }
                opened => opened,
            };
            let release = release.map_err(|e| Error::StoredRelease { slot, problem: e.to_string() })?;
            let image = Image {
                release: release_id(&bytes),
                version: release.version.clone(),
                security_version: release.security_version,
                durable: (formats.of_release)(&release),
            };
            Ok((release, image))
        };
        let (release, running) = image(booted)?;
        let mut record = Record::provision(&release.product, running.clone(), root.version);
        record.slots = bistable_boot::BySlot { a: None, b: None };
        record.slots[booted] = Some(running);
        // The other slot may be half written: nothing but the journal would know.
        if let Some(entry) = record.history.last_mut() {
            entry.slot = booted;
            entry.outcome = bistable_boot::Outcome::Rebuilt;
        }
        journal.format(&record)?;
        Device::new(board, settings, record, journal, formats, state)
    }
}
