//! A release in a repository: only what the device lacks is fetched, in as few requests as that takes.
//!
//! ```text
//! planner                              caller's thread
//! is the slot's chunk right? ──▶ had   pass over it
//! all zeros?                     zero  make it here
//! in the running slot?           reuse read it there, hash it; fetch it after all if it isn't the same
//! none of these                  fetch neighbours in one request; hash each; a wrong one from another mirror
//! ```
//! The chunk with the header comes last: an installation that is cut short has nothing that is fetched twice, but for
//! the chunk that it was cut in.
use super::{
    buffer::Loan,
    bundle::{BundleError, volumes},
    content::{Base, Content, Feed, Flow, Spot, encoding},
    pipeline::{InstallError, Looked, Payload},
    plan::{Held, Step, chunk, full_chunks, plan, step},
};
use crate::source::{Others, Source, SourceError, Span, fill};
use bistable_format::{ChunkList, Digest, Envelope, Release, Root, VolumeKind, bundle, limits};
use std::{
    ops::Range,
    sync::{atomic::Ordering, mpsc},
    thread,
};

/// The same thing is taken so often, wrong each time, before it is given up.
const WRONG_MAX: u32 = 8;
/// … and so often if there is nobody else to ask: something on the way may have flipped a bit.
const WRONG_ALONE: u32 = 2;

/// A release in a repository. It was verified; its lists and data weren't fetched yet.
#[allow(missing_debug_implementations, reason = "holds a source and volumes")]
pub struct Remote<S> {
    source: S,
    release: Release,
    signed: Vec<u8>,
    base: Option<Base>,
    /// What the running slot should hold of what is wanted, by digest.
    held: Vec<(Digest, Held)>,
    /// Where each chunk's data begins, and where the last one's ends.
    offsets: [Vec<u64>; 2],
}

/// A release that was fetched and verified.
#[derive(Clone, Debug)]
pub struct Opened {
    release: Release,
    signed: Vec<u8>,
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
        Ok(Opened { release, signed })
    }

    /// Its signed bytes.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// The release with where its lists and data are fetched from.
    pub fn from<S: Source>(self, source: S) -> Remote<S> {
        let Opened { release, signed } = self;
        Remote { source, release, signed, base: None, held: Vec::new(), offsets: [Vec::new(), Vec::new()] }
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

    fn list(&mut self, release: &Release, volume: VolumeKind) -> Result<ChunkList, BundleError> {
        let v = volumes(release)?.get(volume);
        let limit = limits::CHUNK_LIST.min(v.list_bytes as usize);
        let what = format!("chunk list of the {volume} volume");
        let bytes = must(&mut self.source, &what, &v.list, limit)?;
        ChunkList::decode(&bytes, v).map_err(|source| BundleError::List { volume, source })
    }

    /// What the running slot should hold of what is wanted. Its lists are in the repository, if its release still is.
    fn find_held(&mut self, lists: &[ChunkList; 2]) {
        let Some(base) = self.base.clone() else { return };
        let mut wanted: Vec<Digest> = lists.iter().flat_map(full_chunks).map(|(_, digest)| digest).collect();
        wanted.sort_unstable();
        for (volume, target) in VolumeKind::ALL.into_iter().zip(lists) {
            let (Some(running), Some(target_volumes)) = (base.release.volumes(), self.release.volumes())
            else {
                return;
            };
            let v = running.get(volume);
            let fetched;
            let list = if v.list == target_volumes.get(volume).list {
                target
            } else {
                match self.list(&base.release, volume) {
                    Ok(list) => {
                        fetched = list;
                        &fetched
                    }
                    Err(e) => {
                        log::info!("reuse=none volume={volume} running={} {e}", base.release.version);
                        continue;
                    }
                }
            };
            for (index, digest) in full_chunks(list) {
                if wanted.binary_search(&digest).is_ok() {
                    let at = index as u64 * u64::from(list.chunk_bytes);
                    let held = Held { volume, at, bytes: list.raw_bytes(index, v.bytes) };
                    self.held.push((digest, held));
                }
            }
        }
        self.held.sort_unstable_by_key(|(digest, held)| (*digest, held.volume, held.at));
        self.held.dedup_by_key(|(digest, _)| *digest);
    }

    /// Do what was planned for chunks that follow one another.
    fn bring(&mut self, feed: &mut Feed<'_>, window: &[(Spot, Step)]) -> Result<Flow, InstallError> {
        let mut at = 0;
        while let Some((spot, step)) = window.get(at).copied() {
            if feed.stopped() {
                return Ok(Flow::Stopped);
            }
            at += 1;
            let flow = match step {
                Step::Had => {
                    self.done(feed, spot);
                    Flow::On
                }
                Step::Zero => self.send(feed, spot, Payload::Zero),
                Step::Reuse(held) => match self.reuse(feed, spot, held)? {
                    Some(raw) => self.send(feed, spot, Payload::Raw(raw)),
                    None => self.fetch(feed, spot.volume, spot.index..spot.index + 1)?,
                },
                Step::Fetch => {
                    let mut end = spot.index + 1;
                    while let Some((Spot { volume, index }, Step::Fetch)) = window.get(at)
                        && (*volume, *index) == (spot.volume, end)
                    {
                        (at, end) = (at + 1, end + 1);
                    }
                    self.fetch(feed, spot.volume, spot.index..end)?
                }
            };
            if flow == Flow::Stopped {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn done(&self, feed: &mut Feed<'_>, spot: Spot) {
        let [from, to] = self.places(spot.volume, spot.index..spot.index + 1);
        feed.progress(u32::try_from(to - from).unwrap_or(u32::MAX));
    }

    fn send(&self, feed: &mut Feed<'_>, spot: Spot, payload: Payload) -> Flow {
        self.done(feed, spot);
        feed.send(spot, payload, Looked::NotThere)
    }

    /// First and last byte (exclusive) of the data of some chunks.
    fn places(&self, volume: VolumeKind, chunks: Range<usize>) -> [u64; 2] {
        let [boot, system] = &self.offsets;
        let offsets = if volume == VolumeKind::Boot { boot } else { system };
        [chunks.start, chunks.end].map(|index| offsets.get(index).copied().unwrap_or(0))
    }

    /// A chunk from the running slot, if it is there as it should be: somebody may have written to that system.
    fn reuse(&self, feed: &Feed<'_>, spot: Spot, held: Held) -> Result<Option<Loan>, InstallError> {
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

    /// Fetch neighbours in one request. One that comes wrong is asked for again, with what follows it.
    fn fetch(
        &mut self,
        feed: &mut Feed<'_>,
        volume: VolumeKind,
        mut chunks: Range<usize>,
    ) -> Result<Flow, InstallError> {
        let path = bundle::blob_name(&volumes(&self.release)?.get(volume).data);
        let mut wrong = 0;
        'again: while !chunks.is_empty() {
            let [from, to] = self.places(volume, chunks.clone());
            let mut begun = self.source.begin(&path, Span::new(from, to));
            while !chunks.is_empty() {
                let spot = Spot { volume, index: chunks.start };
                let Some(chunk) = chunk(feed.lists(), spot) else { return Ok(Flow::Stopped) };
                let (bytes, digest, _) = encoding(&chunk.encoding)?;
                if feed.stopped() {
                    return Ok(Flow::Stopped);
                }
                let mut encoded = feed.encoded(bytes);
                let came =
                    std::mem::replace(&mut begun, Ok(())).and_then(|()| fill(&mut self.source, &mut encoded));
                match came {
                    Ok(()) => feed.fetched(bytes.into()),
                    // Named by its digest, it is the same: it has to be asked for anew.
                    Err(SourceError::Changed { .. }) => {}
                    Err(e) => return Err(BundleError::Source(e).into()),
                }
                if Digest::of(&encoded) != digest {
                    let what = format!("data of chunk {} of the {volume} volume", spot.index);
                    was_wrong(&mut self.source, &mut wrong, &what, &digest)?;
                    continue 'again;
                }
                wrong = 0;
                chunks.start += 1;
                if self.send(feed, spot, Payload::Zstd(encoded)) == Flow::Stopped {
                    return Ok(Flow::Stopped);
                }
            }
        }
        Ok(Flow::On)
    }
}

impl<S: Source> Content for Remote<S> {
    fn release(&self) -> &Release {
        &self.release
    }

    fn signed(&self) -> &[u8] {
        &self.signed
    }

    fn reuses(&self) -> bool {
        true
    }

    fn offer(&mut self, running: Base) {
        self.base = Some(running);
    }

    fn lists(&mut self) -> Result<[ChunkList; 2], BundleError> {
        let release = self.release.clone();
        let lists = [self.list(&release, VolumeKind::Boot)?, self.list(&release, VolumeKind::System)?];
        self.offsets = lists.each_ref().map(|list| {
            let ends = list.chunks.iter().scan(0, |end, chunk| {
                *end += u64::from(chunk.encoding.data_bytes());
                Some(*end)
            });
            std::iter::once(0).chain(ends).collect()
        });
        self.find_held(&lists);
        Ok(lists)
    }

    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError> {
        let header = Spot { volume: VolumeKind::Boot, index: 0 };
        // Looked for before anything is written, because the first write erases it.
        let there = self.header_there(feed, header)?;
        let (lists, bytes, shared) = (feed.lists(), feed.bytes, feed.shared);
        let held = std::mem::take(&mut self.held);
        let flow = thread::scope(|scope| {
            let (to_feed, windows) = mpsc::sync_channel(1);
            let held = &held;
            scope.spawn(move || plan(shared, lists, bytes, held, &to_feed));
            for window in windows {
                if self.bring(feed, &window)? == Flow::Stopped {
                    return Ok(Flow::Stopped);
                }
            }
            Ok::<_, InstallError>(Flow::On)
        })?;
        if flow == Flow::Stopped || feed.stopped() {
            return Ok(());
        }
        match there {
            Some(raw) => {
                self.send(feed, header, Payload::Raw(raw));
            }
            None => {
                self.bring(feed, &[(header, step(lists, header, &held))])?;
            }
        }
        Ok(())
    }
}

impl<S: Source> Remote<S> {
    /// The chunk with the header, if the slot has it.
    fn header_there(&self, feed: &Feed<'_>, spot: Spot) -> Result<Option<Loan>, InstallError> {
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

/// A small blob that has to be there, verified.
fn must(source: &mut impl Source, what: &str, digest: &Digest, limit: usize) -> Result<Vec<u8>, BundleError> {
    let mut wrong = 0;
    loop {
        let Some(bytes) = source.small(&bundle::blob_name(digest), limit)? else {
            return Err(BundleError::Missing { what: what.into(), digest: *digest, from: source.name() });
        };
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        was_wrong(source, &mut wrong, what, digest)?;
    }
}

/// What came had another digest: ask somebody else, as long as there is hope.
fn was_wrong(
    source: &mut impl Source,
    wrong: &mut u32,
    what: &str,
    digest: &Digest,
) -> Result<(), BundleError> {
    *wrong += 1;
    let from = source.name();
    let hope = match source.blame() {
        Others::Next => *wrong < WRONG_MAX,
        Others::None => *wrong < WRONG_ALONE,
    };
    log::warn!("wrong={wrong} from={from} {what}");
    if hope { Ok(()) } else { Err(BundleError::Blob { what: what.into(), digest: *digest, from }) }
}
