//! A device: its board, its memory and what it trusts.
use crate::{
    Error,
    config::Settings,
    ports::{Board, Fault, Sectors, Volume},
};
use bistable_boot::{
    DecodeError, Image, Journal, JournalError, Lba, Record, ReleaseId, SECTOR, Slot,
    layout::{self, Partition},
};
use bistable_format::{Envelope, Release, Role, Root, health::Profile, release, selftest::Plan};
use std::sync::Arc;

/// Board, journal and root of trust, opened together.
#[allow(missing_debug_implementations, reason = "the board is trait objects")]
pub struct Device {
    /// The world.
    pub board: Board,
    /// What the owner configured.
    pub settings: Settings,
    /// What the device remembers, as it is on the card.
    pub record: Record,
    journal: Journal<Sectors>,
    state: Arc<dyn Volume>,
}

impl Device {
    /// Open the `state` partition and load the journal.
    ///
    /// # Errors
    /// When the card can't be read, or both journal copies are damaged.
    pub fn open(mut board: Board, settings: Settings) -> Result<Device, Error> {
        let state = board.partitions.open(Partition::State)?;
        let mut journal = Journal::new(Sectors(Arc::clone(&state)));
        let record = journal.load()?;
        Ok(Device { board, settings, record, journal, state })
    }

    /// Make the record anew after both journal copies were lost, from what is known otherwise: the running slot and
    /// the signed release stored for it. Refused while the running slot isn't the default one.
    ///
    /// # Errors
    /// When the journal is fine, or what is needed can't be read and verified.
    pub fn rebuild(mut board: Board, settings: Settings) -> Result<Device, Error> {
        let state = board.partitions.open(Partition::State)?;
        let mut journal = Journal::new(Sectors(Arc::clone(&state)));
        match journal.load() {
            Ok(_) => {
                return Err(Error::NothingToDo("the journal is readable: there is nothing to repair".into()));
            }
            // What a newer version wrote isn't lost, and neither is what can't be read for a moment.
            Err(JournalError::Lost { first, second })
                if ![first, second].iter().any(|e| matches!(e, DecodeError::Format(_))) => {}
            Err(e) => return Err(e.into()),
        }
        let booted = board.boot.booted();
        let default = board.boot.default_slot()?;
        if booted != default {
            let text = format!("slot {booted} is running and {default} is the default: reboot first");
            return Err(Error::NotNow(text));
        }
        let root = read_root(&*state, &settings)?;
        let image = |slot| -> Result<(Release, Image), Error> {
            let bytes = read_release(&*state, slot)?;
            let release = Release::open(&bytes, &root)
                .map_err(|e| Error::StoredRelease { slot, problem: e.to_string() })?;
            let image = Image {
                release: release_id(&bytes),
                version: release.version.clone(),
                security_version: release.security_version,
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
        Ok(Device { board, settings, record, journal, state })
    }

    /// Save a new record: after `Ok`, and only then, it is what the device remembers, and survives a power cut.
    ///
    /// # Errors
    /// When the card fails.
    pub fn save(&mut self, mut next: Record) -> Result<(), Error> {
        self.journal.save(&mut next)?;
        self.record = next;
        Ok(())
    }

    /// Sequence number of each journal copy that is readable.
    pub fn journal_copies(&mut self) -> [Option<u64>; 2] {
        self.journal.copies().map(|copy| copy.ok()?.ok().map(|record| record.seq))
    }

    /// Whether each copy of the root can be used.
    ///
    /// # Errors
    /// When the card fails.
    pub fn root_copies(&self) -> Result<[bool; 2], Error> {
        Ok(read_roots(&*self.state)?.map(|copy| copy.is_ok()))
    }

    /// Write a damaged copy of the root anew from the good one.
    ///
    /// # Errors
    /// When the card fails.
    pub fn mend_root(&mut self) -> Result<(), Error> {
        let (good, bad) = match self.root_copies()? {
            [true, false] => (layout::ROOT[0], layout::ROOT[1]),
            [false, true] => (layout::ROOT[1], layout::ROOT[0]),
            _ => return Ok(()),
        };
        match read_stored(&*self.state, good, Role::Root)? {
            Ok(bytes) => write_stored(&*self.state, bad, &bytes),
            Err(_) => Ok(()),
        }
    }

    /// The root of trust: signed by its own keys, not below the floor, and without demo keys unless they are allowed.
    ///
    /// # Errors
    /// When there is none that may be trusted. The device then refuses everything.
    pub fn root(&self) -> Result<Root, Error> {
        let root = read_root(&*self.state, &self.settings)?;
        let floor = self.record.floors.root_version;
        if root.version < floor {
            return Err(Error::NoRoot(format!(
                "root version {} is below {floor}, seen before",
                root.version
            )));
        }
        Ok(root)
    }

    /// The release that a slot was written from, verified again.
    ///
    /// # Errors
    /// When it can't be read, isn't trusted, or isn't the one that the journal names.
    pub fn release_of(&self, slot: Slot) -> Result<Release, Error> {
        let bad = |problem: String| Error::StoredRelease { slot, problem };
        let image = self.record.slots[slot].as_ref().ok_or_else(|| bad("the slot is empty".into()))?;
        let bytes = read_release(&*self.state, slot)?;
        if release_id(&bytes) != image.release {
            return Err(bad("it is not the one that was installed".into()));
        }
        Release::open(&bytes, &self.root()?).map_err(|e| bad(e.to_string()))
    }

    /// The self-test plan for the release in a slot: the owner's, if there is one, else the release's own.
    ///
    /// # Errors
    /// When there is none that can be trusted.
    pub fn self_test_plan(&self, slot: Slot) -> Result<Plan, Error> {
        match &self.settings.self_test_plan {
            Some(plan) => Ok(plan.clone()),
            None => self
                .release_of(slot)?
                .self_test_plan()
                .map_err(|e| Error::StoredRelease { slot, problem: e.to_string() }),
        }
    }

    /// The health profile for the release in a slot: the owner's, if there is one, else the release's own.
    ///
    /// # Errors
    /// When there is none that can be trusted.
    pub fn health_profile(&self, slot: Slot) -> Result<Profile, Error> {
        match &self.settings.health_profile {
            Some(profile) => Ok(profile.clone()),
            None => self
                .release_of(slot)?
                .health_profile()
                .map_err(|e| Error::StoredRelease { slot, problem: e.to_string() }),
        }
    }

    /// Store the signed release that a slot is about to be written from, durably.
    ///
    /// # Errors
    /// When the card fails.
    pub fn store_release(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), Error> {
        write_stored(&*self.state, layout::RELEASE[slot], bytes)
    }

    /// The slot that an update goes into.
    pub fn inactive(&self) -> Slot {
        !self.board.boot.booted()
    }

    /// The running slot's image, if the journal knows it.
    pub fn running(&self) -> Option<&Image> {
        self.record.slots[self.board.boot.booted()].as_ref()
    }
}

/// The name of a signed release: see [`release::identity`].
pub fn release_id(signed: &[u8]) -> ReleaseId {
    ReleaseId(release::identity(signed).0)
}

/// Each copy of the root, or why it doesn't open.
fn read_roots(state: &dyn Volume) -> Result<[Result<Root, String>; 2], Fault> {
    let [first, second] = layout::ROOT.map(|at| read_stored(state, at, Role::Root));
    Ok([first?, second?].map(|bytes| bytes.and_then(|bytes| Root::open(&bytes).map_err(|e| e.to_string()))))
}

/// The newest copy of the root that opens.
fn read_root(state: &dyn Volume, settings: &Settings) -> Result<Root, Error> {
    let newest = match read_roots(state)? {
        [Ok(a), Ok(b)] => Ok(if b.version > a.version { b } else { a }),
        [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
        [Err(problem), Err(_)] => Err(Error::NoRoot(problem)),
    }?;
    if !settings.allow_demo_keys {
        newest.refuse_demo().map_err(Error::Root)?;
    }
    Ok(newest)
}

fn read_release(state: &dyn Volume, slot: Slot) -> Result<Vec<u8>, Error> {
    read_stored(state, layout::RELEASE[slot], Role::Release)?
        .map_err(|problem| Error::StoredRelease { slot, problem })
}

/// An envelope from its place in the `state` partition; the inner error says what lies there instead.
fn read_stored(state: &dyn Volume, at: Lba, role: Role) -> Result<Result<Vec<u8>, String>, Fault> {
    let mut bytes = vec![0; Envelope::MAX_BYTES.next_multiple_of(SECTOR)];
    state.read(at.0 * SECTOR as u64, &mut bytes)?;
    Ok(Envelope::stored_len(&bytes, role).map_err(|e| e.to_string()).map(|len| {
        bytes.truncate(len);
        bytes
    }))
}

/// Put an envelope into its place in the `state` partition, durably; what is there already isn't written again.
fn write_stored(state: &dyn Volume, at: Lba, bytes: &[u8]) -> Result<(), Error> {
    let at = at.0 * SECTOR as u64;
    let mut sectors = bytes.to_vec();
    sectors.resize(bytes.len().next_multiple_of(SECTOR), 0);
    let mut there = vec![0; sectors.len()];
    state.read(at, &mut there)?;
    if there != sectors {
        state.write(at, &sectors)?;
    }
    // In any case: what is there may be of a program that was killed before its flush.
    Ok(state.flush()?)
}
