//! From an offer to a version that is complete and durable.
use super::{
    Archive, ComponentError, ComponentEvent, ComponentStep, Updater, World,
    updater::{SERVICE_MAX, version_name},
};
use crate::{
    Error,
    ports::{COMPONENT_LINKS, Fault, UnitState},
    steps::selftest,
};
use bistable_boot::{
    Failure, Reason, ReleaseId,
    component::{Event, Held, State},
};
use bistable_format::{
    Content, Release,
    archive::{self, ArchiveReader, Entry, EntryKind, ReadError, Sink},
    release,
};
use std::{mem, path::Path};

/// What must be free on the partition `persistent` beside what the archive needs.
const SPARE_BYTES: u64 = 64 << 20;
/// The most bytes of a version file that are looked at.
const VERSION_MAX: usize = 256;

impl Updater<'_> {
    /// Take an offer and make it a version that is complete and durable. Continues an installation of the same release, from its
    /// beginning.
    ///
    /// # Errors
    /// When the offer, the device or the partition is to blame: the version that runs stays, and is the current one.
    pub fn install(&mut self, content: &mut dyn Archive) -> Result<(), Error> {
        self.settle()?;
        let target = held(content);
        self.step(ComponentStep::Preflight, |this| this.preflight(content.release()))?;
        // An update that was begun makes way for another one before it is armed.
        if let State::Installing(before) | State::Staged(before) = self.component().state
            && before != target
        {
            self.on(Event::Failed(Failure::new(Reason::Environment, "another release was offered")))?;
        }
        match self.component().state {
            State::Staged(_) => return Ok(()),
            State::Installing(_) => {}
            _ => self.on(Event::Offer(target.clone()))?,
        }
        let bytes = match &content.release().content {
            Content::Directory(directory) => directory.archive.bytes,
            _ => 0,
        };
        let began = self.begin(ComponentStep::Unpack, bytes);
        let unpacked = self.unpack(content, &target);
        self.end(ComponentStep::Unpack, began, &unpacked, |()| None);
        if let Err(e) = unpacked {
            // What is half there only takes room: the next attempt begins again.
            let _ = self.world.store.remove(&self.subject.name, &version_name(&target));
            if matches!(e, Error::Cancelled) {
                return self.cancelled();
            }
            if is_unfit(&e) {
                self.on(Event::Failed(Failure::new(Reason::Install, &e.to_string())))?;
            }
            return Err(e);
        }
        let (name, version) = (self.subject.name.as_str(), version_name(&target));
        self.step(ComponentStep::Sync, |this| {
            // Data first, then the name (I13).
            this.world.store.sync()?;
            Ok(this.world.store.complete(name, &version)?)
        })?;
        self.on(Event::Installed)
    }

    /// What has to be right before anything is fetched.
    fn preflight(&mut self, release: &Release) -> Result<(), Error> {
        let subject = self.subject;
        let name = || subject.name.clone();
        let Content::Directory(directory) = &release.content else {
            return Err(ComponentError::OtherRelease { name: name(), found: found(release) }.into());
        };
        if release.component.as_deref() != Some(&subject.name) {
            return Err(ComponentError::OtherRelease { name: name(), found: found(release) }.into());
        }
        if !self.world.store.is_reached_by(&subject.name, &subject.path)? {
            let link = Path::new("/run").join(COMPONENT_LINKS).join(&subject.name);
            return Err(ComponentError::Path { name: name(), path: subject.path.clone(), link }.into());
        }
        let free = self.world.store.free_bytes()?;
        let needed = directory.archive.bytes.saturating_add(SPARE_BYTES);
        if free < needed {
            return Err(ComponentError::Space { name: name(), needed, free }.into());
        }
        let service = self
            .world
            .services
            .service(&subject.unit, SERVICE_MAX)
            .map_err(|e| Error::NotNow(format!("service {} can't be asked: {e}", subject.unit)))?;
        // Without a version there is nothing that could run.
        let may_be_off = self.component().current.is_none();
        let state = match service.state {
            UnitState::Active => return Ok(()),
            UnitState::Other(state) if may_be_off && state != "masked" => return Ok(()),
            UnitState::Other(state) => state,
            UnitState::Missing => "missing".into(),
        };
        Err(ComponentError::Unit { name: name(), unit: subject.unit.clone(), state }.into())
    }

    fn unpack(&mut self, content: &mut dyn Archive, target: &Held) -> Result<(), Error> {
        let (name, version) = (self.subject.name.as_str(), version_name(target));
        let mut reader = ArchiveReader::new();
        let mut tree = Tree {
            inner: self.world.store.begin(name, &version)?,
            version_file: self.subject.version_file.as_os_str().as_encoded_bytes(),
            is_in_it: false,
            said: None,
        };
        let unfit =
            |source| ComponentError::Archive { name: name.into(), version: target.version.clone(), source };
        let observer = &mut *self.observer;
        content.read(&mut |bytes| {
            reader.push(bytes, &mut tree).map_err(|e| failed(e, &unfit))?;
            observer.on_event(ComponentEvent::Read(bytes.len() as u64));
            if observer.wants_more().is_break() { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        reader.finish::<Fault>().map_err(|e| failed(e, &unfit))?;
        let said = mem::take(&mut tree.said);
        drop(tree);
        if !said.as_ref().is_some_and(|said| archive::says_version(said, &target.version)) {
            let found = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
            let (version, file) = (target.version.clone(), self.subject.version_file.clone());
            return Err(ComponentError::VersionFile { name: name.into(), version, file, found }.into());
        }
        Ok(self.world.store.keep_release(name, &version, content.signed())?)
    }

    /// The self-tests of the new version's release, on the system as it runs.
    pub(super) fn self_test(&mut self) -> Result<(), Error> {
        let State::Staged(target) = self.component().state else { return Ok(()) };
        let plan = self.release_of(&target)?.self_test_plan().map_err(|e| ComponentError::StoredRelease {
            name: self.subject.name.clone(),
            problem: e.to_string(),
        })?;
        let report = self.judged(
            ComponentStep::SelfTest,
            |this| {
                let World { gpio, buses, host, clock, .. } = &mut this.world;
                Ok(selftest::run(&plan, &mut **gpio, &mut **buses, &mut **host, *clock))
            },
            |report| report.refusal().map(|_| report.summary()),
        )?;
        match report.refusal() {
            None => {
                self.unless_cancelled()?;
                self.on(Event::SelfTestsPassed)
            }
            Some(_) => {
                let summary = report.summary();
                self.on(Event::Failed(Failure::new(Reason::SelfTest, &summary)))?;
                Err(Error::SelfTest(summary))
            }
        }
    }
}

/// What an offer is about.
pub(super) fn held(content: &dyn Archive) -> Held {
    let release = content.release();
    Held {
        release: ReleaseId(release::identity(content.signed()).0),
        version: release.version.clone(),
        security_version: release.security_version,
    }
}

fn found(release: &Release) -> String {
    match &release.component {
        Some(component) => format!("{component} {}", release.version),
        None => format!("an image, {}", release.version),
    }
}

/// Whether this very release can never be installed. Only then the update is given up; it is not rejected (I16).
fn is_unfit(e: &Error) -> bool {
    matches!(e, Error::Component(e) if matches!(**e, ComponentError::Archive { .. } | ComponentError::VersionFile { .. }))
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
