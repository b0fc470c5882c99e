//! The bundle's bytes, counted, and read no further than a part may reach.
use super::{BundleError, Part};
use bistable_format::bundle::{BLOCK, Header};
use std::io::{self, Read};

/// An entry before the release, not verified yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) header: [u8; BLOCK],
    pub(super) content: Vec<u8>,
}

/// Counts what is read.
#[derive(Debug)]
pub(super) struct Counted<R> {
    pub(super) input: R,
    pub(super) offset: u64,
}

impl<R: Read> Counted<R> {
    /// A whole entry of a limited length. Its padding must be zero.
    pub(super) fn entry(&mut self, part: Part, most: u64) -> Result<Entry, BundleError> {
        let offset = self.offset;
        let header = self.block(part)?;
        let decoded = Header::decode(&header).map_err(|_| BundleError::NotBundle { offset, part })?;
        if decoded.bytes > most {
            return Err(BundleError::NotBundle { offset, part });
        }
        let content = self.bytes(decoded.bytes, part)?;
        let padding_at = self.offset;
        let padding = self.bytes(decoded.padding() as u64, part)?;
        compare(part, padding_at, &padding, &vec![0; decoded.padding()])?;
        Ok(Entry { offset, header, content })
    }

    pub(super) fn block(&mut self, part: Part) -> Result<[u8; BLOCK], BundleError> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block, part)?;
        Ok(block)
    }

    /// That many bytes; the caller has limited the number.
    pub(super) fn bytes(&mut self, count: u64, part: Part) -> Result<Vec<u8>, BundleError> {
        let count =
            usize::try_from(count).map_err(|_| BundleError::NotBundle { offset: self.offset, part })?;
        let mut bytes = vec![0; count];
        self.exactly(&mut bytes, part)?;
        Ok(bytes)
    }

    /// A header as it must be.
    pub(super) fn header(&mut self, header: Option<&Header>, part: Part) -> Result<(), BundleError> {
        let offset = self.offset;
        let found = self.block(part)?;
        match header {
            Some(header) => compare(part, offset, &found, &super::encode(header, part, offset)?),
            None => Err(BundleError::Differs { part, offset }),
        }
    }

    /// That many zeros.
    pub(super) fn zeros(&mut self, count: usize, part: Part) -> Result<(), BundleError> {
        let offset = self.offset;
        let found = self.bytes(count as u64, part)?;
        compare(part, offset, &found, &vec![0; count])
    }

    /// Nothing more.
    pub(super) fn end(&mut self) -> Result<(), BundleError> {
        let offset = self.offset;
        match self.up_to(&mut [0])? {
            0 => Ok(()),
            _ => Err(BundleError::Trailing { offset }),
        }
    }

    fn exactly(&mut self, into: &mut [u8], part: Part) -> Result<(), BundleError> {
        if self.up_to(into)? < into.len() {
            return Err(BundleError::Truncated { offset: self.offset, part });
        }
        Ok(())
    }

    pub(super) fn up_to(&mut self, into: &mut [u8]) -> Result<usize, BundleError> {
        let mut got = 0;
        while let Some(rest) = into.get_mut(got..).filter(|r| !r.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(n) => {
                    got += n;
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(BundleError::Read { offset: self.offset, source }),
            }
        }
        Ok(got)
    }
}

/// Equal, or where not.
pub(super) fn compare(part: Part, offset: u64, found: &[u8], wanted: &[u8]) -> Result<(), BundleError> {
    if found == wanted {
        return Ok(());
    }
    let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    Err(BundleError::Differs { part, offset: offset + same as u64 })
}
