//! Reads a bundle from a stream, strictly: a bit that isn't as it must be is an error that says where.
use super::{
    buffer::Loan,
    chunk::ChunkAddr,
    content::{Attempt, Base, Content, Feed, Kind, Pipeline, volumes},
    error::InstallError,
    fetch::Budget,
    full::Full,
    job::{Looked, Payload},
};
use crate::{
    error::BundleError,
    source::{Source as Repository, SourceError},
};
use bistable_format::{
    ChunkList, DecodeError, Delta, Digest, Encoding, Envelope, Release, Root, VolumeKind,
    bundle::{self, Frame, Header},
    delta::ArtifactDelta,
    limits, release,
};
use std::{
    io::{self, Read},
    sync::Arc,
};

/// A stream that knows where it is, hashes nothing and trusts nothing.
struct Source<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, into: &mut [u8], within: &str) -> Result<(), BundleError> {
        let mut filled = 0;
        while filled < into.len() {
            match self.inner.read(&mut into[filled..]) {
                Ok(0) => return Err(BundleError::Truncated { at: self.at, within: within.into() }),
                Ok(n) => {
                    filled += n;
                    self.at += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let at = self.at;
                    return Err(match e.downcast::<SourceError>() {
                        Ok(e) => BundleError::Source(e),
                        Err(source) => BundleError::Read { at, source },
                    });
                }
            }
        }
        Ok(())
    }

    /// Bytes that must be exactly these.
    fn expect(&mut self, want: &[u8], within: &str) -> Result<(), BundleError> {
        let start = self.at;
        let mut got = vec![0; want.len()];
        self.fill(&mut got, within)?;
        if got == want { Ok(()) } else { Err(BundleError::Damaged { at: start, within: within.into() }) }
    }

    fn header(&mut self, within: &str) -> Result<Header, BundleError> {
        let start = self.at;
        let mut block = [0; bundle::BLOCK];
        self.fill(&mut block, within)?;
        Header::decode(&block).map_err(|_| BundleError::Damaged { at: start, within: within.into() })
    }

    fn padding(&mut self, header: &Header, within: &str) -> Result<(), BundleError> {
        self.expect(&[0; bundle::BLOCK][..header.padding()], within)
    }

    /// A small entry's content and padding.
    fn content(&mut self, header: &Header, limit: u64, within: &str) -> Result<Vec<u8>, BundleError> {
        let damaged = BundleError::Damaged { at: self.at, within: within.into() };
        let Some(len) = usize::try_from(header.bytes).ok().filter(|_| header.bytes <= limit) else {
            return Err(damaged);
        };
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, within)?;
        self.padding(header, within)?;
        Ok(bytes)
    }
}

/// A bundle whose release was verified; everything after it is still in the stream.
#[allow(missing_debug_implementations, reason = "holds a stream")]
pub struct Bundle<R> {
    source: Source<R>,
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
        let mut source = Source { inner, at: 0 };
        let layout = Header { name: bundle::LAYOUT_NAME.into(), bytes: bundle::LAYOUT.len() as u64 };
        // Whatever else somebody gives us fails here, before a word about damage would confuse them.
        if source.header("head").map_err(not_a_bundle)? != layout {
            return Err(BundleError::NotABundle { at: 0 });
        }
        source.expect(bundle::LAYOUT.as_bytes(), "layout").map_err(not_a_bundle)?;
        source.padding(&layout, "layout")?;

        // These come before anything is verified: bounded, kept, and compared once the release is known.
        let mut seen = vec![layout];
        let mut contents = Vec::new();
        for within in ["index", "manifest", "config"] {
            let header = source.header(within)?;
            contents.push(source.content(&header, limits::BUNDLE_TEXT, within)?);
            seen.push(header);
        }
        let starts = source.at;
        let header = source.header("release")?;
        let signed = source.content(&header, Envelope::MAX_BYTES as u64, "release")?;
        seen.push(header);

        let release = Release::open(&signed, root)?;
        let (frame, delta) = match contents.get(1).map(|manifest| bundle::Kind::claimed(manifest)) {
            Some(bundle::Kind::Delta) => {
                let header = source.header("delta")?;
                let signed_delta = source.content(&header, Envelope::MAX_BYTES as u64, "delta")?;
                seen.push(header);
                let delta = Delta::open(&signed_delta, root)?;
                (Frame::delta((&signed, &release), (&signed_delta, &delta)), Some(delta))
            }
            Some(bundle::Kind::Full) | None => (Frame::new(&signed, &release), None),
        };
        let want = [frame.index.as_bytes(), frame.manifest.as_bytes(), bundle::EMPTY.as_bytes()];
        for (got, (want, within)) in contents.iter().zip(want.iter().zip(["index", "manifest", "config"])) {
            if got != want {
                return Err(BundleError::Damaged { at: bundle::BLOCK as u64, within: within.into() });
            }
        }
        if frame.headers.get(..seen.len()) != Some(&seen[..]) {
            return Err(BundleError::Damaged { at: starts, within: "head".into() });
        }
        let identity = release::identity(&signed);
        if let Some(delta) = delta.as_ref().filter(|delta| delta.target != identity) {
            let problem = format!("it makes release {:.12}, not {identity:.12}", delta.target);
            return Err(BundleError::DeltaOfOthers(DecodeError::Invalid { what: "delta", problem }));
        }
        Ok(Bundle { source, release, signed, delta, base: None, repository: None })
    }

    /// Where full data may be had for what a delta can't make.
    #[must_use]
    pub fn or_fetch(self, repository: Option<Box<dyn Repository>>) -> Self {
        Bundle { repository, ..self }
    }

    fn list(&mut self, volume: VolumeKind) -> Result<ChunkList, BundleError> {
        let within = format!("{volume} volume's chunk list");
        let v = volumes(&self.release)?.get(volume).clone();
        let by_delta = self.by_delta(volume)?;
        let (list, list_bytes) = by_delta.map_or((v.list, v.list_bytes), |a| (a.list, a.list_bytes));
        let start = self.source.at;
        let header = Header::blob(&list, list_bytes.into());
        if self.source.header(&within)? != header {
            return Err(BundleError::Damaged { at: start, within });
        }
        let start = self.source.at;
        let encoded = self.source.content(&header, limits::CHUNK_LIST as u64, &within)?;
        if Digest::of(&encoded) != list {
            return Err(BundleError::Damaged { at: start, within });
        }
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

    /// The header before a volume's data.
    fn begin(&mut self, volume: VolumeKind) -> Result<(), BundleError> {
        let within = format!("{volume} volume's data");
        let start = self.source.at;
        let header = self.data_header(volume)?;
        if self.source.header(&within)? == header {
            Ok(())
        } else {
            Err(BundleError::Damaged { at: start, within })
        }
    }

    /// The next chunk's encoded bytes. Where it began is given back, for messages; nothing is verified yet.
    fn encoded(&mut self, volume: VolumeKind, into: &mut [u8]) -> Result<u64, BundleError> {
        let start = self.source.at;
        self.source.fill(into, &format!("{volume} volume's data"))?;
        Ok(start)
    }

    /// The padding after a volume's data.
    fn finish(&mut self, volume: VolumeKind) -> Result<(), BundleError> {
        let header = self.data_header(volume)?;
        self.source.padding(&header, "padding")
    }

    /// The end, and that nothing follows it.
    fn end(&mut self) -> Result<(), BundleError> {
        self.source.expect(&[0; bundle::END_BYTES], "end")?;
        let at = self.source.at;
        match self.source.fill(&mut [0], "end") {
            Err(BundleError::Truncated { .. }) => Ok(()),
            Ok(()) => Err(BundleError::Trailing { at }),
            Err(e) => Err(e),
        }
    }

    fn data_header(&self, volume: VolumeKind) -> Result<Header, BundleError> {
        let v = volumes(&self.release)?.get(volume);
        let (data, bytes) = self.by_delta(volume)?.map_or((v.data, v.data_bytes), |a| (a.data, a.data_bytes));
        Ok(Header::blob(&data, bytes))
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
            self.begin(volume)?;
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
                    Kind::Full => feed.send(spot, payload, Looked::No),
                    Kind::Delta => match feed.attempt(spot, payload, Looked::No)? {
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
            self.finish(volume)?;
        }
        self.end()?;
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
        let at = self.encoded(volume, &mut encoded)?;
        if Digest::of(&encoded) != *digest {
            return Err(BundleError::Chunk { volume, index, at });
        }
        feed.fetched(kind, bytes.into());
        Ok(encoded)
    }
}

fn not_a_bundle(e: BundleError) -> BundleError {
    match e {
        BundleError::Damaged { at, .. } | BundleError::Truncated { at, .. } => BundleError::NotABundle { at },
        other => other,
    }
}
