//! A stream that has to be what its digest says. It ends in an error if it isn't, so that whatever is uploaded from it never
//! comes to be seen with wrong bytes.
use bistable_format::{Digest, Hasher};
use std::io::{self, Read};

/// Hashes what is read.
pub(super) struct Hashed<R, F> {
    from: R,
    digest: Digest,
    why: &'static str,
    hasher: Option<Hasher>,
    wrong: bool,
    advance: F,
}

impl<R: Read, F: FnMut(u64)> Hashed<R, F> {
    /// From this stream, which has to have that digest. `why` is what the error says; `advance` is told of the bytes of each read.
    pub(super) fn new(from: R, digest: Digest, why: &'static str, advance: F) -> Self {
        Hashed { from, digest, why, hasher: Some(Hasher::new()), wrong: false, advance }
    }

    /// Whether it was read to its end and isn't what its digest says.
    pub(super) fn is_wrong(&self) -> bool {
        self.wrong
    }
}

impl<R: Read, F: FnMut(u64)> Read for Hashed<R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        if read > 0 {
            if let (Some(hasher), Some(bytes)) = (&mut self.hasher, into.get(..read)) {
                hasher.update(bytes);
            }
            (self.advance)(read as u64);
        } else if !into.is_empty()
            && let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.digest
        {
            self.wrong = true;
            return Err(io::Error::new(io::ErrorKind::InvalidData, self.why));
        }
        Ok(read)
    }
}
