//! Mistakes, put in on purpose: the exploration of power cuts has to find each.
use crate::{
    Error,
    board::memory::{MemoryServices, MemoryStore},
    ports::{ComponentStore, Fault, HostError, Service, ServiceManager, StoredVersion},
};
use bistable_boot::component::{ComponentRecord, State};
use bistable_format::archive::Sink;
use std::{cell::RefCell, path::Path, rc::Rc, time::Duration};

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
}

impl Mutant {
    pub(super) const ALL: [Mutant; 16] = [
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
}

impl Deferred {
    pub(super) fn now(&self) -> Result<(), Error> {
        for late in self.0.take() {
            match late {
                Late::Sync(mut store) => store.sync()?,
                Late::Name(mut store, component, version) => {
                    store.set_current(&component, version.as_deref())?;
                }
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
}

impl ComponentStore for MutantStore {
    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        self.inner.versions(component)
    }
    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        let current = self.record.borrow().get(component).and_then(|c| c.current.clone());
        if let Some(current) = current.filter(|_| self.is(Mutant::RunningRemoved)) {
            self.inner.remove(component, &current.release.to_string())?;
        }
        self.inner.begin(component, version)
    }
    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.inner.keep_release(component, version, signed)
    }
    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        self.inner.release(component, version)
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
    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.inner.complete(component, version)
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
}
