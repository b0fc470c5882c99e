//! What a person has made again when it is lost: the root, the journal, the boot flag, or all of `state`.
//!
//! | lost | made from |
//! |---|---|
//! | one root copy | the other one |
//! | both, or they don't descend from the system's root | the running system's root, or `--root-file` if it has none |
//! | journal | the running slot, its stored release, the floors beside the roots |
//! | its release, too | `--release`, the signed release that runs; or only the product: what runs is then unknown |
//! | the floors, too | nothing: they start again at the root's version and the release's security version, which is reported |
//! | boot flag, also its file | the running slot |
//! | the file system of `bootconfig` | the same, with `--new-bootconfig`: what else lay there is lost |
use super::{
    AgentFormats, Device, floors, open_release, release_id,
    roots::{SystemRoot, Trusted, Verified, choose, read_copies, refuse_demo, trusted, write_copies},
    stored::{read_release, write_stored},
};
use crate::{
    Error,
    config::Settings,
    ports::{Board, Sectors, Volume},
};
use bistable_boot::{
    BySlot, Entry, Equivocation, FIRST_FORMAT, FloorsCopy, Image, Journal, JournalError, Now, Outcome,
    Record, ReleaseId, Saved, Slot,
    layout::{self, Partition},
};
use bistable_format::{Release, Root, RootChain, SignedRoot};
use semver::Version;
use std::sync::Arc;

/// Reads a signed release, once the roots are known that it may be verified with: the trusted one first.
pub type ReadRelease<'a> = dyn FnMut(&[&Root]) -> Result<Vec<u8>, Error> + 'a;

/// What an operator knows that the device has lost.
#[derive(Default)]
#[allow(missing_debug_implementations, reason = "holds a function")]
pub struct Known<'a> {
    /// The product's signed root; used only if neither `state` nor the running system has one.
    pub root: Option<Vec<u8>>,
    /// Reads the signed release that the running slot was written from.
    pub release: Option<&'a mut ReadRelease<'a>>,
    /// The product.
    pub product: Option<String>,
    /// Whether the boot flag's partition may be made again, if its file system is lost: nothing else in it is needed.
    pub new_bootconfig: bool,
}

/// What was made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// A stored copy of the root, or both: the version that is trusted now.
    pub root: Option<u32>,
    /// The journal.
    pub journal: Option<Rebuilt>,
    /// What runs, named by the operator on a device that didn't know.
    pub release: Option<Version>,
    /// The boot flag: the slot that it names as the default now.
    pub flag: Option<Slot>,
    /// The equivocation that the operator has seen now, and that is no longer shown.
    pub acknowledged: Option<Equivocation>,
}

/// A journal that was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its sequence number.
    pub seq: u64,
    /// Whether the floors came from their copies. If not, they start again.
    pub floors_kept: bool,
    /// Whether it is known which release runs.
    pub release_known: bool,
}

impl Device {
    /// Make again what is broken: the root, the journal, the boot flag.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] when nothing is; when what is needed is neither stored nor known to the operator; when the
    /// flag can't be written.
    pub fn repair(
        mut board: Board,
        settings: Settings,
        known: &mut Known<'_>,
    ) -> Result<(Device, Repaired), Error> {
        let state = board.partitions.open(Partition::State)?;
        let system = SystemRoot::read(&mut board);
        let mut repaired = Repaired::default();
        let rooted = recover_root(&*state, &system, &settings, known);
        if let Ok(version) = rooted {
            repaired.root = version;
        }
        let mut device = match Journal::new(Sectors(state)).load() {
            Err(JournalError::Lost { .. }) => {
                rooted?;
                let (device, rebuilt) = Device::rebuild(board, settings, known)?;
                repaired.journal = Some(rebuilt);
                device
            }
            _ => {
                let mut device = Device::open(board, settings)?;
                repaired.release = device.name_running(known)?;
                // Without a root, the rest can be repaired all the same.
                if let Err(e) = rooted {
                    repaired.flag = device.mend_flag(known)?;
                    return if repaired.flag.is_some() { Ok((device, repaired)) } else { Err(e) };
                }
                device
            }
        };
        if device.mend_root()? {
            repaired.root = Some(device.trusted()?.root.version);
        }
        repaired.flag = device.mend_flag(known)?;
        // While a boot has shown something that no decision followed, nothing else is saved.
        if device.record.equivocation.is_some() && device.is_as_saved() {
            let mut next = device.record.clone();
            repaired.acknowledged = next.equivocation.take();
            device.save(next)?;
        }
        if repaired == Repaired::default() {
            let text = "the root, the journal and the boot flag are readable: there is nothing to repair";
            return Err(Error::NothingToDo(text.into()));
        }
        Ok((device, repaired))
    }

    /// Write a flag that isn't ours or that was torn. Gives the slot that is the default then.
    ///
    /// What runs becomes the default. Not if it is on trial, or given up: then the flag named the other slot when that
    /// update was accepted, and names it again, since only slots that proved themselves are ever the default.
    fn mend_flag(&mut self, known: &Known<'_>) -> Result<Option<Slot>, Error> {
        let boot = &mut self.board.boot;
        // One that is in use isn't lost.
        match boot.read().and_then(|flag| flag.check_content()) {
            Ok(()) => return Ok(boot.mend()?),
            Err(e) if e.stopping().is_some() => return Err(e.into()),
            Err(_) => {}
        }
        let booted = boot.booted();
        let slot = match &self.now {
            Now::Trial { target, .. }
            | Now::Saved(Saved::Committing { target, .. } | Saved::Reverting { target, .. }) => !target.slot,
            _ => booted,
        };
        match known.new_bootconfig {
            true => boot.renew(slot)?,
            false => boot.put_back(slot)?,
        }
        Ok(Some(slot))
    }

    /// Let the operator say which release runs, on a device that lost it.
    fn name_running(&mut self, known: &mut Known<'_>) -> Result<Option<Version>, Error> {
        let Some(open) = known.release.as_mut() else { return Ok(None) };
        let booted = self.board.boot.booted();
        if let Some(image) = self.running() {
            let text =
                format!("slot {booted} is known to run {}: `--release` names nothing new", image.version);
            return Err(Error::NothingToDo(text));
        }
        if *self.now() != Now::Saved(Saved::Idle) {
            let text = "an update is in flight: `bistable resume` finishes it, then name what runs";
            return Err(Error::NotNow(text.into()));
        }
        let trusted = self.trusted()?;
        let bytes = open(&trusted.all().collect::<Vec<_>>())?;
        let release = open_release(&bytes, &trusted).map_err(Error::Root)?;
        if release.product() != self.record.product {
            let text = format!(
                "it is a release for {}, and this device is a {}",
                release.product(),
                self.record.product
            );
            return Err(Error::Usage(text));
        }
        self.store_release(booted, &bytes)?;
        let image = image_of(&bytes, &release);
        let mut next = self.record.clone();
        next.floors.security_version = next.floors.security_version.max(image.security_version);
        next.history.retain(|entry| entry.release != image.release);
        next.history.push(rebuilt_entry(&image, booted));
        let most = next.history.len().saturating_sub(bistable_boot::HISTORY_LEN);
        next.history.drain(..most);
        next.slots[booted] = Some(image);
        self.save(next)?;
        Ok(Some(release.version))
    }

    /// Make the record again after both journal copies were lost, from what is known otherwise. Refused while the flag says
    /// that another slot is the default one.
    fn rebuild(
        mut board: Board,
        settings: Settings,
        known: &mut Known<'_>,
    ) -> Result<(Device, Rebuilt), Error> {
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
        let trusted = trusted(&*state, &SystemRoot::read(&mut board), &Verified::default())?;
        refuse_demo(&trusted.root, &settings)?;
        let running = running_release(&*state, booted, &trusted, known)?;
        let product = match &running {
            Some((release, _)) => release.product().into(),
            None => match (stored_release(&*state, !booted, &trusted)?, &known.product) {
                (Some((other, _)), _) => other.product().into(),
                (None, Some(product)) => product.clone(),
                (None, None) => return Err(Error::Usage(unknown_product(booted))),
            },
        };
        let mut record =
            new_record(&product, running.as_ref().map(|(_, image)| image), booted, &trusted.root);
        let kept = FloorsCopy::newest(floors::read_floors(&*state)?);
        let rebuilt =
            Rebuilt { seq: record.seq, floors_kept: kept.is_some(), release_known: running.is_some() };
        if let Some(kept) = kept {
            kept.restore(&mut record);
        }
        // Whether it holds a place is lost, too. Giving back what one doesn't have is fine.
        record.set_place(settings.update.fleet_lock.is_some());
        write_copies(&*state, &read_copies(&*state)?, &trusted.chain)?;
        floors::keep_floors(&*state, &record)?;
        journal.format(&record)?;
        Ok((Device::new(board, settings, record, journal, formats, state)?, rebuilt))
    }
}

/// Put a root where none can be trusted. Gives its version if that was needed.
fn recover_root(
    state: &dyn Volume,
    system: &SystemRoot,
    settings: &Settings,
    known: &Known<'_>,
) -> Result<Option<u32>, Error> {
    let lost = match choose(&read_copies(state)?, system) {
        Ok(_) => return Ok(None),
        Err(e) => e,
    };
    let root = match (lost, system.present(), &known.root) {
        (_, Some(root), _) => root.clone(),
        (Error::NoRoot(_), None, Some(bytes)) => SignedRoot::open(bytes).map_err(Error::Root)?,
        (Error::NoRoot(problem), None, None) => {
            return Err(Error::NoRoot(format!(
                "{problem}; the running system carries none either: `bistable repair --root-file FILE` takes the product's root \
                 from a file"
            )));
        }
        (e, None, _) => return Err(e),
    };
    refuse_demo(root.root(), settings)?;
    let (version, bytes) = (root.root().version, RootChain::of(root).encode());
    for at in layout::ROOT {
        write_stored(state, at, &bytes)?;
    }
    Ok(Some(version))
}

/// The release that a slot was written from, if it is stored and signed as it must be.
pub(super) fn stored_release(
    state: &dyn Volume,
    slot: Slot,
    trusted: &Trusted,
) -> Result<Option<(Release, Image)>, Error> {
    let bytes = match read_release(state, slot) {
        Ok(bytes) => bytes,
        Err(Error::Fault(e)) if e.stopping().is_some() => return Err(e.into()),
        Err(_) => return Ok(None),
    };
    Ok(open_release(&bytes, trusted).ok().map(|release| {
        let image = image_of(&bytes, &release);
        (release, image)
    }))
}

/// The release that runs: as stored, or else as the operator names it. That one is stored then.
fn running_release(
    state: &dyn Volume,
    booted: Slot,
    trusted: &Trusted,
    known: &mut Known<'_>,
) -> Result<Option<(Release, Image)>, Error> {
    if let Some(stored) = stored_release(state, booted, trusted)? {
        return Ok(Some(stored));
    }
    let Some(open) = known.release.as_mut() else { return Ok(None) };
    let bytes = open(&trusted.all().collect::<Vec<_>>())?;
    let release = open_release(&bytes, trusted).map_err(Error::Root)?;
    write_stored(state, layout::RELEASE[booted], &bytes)?;
    let image = image_of(&bytes, &release);
    Ok(Some((release, image)))
}

fn image_of(signed: &[u8], release: &Release) -> Image {
    Image {
        release: release_id(signed),
        version: release.version.clone(),
        security_version: release.security_version,
        durable: release.durable,
    }
}

/// A record that knows the product, and what runs if that is known. The other slot may be half written: nothing but the
/// journal would know, so it counts as empty.
fn new_record(product: &str, running: Option<&Image>, booted: Slot, root: &Root) -> Record {
    let nothing = Image {
        release: ReleaseId([0; 32]),
        version: Version::new(0, 0, 0),
        security_version: 0,
        durable: FIRST_FORMAT,
    };
    let mut record = Record::provision(product, running.cloned().unwrap_or(nothing), root.version);
    record.slots = BySlot { a: None, b: None };
    record.slots[booted] = running.cloned();
    record.history = running.map(|image| rebuilt_entry(image, booted)).into_iter().collect();
    record
}

fn rebuilt_entry(image: &Image, slot: Slot) -> Entry {
    Entry {
        version: image.version.clone(),
        release: image.release,
        slot,
        outcome: Outcome::Rebuilt,
        attempts: 0,
    }
}

fn unknown_product(booted: Slot) -> String {
    format!(
        "the release stored for slot {booted} is lost, too, and with it the name of this device's product: \
         `bistable repair --release FILE` takes both from the bundle of the release that runs, \
         `bistable repair --product NAME` continues without knowing which release that is"
    )
}
