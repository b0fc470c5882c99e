//! A device: its board, its memory and what it trusts.
//!
//! | file | noun |
//! |---|---|
//! | `stored` | the signed things in the `state` partition |
//! | `repair` | what a person has made anew: the journal, the boot flag |
#[doc(hidden)]
pub mod fuzz;
mod repair;
mod stored;

pub use repair::Repaired;

use crate::{
    Error,
    config::{OperatorCheck, Settings},
    ports::{Board, HostError, Sectors, Volume},
};
use bistable_boot::{
    Asked, Boot, Event, Evidence, Image, Journal, Record, ReleaseId, Slot, State, Tries,
    layout::{self, Partition},
};
use bistable_format::{
    Envelope, Release, Role, Root,
    health::{self, Profile},
    release,
    selftest::{Need, Plan},
};
use std::sync::Arc;
use stored::{Verified, read_release, read_root, read_roots, read_stored, write_stored};

/// How long one run of an operator's check may take.
const OPERATOR_CHECK_MS: u32 = 30_000;

/// Board, journal and root of trust, opened together.
#[allow(missing_debug_implementations, reason = "the board is trait objects")]
pub struct Device {
    /// The world.
    pub board: Board,
    /// What the owner configured.
    pub settings: Settings,
    /// What the device remembers: what is on the card, and what follows from it for the slot that runs (see
    /// [`Event::is_derived`]).
    pub record: Record,
    /// The state that is on the card.
    stored: State,
    journal: Journal<Sectors>,
    state: Arc<dyn Volume>,
    verified: Verified,
}

impl Device {
    /// Open the `state` partition, load the journal and apply to the state which boot runs. Writes nothing.
    ///
    /// # Errors
    /// When the card can't be read, or both journal copies are damaged.
    pub fn open(mut board: Board, settings: Settings) -> Result<Device, Error> {
        let state = board.partitions.open(Partition::State)?;
        let mut journal = Journal::new(Sectors(Arc::clone(&state)));
        let record = journal.load()?;
        Device::new(board, settings, record, journal, state)
    }

    fn new(
        board: Board,
        settings: Settings,
        record: Record,
        journal: Journal<Sectors>,
        state: Arc<dyn Volume>,
    ) -> Result<Device, Error> {
        let stored = record.state.clone();
        let verified = Verified::default();
        let mut device = Device { board, settings, record, stored, journal, state, verified };
        let boot = device.boot()?;
        device.derive(Event::Booted(boot))?;
        Ok(device)
    }

    /// This boot, and what the boot loader left about the trial that the stored state asked for in an earlier one.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(crate) fn boot(&mut self) -> Result<Boot, Error> {
        let Board { boot, host, .. } = &mut self.board;
        let (slot, id) = (boot.booted(), host.boot_id());
        let evidence = match &self.stored {
            State::Armed { target, tries: Tries { asked: Some(asked), .. } } if asked.boot != id => {
                match boot.evidence(target.slot, asked.counter) {
                    Err(e) if e.stopping().is_none() => {
                        log::warn!("event=no_evidence reason=\"{e}\"");
                        Evidence::Unknown
                    }
                    found => found?,
                }
            }
            _ => Evidence::Unknown,
        };
        Ok(Boot { slot, id, evidence })
    }

    /// A request for a reboot, as it is stored before the reboot.
    ///
    /// # Errors
    /// When the boot loader's counter can't be read.
    pub(crate) fn ask(&mut self) -> Result<Asked, Error> {
        Ok(Asked { boot: self.board.host.boot_id(), counter: self.board.boot.counter()? })
    }

    /// Make durable whatever was read of the journal.
    ///
    /// # Errors
    /// When the card fails.
    pub fn settle(&self) -> Result<(), Error> {
        Ok(self.state.flush()?)
    }

    /// The state that is on the card: what the device last decided, wherever it is by now.
    pub fn stored(&self) -> &State {
        &self.stored
    }

    /// Tell the record an event that follows from what is stored and what runs. In memory only. `Ok(true)` when that
    /// changed it.
    ///
    /// # Errors
    /// When it makes no sense in this state.
    pub(crate) fn derive(&mut self, event: Event) -> Result<bool, Error> {
        debug_assert!(event.is_derived(), "a decision has to be saved");
        Ok(self.record.on(event)?)
    }

    /// Save a new record: after `Ok`, and only then, it is what the device remembers, and survives a power cut.
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub fn save(&mut self, mut next: Record) -> Result<(), Error> {
        self.journal.save(&mut next)?;
        self.stored = next.state.clone();
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
        Ok(read_roots(&*self.state, &self.verified)?.map(|copy| copy.is_ok()))
    }

    /// Write a damaged or older copy of the root anew from the good one; but not while the floors are still those of the
    /// older one: see `root_before`.
    ///
    /// # Errors
    /// When the card fails.
    pub fn mend_root(&mut self) -> Result<(), Error> {
        let [first, second] = layout::ROOT;
        let (good, bad) = match read_roots(&*self.state, &self.verified)? {
            [Ok(_), Err(_)] => (first, second),
            [Err(_), Ok(_)] => (second, first),
            [Ok(a), Ok(b)] if a.version.max(b.version) > self.record.floors.root_version => return Ok(()),
            // The power went between the two writes of a newer root.
            [Ok(a), Ok(b)] if a.version > b.version => (first, second),
            [Ok(a), Ok(b)] if b.version > a.version => (second, first),
            _ => return Ok(()),
        };
        match read_stored(&*self.state, good, Role::Root)? {
            Ok(bytes) => write_stored(&*self.state, bad, &bytes),
            Err(_) => Ok(()),
        }
    }

    /// Store a newer root that was verified by the one that is trusted: it is from now on. The second copy still has the
    /// old one, until the floors are saved and [`mend_root`](Self::mend_root) writes it anew.
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub fn store_root(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.mend_root()?;
        let [first, _] = layout::ROOT;
        write_stored(&*self.state, first, bytes)
    }

    /// The root that the floors are of, if the power went before they followed the one that is trusted now.
    ///
    /// # Errors
    /// When the card fails.
    pub(crate) fn root_before(&self) -> Result<Option<Root>, Error> {
        let floor = self.record.floors.root_version;
        let copies = read_roots(&*self.state, &self.verified)?;
        Ok(copies.into_iter().flatten().find(|root| root.version == floor))
    }

    /// The root of trust: signed by its own keys, not below the floor, and without demo keys unless they are allowed.
    ///
    /// # Errors
    /// When there is none that may be trusted. The device then refuses everything.
    pub fn root(&self) -> Result<Root, Error> {
        let root = read_root(&*self.state, &self.verified, &self.settings)?;
        let floor = self.record.floors.root_version;
        if root.version < floor {
            return Err(Error::NoRoot(format!(
                "root version {} is below {floor}, seen before",
                root.version
            )));
        }
        Ok(root)
    }

    /// The release that a slot was written from. It was verified when it was installed, and the journal remembers its name,
    /// a digest: no signature is needed for it to be the same one still. By now the root may name other keys, and what runs
    /// must be tested, and gone back to, all the same.
    ///
    /// # Errors
    /// When it can't be read, or isn't the one that the journal names.
    pub fn release_of(&self, slot: Slot) -> Result<Release, Error> {
        let bad = |problem: String| Error::StoredRelease { slot, problem };
        let image = self.record.slots[slot].as_ref().ok_or_else(|| bad("the slot is empty".into()))?;
        let bytes = read_release(&*self.state, slot)?;
        if release_id(&bytes) != image.release {
            return Err(bad("it is not the one that was installed".into()));
        }
        let envelope = Envelope::parse(&bytes, Role::Release).map_err(|e| bad(e.to_string()))?;
        Release::decode(envelope.payload).map_err(|e| bad(e.to_string()))
    }

    /// The signed release that a slot was last written from, or begun to be. Not verified.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn signed_release(&self, slot: Slot) -> Result<Vec<u8>, Error> {
        read_release(&*self.state, slot)
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

    /// The health profile for the release in a slot: the owner's, if there is one, else the release's own; with the
    /// operator's checks behind its own.
    ///
    /// # Errors
    /// When there is none that can be trusted, or a required check of the operator's isn't trusted (I10).
    pub fn health_profile(&self, slot: Slot) -> Result<Profile, Error> {
        let mut profile = match &self.settings.health_profile {
            Some(profile) => profile.clone(),
            None => self
                .release_of(slot)?
                .health_profile()
                .map_err(|e| Error::StoredRelease { slot, problem: e.to_string() })?,
        };
        for check in &self.settings.checks {
            match (&check.refused, check.need) {
                (None, _) => profile.checks.push(operator_check(check)),
                (Some(why), Need::Required) => {
                    return Err(Error::UntrustedCheck { name: check.name.clone(), why: why.clone() });
                }
                // Reported, and not run.
                (Some(_), Need::Wanted) => {}
            }
        }
        Ok(profile)
    }

    /// Store the signed release that a slot is about to be written from, durably and read back.
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub fn store_release(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), Error> {
        write_stored(&*self.state, layout::RELEASE[slot], bytes)
    }

    /// What no other device has: what the owner says, or else the board's serial number.
    ///
    /// # Errors
    /// When neither is known.
    pub fn id(&mut self) -> Result<String, HostError> {
        match &self.settings.update.id {
            Some(id) => Ok(id.clone()),
            None => self.board.host.serial(),
        }
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

fn operator_check(check: &OperatorCheck) -> health::Check {
    health::Check {
        name: check.name.clone(),
        need: check.need,
        timeout_ms: OPERATOR_CHECK_MS,
        kind: health::Kind::Command { run: vec![check.program.display().to_string()] },
    }
}

/// The name of a signed release: see [`release::identity`].
pub fn release_id(signed: &[u8]) -> ReleaseId {
    ReleaseId(release::identity(signed).0)
}
