//! A bundle that comes while it is installed.
use std::{fmt, io, io::Read};

/// A bundle from its beginning, as whoever asks sends it. It can be read once.
///
/// Reading must end by itself: with an error, when nothing comes any more.
pub struct BundleStream(Box<dyn Read + Send>);

impl BundleStream {
    /// What is read from there.
    pub fn new(from: impl Read + Send + 'static) -> BundleStream {
        BundleStream(Box::new(from))
    }
}

impl Read for BundleStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl fmt::Debug for BundleStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BundleStream")
    }
}
