//! Reads a bundle from a stream, strictly: a bit that isn't as it must be is an error that says where.
use super::{
    content::{Content, Feed, Flow, Spot, encoding},
    pipeline::{InstallError, Looked, Payload},
};
use crate::source::SourceError;
use bistable_format::{
    ChunkList, DecodeError, Digest, Envelope, Release, Root, TrustError, VolumeKind, Volumes,
    bundle::{self, Frame, Header},
    limits,
};
use std::io::{self, Read};

/// Why a bundle can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The stream failed.
    #[error("reading the bundle at byte {at}: {source}")]
    Read {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The way to the bundle or repository failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A repository lacks something that its metadata names.
    #[error("the {what} ({digest:.12}) is not in {from}: the repository is incomplete")]
    Missing {
        /// What it is.
        what: String,
        /// Its digest.
        digest: Digest,
        /// Address or path of the repository.
        from: String,
    },
    /// Whoever was asked gave other bytes than those of that digest.
    #[error("the {what} ({digest:.12}) is damaged in {from}, and nobody else has it right")]
    Blob {
        /// What it is.
        what: String,
        /// Its digest.
        digest: Digest,
        /// Address or path of the repository.
        from: String,
    },
    /// The stream ended early.
    #[error("the bundle ends at byte {at}, in its {within}: fetch or copy it again")]
    Truncated {
        /// Where.
        at: u64,
        /// In which part.
        within: String,
    },
    /// It doesn't begin as a bundle does.
    #[error("this is not a bundle (byte {at}): `bistable-image build` makes them")]
    NotABundle {
        /// Where.
        at: u64,
    },
    /// A byte around the data isn't as it must be.
    #[error("the bundle is damaged at byte {at}, in its {within}: fetch or copy it again")]
    Damaged {
        /// Where the damaged part begins.
        at: u64,
        /// Which part.
        within: String,
    },
    /// The release isn't signed as this device demands, or doesn't make sense.
    #[error("{0}")]
    Untrusted(#[from] TrustError),
    /// A chunk list makes no sense, though its digest is right: the release was built wrongly.
    #[error("the chunk list of the {volume} volume: {source}")]
    List {
        /// Which volume.
        volume: VolumeKind,
        /// What is wrong.
        source: DecodeError,
    },
    /// A chunk's encoded bytes have another digest.
    #[error(
        "chunk {index} of the {volume} volume is damaged (bundle byte {at}): fetch or copy the bundle again"
    )]
    Chunk {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
        /// Where it begins in the bundle.
        at: u64,
    },
    /// A chunk that was verified doesn't decode to what the list says: the release was built wrongly.
    #[error(
        "chunk {index} of the {volume} volume does not decode to what its list says: the release was built wrongly"
    )]
    Content {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// A delta, which needs another installer.
    #[error("this bundle is a delta; this version installs full bundles only: fetch the full one")]
    Delta,
    /// A release of something else than a system.
    #[error("this release is not an image, and this version installs images only: update Bistable first")]
    NotAnImage,
    /// Bytes follow the end.
    #[error("bytes follow the end of the bundle (byte {at}): it was not made by `bistable-image build`")]
    Trailing {
        /// Where.
        at: u64,
    },
}

impl BundleError {
    /// Whether a signature or digest is what's wrong.
    pub fn is_untrusted(&self) -> bool {
        !matches!(
            self,
            BundleError::Read { .. }
                | BundleError::Source(_)
                | BundleError::Missing { .. }
                | BundleError::Delta
                | BundleError::NotAnImage
                | BundleError::NotABundle { .. }
        )
    }

    /// Whether only the way to the bytes failed: what was written stays, and the same release goes on from there.
    pub fn is_resumable(&self) -> bool {
        matches!(
            self,
            BundleError::Truncated { .. }
                | BundleError::Read { .. }
                | BundleError::Source(_)
                | BundleError::Missing { .. }
                | BundleError::Blob { .. }
        )
    }

    /// Whether the same may work later.
    pub fn is_transport(&self) -> bool {
        matches!(self, BundleError::Source(e) if e.is_transport())
    }
}

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
        let frame = Frame::new(&signed, &release);
        let want = [frame.index.as_bytes(), frame.manifest.as_bytes(), bundle::EMPTY.as_bytes()];
        for (got, (want, within)) in contents.iter().zip(want.iter().zip(["index", "manifest", "config"])) {
            if got != want {
                return Err(BundleError::Damaged { at: bundle::BLOCK as u64, within: within.into() });
            }
        }
        if frame.headers.get(..seen.len()) != Some(&seen[..]) {
            return Err(BundleError::Damaged { at: starts, within: "head".into() });
        }
        Ok(Bundle { source, release, signed })
    }

    fn list(&mut self, volume: VolumeKind) -> Result<ChunkList, BundleError> {
        let within = format!("{volume} volume's chunk list");
        let v = volumes(&self.release)?.get(volume).clone();
        let start = self.source.at;
        let header = Header::blob(&v.list, v.list_bytes.into());
        if self.source.header(&within)? != header {
            return Err(BundleError::Damaged { at: start, within });
        }
        let start = self.source.at;
        let encoded = self.source.content(&header, limits::CHUNK_LIST as u64, &within)?;
        if Digest::of(&encoded) != v.list {
            return Err(BundleError::Damaged { at: start, within });
        }
        ChunkList::decode(&encoded, &v).map_err(|source| BundleError::List { volume, source })
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
        Ok(Header::blob(&v.data, v.data_bytes))
    }
}

/// The volumes of an image. Of another release nothing is installed: it was refused when it was offered.
pub(super) fn volumes(release: &Release) -> Result<&Volumes, BundleError> {
    release.volumes().ok_or(BundleError::NotAnImage)
}

impl<R: Read> Content for Bundle<R> {
    fn release(&self) -> &Release {
        &self.release
    }

    fn signed(&self) -> &[u8] {
        &self.signed
    }

    fn lists(&mut self) -> Result<[ChunkList; 2], BundleError> {
        let boot = self.list(VolumeKind::Boot)?;
        let system = self.list(VolumeKind::System)?;
        Ok([boot, system])
    }

    /// A stream has every chunk, in order, so every one is read; which of them the slot has already is found out later,
    /// by several threads.
    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError> {
        for (volume, list) in VolumeKind::ALL.into_iter().zip(feed.lists()) {
            self.begin(volume)?;
            for (index, chunk) in list.chunks.iter().enumerate() {
                if feed.stopped() {
                    return Ok(());
                }
                let (bytes, digest, zero) = encoding(&chunk.encoding)?;
                let mut encoded = feed.encoded(bytes);
                let at = self.encoded(volume, &mut encoded)?;
                if Digest::of(&encoded) != digest {
                    return Err(BundleError::Chunk { volume, index, at }.into());
                }
                feed.fetched(bytes.into());
                feed.progress(bytes);
                let payload = if zero { Payload::Zero } else { Payload::Zstd(encoded) };
                if feed.send(Spot { volume, index }, payload, Looked::No) == Flow::Stopped {
                    return Ok(());
                }
            }
            self.finish(volume)?;
        }
        Ok(self.end()?)
    }
}

fn not_a_bundle(e: BundleError) -> BundleError {
    match e {
        BundleError::Damaged { at, .. } | BundleError::Truncated { at, .. } => BundleError::NotABundle { at },
        other => other,
    }
}
