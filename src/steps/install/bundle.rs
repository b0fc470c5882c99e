//! Installs from a bundle that is a stream, read by the [strict reader](bistable_format::bundle::Reader) that host and device share.
mod archive;
pub(super) use archive::chunks;

use super::{
    buffer::Loan,
    chunk::ChunkAddr,
    content::{Attempt, Base, Content, Feed, Kind, Pipeline, volumes},
    error::InstallError,
    fetch::Budget,
    full::Full,
    job::{Payload, Searched},
};
use crate::{error::BundleError, source::Source as Repository};
use bistable_format::{
    ChunkList, Delta, Digest, Encoding, Release, Root, VolumeKind,
    bundle::{Input, Part, Reader},
    delta::ArtifactDelta,
    release,
};
use std::{
    io::{self, Read},
    sync::Arc,
};

/// A stream of a bundle's bytes.
struct Stream<R>(R);

impl<R: Read> Input for Stream<R> {
    type Error = io::Error;

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// A bundle whose release was verified; everything after it is still in the stream.
#[allow(missing_debug_implementations, reason = "holds a stream")]
pub struct Bundle<R> {
    reader: Reader<Stream<R>>,
    /// The verified release.
    pub release: Release,
    /// Its signed bytes.
    pub signed: Vec<u8>,
    /// What makes it from another release, if this is the bundle of a delta.
    delta: Option<Delta>,
    /// What runs; a delta needs it.
    base: Option<Base>,
    /// Where full data may be had for what a delta can't make.
    repository: Option<Box<dyn Repository>>,
}

impl<R: Read> Bundle<R> {
    /// Read up to the release, and verify it. What came before it is compared with what must come before it.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(inner: R, root: &Root) -> Result<Self, BundleError> {
        let reader = Reader::open(Stream(inner), root, None)?;
        let (release, signed) = (reader.release().clone(), reader.signed().to_vec());
        let delta = reader.delta().map(|(_, delta)| delta.clone());
        Ok(Bundle { reader, release, signed, delta, base: None, repository: None })
    }

    /// Where full data may be had for what a delta can't make.
    #[must_use]
    pub fn or_fetch(self, repository: Option<Box<dyn Repository>>) -> Self {
        Bundle { repository, ..self }
    }

    fn list(&mut self, volume: VolumeKind) -> Result<ChunkList, BundleError> {
        let v = volumes(&self.release)?.get(volume).clone();
        self.by_delta(volume)?;
        let encoded = self.reader.list(volume)?;
        match (self.by_delta(volume)?, &self.base) {
            (Some(artifact), Some(base)) => artifact
                .list(&encoded, &v, volumes(&base.release)?.get(volume))
                .map_err(|source| BundleError::DeltaList { volume, source }),
            _ => ChunkList::decode(&encoded, &v).map_err(|source| BundleError::List { volume, source }),
        }
    }

    /// How a delta makes a volume.
    fn by_delta(&self, volume: VolumeKind) -> Result<Option<&ArtifactDelta>, BundleError> {
        let Some(delta) = &self.delta else { return Ok(None) };
        delta.artifact(volume.name()).map(Some).ok_or(BundleError::Partial { volume })
    }

    /// A delta is between these very releases.
    fn check_base(&self) -> Result<(), BundleError> {
        let Some(delta) = &self.delta else { return Ok(()) };
        let Some(base) = &self.base else {
            let running = "a release that is not stored on it".into();
            let (base, target) = (format!("release {:.12}", delta.base), self.release.version.clone());
            return Err(BundleError::OtherBase { base, target, running });
        };
        let target = (&release::identity(&self.signed), &self.release);
        delta.check_between(target, (&base.identity, &base.release)).map_err(BundleError::DeltaOfOthers)
    }

    /// Fetch what the running slot was no good for: from the repository, if there is one.
    fn mend(&mut self, feed: &mut Feed<'_>, header_is_stale: bool) -> Result<(), InstallError> {
        let mut stale = feed.shared.attempts.settle();
        if header_is_stale {
            stale.push(ChunkAddr { volume: VolumeKind::Boot, index: 0 });
        }
        if stale.is_empty() || feed.stopped() {
            return Ok(());
        }
        let chunks = stale.len();
        log::info!(chunks; "stale_chunks");
        let Some(repository) = &mut self.repository else {
            return Err(BundleError::Stale { chunks, problem: None }.into());
        };
        let (mut full, mut budget) = (Full::default(), Budget::default());
        match full.bring_again(repository, &self.release, feed, &stale, &mut budget) {
            // The stream was right: that the repository isn't says nothing about it.
            Err(InstallError::Bundle(e)) => {
                let problem = Some(e.to_string());
                Err(BundleError::Stale { chunks, problem }.into())
            }
            done => done.map(drop),
        }
    }
}

impl<R: Read> Content for Bundle<R> {
    fn release(&self) -> &Release {
        &self.release
    }

    fn signed(&self) -> &[u8] {
        &self.signed
    }

    fn reuses(&self) -> bool {
        self.delta.is_some()
    }

    fn offer(&mut self, running: Base) {
        self.base = Some(running);
    }

    fn needs(&self) -> Option<Digest> {
        self.delta.as_ref().map(|delta| delta.base)
    }

    fn lists(&mut self) -> Result<[Arc<ChunkList>; 2], BundleError> {
        self.check_base()?;
        let boot = self.list(VolumeKind::Boot)?;
        let system = self.list(VolumeKind::System)?;
        Ok([Arc::new(boot), Arc::new(system)])
    }

    /// A stream has every chunk, in order, so every one is read; which of them the slot has already is found out later,
    /// by several threads.
    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError> {
        let kind = if self.delta.is_some() { Kind::Delta } else { Kind::Full };
        let mut header_is_stale = false;
        for (volume, list) in VolumeKind::ALL.into_iter().zip(feed.lists()) {
            self.reader.begin(Part::Data(volume.into())).map_err(BundleError::from)?;
            for (index, chunk) in list.chunks.iter().enumerate() {
                if feed.stopped() {
                    return Ok(());
                }
                let spot = ChunkAddr { volume, index };
                let payload = match &chunk.encoding {
                    Encoding::Copy(range) => Payload::Copy(*range),
                    Encoding::Zero { bytes, digest } => {
                        self.frame(feed, (spot, kind), *bytes, digest)?;
                        Payload::Zero
                    }
                    Encoding::Zstd { bytes, digest } => {
                        Payload::Zstd(self.frame(feed, (spot, kind), *bytes, digest)?)
                    }
                    Encoding::Patch { bytes, digest, prefix } => {
                        Payload::Patch(self.frame(feed, (spot, kind), *bytes, digest)?, prefix.clone())
                    }
                };
                feed.progress(spot);
                let flow = match kind {
                    Kind::Full => feed.send(spot, payload, Searched::No),
                    Kind::Delta => match feed.attempt(spot, payload, Searched::No)? {
                        Attempt::Sent(flow) => flow,
                        Attempt::Stale => {
                            header_is_stale = true;
                            Pipeline::Open
                        }
                    },
                };
                if flow == Pipeline::Stopped {
                    return Ok(());
                }
            }
            self.reader.finish(Part::Data(volume.into())).map_err(BundleError::from)?;
        }
        self.reader.end().map_err(BundleError::from)?;
        self.mend(feed, header_is_stale)
    }
}

impl<R: Read> Bundle<R> {
    /// The next chunk's encoded bytes, verified.
    fn frame(
        &mut self,
        feed: &Feed<'_>,
        (ChunkAddr { volume, index }, kind): (ChunkAddr, Kind),
        bytes: u32,
        digest: &Digest,
    ) -> Result<Loan, BundleError> {
        let mut encoded = feed.encoded(bytes);
        let at = self.reader.at();
        self.reader.fill(&mut encoded, Part::Data(volume.into()))?;
        if Digest::of(&encoded) != *digest {
            return Err(BundleError::Chunk { volume, index, at });
        }
        feed.fetched(kind, bytes.into());
        Ok(encoded)
    }
}
