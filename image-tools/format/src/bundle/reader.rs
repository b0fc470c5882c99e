//! Reads a bundle from its first byte to its last, strictly and without I/O of its own: the same for the host that builds one and
//! the device that installs it.
//!
//! Everything but the contents of lists and data is a function of what is signed ([`Frame`]). The reader collects the few entries
//! before that, each of a limited length, verifies what is signed, and then compares every byte, those before it included.
use super::entry::{BLOCK, EMPTY, END_BYTES, Header, LAYOUT, blob_digest};
use super::frame::{Frame, Kind};
use crate::{ArtifactId, Delta, Digest, Envelope, Hasher, Release, Role, Root, TrustError, limits, release};
use alloc::{vec, vec::Vec};

/// What is hashed at a time.
const PIECE: usize = 64 << 10;

/// Where a bundle's bytes come from.
pub trait Input {
    /// Why it fails.
    type Error;

    /// Read some bytes, as [`std::io::Read`](https://doc.rust-lang.org/std/io/trait.Read.html) does: 0 at the end.
    ///
    /// # Errors
    /// When reading fails.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Self::Error>;
}

/// Decides what is trusted.
pub trait Trust {
    /// Open a signed release.
    ///
    /// # Errors
    /// When it is not trusted.
    fn release(&self, signed: &[u8]) -> Result<Release, TrustError>;

    /// Open a signed delta.
    ///
    /// # Errors
    /// When it is not trusted.
    fn delta(&self, signed: &[u8]) -> Result<Delta, TrustError>;
}

impl Trust for Root {
    fn release(&self, signed: &[u8]) -> Result<Release, TrustError> {
        Release::open(signed, self)
    }

    fn delta(&self, signed: &[u8]) -> Result<Delta, TrustError> {
        Delta::open(signed, self)
    }
}

/// Opens what anyone signed, to show it. Its data must not be used.
#[derive(Clone, Copy, Debug)]
pub struct Anyone;

impl Trust for Anyone {
    fn release(&self, signed: &[u8]) -> Result<Release, TrustError> {
        Ok(Release::decode(Envelope::parse(signed, Role::Release)?.payload)?)
    }

    fn delta(&self, signed: &[u8]) -> Result<Delta, TrustError> {
        Ok(Delta::decode(Envelope::parse(signed, Role::Delta)?.payload)?)
    }
}

/// A part of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// `oci-layout`.
    #[error("file oci-layout")]
    Layout,
    /// `index.json`.
    #[error("file index.json")]
    Index,
    /// The manifest.
    #[error("manifest")]
    Manifest,
    /// The empty config.
    #[error("empty config")]
    Config,
    /// The signed release.
    #[error("release")]
    Release,
    /// The signed delta.
    #[error("delta")]
    Delta,
    /// A chunk list.
    #[error("chunk list of the {0:#}")]
    List(ArtifactId),
    /// A file that is stored as it is, counted from 1.
    #[error("blob {0}")]
    Blob(usize),
    /// The SBOM.
    #[error("SBOM")]
    Sbom,
    /// An artifact's data.
    #[error("data of the {0:#}")]
    Data(ArtifactId),
    /// The two blocks of zeros.
    #[error("end")]
    End,
}

/// What is wrong with a bundle, and where. Offsets count bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError<E> {
    /// It can't be read.
    Input {
        /// Where.
        at: u64,
        /// Why.
        source: E,
    },
    /// It ends too early.
    Truncated {
        /// Its length.
        at: u64,
        /// What is missing.
        part: Part,
    },
    /// No entry of a bundle begins here.
    NotAnEntry {
        /// Where.
        at: u64,
        /// Which is missing.
        part: Part,
    },
    /// It is the other kind of bundle.
    Kind(Kind),
    /// The release isn't trusted.
    Release(TrustError),
    /// The delta isn't trusted.
    Delta(TrustError),
    /// The delta makes another release than the one in it.
    OtherTarget {
        /// The release that it makes.
        made: Digest,
        /// The one in it.
        there: Digest,
    },
    /// Bytes that follow from what is signed are others.
    Differs {
        /// The first byte that differs.
        at: u64,
        /// Which part.
        part: Part,
    },
    /// Bytes that have a digest of their own have another one.
    Digest {
        /// Where they begin.
        at: u64,
        /// Which part.
        part: Part,
    },
    /// Bytes follow the end.
    Trailing {
        /// Where they begin.
        at: u64,
    },
}

/// A bundle that was read as far as its signatures reach: its lists and data are still to come.
#[derive(Debug)]
pub struct Reader<I> {
    input: I,
    at: u64,
    release: Release,
    signed: Vec<u8>,
    delta: Option<(Vec<u8>, Delta)>,
    frame: Frame,
    /// The entry that comes next, or that is being read.
    entry: usize,
}

/// An entry before anything is verified.
struct Entry {
    part: Part,
    at: u64,
    header: Header,
    content: Vec<u8>,
}

impl<I: Input> Reader<I> {
    /// Read up to what is signed, verify that, and compare what came before it. A bundle of another kind is refused before anything
    /// of it is verified; `None` takes both.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(input: I, trust: &impl Trust, kind: Option<Kind>) -> Result<Self, ReadError<I::Error>> {
        let mut bytes = Bytes { input, at: 0 };
        let mut head = Vec::new();
        for (part, most) in [
            (Part::Layout, LAYOUT.len() as u64),
            (Part::Index, limits::BUNDLE_TEXT),
            (Part::Manifest, limits::BUNDLE_TEXT),
            (Part::Config, EMPTY.len() as u64),
            (Part::Release, Envelope::MAX_BYTES as u64),
        ] {
            head.push(bytes.entry(part, most)?);
            if let [Entry { at, content, .. }] = &head[..] {
                // Whatever else is given fails here, before a word about damage would confuse whoever gave it.
                compare(Part::Layout, at + BLOCK as u64, content, LAYOUT.as_bytes())?;
            }
        }
        let found = head.get(2).map_or(Kind::Full, |manifest| Kind::claimed(&manifest.content));
        if kind.is_some_and(|kind| kind != found) {
            return Err(ReadError::Kind(found));
        }
        let signed = head.last().map(|entry| entry.content.clone()).unwrap_or_default();
        let release = trust.release(&signed).map_err(ReadError::Release)?;
        let delta = match found {
            Kind::Full => None,
            Kind::Delta => {
                head.push(bytes.entry(Part::Delta, Envelope::MAX_BYTES as u64)?);
                let signed = head.last().map(|entry| entry.content.clone()).unwrap_or_default();
                let delta = trust.delta(&signed).map_err(ReadError::Delta)?;
                Some((signed, delta))
            }
        };
        if let Some((_, delta)) = &delta {
            let there = release::identity(&signed);
            if delta.target != there {
                return Err(ReadError::OtherTarget { made: delta.target, there });
            }
        }
        let frame = match &delta {
            None => Frame::new(&signed, &release),
            Some((signed_delta, delta)) => Frame::delta((&signed, &release), (signed_delta, delta)),
        };
        let texts = [LAYOUT.as_bytes(), frame.index.as_bytes(), frame.manifest.as_bytes(), EMPTY.as_bytes()];
        for (i, entry) in head.iter().enumerate() {
            let wanted = frame.headers.get(i);
            if wanted != Some(&entry.header) {
                let at = entry.at + wanted.map_or(0, |wanted| first_other(&entry.header, wanted));
                return Err(ReadError::Differs { at, part: entry.part });
            }
            // What is signed is what it was made from.
            if let Some(text) = texts.get(i) {
                compare(entry.part, entry.at + BLOCK as u64, &entry.content, text)?;
            }
        }
        let (entry, Bytes { input, at }) = (head.len(), bytes);
        Ok(Reader { input, at, release, signed, delta, frame, entry })
    }

    /// The release.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Its signed bytes.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// The delta with its signed bytes, if this is the bundle of one.
    pub fn delta(&self) -> Option<(&[u8], &Delta)> {
        self.delta.as_ref().map(|(signed, delta)| (&signed[..], delta))
    }

    /// Every entry.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Where the next byte is.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next entry is a chunk list: its bytes, which have the digest that is signed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list(&mut self, artifact: impl Into<ArtifactId>) -> Result<Vec<u8>, ReadError<I::Error>> {
        self.whole(Part::List(artifact.into()), limits::CHUNK_LIST)
    }

    /// The next entry is a file that is stored as it is, of this number: its bytes, which have the digest that is signed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn blob(&mut self, number: usize) -> Result<Vec<u8>, ReadError<I::Error>> {
        self.whole(Part::Blob(number), limits::BLOB as usize)
    }

    /// The next entry, of a limited length, if it has the digest in its name.
    fn whole(&mut self, part: Part, most: usize) -> Result<Vec<u8>, ReadError<I::Error>> {
        let header = self.begin(part)?.clone();
        let at = self.at;
        let bytes = usize::try_from(header.bytes).ok().filter(|bytes| *bytes <= most);
        let mut content = vec![0; bytes.ok_or(ReadError::NotAnEntry { at, part })?];
        self.fill(&mut content, part)?;
        if blob_digest(&header.name) != Some(Digest::of(&content)) {
            return Err(ReadError::Digest { at, part });
        }
        self.finish(part)?;
        Ok(content)
    }

    /// The SBOM, if the release has one: it comes before the data. Who doesn't ask for it passes over it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn sbom(&mut self) -> Result<Option<Vec<u8>>, ReadError<I::Error>> {
        if !self.is_at_sbom() {
            return Ok(None);
        }
        self.whole(Part::Sbom, limits::SBOM as usize).map(Some)
    }

    /// Whether the SBOM is the next entry: the one before the data.
    fn is_at_sbom(&self) -> bool {
        let data = self.release.content.artifacts().len();
        self.delta.is_none()
            && self.release.sbom_file().is_some()
            && self.entry + 1 + data == self.frame.headers.len()
    }

    /// Pass over the SBOM if it comes next, and verify it. It takes no memory.
    fn pass_sbom(&mut self) -> Result<(), ReadError<I::Error>> {
        if !self.is_at_sbom() {
            return Ok(());
        }
        let header = self.begin(Part::Sbom)?.clone();
        let at = self.at;
        let (mut hasher, mut left, mut buffer) = (Hasher::new(), header.bytes, vec![0; PIECE]);
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = buffer.get_mut(..want).unwrap_or_default();
            self.fill(piece, Part::Sbom)?;
            hasher.update(piece);
            left -= want as u64;
        }
        if blob_digest(&header.name) != Some(hasher.finish()) {
            return Err(ReadError::Digest { at, part: Part::Sbom });
        }
        self.finish(Part::Sbom)
    }

    /// The next entry begins. Its content is read by [`fill`](Self::fill), and [`finish`](Self::finish) ends it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn begin(&mut self, part: Part) -> Result<&Header, ReadError<I::Error>> {
        if part != Part::Sbom {
            self.pass_sbom()?;
        }
        let at = self.at;
        let mut found = [0; BLOCK];
        self.fill(&mut found, part)?;
        let header = self.frame.headers.get(self.entry).ok_or(ReadError::Differs { at, part })?;
        let wanted = header.encode().map_err(|_| ReadError::Differs { at, part })?;
        compare(part, at, &found, &wanted)?;
        Ok(header)
    }

    /// The next bytes. Nothing of them is verified.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn fill(&mut self, into: &mut [u8], part: Part) -> Result<(), ReadError<I::Error>> {
        fill(&mut self.input, &mut self.at, into, part)
    }

    /// The entry's padding follows its content, and then the next entry.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn finish(&mut self, part: Part) -> Result<(), ReadError<I::Error>> {
        let padding = self.frame.headers.get(self.entry).map_or(0, Header::padding);
        self.entry += 1;
        self.zeros(padding, part)
    }

    /// The end, and that nothing follows it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn end(&mut self) -> Result<(), ReadError<I::Error>> {
        self.pass_sbom()?;
        self.zeros(END_BYTES, Part::End)?;
        let at = self.at;
        match self.fill(&mut [0], Part::End) {
            Err(ReadError::Truncated { .. }) => Ok(()),
            Ok(()) => Err(ReadError::Trailing { at }),
            Err(e) => Err(e),
        }
    }

    fn zeros(&mut self, count: usize, part: Part) -> Result<(), ReadError<I::Error>> {
        let at = self.at;
        let mut found = vec![0; count];
        self.fill(&mut found, part)?;
        compare(part, at, &found, &vec![0; count])
    }
}

/// A stream that knows where it is.
struct Bytes<I> {
    input: I,
    at: u64,
}

impl<I: Input> Bytes<I> {
    /// A whole entry of a limited length. Its padding must be zero.
    fn entry(&mut self, part: Part, most: u64) -> Result<Entry, ReadError<I::Error>> {
        let at = self.at;
        let mut block = [0; BLOCK];
        self.fill(&mut block, part)?;
        let header = Header::decode(&block).map_err(|_| ReadError::NotAnEntry { at, part })?;
        let bytes = usize::try_from(header.bytes).ok().filter(|_| header.bytes <= most);
        let mut content = vec![0; bytes.ok_or(ReadError::NotAnEntry { at, part })?];
        self.fill(&mut content, part)?;
        let (padding_at, mut padding) = (self.at, vec![0; header.padding()]);
        self.fill(&mut padding, part)?;
        compare(part, padding_at, &padding, &vec![0; header.padding()])?;
        Ok(Entry { part, at, header, content })
    }

    fn fill(&mut self, into: &mut [u8], part: Part) -> Result<(), ReadError<I::Error>> {
        fill(&mut self.input, &mut self.at, into, part)
    }
}

fn fill<I: Input>(
    input: &mut I,
    at: &mut u64,
    mut into: &mut [u8],
    part: Part,
) -> Result<(), ReadError<I::Error>> {
    while !into.is_empty() {
        let got = input.read(into).map_err(|source| ReadError::Input { at: *at, source })?;
        if got == 0 {
            return Err(ReadError::Truncated { at: *at, part });
        }
        *at += got as u64;
        into = into.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

/// Equal, or where not.
fn compare<E>(part: Part, at: u64, found: &[u8], wanted: &[u8]) -> Result<(), ReadError<E>> {
    if found == wanted {
        return Ok(());
    }
    let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    Err(ReadError::Differs { at: at + same as u64, part })
}

/// The first byte in which two headers differ.
fn first_other(found: &Header, wanted: &Header) -> u64 {
    match (found.encode(), wanted.encode()) {
        (Ok(found), Ok(wanted)) => {
            found.iter().zip(&wanted).take_while(|(a, b)| a == b).count().min(BLOCK - 1) as u64
        }
        _ => 0,
    }
}
