//! Reads a delta's bundle, as strictly as a release's: everything but the contents of lists and data is a function of the
//! signed release and the signed delta.
use super::input::{Counted, compare};
use super::{BundleError, HEAD_ENTRIES, Part, encode, read_head};
use bistable_format::bundle::{self, BLOCK, EMPTY, Frame, Header, Kind, LAYOUT};
use bistable_format::{Delta, Digest, Envelope, Hasher, Release, Role, Root, TrustError, VolumeKind};
use std::io::Read;

/// What is hashed at a time.
const PIECE: usize = 1 << 20;

/// A delta's bundle that was read up to its data.
#[derive(Debug)]
pub struct DeltaReader<R> {
    input: Counted<R>,
    signed_release: Vec<u8>,
    release: Release,
    signed: Vec<u8>,
    delta: Delta,
    frame: Frame,
    /// The artifacts that it makes, in the bundle's order, each with its encoded list.
    lists: Vec<(VolumeKind, Vec<u8>)>,
}

impl<R: Read> DeltaReader<R> {
    /// Read up to the data, and verify all of that. What the lists say can only be known with the base.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn open(input: R, root: &Root) -> Result<Self, BundleError> {
        Self::open_with(input, |bytes| Release::open(bytes, root), |bytes| Delta::open(bytes, root))
    }

    /// Read up to the data without knowing who signed it: for showing it.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub(crate) fn open_unverified(input: R) -> Result<Self, BundleError> {
        Self::open_with(
            input,
            |bytes| Ok(Release::decode(Envelope::parse(bytes, Role::Release)?.payload)?),
            |bytes| Ok(Delta::decode(Envelope::parse(bytes, Role::Delta)?.payload)?),
        )
    }

    fn open_with(
        input: R,
        open_release: impl FnOnce(&[u8]) -> Result<Release, TrustError>,
        open_delta: impl FnOnce(&[u8]) -> Result<Delta, TrustError>,
    ) -> Result<Self, BundleError> {
        let mut input = Counted { input, offset: 0 };
        let mut head = read_head(&mut input)?;
        if head.get(2).map(|manifest| Kind::claimed(&manifest.content)) != Some(Kind::Delta) {
            return Err(BundleError::NotDelta);
        }
        let signed_release = head.last().map(|e| e.content.clone()).unwrap_or_default();
        let release = open_release(&signed_release).map_err(BundleError::Trust)?;
        head.push(input.entry(Part::Delta, Envelope::MAX_BYTES as u64)?);
        let signed = head.last().map(|e| e.content.clone()).unwrap_or_default();
        let delta = open_delta(&signed).map_err(BundleError::TrustDelta)?;
        let made = (bistable_format::release::identity(&signed_release), &release.head.product);
        if (delta.target, &delta.head.product) != made {
            return Err(BundleError::OtherTarget);
        }
        let frame = Frame::delta((&signed_release, &release), (&signed, &delta));
        let parts = [Part::Layout, Part::Index, Part::Manifest, Part::Config, Part::Release, Part::Delta];
        let contents = [
            LAYOUT.as_bytes(),
            frame.index.as_bytes(),
            frame.manifest.as_bytes(),
            EMPTY.as_bytes(),
            &signed_release,
            &signed,
        ];
        for (((entry, header), content), part) in head.iter().zip(&frame.headers).zip(contents).zip(parts) {
            compare(part, entry.offset, &entry.header, &encode(header, part, entry.offset)?)?;
            compare(part, entry.offset + BLOCK as u64, &entry.content, content)?;
        }
        let mut reader =
            DeltaReader { input, signed_release, release, signed, delta, frame, lists: Vec::new() };
        reader.read_lists()?;
        Ok(reader)
    }

    fn read_lists(&mut self) -> Result<(), BundleError> {
        let volumes = self.release.volumes().ok_or(BundleError::NotAnImage)?.clone();
        let kinds: Vec<VolumeKind> = volumes
            .iter()
            .map(|(kind, _)| kind)
            .filter(|kind| self.delta.artifact(&kind.to_string()).is_some())
            .collect();
        for (i, kind) in kinds.iter().copied().enumerate() {
            let Some(artifact) = self.delta.artifact(&kind.to_string()).cloned() else { continue };
            let part = Part::List(kind);
            self.expect_header(HEAD_ENTRIES + 1 + i, part)?;
            // The delta limits the length.
            let bytes = self.input.bytes(u64::from(artifact.list_bytes), part)?;
            if Digest::of(&bytes) != artifact.list {
                return Err(BundleError::DeltaPart { part });
            }
            self.expect_padding(HEAD_ENTRIES + 1 + i, part)?;
            self.lists.push((kind, bytes));
        }
        Ok(())
    }

    /// The release that it makes.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// The signed release, as it is in the bundle.
    pub fn signed_release(&self) -> &[u8] {
        &self.signed_release
    }

    /// What it is.
    pub fn delta(&self) -> &Delta {
        &self.delta
    }

    /// The signed delta, as it is in the bundle.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// The encoded chunk list of each volume that it makes, in order.
    pub fn lists(&self) -> &[(VolumeKind, Vec<u8>)] {
        &self.lists
    }

    /// Bytes that the whole file must have.
    pub fn bundle_bytes(&self) -> u64 {
        self.frame.bundle_bytes()
    }

    /// Each entry's header, with where its content begins.
    pub(crate) fn entries(&self) -> Vec<(u64, Header)> {
        super::entries(&self.frame)
    }

    /// Where each volume's data begins.
    pub(crate) fn data_at(&self) -> Vec<(VolumeKind, u64)> {
        let first = HEAD_ENTRIES + 1 + self.lists.len();
        let entries = self.entries();
        let data = entries.iter().skip(first).map(|(at, _)| *at);
        self.lists.iter().map(|(kind, _)| *kind).zip(data).collect()
    }

    /// Read the data to the file's end, and compare every byte with what is signed.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn check_data(mut self) -> Result<(), BundleError> {
        let lists = std::mem::take(&mut self.lists);
        for (i, (kind, _)) in lists.iter().enumerate() {
            let (index, part) = (HEAD_ENTRIES + 1 + lists.len() + i, Part::Data(*kind));
            let Some(artifact) = self.delta.artifact(&kind.to_string()).cloned() else { continue };
            self.expect_header(index, part)?;
            let (mut hasher, mut left) = (Hasher::new(), artifact.data_bytes);
            while left > 0 {
                let piece = self.input.bytes(left.min(PIECE as u64), part)?;
                hasher.update(&piece);
                left -= piece.len() as u64;
            }
            if hasher.finish() != artifact.data {
                return Err(BundleError::DeltaPart { part });
            }
            self.expect_padding(index, part)?;
        }
        self.input.zeros(bundle::END_BYTES, Part::End)?;
        self.input.end()
    }

    fn expect_header(&mut self, index: usize, part: Part) -> Result<(), BundleError> {
        self.input.header(self.frame.headers.get(index), part)
    }

    fn expect_padding(&mut self, index: usize, part: Part) -> Result<(), BundleError> {
        let padding = self.frame.headers.get(index).map_or(0, Header::padding);
        self.input.zeros(padding, part)
    }
}
