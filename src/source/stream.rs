//! One file as a stream, from its beginning.
use super::{Source, SourceError, Span};
use std::io::{self, Read};

/// A file of a source, to be read once. What goes wrong comes as an [`io::Error`] with the [`SourceError`] inside.
#[derive(Debug)]
pub struct Stream<S>(S);

impl<S: Source> Stream<S> {
    /// Begin to read it.
    ///
    /// # Errors
    /// When there is no such file, or it can't be reached.
    pub fn open(mut source: S, path: &str) -> Result<Self, SourceError> {
        source.open_range(path, Span::WHOLE)?;
        Ok(Stream(source))
    }
}

impl<S: Source> Read for Stream<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(io::Error::other)
    }
}
