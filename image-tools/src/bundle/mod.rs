//! Reads a bundle as a stream: strictly, and nothing is taken further before it is authenticated.
//!
//! Everything but the contents of lists and data is a function of the signed release ([`Frame`]); the reader collects
//! the few entries before the release, verifies that, and then compares every byte, those before it included.
mod chunks;
mod delta;
mod error;
mod input;

pub use delta::DeltaReader;
pub use error::{BundleError, ChunkProblem, Part};

use crate::parallel::{self, Threads};
use crate::progress::{Progress, Stage};
use bistable_format::bundle::{self, BLOCK, EMPTY, Frame, Header, Kind, LAYOUT};
use bistable_format::{
    ChunkList, Digest, Envelope, Hasher, Release, Role, Root, TrustError, VolumeKind, limits,
};
use chunks::{Checked, Job, read_frames, unpack};
use input::{Counted, Entry, compare};
use std::io::{self, Read};

/// Entries up to the signed release, which is the last of them.
const HEAD_ENTRIES: usize = 5;

/// Takes a verified piece of a volume: which, from which raw byte on, and the bytes. Pieces come in order.
pub type RawSink<'a> = dyn FnMut(VolumeKind, u64, &[u8]) -> io::Result<()> + Send + 'a;

/// A bundle that was read up to its data.
#[derive(Debug)]
pub struct Reader<R> {
    input: Counted<R>,
    signed: Vec<u8>,
    release: Release,
    frame: Frame,
    lists: Vec<(VolumeKind, ChunkList)>,
}

impl<R: Read> Reader<R> {
    /// Read up to the data, and verify all of that.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(input: R, root: &Root) -> Result<Self, BundleError> {
        Self::open_with(input, |signed| Release::open(signed, root))
    }

    /// Read up to the data without knowing who signed it: for showing it. Its data must not be used.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub(crate) fn open_unverified(input: R) -> Result<Self, BundleError> {
        Self::open_with(input, |signed| Ok(Release::decode(Envelope::parse(signed, Role::Release)?.payload)?))
    }

    fn open_with(
        input: R,
        release: impl FnOnce(&[u8]) -> Result<Release, TrustError>,
    ) -> Result<Self, BundleError> {
        let mut input = Counted { input, offset: 0 };
        let head = read_head(&mut input)?;
        if head.get(2).map(|manifest| Kind::claimed(&manifest.content)) == Some(Kind::Delta) {
            return Err(BundleError::IsDelta);
        }
        let signed = head.last().map(|e| e.content.clone()).unwrap_or_default();
        let release = release(&signed).map_err(BundleError::Trust)?;

        let frame = Frame::new(&signed, &release);
        let contents =
            [LAYOUT.as_bytes(), frame.index.as_bytes(), frame.manifest.as_bytes(), EMPTY.as_bytes(), &signed];
        for (((entry, header), content), part) in
            head.iter().zip(&frame.headers).zip(contents).zip(HEAD_PARTS)
        {
            compare(part, entry.offset, &entry.header, &encode(header, part, entry.offset)?)?;
            compare(part, entry.offset + BLOCK as u64, &entry.content, content)?;
        }
        let mut reader = Reader { input, signed, release, frame, lists: Vec::new() };
        reader.read_lists()?;
        Ok(reader)
    }

    fn read_lists(&mut self) -> Result<(), BundleError> {
        let volumes = self.release.volumes().ok_or(BundleError::NotAnImage)?.clone();
        for (i, (kind, volume)) in volumes.iter().enumerate() {
            let part = Part::List(kind);
            self.expect_header(HEAD_ENTRIES + i, part)?;
            let offset = self.input.offset;
            // The release limits the length.
            let bytes = self.input.bytes(u64::from(volume.list_bytes), part)?;
            if Digest::of(&bytes) != volume.list {
                return Err(BundleError::ListDigest { kind, offset });
            }
            self.expect_padding(HEAD_ENTRIES + i, part)?;
            let list = ChunkList::decode(&bytes, volume).map_err(|source| BundleError::List {
                kind,
                offset,
                source,
            })?;
            self.lists.push((kind, list));
        }
        Ok(())
    }

    /// What it is.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The signed release, as it is in the bundle.
    pub fn signed_release(&self) -> &[u8] {
        &self.signed
    }

    /// How each volume is cut.
    pub fn lists(&self) -> &[(VolumeKind, ChunkList)] {
        &self.lists
    }

    /// Bytes that the whole file must have.
    pub fn bundle_bytes(&self) -> u64 {
        self.frame.bundle_bytes()
    }

    /// Read the data to the file's end, checking every byte, and hand each verified chunk to `sink`. What went to the
    /// sink must not be relied on before this returns `Ok`.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn volumes(
        mut self,
        threads: Threads,
        progress: &dyn Progress,
        sink: &mut RawSink<'_>,
    ) -> Result<(), BundleError> {
        let lists = std::mem::take(&mut self.lists);
        for (i, (kind, list)) in lists.iter().enumerate() {
            let index = HEAD_ENTRIES + lists.len() + i;
            self.expect_header(index, Part::Data(*kind))?;
            self.volume(*kind, list, threads, progress, sink)?;
            self.expect_padding(index, Part::Data(*kind))?;
        }
        self.input.zeros(bundle::END_BYTES, Part::End)?;
        self.input.end()
    }

    fn volume(
        &mut self,
        kind: VolumeKind,
        list: &ChunkList,
        threads: Threads,
        progress: &dyn Progress,
        sink: &mut RawSink<'_>,
    ) -> Result<(), BundleError> {
        let volume = self.release.volumes().ok_or(BundleError::NotAnImage)?.get(kind).clone();
        let stage = Stage::Verify(kind);
        progress.begin(stage, volume.bytes);
        let (mut raw, mut data, mut done) = (Hasher::new(), Hasher::new(), 0);
        let input = &mut self.input;
        parallel::ordered(
            threads,
            |feed| read_frames(input, kind, list, volume.bytes, feed),
            || {
                let mut decompressor = None;
                move |job: Job<'_>| unpack(kind, job, &mut decompressor)
            },
            |checked: Checked| {
                data.update(&checked.frame);
                raw.update(&checked.raw);
                sink(kind, done, &checked.raw).map_err(|source| BundleError::Sink { kind, source })?;
                done += checked.raw.len() as u64;
                progress.advance(stage, done);
                Ok(())
            },
        )?;
        if data.finish() != volume.data {
            return Err(BundleError::Volume { kind, what: "data" });
        }
        if raw.finish() != volume.digest {
            return Err(BundleError::Volume { kind, what: "raw image" });
        }
        progress.end(stage);
        Ok(())
    }

    /// Where each volume's data begins.
    pub(crate) fn data_at(&self) -> Vec<(VolumeKind, u64)> {
        let entries = entries(&self.frame);
        let data = entries.iter().skip(HEAD_ENTRIES + self.lists.len()).map(|(at, _)| *at);
        self.lists.iter().map(|(kind, _)| *kind).zip(data).collect()
    }

    fn expect_header(&mut self, index: usize, part: Part) -> Result<(), BundleError> {
        self.input.header(self.frame.headers.get(index), part)
    }

    fn expect_padding(&mut self, index: usize, part: Part) -> Result<(), BundleError> {
        let padding = self.frame.headers.get(index).map_or(0, Header::padding);
        self.input.zeros(padding, part)
    }
}

/// The parts up to the signed release.
const HEAD_PARTS: [Part; HEAD_ENTRIES] =
    [Part::Layout, Part::Index, Part::Manifest, Part::Config, Part::Release];

/// Read the entries up to the signed release. Nothing of them is verified.
fn read_head<R: Read>(input: &mut Counted<R>) -> Result<Vec<Entry>, BundleError> {
    let most = [
        LAYOUT.len() as u64,
        limits::BUNDLE_TEXT,
        limits::BUNDLE_TEXT,
        EMPTY.len() as u64,
        Envelope::MAX_BYTES as u64,
    ];
    HEAD_PARTS.into_iter().zip(most).map(|(part, most)| input.entry(part, most)).collect()
}

/// Each entry's header, with where its content begins.
fn entries(frame: &Frame) -> Vec<(u64, Header)> {
    let mut at = 0;
    let place = |header: &Header| {
        let content = at + BLOCK as u64;
        at = content + header.bytes + header.padding() as u64;
        (content, header.clone())
    };
    frame.headers.iter().map(place).collect()
}

/// A header as it must be.
fn encode(header: &Header, part: Part, offset: u64) -> Result<[u8; BLOCK], BundleError> {
    header.encode().map_err(|_| BundleError::Differs { part, offset })
}
