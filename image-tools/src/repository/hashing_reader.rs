//! A stream that has to be what its digest says. It ends in an error if it isn't, so that whatever is uploaded from it never
//! comes to be seen with wrong bytes.
use bistable_format::{Digest, Hasher};
use std::io::{self, Read};

/// Hashes what is read.
pub(super) struct HashingReader<R, F> {
    from: R,
    digest: Digest,
    why: &'static str,
    hasher: Option<Hasher>,
    wrong: bool,
    advance: F,
}

impl<R: Read, F: FnMut(u64)> HashingReader<R, F> {
    /// From this stream, which has to have that digest. `why` is what the error says; `advance` is told of the bytes of each read.
    pub(super) fn new(from: R, digest: Digest, why: &'static str, advance: F) -> Self {
        HashingReader { from, digest, why, hasher: Some(Hasher::new()), wrong: false, advance }
    }

    /// Whether it was read to its end and isn't what its digest says.
    pub(super) fn is_wrong(&self) -> bool {
        self.wrong
    }
}

impl<R: Read, F: FnMut(u64)> Read for HashingReader<R, F> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::store::{Created, Missing, Store};

    /// Every way that a store may read: in one part, in parts, and up to the last byte of a part.
    #[test]
    fn wrong_bytes_are_in_no_directory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap(), Missing::Refuse).unwrap();
        for bytes in [0, 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 16 << 20] {
            let (content, name) = (vec![7; bytes], format!("blobs/{bytes}"));
            let upload = |digest| {
                let mut hashed = HashingReader::new(&*content, digest, "wrong", |_| {});
                let uploaded = store.upload(&name, &mut hashed, bytes as u64);
                (uploaded, hashed.is_wrong())
            };
            let (refused, wrong) = upload(Digest::of(b"other"));
            assert!(refused.is_err() && wrong, "{bytes}");
            assert_eq!(store.size(&name).unwrap(), None, "{bytes}");
            let (uploaded, wrong) = upload(Digest::of(&content));
            assert!(matches!(uploaded, Ok(Created::Created)) && !wrong, "{bytes}");
        }
        assert_eq!(store.leftovers().unwrap(), []);
    }
}
