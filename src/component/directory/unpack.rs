//! From an archive to a folder.
use super::Directory;
use crate::{
    Error,
    component::driver::{Archive, ComponentError, ComponentEvent, Updater, version_name},
    ports::Fault,
};
use bistable_boot::component::Held;
use bistable_format::archive::{self, ArchiveReader, Entry, EntryKind, ReadError, Sink};
use std::mem;

/// The most bytes of a version file that are looked at.
const VERSION_MAX: usize = 256;

impl Directory {
    pub(super) fn unpack(
        &self,
        updater: &mut Updater<'_>,
        content: &mut dyn Archive,
        target: &Held,
    ) -> Result<(), Error> {
        let (name, version) = (updater.subject.name.as_str(), version_name(target));
        let mut reader = ArchiveReader::new();
        let mut tree = Tree {
            inner: updater.world.store.begin(name, &version)?,
            version_file: self.version_file.as_os_str().as_encoded_bytes(),
            is_in_it: false,
            said: None,
        };
        let unfit =
            |source| ComponentError::Archive { name: name.into(), version: target.version.clone(), source };
        let observer = &mut *updater.observer;
        content.read(&mut |_, bytes| {
            reader.push(bytes, &mut tree).map_err(|e| failed(e, &unfit))?;
            observer.on_event(ComponentEvent::Read(bytes.len() as u64));
            if observer.wants_more().is_break() { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        reader.finish::<Fault>().map_err(|e| failed(e, &unfit))?;
        let said = mem::take(&mut tree.said);
        drop(tree);
        if !said.as_ref().is_some_and(|said| archive::says_version(said, &target.version)) {
            let found = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
            let (version, file) = (target.version.clone(), self.version_file.clone());
            return Err(ComponentError::VersionFile { name: name.into(), version, file, found }.into());
        }
        Ok(updater.world.store.keep_release(name, &version, content.signed())?)
    }
}

fn failed(
    e: ReadError<Fault>,
    unfit: &dyn Fn(ReadError<std::convert::Infallible>) -> ComponentError,
) -> Error {
    match e {
        ReadError::Sink(fault) => fault.into(),
        ReadError::Form { at } => unfit(ReadError::Form { at }).into(),
        ReadError::Rules(e) => unfit(ReadError::Rules(e)).into(),
        ReadError::Truncated { at } => unfit(ReadError::Truncated { at }).into(),
        ReadError::Trailing { at } => unfit(ReadError::Trailing { at }).into(),
    }
}

/// The tree that is unpacked, with an eye on its version file.
struct Tree<'a> {
    inner: Box<dyn Sink<Error = Fault>>,
    version_file: &'a [u8],
    is_in_it: bool,
    said: Option<Vec<u8>>,
}

impl Sink for Tree<'_> {
    type Error = Fault;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        self.is_in_it = entry.path == self.version_file && entry.kind == EntryKind::File;
        if self.is_in_it {
            self.said = Some(Vec::new());
        }
        self.inner.begin(entry)
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(said) = self.said.as_mut().filter(|_| self.is_in_it) {
            let room = VERSION_MAX.saturating_sub(said.len()).min(bytes.len());
            said.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        self.inner.content(bytes)
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.is_in_it = false;
        self.inner.end()
    }
}
