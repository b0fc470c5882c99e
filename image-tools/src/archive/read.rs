//! An archive that comes out of a bundle: it is checked as a device checks it while it unpacks.
use bistable_format::archive::{ArchiveReader, Entry, ReadError, Sink};
use bistable_format::{ArtifactId, Content, Release};
use std::convert::Infallible;
use std::io;

/// Why no device would unpack an archive.
pub type NotUnpacked = ReadError<Infallible>;

/// Checks the archive of a release, if that has one, as its bytes pass.
#[derive(Debug)]
pub struct ArchiveCheck {
    reader: Option<ArchiveReader>,
    wrong: Option<NotUnpacked>,
}

impl ArchiveCheck {
    /// For the artifacts of this release.
    pub fn of(release: &Release) -> ArchiveCheck {
        let reader = matches!(release.content, Content::Directory(_)).then(ArchiveReader::new);
        ArchiveCheck { reader, wrong: None }
    }

    /// The next verified bytes of an artifact.
    ///
    /// # Errors
    /// Something to stop with: [`finish`](Self::finish) tells what is wrong.
    pub fn take(&mut self, id: ArtifactId, bytes: &[u8]) -> io::Result<()> {
        let Some(reader) = self.reader.as_mut().filter(|_| id == ArtifactId::Archive) else { return Ok(()) };
        reader.push(bytes, &mut Passing).map_err(|e| {
            self.wrong = Some(e);
            io::ErrorKind::InvalidData.into()
        })
    }

    /// Whether a device would unpack it, after the last byte or after [`take`](Self::take) failed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn finish(self) -> Result<(), NotUnpacked> {
        match (self.wrong, self.reader) {
            (Some(wrong), _) => Err(wrong),
            (None, Some(reader)) => reader.finish().map(|_| ()),
            (None, None) => Ok(()),
        }
    }
}

/// Takes everything, and keeps nothing.
struct Passing;

impl Sink for Passing {
    type Error = Infallible;

    fn begin(&mut self, _: &Entry<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn content(&mut self, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
