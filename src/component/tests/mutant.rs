//! Mistakes, put in on purpose: the exploration of power cuts has to find each.
use super::desk::{CORE, PROJECT};
use crate::{
    Error,
    board::memory::{MemoryEngine, MemoryServices, MemoryStore},
    component::{driver::name_of, repository},
    ports::{
        ComponentStore, ComposeFile, ComposeProject, Container, ContainerEngine, EngineInfo, Fault,
        HostError, ImageParts, Service, ServiceManager, ServiceOf, StoredVersion, parts_of,
    },
};
use bistable_boot::component::{ComponentRecord, State};
use bistable_format::{Digest, archive::Sink, compose::Compose};
use std::{cell::RefCell, io::Read as _, path::Path, rc::Rc, time::Duration};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// What was unpacked is never made durable.
    NoSync,
    /// It is, but after it got its name and was recorded.
    RecordedFirst,
    /// It is, but after the durable name leads to it.
    NamedFirst,
    /// A trial changes the durable name.
    TrialIsDurable,
    /// A commit changes nothing.
    NameNotChanged,
    /// A commit is recorded before the durable name leads there.
    CommittedFirst,
    /// The version that runs goes before the new one is complete.
    RunningRemoved,
    /// The old process is not stopped.
    OldProcess,
    /// Attempts are not counted.
    AttemptsForgotten,
    /// The boot doesn't write the links.
    LinksNotWritten,
    /// The boot starts the service before it writes the links.
    UnitBeforeLinks,
    /// Whatever runs counts as healthy, and as the version that is shown.
    HealthIgnored,
    /// The way back is recorded as gone before it is.
    RevertForgotten,
    /// A verdict is recorded as committed at once.
    VerdictIsCommit,
    /// Rollbacks are not remembered.
    RollbacksForgotten,
    /// Too many rollbacks end in a component that can be updated.
    HaltForgotten,
    /// A removal is not recorded before it begins.
    RemovalForgotten,
    /// A component is forgotten before its versions are removed.
    ForgottenFirst,
    /// What the engine pulled is never made durable.
    EngineNotSynced,
    /// It is, but after it was recorded.
    EngineSyncedLate,
    /// The files that the engine has are not read back.
    NotReadBack,
    /// What an unfinished attempt left in the engine stays there.
    ImageStays,
    /// A trial changes the durable Compose file.
    TrialChangesFile,
    /// A commit leaves it as it is.
    FileStays,
    /// A commit is recorded before the file is changed.
    FileAfterRecord,
    /// The engine may start a version on trial by itself.
    TrialStartsItself,
    /// It never starts the committed one by itself.
    NeverHandedOver,
    /// The old container stays, and whatever runs counts as the signed image.
    WrongImage,
    /// What runs is taken down with its image before the new one is pulled.
    DownFirst,
    /// The boot starts nothing.
    NotConverged,
    /// A configuration gets its name after it was recorded.
    ConfiguredLate,
    /// The way back leaves the newest configuration shown.
    ConfigurationStays,
    /// Another configuration takes the place of the one that runs.
    ConfigurationInPlace,
    /// The boot shows the version without its configuration.
    BootWithoutConfiguration,
}

impl Mutant {
    pub(super) const DIRECTORY: &[Mutant] = &[
        Mutant::NoSync,
        Mutant::RecordedFirst,
        Mutant::NamedFirst,
        Mutant::TrialIsDurable,
        Mutant::NameNotChanged,
        Mutant::CommittedFirst,
        Mutant::RunningRemoved,
        Mutant::OldProcess,
        Mutant::AttemptsForgotten,
        Mutant::LinksNotWritten,
        Mutant::UnitBeforeLinks,
        Mutant::HealthIgnored,
        Mutant::RevertForgotten,
        Mutant::VerdictIsCommit,
        Mutant::RollbacksForgotten,
        Mutant::HaltForgotten,
    ];

    /// Those that need a version with a configuration to be seen, and two that others show, too.
    pub(super) const CONFIGURATION: &[Mutant] = &[
        Mutant::ConfiguredLate,
        Mutant::ConfigurationStays,
        Mutant::ConfigurationInPlace,
        Mutant::BootWithoutConfiguration,
        Mutant::NoSync,
        Mutant::NameNotChanged,
    ];

    pub(super) const CONTAINERS: &[Mutant] = &[
        Mutant::AttemptsForgotten,
        Mutant::VerdictIsCommit,
        Mutant::HealthIgnored,
        Mutant::EngineNotSynced,
        Mutant::EngineSyncedLate,
        Mutant::NotReadBack,
        Mutant::ImageStays,
        Mutant::TrialChangesFile,
        Mutant::FileStays,
        Mutant::FileAfterRecord,
        Mutant::TrialStartsItself,
        Mutant::NeverHandedOver,
        Mutant::WrongImage,
        Mutant::DownFirst,
        Mutant::NotConverged,
    ];
}

/// What a mutant saves instead of a record.
pub(super) fn saved(mutant: Option<Mutant>, mut next: ComponentRecord) -> ComponentRecord {
    if mutant == Some(Mutant::ForgottenFirst) {
        next.components.retain(|component| component.state != State::Removing);
    }
    for component in &mut next.components {
        if mutant == Some(Mutant::RemovalForgotten) && component.state == State::Removing {
            component.state = State::Idle;
        }
        if mutant == Some(Mutant::RollbacksForgotten) {
            component.rollbacks.clear();
        }
        if mutant == Some(Mutant::HaltForgotten) && component.is_halted() {
            component.state = State::Idle;
        }
        match (mutant, &mut component.state) {
            (Some(Mutant::AttemptsForgotten), State::Armed { attempts, begun, .. }) => {
                (*attempts, *begun) = (0, None);
            }
            (Some(Mutant::RevertForgotten), State::Reverting { .. }) => component.state = State::Idle,
            (Some(Mutant::VerdictIsCommit), State::Committing { target, .. }) => {
                component.current = Some(target.clone());
                component.state = State::Idle;
            }
            _ => {}
        }
    }
    next
}

/// Something that a mutant does after the next save.
#[derive(Clone, Default)]
pub(super) struct Deferred(Rc<RefCell<Vec<Late>>>);

enum Late {
    Sync(MemoryStore),
    Name(MemoryStore, String, Option<String>),
    Complete(MemoryStore, String, String),
    Engine(MemoryEngine),
    File(MemoryEngine, String, Vec<u8>),
}

impl Deferred {
    pub(super) fn now(&self) -> Result<(), Error> {
        for late in self.0.take() {
            match late {
                Late::Sync(mut store) => store.sync()?,
                Late::Name(mut store, component, version) => {
                    store.set_current(&component, version.as_deref())?;
                }
                Late::Complete(mut store, component, version) => store.complete(&component, &version)?,
                Late::Engine(mut engine) => engine.sync().map_err(|e| Error::NotNow(e.to_string()))?,
                Late::File(mut engine, project, text) => engine.set_file(&project, &text)?,
            }
        }
        Ok(())
    }
}

pub(super) struct MutantStore {
    inner: MemoryStore,
    mutant: Option<Mutant>,
    record: Rc<RefCell<ComponentRecord>>,
    deferred: Deferred,
}

impl MutantStore {
    pub(super) fn new(
        inner: MemoryStore,
        mutant: Option<Mutant>,
        record: Rc<RefCell<ComponentRecord>>,
    ) -> MutantStore {
        MutantStore { inner, mutant, record, deferred: Deferred::default() }
    }

    pub(super) fn deferred(&self) -> Deferred {
        self.deferred.clone()
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Where a configuration is written to.
    fn place(&self, component: &str, version: &str) -> String {
        let current = self.record.borrow().get(component).and_then(|c| c.current.clone());
        match current.filter(|_| self.is(Mutant::ConfigurationInPlace) && parts_of(version).1.is_some()) {
            Some(current) if current.release.to_string() == parts_of(version).0 => name_of(&current),
            _ => version.into(),
        }
    }

    /// The configuration that was written last, of the same version.
    fn newest(&mut self, component: &str, version: &str) -> Option<String> {
        let stored = self.inner.versions(component).ok()?.into_iter().map(|stored| stored.name);
        let of_it = stored.filter(|name| parts_of(name).0 == parts_of(version).0);
        of_it.max_by_key(|name| parts_of(name).1)
    }
}

impl ComponentStore for MutantStore {
    fn components(&mut self) -> Result<Vec<String>, Fault> {
        self.inner.components()
    }
    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        self.inner.versions(component)
    }
    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        let current = self.record.borrow().get(component).and_then(|c| c.current.clone());
        if let Some(current) = current.filter(|_| self.is(Mutant::RunningRemoved)) {
            self.inner.remove(component, &current.release.to_string())?;
        }
        let place = self.place(component, version);
        self.inner.begin(component, &place)
    }
    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.inner.keep_release(component, version, signed)
    }
    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        self.inner.release(component, version)
    }
    fn file(&mut self, component: &str, version: &str, name: &str) -> Result<Vec<u8>, Fault> {
        self.inner.file(component, version, name)
    }
    fn values(&mut self, component: &str) -> Result<Vec<u8>, Fault> {
        self.inner.values(component)
    }
    fn keep_values(&mut self, component: &str, values: &[u8]) -> Result<(), Fault> {
        self.inner.keep_values(component, values)
    }
    fn sync(&mut self) -> Result<(), Fault> {
        match self.mutant {
            Some(Mutant::NoSync | Mutant::NamedFirst) => Ok(()),
            Some(Mutant::RecordedFirst) => {
                self.deferred.0.borrow_mut().push(Late::Sync(self.inner.clone()));
                Ok(())
            }
            _ => self.inner.sync(),
        }
    }
    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault> {
        self.inner.parts(component, version, digests)
    }
    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        if self.is(Mutant::ConfiguredLate) && parts_of(version).1.is_some() {
            let late = Late::Complete(self.inner.clone(), component.into(), version.into());
            self.deferred.0.borrow_mut().push(late);
            return Ok(());
        }
        let place = self.place(component, version);
        self.inner.complete(component, &place)
    }
    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.inner.remove(component, version)
    }
    fn current(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.inner.current(component)
    }
    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        match self.mutant {
            Some(Mutant::NameNotChanged) => Ok(()),
            Some(Mutant::CommittedFirst) => {
                let late = Late::Name(self.inner.clone(), component.into(), version.map(str::to_owned));
                self.deferred.0.borrow_mut().push(late);
                Ok(())
            }
            Some(Mutant::NamedFirst) => {
                self.inner.set_current(component, version)?;
                self.inner.sync()
            }
            _ => self.inner.set_current(component, version),
        }
    }
    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.inner.shown(component)
    }
    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        if self.is(Mutant::TrialIsDurable) {
            self.inner.set_current(component, version)?;
        }
        if self.is(Mutant::ConfigurationStays) {
            let newest = version.and_then(|version| self.newest(component, version));
            return self.inner.show(component, newest.as_deref());
        }
        self.inner.show(component, version)
    }
    fn free_bytes(&mut self) -> Result<u64, Fault> {
        self.inner.free_bytes()
    }
    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault> {
        self.inner.is_reached_by(component, path)
    }
}

pub(super) struct MutantServices {
    pub(super) inner: MemoryServices,
    pub(super) mutant: Option<Mutant>,
}

impl ServiceManager for MutantServices {
    fn service(&mut self, unit: &str, timeout: Duration) -> Result<Service, HostError> {
        self.inner.service(unit, timeout)
    }
    fn start(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError> {
        self.inner.start(unit, timeout)
    }
    fn stop(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError> {
        if self.mutant == Some(Mutant::OldProcess) { Ok(()) } else { self.inner.stop(unit, timeout) }
    }
    fn logs(&mut self, unit: &str, lines: u32, timeout: Duration) -> Result<String, HostError> {
        self.inner.logs(unit, lines, timeout)
    }
}

/// An engine and its projects, with a mistake.
#[derive(Clone)]
pub(super) struct MutantEngine {
    inner: MemoryEngine,
    mutant: Option<Mutant>,
    deferred: Deferred,
    /// The layers of the image that was pulled last.
    wanted: Rc<RefCell<Vec<Digest>>>,
}

impl MutantEngine {
    pub(super) fn new(inner: MemoryEngine, mutant: Option<Mutant>, deferred: Deferred) -> MutantEngine {
        MutantEngine { inner, mutant, deferred, wanted: Rc::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

impl ContainerEngine for MutantEngine {
    fn info(&mut self) -> Result<EngineInfo, HostError> {
        self.inner.info()
    }
    fn tagged(&mut self, repository: &str) -> Result<Vec<(String, Digest)>, HostError> {
        self.inner.tagged(repository)
    }
    fn has_image(&mut self, id: &Digest) -> Result<bool, HostError> {
        self.inner.has_image(id)
    }
    fn pull(&mut self, parts: &dyn ImageParts, manifest: &Digest) -> Result<(), HostError> {
        if self.is(Mutant::DownFirst) {
            let of = ServiceOf { project: PROJECT, service: CORE };
            self.inner.stop(of)?;
            for container in self.inner.containers(of.project, of.service)? {
                self.inner.remove_image(&container.image)?;
            }
        }
        if let Ok(Some((_, mut manifest))) = parts.open(manifest) {
            let mut text = String::new();
            let _ = manifest.read_to_string(&mut text);
            let hex = |piece: &str| Digest::parse(piece.get(..64)?);
            *self.wanted.borrow_mut() = text.split("sha256:").filter_map(hex).collect();
        }
        self.inner.pull(parts, manifest)
    }
    fn layers(&mut self, id: &Digest) -> Result<Option<Vec<Digest>>, HostError> {
        if self.is(Mutant::NotReadBack) {
            return Ok(Some(self.wanted.borrow().clone()));
        }
        self.inner.layers(id)
    }
    fn tag(&mut self, id: &Digest, name: &str) -> Result<(), HostError> {
        self.inner.tag(id, name)
    }
    fn untag(&mut self, name: &str) -> Result<(), HostError> {
        self.inner.untag(name)
    }
    fn remove_image(&mut self, id: &Digest) -> Result<(), HostError> {
        if self.is(Mutant::ImageStays) { Ok(()) } else { self.inner.remove_image(id) }
    }
    fn sync(&mut self) -> Result<(), HostError> {
        match self.mutant {
            Some(Mutant::EngineNotSynced) => Ok(()),
            Some(Mutant::EngineSyncedLate) => {
                self.deferred.0.borrow_mut().push(Late::Engine(self.inner.clone()));
                Ok(())
            }
            _ => self.inner.sync(),
        }
    }
    fn containers(&mut self, project: &str, service: &str) -> Result<Vec<Container>, HostError> {
        let mut containers = self.inner.containers(project, service)?;
        if self.is(Mutant::WrongImage) {
            let shown = self.inner.shown(ServiceOf { project, service }).ok().flatten().unwrap_or_default();
            let image =
                Compose::parse(&shown).ok().and_then(|file| Some(file.service(service).ok()?.image.clone()));
            let image = image.unwrap_or_default();
            let tagged = self.inner.tagged(&repository(CORE))?;
            let id = tagged.into_iter().find(|(tag, _)| image.ends_with(tag.as_str())).map(|(_, id)| id);
            for container in &mut containers {
                container.image = id.unwrap_or(container.image);
            }
        }
        Ok(containers)
    }
    fn set_restart(&mut self, container: &str, restart: &str) -> Result<(), HostError> {
        if self.is(Mutant::NeverHandedOver) && restart != "no" {
            return Ok(());
        }
        self.inner.set_restart(container, restart)
    }
    fn keep(&mut self, name: &str, id: &Digest) -> Result<(), HostError> {
        self.inner.keep(name, id)
    }
    fn let_go(&mut self, name: &str) -> Result<(), HostError> {
        self.inner.let_go(name)
    }
}

impl ComposeProject for MutantEngine {
    fn version(&mut self) -> Result<String, HostError> {
        self.inner.version()
    }
    fn file(&mut self, project: &str) -> Result<ComposeFile, Fault> {
        self.inner.file(project)
    }
    fn set_file(&mut self, project: &str, text: &[u8]) -> Result<(), Fault> {
        match self.mutant {
            Some(Mutant::FileStays) => Ok(()),
            Some(Mutant::FileAfterRecord) => {
                let late = Late::File(self.inner.clone(), project.into(), text.to_vec());
                self.deferred.0.borrow_mut().push(late);
                Ok(())
            }
            _ => self.inner.set_file(project, text),
        }
    }
    fn keep_copy(&mut self, project: &str, date: &str) -> Result<(), Fault> {
        self.inner.keep_copy(project, date)
    }
    fn shown(&mut self, of: ServiceOf<'_>) -> Result<Option<Vec<u8>>, Fault> {
        self.inner.shown(of)
    }
    fn show(&mut self, of: ServiceOf<'_>, text: &[u8]) -> Result<(), Fault> {
        if self.is(Mutant::TrialChangesFile) {
            self.inner.set_file(of.project, text)?;
        }
        self.inner.show(of, text)
    }
    fn restart(&mut self, of: ServiceOf<'_>) -> Result<String, HostError> {
        self.inner.restart(of)
    }
    fn up(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        if self.is(Mutant::WrongImage) {
            return Ok(());
        }
        let done = self.inner.up(of);
        if self.is(Mutant::TrialStartsItself) {
            let restart = self.inner.restart(of)?;
            for container in self.inner.containers(of.project, of.service)? {
                self.inner.set_restart(&container.id, &restart)?;
            }
        }
        done
    }
    fn stop(&mut self, of: ServiceOf<'_>) -> Result<(), HostError> {
        self.inner.stop(of)
    }
    fn logs(&mut self, of: ServiceOf<'_>, lines: u32) -> Result<String, HostError> {
        self.inner.logs(of, lines)
    }
}
