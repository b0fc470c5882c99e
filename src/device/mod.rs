//! A device: its board, its memory and what it trusts.
//!
//! | file | noun |
//! |---|---|
//! | `roots` | the root of trust: the stored chain, held against the running system's root |
//! | `components` | the record of the components |
//! | `bound` | the components that the images in the slots bring along |
//! | `floors` | the anti-rollback floors, copied beside the roots |
//! | `stored` | the signed things in the `state` partition |
//! | `lost` | what can be known without a journal |
//! | `repair` | what a person has made again: the root, the journal, the boot flag |
//! | `formats` | which formats of durable structures the two agents read |
mod bound;
mod components;
mod floors;
mod formats;
#[doc(hidden)]
pub mod fuzz;
mod lost;
mod repair;
mod roots;
mod stored;

pub use bound::Binding;
pub(crate) use bound::{bound_name, bound_release, with_bound};
pub(crate) use components::StoredComponents;
pub use formats::AgentFormats;
pub use lost::Remains;
pub use repair::{Known, ReadRelease, Rebuilt, Repaired};
pub use roots::SystemRootState;

use crate::{
    Error,
    config::{OperatorCheck, Settings},
    ports::{Board, HostError, Sectors, Volume},
};
use bistable_boot::{
    Asked, Boot, Evidence, Image, Journal, Now, Record, ReleaseId, Saved, Slot, Target, Tries,
    layout::{self, Partition},
};
use bistable_format::{
    Release, TrustError,
    health::{self, Profile},
    release,
    selftest::{At, Need, Plan},
};
use roots::{SystemRoot, Trusted, Verified};
use std::sync::Arc;
use stored::{read_release, write_stored};

/// How long one run of an operator's check may take.
const OPERATOR_CHECK_MS: u32 = 30_000;

/// Board, journal and root of trust, opened together.
#[allow(missing_debug_implementations, reason = "the board is trait objects")]
pub struct Device {
    /// The world.
    pub board: Board,
    /// What the owner configured.
    pub settings: Settings,
    /// What the device remembers, as it is on the card.
    pub record: Record,
    /// What follows from that and from the boot that runs.
    now: Now,
    journal: Journal<Sectors>,
    formats: AgentFormats,
    state: Arc<dyn Volume>,
    system_root: SystemRoot,
    verified: Verified,
}

impl Device {
    /// Open the `state` partition, load the journal and find out where the device is. Writes nothing.
    ///
    /// # Errors
    /// When the card can't be read, or both journal copies are damaged.
    pub fn open(board: Board, settings: Settings) -> Result<Device, Error> {
        Device::open_as(board, settings, AgentFormats::default())
    }

    /// The same as another version's agent.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_as(mut board: Board, settings: Settings, formats: AgentFormats) -> Result<Device, Error> {
        let state = board.partitions.open(Partition::State)?;
        let mut journal = Journal::new(Sectors(Arc::clone(&state))).with_formats(formats.ours);
        let record = journal.load()?;
        Device::new(board, settings, record, journal, formats, state)
    }

    fn new(
        mut board: Board,
        settings: Settings,
        record: Record,
        journal: Journal<Sectors>,
        formats: AgentFormats,
        state: Arc<dyn Volume>,
    ) -> Result<Device, Error> {
        let now = Now::Saved(record.state.clone());
        let system_root = SystemRoot::read(&mut board);
        let verified = Verified::default();
        let mut device =
            Device { board, settings, record, now, journal, formats, state, system_root, verified };
        device.locate()?;
        Ok(device)
    }

    /// Find out where the device is: that follows from what is saved and from the boot that runs.
    ///
    /// # Errors
    /// When the machine goes down.
    pub(crate) fn locate(&mut self) -> Result<(), Error> {
        let boot = self.boot()?;
        self.now = self.record.state.booted(boot);
        Ok(())
    }

    /// The verdict that is saved may be about another boot: the device is on trial again.
    pub(crate) fn doubt_verdict(&mut self) {
        if let Some(now) = self.record.state.unproven() {
            self.now = now;
        }
    }

    /// This boot, and what the boot loader left about the trial that was asked for in an earlier one.
    ///
    /// # Errors
    /// When the machine goes down.
    fn boot(&mut self) -> Result<Boot, Error> {
        let Board { boot, host, .. } = &mut self.board;
        let (slot, id) = (boot.booted(), host.boot_id());
        let evidence = match &self.record.state {
            Saved::Armed { target, tries: Tries { asked: Some(asked), .. } } if asked.boot != id => {
                match boot.evidence(target.slot, asked.counter) {
                    Err(e) if e.stopping().is_none() => {
                        log::warn!(reason:% = e; "no_evidence");
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

    /// Where the device is.
    pub fn now(&self) -> &Now {
        &self.now
    }

    /// Whether the device is where the journal says: this boot has shown nothing else.
    pub fn is_as_saved(&self) -> bool {
        matches!(&self.now, Now::Saved(now) if *now == self.record.state)
    }

    /// Save a new record: after `Ok`, and only then, it is what the device remembers, and survives a power cut. Its state is
    /// the one that is saved already: where the device is doesn't change. The copies of its floors come first: see
    /// [`FloorsCopy`](bistable_boot::FloorsCopy).
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub fn save(&mut self, next: Record) -> Result<(), Error> {
        debug_assert_eq!(next.state, self.record.state, "a decision is saved as one");
        self.store(next)
    }

    /// The same for a record with a new state: once it is saved, that is where the device is.
    ///
    /// # Errors
    /// As for [`save`](Self::save).
    pub(crate) fn save_state(&mut self, next: Record) -> Result<(), Error> {
        self.store(next)?;
        self.now = Now::Saved(self.record.state.clone());
        Ok(())
    }

    fn store(&mut self, mut next: Record) -> Result<(), Error> {
        self.keep_floors(&next)?;
        self.journal.save(&mut next)?;
        self.record = next;
        Ok(())
    }

    /// Make the copies of the floors follow a record that is about to be saved, after the roots beside them are whole.
    ///
    /// A card that doesn't take them is no reason not to save: the journal holds the floors, and the copies only help when it
    /// is lost.
    fn keep_floors(&mut self, next: &Record) -> Result<(), Error> {
        if floors::are_kept(&*self.state, next)? {
            return Ok(());
        }
        let kept = self.mend_root().and_then(|_| floors::keep_floors(&*self.state, next));
        match kept {
            Err(Error::Fault(e)) if e.stopping().is_some() => Err(e.into()),
            Err(e) => {
                log::warn!(reason:% = e; "floors_not_copied");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Sequence number of each journal copy that is readable.
    pub fn journal_copies(&mut self) -> [Option<u64>; 2] {
        self.journal.copies().map(|copy| copy.ok()?.ok().map(|record| record.seq))
    }

    /// Verifies releases with the keys that are trusted now, or that an older root of the chain named: what was committed with it has
    /// to be tested, and gone back to, all the same.
    ///
    /// # Errors
    /// When there is no root that may be trusted.
    pub(crate) fn release_trust(
        &self,
    ) -> Result<impl Fn(&[u8]) -> Result<Release, TrustError> + use<>, Error> {
        let trusted = self.trusted()?;
        Ok(move |bytes: &[u8]| open_release(bytes, &trusted))
    }

    /// The release that a slot was written from. The journal remembers its name, a digest, and it must be signed: by the keys
    /// of the root that is trusted now, or of an older one that the device has followed. By now the root may name other keys,
    /// and what runs must be tested, and gone back to, all the same.
    ///
    /// # Errors
    /// When it can't be read, isn't the one that the journal names, or isn't signed as it must be (I10).
    pub fn release_of(&self, slot: Slot) -> Result<Release, Error> {
        let bad = |problem: String| Error::StoredRelease { slot, problem };
        let image = self.record.slots[slot].as_ref().ok_or_else(|| bad("the slot is empty".into()))?;
        let bytes = read_release(&*self.state, slot)?;
        if release_id(&bytes) != image.release {
            return Err(bad("it is not the one that was installed".into()));
        }
        let trusted = match self.trusted() {
            Err(Error::Fault(e)) => return Err(e.into()),
            trusted => trusted.map_err(|e| bad(e.to_string()))?,
        };
        open_release(&bytes, &trusted).map_err(|e| bad(e.to_string()))
    }

    /// The highest format of durable structures that the agent in a release reads.
    pub(crate) fn durable(&self, release: &Release) -> u16 {
        (self.formats.of_release)(release)
    }

    /// The signed release that a slot was last written from, or begun to be. Not verified.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn signed_release(&self, slot: Slot) -> Result<Vec<u8>, Error> {
        read_release(&*self.state, slot)
    }

    /// The release that an update in flight is about. The journal remembers its name, a digest, and it must be signed (I10).
    ///
    /// # Errors
    /// When it can't be read, isn't the one that the journal names, or isn't signed as it must be.
    pub fn staged_release(&self, target: &Target) -> Result<Release, Error> {
        let bad = |problem: String| Error::StoredRelease { slot: target.slot, problem };
        let bytes = read_release(&*self.state, target.slot)?;
        if release_id(&bytes) != target.release {
            return Err(bad("it is not the one that was installed".into()));
        }
        let trusted = self.trusted().map_err(|e| bad(e.to_string()))?;
        open_release(&bytes, &trusted).map_err(|e| bad(e.to_string()))
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
        Ok(match &self.record.slots[slot] {
            Some(image) => profile.expecting(&image.version),
            None => profile,
        })
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

/// Open a release with the trusted root, or else with an older one of its chain. The error is what the trusted one says.
fn open_release(bytes: &[u8], trusted: &Trusted) -> Result<Release, TrustError> {
    let mut older = trusted.all().skip(1);
    Release::open(bytes, &trusted.root)
        .or_else(|e| older.find_map(|root| Release::open(bytes, root).ok()).ok_or(e))
}

fn operator_check(check: &OperatorCheck) -> health::Check {
    health::Check {
        name: check.name.clone(),
        need: check.need,
        at: At::Trial,
        timeout_ms: OPERATOR_CHECK_MS,
        kind: health::Kind::Command { run: vec![check.program.display().to_string()] },
    }
}

/// The name of a signed release: see [`release::identity`].
pub fn release_id(signed: &[u8]) -> ReleaseId {
    ReleaseId(release::identity(signed).0)
}
