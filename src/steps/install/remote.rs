//! Installs from a repository: the release is verified, its chunk lists and data are fetched by digest, and only of
//! chunks that the device doesn't have: neither in the slot that is written, nor in the running one. Where there is a delta
//! from what runs, its lists and data take their place.
use super::{
    buffer::Loan,
    chunk::ChunkAddr,
    content::{Attempt, Base, Content, Feed, Kind, Pipeline, volumes},
    delta::{self, Asked, Download, Known},
    error::InstallError,
    fetch::{Budget, Data, must},
    full::{Full, Turn, fetch_list, place},
    job::{Payload, Searched},
    plan::{Held, Step, chunk, full_chunks, full_step, plan, step},
};
use crate::{error::BundleError, source::Source};
use bistable_boot::ReleaseId;
use bistable_format::{ChunkList, Delta, Digest, Encoding, Envelope, Release, Root, VolumeKind, limits};
use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
};

/// What may be fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes at most; `None` for any number.
    pub bytes: Option<u64>,
    /// Whether the full data of a whole volume may not be.
    pub deltas_only: bool,
}

/// A release in a repository. It was verified; its lists and data weren't fetched yet.
#[allow(missing_debug_implementations, reason = "holds a source and volumes")]
pub struct Remote<S> {
    source: S,
    opened: Opened,
    base: Option<Base>,
    /// What the running slot should hold of what is wanted, by digest.
    held: Vec<(Digest, Held)>,
    full: Full,
    /// The delta's data for each volume that is made by it.
    patches: [Option<Data>; 2],
    budget: Budget,
}

/// A release that was fetched and verified.
#[derive(Clone, Debug)]
pub struct Opened {
    release: Release,
    signed: Vec<u8>,
    root: Root,
    allowed: Allowed,
    /// The delta from what runs, once it was asked for.
    asked: Option<Option<Box<Delta>>>,
    remarks: Vec<String>,
}

impl Opened {
    /// Fetch a release by the digest of its signed bytes, and verify it.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn fetch(mut source: &mut dyn Source, release: Digest, root: &Root) -> Result<Opened, BundleError> {
        Opened::from_signed(must(&mut source, "release", &release, Envelope::MAX_BYTES)?, root)
    }

    /// Verify a signed release.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub(crate) fn from_signed(signed: Vec<u8>, root: &Root) -> Result<Opened, BundleError> {
        let release = Release::open(&signed, root)?;
        let (allowed, remarks) = (Allowed::default(), Vec::new());
        Ok(Opened { release, signed, root: root.clone(), allowed, asked: None, remarks })
    }

    /// The release.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Its signed bytes.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// What it is known by on this device.
    pub fn release_id(&self) -> ReleaseId {
        crate::device::release_id(&self.signed)
    }

    /// What a person should know of the delta.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What may be fetched of it.
    #[must_use]
    pub fn allow(self, allowed: Allowed) -> Opened {
        Opened { allowed, ..self }
    }

    /// The release with where its lists and data are fetched from.
    pub fn from<S: Source>(self, source: S) -> Remote<S> {
        let budget = Budget::new(self.allowed.bytes);
        let (held, full, patches) = (Vec::new(), Full::default(), [None, None]);
        Remote { source, opened: self, base: None, held, full, patches, budget }
    }

    /// Ask once whether there is a delta from what runs, and say what has to be fetched.
    ///
    /// # Errors
    /// When the way to the repository failed; [`BundleError::TooMuch`] or [`BundleError::NoDelta`] when that isn't allowed.
    pub fn ask(
        &mut self,
        mut source: &mut dyn Source,
        running: Option<&Known>,
    ) -> Result<Download, BundleError> {
        let found = match (&self.asked, running) {
            (Some(found), _) => found.clone(),
            (None, None) => None,
            (None, Some(base)) => {
                let target = Known::of(&self.release, &self.signed);
                match delta::find(&mut source, &self.root, &target, base)? {
                    Asked::Found(delta) => Some(delta),
                    Asked::None => None,
                    Asked::Unusable(problem) => {
                        self.note(&problem);
                        None
                    }
                }
            }
        };
        self.asked = Some(found);
        let delta = self.asked.as_ref().and_then(Option::as_deref);
        delta::download(&self.release, delta, running.map(|known| &known.release.version))
    }

    /// Whether that much may be fetched.
    ///
    /// # Errors
    /// [`BundleError::TooMuch`] or [`BundleError::NoDelta`].
    pub fn check(&self, download: &Download) -> Result<(), BundleError> {
        let by_delta = self.asked.as_ref().and_then(Option::as_deref);
        let makes = |volume: &VolumeKind| by_delta.is_some_and(|d| d.artifact(volume.name()).is_some());
        if self.allowed.deltas_only && !VolumeKind::ALL.iter().all(makes) {
            return Err(BundleError::NoDelta { bytes: download.full_bytes });
        }
        match self.allowed.bytes {
            Some(most) if download.bytes > most => Err(BundleError::TooMuch { bytes: download.bytes, most }),
            _ => Ok(()),
        }
    }

    /// The delta isn't used, or not any more.
    ///
    /// # Errors
    /// [`BundleError::NoDelta`] if nothing else is allowed.
    fn refuse(&mut self, problem: &str) -> Result<(), BundleError> {
        self.note(problem);
        if self.allowed.deltas_only {
            let bytes = delta::download(&self.release, None, None)?.full_bytes;
            return Err(BundleError::NoDelta { bytes });
        }
        Ok(())
    }

    fn note(&mut self, problem: &str) {
        // Whoever narrates the remarks tells a person of it.
        log::info!(version:% = self.release.version, reason = problem; "delta_refused");
        let instead = if self.allowed.deltas_only { "" } else { ", full data is fetched instead" };
        self.remarks.push(format!("the delta is not used{instead}: {problem}"));
        self.asked = Some(None);
    }
}

impl<S: Source> Remote<S> {
    /// Fetch a release by the digest of its signed bytes, and verify it.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(mut source: S, release: Digest, root: &Root) -> Result<Self, BundleError> {
        Ok(Opened::fetch(&mut source, release, root)?.from(source))
    }

    /// The lists of the volumes that a delta makes; none if there is no delta, or anything is wrong with it.
    ///
    /// # Errors
    /// When the way to the repository failed.
    fn delta_lists(&mut self) -> Result<[Option<Arc<ChunkList>>; 2], BundleError> {
        let Some(base) = self.base.clone() else { return Ok([None, None]) };
        let known = Known { identity: base.identity, release: base.release };
        self.opened.ask(&mut self.source, Some(&known))?;
        let Some(Some(delta)) = self.opened.asked.clone() else { return Ok([None, None]) };
        match self.fetch_delta_lists(&delta, &known.release) {
            Err(e) if e.is_transport() => Err(e),
            Err(e) => {
                self.patches = [None, None];
                self.opened.refuse(&e.to_string())?;
                Ok([None, None])
            }
            Ok(lists) => Ok(lists),
        }
    }

    fn fetch_delta_lists(
        &mut self,
        delta: &Delta,
        base: &Release,
    ) -> Result<[Option<Arc<ChunkList>>; 2], BundleError> {
        let mut lists = [None, None];
        for volume in VolumeKind::ALL {
            let Some(artifact) = delta.artifact(volume.name()) else { continue };
            if !delta::is_smaller(&self.opened.release, delta, volume)? {
                continue;
            }
            let limit = limits::CHUNK_LIST.min(artifact.list_bytes as usize);
            let what = format!("delta's chunk list of the {volume} volume");
            self.budget.spend(artifact.list_bytes.into())?;
            let bytes = must(&mut self.source, &what, &artifact.list, limit)?;
            let (target, base) = (volumes(&self.opened.release)?.get(volume), volumes(base)?.get(volume));
            let list = artifact
                .list(&bytes, target, base)
                .map_err(|source| BundleError::DeltaList { volume, source })?;
            self.patches[place(volume)] = Some(Data::new(Kind::Delta, volume, &artifact.data, &list));
            lists[place(volume)] = Some(Arc::new(list));
        }
        Ok(lists)
    }

    /// What the running slot should hold of what is wanted of these volumes. Its lists are in the repository, if its release
    /// still is; they aren't worth it if then less than these bytes may be fetched.
    fn find_held(&mut self, wanted: &[Arc<ChunkList>], reserved: u64) {
        let Some(base) = self.base.clone() else { return };
        let mut digests: Vec<Digest> =
            wanted.iter().flat_map(|list| full_chunks(list)).map(|(_, digest)| digest).collect();
        if digests.is_empty() {
            return;
        }
        digests.sort_unstable();
        for volume in VolumeKind::ALL {
            let (Some(running), Some(target)) = (base.release.volumes(), self.opened.release.volumes())
            else {
                return;
            };
            let v = running.get(volume);
            let list = if v.list == target.get(volume).list {
                self.full.list(&mut self.source, &self.opened.release, volume, &mut self.budget)
            } else if self.budget.left().saturating_sub(reserved) < v.list_bytes.into() {
                log::info!(volume:%, reason = "update.max_download"; "nothing_reused");
                continue;
            } else {
                self.budget
                    .spend(v.list_bytes.into())
                    .and_then(|()| fetch_list(&mut self.source, &base.release, volume))
                    .map(Arc::new)
            };
            let list = match list {
                Ok(list) => list,
                Err(e) => {
                    log::info!(volume:%, running:% = base.release.version, reason:% = e; "nothing_reused");
                    continue;
                }
            };
            for (index, digest) in full_chunks(&list) {
                if digests.binary_search(&digest).is_ok() {
                    let at = index as u64 * u64::from(list.chunk_bytes);
                    let held = Held { volume, at, bytes: list.raw_bytes(index, v.bytes) };
                    self.held.push((digest, held));
                }
            }
        }
        self.held.sort_unstable_by_key(|(digest, held)| (*digest, held.volume, held.at));
        self.held.dedup_by_key(|(digest, _)| *digest);
    }

    /// Do what was planned for chunks that follow one another, until all of them are on their way.
    fn bring(&mut self, feed: &mut Feed<'_>, window: &[(ChunkAddr, Step)]) -> Result<Pipeline, InstallError> {
        let mut at = 0;
        while let Some((spot, planned)) = window.get(at).copied() {
            if feed.stopped() {
                return Ok(Pipeline::Stopped);
            }
            at += 1;
            let flow = match self.now(feed, spot, planned) {
                Step::Had => {
                    feed.progress(spot);
                    Pipeline::Open
                }
                Step::Zero => self.send(feed, spot, Payload::Zero)?,
                Step::Copy(range) => self.send(feed, spot, Payload::Copy(range))?,
                Step::Patch => match self.patch(feed, spot)? {
                    Some(payload) => self.send(feed, spot, payload)?,
                    // The delta is gone by now.
                    None => {
                        at -= 1;
                        Pipeline::Open
                    }
                },
                Step::Reuse(held) => match self.reuse(feed, spot, held)? {
                    Some(raw) => self.send(feed, spot, Payload::Raw(raw))?,
                    None => self.fetch(feed, spot, spot.index + 1, Turn::First)?,
                },
                Step::Fetch => {
                    let mut end = spot.index + 1;
                    while let Some((next, planned)) = window.get(at)
                        && (next.volume, next.index) == (spot.volume, end)
                        && matches!(self.now(feed, *next, *planned), Step::Fetch)
                    {
                        (at, end) = (at + 1, end + 1);
                    }
                    self.fetch(feed, spot, end, Turn::First)?
                }
            };
            if flow == Pipeline::Stopped {
                return Ok(flow);
            }
        }
        self.mend(feed)
    }

    /// What is done about a chunk now: the delta may have been given up since it was planned.
    fn now(&self, feed: &Feed<'_>, spot: ChunkAddr, planned: Step) -> Step {
        match planned {
            Step::Copy(_) | Step::Patch if self.patches[place(spot.volume)].is_none() => {
                chunk(feed.lists(), spot).map_or(Step::Fetch, |chunk| full_step(chunk, &self.held))
            }
            planned => planned,
        }
    }

    /// A chunk is passed on. If its volume is made by a delta and it doesn't come out right, its full data is fetched.
    fn send(
        &mut self,
        feed: &mut Feed<'_>,
        spot: ChunkAddr,
        payload: Payload,
    ) -> Result<Pipeline, InstallError> {
        feed.progress(spot);
        if self.patches[place(spot.volume)].is_none() || matches!(payload, Payload::Raw(_)) {
            return Ok(feed.send(spot, payload, Searched::NotThere));
        }
        match feed.attempt(spot, payload, Searched::NotThere)? {
            Attempt::Sent(flow) => Ok(flow),
            Attempt::Stale => self.fetch(feed, spot, spot.index + 1, Turn::Again),
        }
    }

    /// A chunk of a delta. If its data can't be had, the delta is given up.
    fn patch(&mut self, feed: &Feed<'_>, spot: ChunkAddr) -> Result<Option<Payload>, InstallError> {
        let volume = place(spot.volume);
        let (Some(chunk), Some(data)) = (chunk(feed.lists(), spot), &mut self.patches[volume]) else {
            return Ok(None);
        };
        let (digest, prefix) = match &chunk.encoding {
            Encoding::Patch { digest, prefix, .. } => (digest, Some(prefix.clone())),
            Encoding::Zstd { digest, .. } => (digest, None),
            // These have a step of their own.
            Encoding::Zero { .. } => return Ok(Some(Payload::Zero)),
            Encoding::Copy(range) => return Ok(Some(Payload::Copy(*range))),
        };
        let all = feed.lists()[volume].chunks.len();
        match data.frame(&mut self.source, feed, spot.index..all, digest, &mut self.budget) {
            Ok(frame) => Ok(Some(match prefix {
                Some(prefix) => Payload::Patch(frame, prefix),
                None => Payload::Zstd(frame),
            })),
            Err(e) if e.is_transport() || matches!(e, BundleError::TooMuch { .. }) => Err(e.into()),
            Err(e) => {
                self.give_up(feed, &e.to_string())?;
                Ok(None)
            }
        }
    }

    /// From now on without the delta, as if there were none.
    fn give_up(&mut self, feed: &Feed<'_>, problem: &str) -> Result<(), BundleError> {
        self.opened.refuse(problem)?;
        let by_delta = std::mem::take(&mut self.patches);
        let lists = feed.lists().iter().zip(by_delta).filter(|(_, data)| data.is_some());
        let wanted: Vec<_> = lists.map(|(list, _)| Arc::clone(list)).collect();
        self.find_held(&wanted, 0);
        Ok(())
    }

    /// Fetch what was made wrongly from the running slot.
    fn mend(&mut self, feed: &mut Feed<'_>) -> Result<Pipeline, InstallError> {
        let stale = feed.shared.attempts.settle();
        if feed.stopped() {
            return Ok(Pipeline::Stopped);
        }
        if stale.is_empty() {
            return Ok(Pipeline::Open);
        }
        log::info!(chunks = stale.len(); "stale_chunks");
        if feed.shared.attempts.are_vain() && self.patches.iter().any(Option::is_some) {
            self.give_up(feed, "the running system was changed in too many places since it was installed")?;
        }
        self.leave_deltas();
        let Remote { source, opened, full, budget, .. } = self;
        full.bring_again(source, &opened.release, feed, &stale, budget)
    }

    /// The source is needed for something else.
    fn leave_deltas(&mut self) {
        self.patches.iter_mut().flatten().for_each(Data::close);
    }

    /// Fetch neighbors of a volume, from a chunk to another one (exclusive).
    fn fetch(
        &mut self,
        feed: &mut Feed<'_>,
        spot: ChunkAddr,
        end: usize,
        turn: Turn,
    ) -> Result<Pipeline, InstallError> {
        self.leave_deltas();
        let Remote { source, opened, full, budget, .. } = self;
        full.bring(source, &opened.release, feed, (spot.volume, spot.index..end, turn), budget)
    }

    /// A chunk from the running slot, if it is there as it should be: that system may have been written to.
    fn reuse(&self, feed: &Feed<'_>, spot: ChunkAddr, held: Held) -> Result<Option<Loan>, InstallError> {
        let Some(base) = &self.base else { return Ok(None) };
        let Some(chunk) = chunk(feed.lists(), spot) else { return Ok(None) };
        let mut raw = feed.shared.raw.take(held.bytes as usize);
        match base.slots.get(held.volume).read(held.at, &mut raw) {
            Err(fault) if fault.stopping().is_some() => return Err(fault.into()),
            Err(_) => return Ok(None),
            Ok(()) => {}
        }
        if Digest::of(&raw) != chunk.digest {
            return Ok(None);
        }
        feed.shared.reused.fetch_add(1, Ordering::Relaxed);
        feed.shared.reused_bytes.fetch_add(raw.len() as u64, Ordering::Relaxed);
        Ok(Some(raw))
    }
}

impl<S: Source> Content for Remote<S> {
    fn release(&self) -> &Release {
        &self.opened.release
    }

    fn signed(&self) -> &[u8] {
        &self.opened.signed
    }

    fn reuses(&self) -> bool {
        true
    }

    fn offer(&mut self, running: Base) {
        self.base = Some(running);
    }

    fn lists(&mut self) -> Result<[Arc<ChunkList>; 2], BundleError> {
        let by_delta = self.delta_lists()?;
        let mut lists = Vec::new();
        let mut full = Vec::new();
        for (volume, list) in VolumeKind::ALL.into_iter().zip(by_delta) {
            lists.push(match list {
                Some(list) => list,
                None => {
                    let list =
                        self.full.list(&mut self.source, &self.opened.release, volume, &mut self.budget)?;
                    full.push(Arc::clone(&list));
                    list
                }
            });
        }
        let data =
            full.iter().flat_map(|list| &list.chunks).map(|chunk| u64::from(chunk.encoding.data_bytes()));
        self.find_held(&full, data.sum());
        <[_; 2]>::try_from(lists).map_err(|_| BundleError::NotAnImage)
    }

    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError> {
        let header = ChunkAddr { volume: VolumeKind::Boot, index: 0 };
        // Searched for before anything is written, because the first write erases it.
        let there = self.header_there(feed, header)?;
        let (lists, bytes, shared) = (feed.lists(), feed.bytes, feed.shared);
        let held = std::mem::take(&mut self.held);
        let flow = thread::scope(|scope| {
            let (to_feed, windows) = mpsc::sync_channel(1);
            let held = &held;
            scope.spawn(move || plan(shared, lists, bytes, held, &to_feed));
            for window in windows {
                if self.bring(feed, &window)? == Pipeline::Stopped {
                    return Ok(Pipeline::Stopped);
                }
            }
            Ok::<_, InstallError>(Pipeline::Open)
        })?;
        if flow == Pipeline::Stopped || feed.stopped() {
            return Ok(());
        }
        match there {
            Some(raw) => {
                self.send(feed, header, Payload::Raw(raw))?;
            }
            None => {
                self.bring(feed, &[(header, step(lists, header, &held))])?;
            }
        }
        Ok(())
    }

    fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.opened.remarks)
    }
}

impl<S: Source> Remote<S> {
    /// The chunk with the header, if the slot has it.
    fn header_there(&self, feed: &Feed<'_>, spot: ChunkAddr) -> Result<Option<Loan>, InstallError> {
        let [boot, _] = feed.lists();
        let Some(chunk) = boot.chunks.first() else { return Ok(None) };
        // Of the larger kind: the others are needed while this one is kept.
        let mut raw = feed.encoded(boot.raw_bytes(spot.index, feed.bytes[0]));
        match feed.shared.slots.get(spot.volume).read(0, &mut raw) {
            Err(fault) if fault.stopping().is_some() => Err(fault.into()),
            Ok(()) if Digest::of(&raw) == chunk.digest => Ok(Some(raw)),
            _ => Ok(None),
        }
    }
}
