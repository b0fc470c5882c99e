//! A release of the repository as a bundle that is made while it is read: byte for byte the one that was published.
use super::manifest::{ManifestError, Stored};
use super::store::Store;
use bistable_format::bundle::{END_BYTES, Frame};
use bistable_format::{Digest, repository as names};
use std::collections::VecDeque;
use std::io::{self, Cursor, Read};

/// A bundle, to be read from its start to its end.
#[derive(Debug)]
pub struct BundleStream {
    store: Store,
    parts: VecDeque<Part>,
    current: Box<dyn Source>,
    bytes: u64,
}

trait Source: Read + std::fmt::Debug + Send {}
impl<T: Read + std::fmt::Debug + Send> Source for T {}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    /// By its path, which is its name in both.
    Blob(String),
}

impl BundleStream {
    /// Of a stored release that is complete.
    ///
    /// # Errors
    /// A part of it is missing, or a name of it is too long for a bundle.
    pub fn new(store: &Store, stored: &Stored) -> Result<BundleStream, ManifestError> {
        stored.require_whole(store)?;
        let frame = Frame::new(&stored.signed, &stored.release);
        let unnamed =
            |path: &str| ManifestError::Damaged { place: store.place().into(), path: path.to_owned() };
        let head = frame.head([&stored.signed[..]]);
        let mut parts = VecDeque::from([Part::Bytes(
            head.map_err(|_| unnamed(&names::blob(&Digest::of(&stored.signed))))?,
        )]);
        for header in frame.headers.iter().skip(Frame::TEXTS + 1) {
            parts.push_back(Part::Bytes(header.encode().map_err(|_| unnamed(&header.name))?.to_vec()));
            parts.push_back(Part::Blob(header.name.clone()));
            parts.push_back(Part::Bytes(vec![0; header.padding()]));
        }
        parts.push_back(Part::Bytes(vec![0; END_BYTES]));
        Ok(BundleStream {
            store: store.clone(),
            parts,
            current: Box::new(io::empty()),
            bytes: frame.bundle_bytes(),
        })
    }

    /// Bytes in all.
    pub fn bundle_bytes(&self) -> u64 {
        self.bytes
    }
}

impl Read for BundleStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.current.read(into)?;
            if got > 0 || into.is_empty() {
                return Ok(got);
            }
            self.current =
                match self.parts.pop_front() {
                    None => return Ok(0),
                    Some(Part::Bytes(bytes)) => Box::new(Cursor::new(bytes)),
                    Some(Part::Blob(path)) => {
                        let blob = self.store.read(&path).map_err(io::Error::other)?;
                        Box::new(blob.ok_or_else(|| {
                            io::Error::new(io::ErrorKind::NotFound, format!("{path} is gone"))
                        })?)
                    }
                };
        }
    }
}
