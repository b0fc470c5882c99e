//! Components on this device: what may go onto it, and the updater of one with the ports of the board.
use super::{Agent, AgentEvent, Observer};
use crate::{
    Device, Error,
    component::{
        self, Archive, Change, ComponentEvent, ComponentObserver, Containers, Directory, ManagedComponent,
        Memory, Subject, Updater, World, show_bound, write_links,
    },
    config::{self, Mode, Target},
    device::{StoredComponents, bound_name, bound_release, with_bound},
    error::ComponentError,
    event::{BoundBy, ComponentShown},
    offer::channel::ComponentFacts,
    release_id,
    steps::install::Overrides,
};
use bistable_boot::{
    ReleaseId,
    component::{Component, ComponentRecord, Held, State},
};
use bistable_format::{
    Digest, Release,
    compat::{self, Direction},
    configuration::{Declaration, Values},
    content::{CONTAINERS_KIND, DIRECTORY_KIND},
    resolve::Reason,
};
use semver::Version;
use std::{collections::BTreeMap, ops::ControlFlow};

/// The kind of content that can be installed as a component.
fn kind(managed: &ManagedComponent) -> u16 {
    match managed.target {
        component::Target::Directory(_) => DIRECTORY_KIND,
        component::Target::Containers(_) => CONTAINERS_KIND,
    }
}

impl Memory for StoredComponents {
    fn record(&self) -> &ComponentRecord {
        &self.record
    }

    fn save(&mut self, next: ComponentRecord) -> Result<(), Error> {
        self.store(next)
    }
}

/// What a configured component is on this device.
///
/// # Errors
/// When there is none of that name, or something else updates it.
pub fn subject(components: &[config::Component], name: &str) -> Result<ManagedComponent, Error> {
    let unknown = || ComponentError::Unknown { name: name.into() };
    let found = components.iter().find(|component| component.name == name).ok_or_else(unknown)?;
    let managed = found.managed.as_ref().ok_or_else(|| ComponentError::NotManaged { name: name.into() })?;
    let target = match &managed.target {
        Target::Directory { unit, path, version_file } => component::Target::Directory(Directory {
            unit: unit.clone(),
            path: path.clone(),
            version_file: version_file.clone(),
        }),
        Target::Containers { project, service } => {
            component::Target::Containers(Containers { project: project.clone(), service: service.clone() })
        }
    };
    let (start_wait, health) = (managed.start_wait, managed.health.clone());
    Ok(ManagedComponent { subject: Subject { name: name.into(), start_wait, health }, target })
}

/// Tells the agent's observer what happens to one component.
struct Reported<'a> {
    name: &'a str,
    inner: &'a mut dyn Observer,
}

impl ComponentObserver for Reported<'_> {
    fn on_event(&mut self, event: ComponentEvent<'_>) {
        self.inner.on_event(AgentEvent::Component(self.name, event));
    }

    fn wants_more(&self) -> ControlFlow<()> {
        self.inner.wants_more()
    }
}

/// What is remembered of the components.
///
/// # Errors
/// When the record can't be used.
pub fn record(device: &Device) -> Result<ComponentRecord, Error> {
    Ok(device.stored_components()?.record)
}

impl Agent<'_> {
    /// Verify that a release may become the component's version. Changes nothing.
    ///
    /// # Errors
    /// As for [`update_component`](Self::update_component).
    pub fn check_component(
        &mut self,
        name: &str,
        content: &dyn Archive,
        overrides: Overrides,
    ) -> Result<(), Error> {
        match self.lost_version(name, content)? {
            Some(bound) => self.check_lost(&bound, content),
            None => {
                let (managed, stored) = self.accepted(name, content, overrides)?;
                self.with_updater(&managed, stored, |updater| updater.check_configuration(content.release()))
            }
        }
    }

    /// Have the component run with other values, or keep them for its next versions.
    ///
    /// # Errors
    /// As for [`Updater::configure`]; of a component that the booted image brings along.
    pub fn configure_component(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.of_component(name, |updater| updater.configure(change))
    }

    /// The component that may become this version, and what is remembered.
    fn accepted(
        &self,
        name: &str,
        content: &dyn Archive,
        overrides: Overrides,
    ) -> Result<(ManagedComponent, StoredComponents), Error> {
        let managed = subject(&self.device.settings.components, name)?;
        is_independent(&self.device, name)?;
        let stored = self.device.stored_components()?;
        accept(&self.device, &stored.record, name, content, overrides)?;
        Ok((managed, stored))
    }

    /// Have the component run this version. One that the booted image brings along, and that is not on this device any more, is put back.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] when it is what runs, [`Error::Rejected`], or [`Error::Incompatible`] with every reason;
    /// [`Error::NotNow`] while an update of the system has to be decided; and as for [`Updater::run`].
    pub fn update_component(
        &mut self,
        name: &str,
        content: &mut dyn Archive,
        overrides: Overrides,
    ) -> Result<(), Error> {
        if let Some(bound) = self.lost_version(name, content)? {
            return self.put_back(&bound, content);
        }
        let (managed, stored) = self.accepted(name, content, overrides)?;
        self.with_updater(&managed, stored, |updater| {
            updater.install(content)?;
            updater.run()
        })
    }

    /// Stage this version of the component: the one that runs stays.
    ///
    /// # Errors
    /// As for [`update_component`](Self::update_component), before its trial.
    pub fn stage_component(
        &mut self,
        name: &str,
        content: &mut dyn Archive,
        overrides: Overrides,
    ) -> Result<(), Error> {
        if let Some(bound) = self.lost_version(name, content)? {
            return self.put_back(&bound, content);
        }
        let (managed, stored) = self.accepted(name, content, overrides)?;
        self.with_updater(&managed, stored, |updater| updater.install(content))
    }

    /// Continue what was staged or interrupted.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if what is staged no longer goes with what else is on the device, [`Error::NotNow`] while an update of
    /// the system has to be decided; and as for [`Updater::run`].
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a method is for one lifetime only")]
    pub fn resume_component(&mut self, name: &str) -> Result<(), Error> {
        let managed = subject(&self.device.settings.components, name)?;
        is_independent(&self.device, name)?;
        let stored = self.device.stored_components()?;
        let state = stored.record.get(name).map(|component| component.state.clone());
        // The system, or another component, may be another one since it was staged.
        if let Some(State::Staged(target)) = state {
            is_decided(&self.device)?;
            let signed = self.device.board.store.release(name, &target.release.to_string())?;
            let release = self.device.release_trust()?(&signed).map_err(Error::Root)?;
            is_compatible(&self.device, &stored.record, name, &release)?;
        }
        self.with_updater(&managed, stored, |updater| updater.run())
    }

    /// Give up the update in flight, or return to the version before.
    ///
    /// # Errors
    /// [`Error::NothingToDo`] when there is neither; and as for [`Updater::run`].
    pub fn revert_component(&mut self, name: &str) -> Result<(), Error> {
        self.of_component(name, |updater| {
            let component = updater.component();
            match (component.state.target(), component.kept.first()) {
                (Some(_), _) => updater.give_up(),
                (None, Some(kept)) => updater.return_to(&kept.clone()),
                (None, None) => {
                    Err(Error::NothingToDo(format!("component {name} has no version to return to")))
                }
            }
        })
    }

    /// Stop the component, across reboots, or have it run again.
    ///
    /// # Errors
    /// As for [`Updater::set_stopped`].
    pub fn stop_component(&mut self, name: &str, is_stopped: bool) -> Result<(), Error> {
        self.of_component(name, |updater| updater.set_stopped(is_stopped))
    }

    /// An operator looked into a component that failed.
    ///
    /// # Errors
    /// As for [`Updater::reset`].
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a method is for one lifetime only")]
    pub fn reset_component(&mut self, name: &str) -> Result<(), Error> {
        self.of_component(name, |updater| updater.reset())
    }

    /// Remove all versions of a component that is stopped, and forget it.
    ///
    /// # Errors
    /// [`ComponentError::StillWanted`] while the daemon would install it again, [`Error::NothingToDo`] when nothing of it is on the
    /// device; and as for [`Updater::remove`].
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a method is for one lifetime only")]
    pub fn remove_component(&mut self, name: &str) -> Result<(), Error> {
        let declared = self.device.settings.components.iter().find(|component| component.name == name);
        let mode = declared.and_then(|component| component.managed.as_ref()).map(|managed| managed.mode);
        if let Some(mode) = mode.filter(|mode| *mode != Mode::Check) {
            return Err(ComponentError::StillWanted { name: name.into(), mode }.into());
        }
        is_independent(&self.device, name)?;
        let stored = self.device.stored_components()?;
        if stored.record.get(name).is_none() {
            return Err(Error::NothingToDo(format!("nothing of component {name} is on this device")));
        }
        let managed = match mode {
            Some(_) => subject(&self.device.settings.components, name)?,
            None => ManagedComponent::undeclared(name),
        };
        self.with_updater(&managed, stored, |updater| updater.remove())
    }

    fn of_component(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Updater<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let managed = subject(&self.device.settings.components, name)?;
        is_independent(&self.device, name)?;
        let stored = self.device.stored_components()?;
        self.with_updater(&managed, stored, work)
    }

    /// Do something with the updater of a component, and with the record that was read for it.
    pub(super) fn with_updater(
        &mut self,
        ManagedComponent { subject, target }: &ManagedComponent,
        mut memory: impl Memory,
        work: impl FnOnce(&mut Updater<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let bound = bound_versions(&self.device, &subject.name)?;
        let opens = self.device.release_trust()?;
        let trust = |signed: &[u8]| opens(signed).map_err(Error::Root);
        let mut observer = Reported { name: &subject.name, inner: &mut *self.observer };
        let board = &mut self.device.board;
        work(&mut Updater {
            subject,
            procedure: target.procedure(),
            memory: &mut memory,
            world: World {
                store: &mut *board.store,
                engine: &mut *board.engine,
                compose: &mut *board.compose,
                services: &mut *board.services,
                host: &mut *board.host,
                gpio: &mut *board.gpio,
                buses: &mut *board.buses,
                clock: &*board.clock,
            },
            bound: bound.as_deref(),
            max_rollbacks: self.device.settings.update.max_rollbacks as usize,
            trust: &trust,
            observer: &mut observer,
        })
    }
}

/// Whether a component changes by itself: not while the booted image brings it along.
fn is_independent(device: &Device, name: &str) -> Result<(), Error> {
    let binding = device.binding_here()?;
    let Some(bound) = binding.of(name) else { return Ok(()) };
    let reason = Reason::Bound {
        image: binding.image.clone(),
        part: format!("{name} {version}", version = bound.version),
    };
    Err(ComponentError::Bound { reason }.into())
}

/// The versions of a component that the images in the slots bring along; `None` if that can't be found out.
fn bound_versions(device: &Device, name: &str) -> Result<Option<Vec<ReleaseId>>, Error> {
    match device.bound_by_slots() {
        Err(e) if e.stopping().is_some() => Err(e),
        Err(e) => {
            log::warn!(reason:% = e; "bound_components_unknown");
            Ok(None)
        }
        Ok(bound) => {
            let of_it = bound.iter().filter(|bound| bound.component == name);
            Ok(Some(of_it.map(bound_release).collect()))
        }
    }
}

/// Decide whether a verified release may become the component's version.
fn accept(
    device: &Device,
    record: &ComponentRecord,
    name: &str,
    content: &dyn Archive,
    overrides: Overrides,
) -> Result<(), Error> {
    is_decided(device)?;
    let (release, id) = (content.release(), release_id(content.signed()));
    let component = record.get(name);
    if let Some(State::Failed(failure)) = component.filter(|c| c.is_halted()).map(|c| &c.state) {
        return Err(ComponentError::Halted { name: name.into(), failure: failure.clone() }.into());
    }
    let current = component.and_then(|component| component.current.as_ref());
    if current.is_some_and(|current| current.release == id) {
        let text = format!("component {name} {} is what runs already: nothing to do", release.version);
        return Err(Error::NothingToDo(text));
    }
    if let Some(rejected) = component.and_then(|c| c.rejection(&id)).filter(|_| !overrides.rejected) {
        return Err(Error::Rejected(rejected.clone()));
    }
    if device.record.withdrawn.contains(&id) && !overrides.withdrawn {
        let channel = device.record.channel.clone();
        return Err(Error::Withdrawn { version: release.version.clone(), channel });
    }
    is_compatible(device, record, name, release)
}

fn is_decided(device: &Device) -> Result<(), Error> {
    if device.now().is_undecided() {
        let text =
            format!("an update of the system is {}: `bistable resume` finishes it", device.now().name());
        return Err(Error::NotNow(text));
    }
    Ok(())
}

/// Whether a release goes with what is on the device.
fn is_compatible(
    device: &Device,
    record: &ComponentRecord,
    name: &str,
    release: &Release,
) -> Result<(), Error> {
    let (others, kind) = (others(device, name, record)?, kind(&subject(&device.settings.components, name)?));
    let current = record.get(name).and_then(|component| component.current.as_ref());
    let running = current.map(|held| &held.version);
    let facts = compat::Device {
        product: &device.record.product,
        board: &device.board.name,
        running,
        security_floor: record.get(name).map_or(0, |component| component.security_floor),
        components: &others,
        boot_bytes: u64::MAX,
        system_bytes: u64::MAX,
    };
    let mut reasons =
        compat::check_component(&release.constraints(), (name, &[kind]), &facts, Direction::Forward);
    reasons.extend(compat::check_release(release));
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::Incompatible { version: release.version.clone(), reasons })
}

/// The components that the booted image brings along: the version of each, and its line in a status.
///
/// # Errors
/// When the machine goes down.
pub fn bound_here(
    device: &mut Device,
    record: &ComponentRecord,
) -> Result<BTreeMap<String, (String, BoundBy)>, Error> {
    let binding = device.binding_or_none()?;
    let mut all = BTreeMap::new();
    for bound in &binding.bound {
        let is_there = match device.board.store.has(&bound.component, &bound_name(bound)) {
            Err(e) if e.stopping().is_some() => return Err(e.into()),
            is_there => is_there.unwrap_or_default(),
        };
        let current = record.get(&bound.component).and_then(|component| component.current.as_ref());
        let by = BoundBy {
            image: binding.image.clone(),
            instead_of: current
                .filter(|current| current.release != bound_release(bound))
                .map(|current| current.version.to_string()),
            missing: !is_there,
        };
        all.insert(bound.component.clone(), (bound.version.to_string(), by));
    }
    Ok(all)
}

/// The components in a status: what was installed here at least once, and what the booted image brings along, by name.
pub fn shown(device: &mut Device, record: &ComponentRecord) -> Vec<ComponentShown> {
    let bound = bound_here(device, record).unwrap_or_default();
    let unknown = bound.keys().filter(|name| record.get(name).is_none());
    let unknown: Vec<Component> = unknown.map(|name| Component::registered(name)).collect();
    let all = record.components.iter().chain(&unknown);
    let mut shown: Vec<ComponentShown> = all
        .map(|component| {
            let shown = ComponentShown::of(component, None);
            match bound.get(&component.name) {
                Some((version, by)) => shown.bound_to(version, by.clone()),
                None => shown,
            }
        })
        .collect();
    shown.sort_by(|a, b| a.component.cmp(&b.component));
    shown
}

/// What is on the device beside a component.
fn others(device: &Device, name: &str, record: &ComponentRecord) -> Result<Vec<(String, Version)>, Error> {
    let mut others = with_bound(device.independent(record), &device.binding_or_none()?.bound);
    others.retain(|(known, _)| known != name);
    // The system itself goes by the product's name.
    if let Some(image) = device.running() {
        others.push((device.record.product.clone(), image.version.clone()));
    }
    Ok(others)
}

/// What decides which of a channel's offers a component takes.
///
/// # Errors
/// When there is no such component, or the record can't be used.
pub fn facts(device: &Device, name: &str) -> Result<ComponentFacts, Error> {
    let kind = kind(&subject(&device.settings.components, name)?);
    let record = record(device)?;
    let component = record.get(name);
    let digest = |release: ReleaseId| Digest(release.0);
    // What is tried already is decided first.
    let in_flight = component.and_then(|component| match &component.state {
        State::Installing(target) | State::Staged(target) => Some(target),
        _ => None,
    });
    let current = component.and_then(|component| component.current.as_ref());
    Ok(ComponentFacts {
        name: name.into(),
        kinds: vec![kind],
        running: current.map(|held| (digest(held.release), held.version.clone())),
        security_floor: component.map_or(0, |component| component.security_floor),
        others: others(device, name, &record)?,
        rejected: component.map(|component| component.rejected.clone()).unwrap_or_default(),
        in_flight: in_flight.map(|held| (digest(held.release), held.version.clone())),
    })
}

/// What a boot does before services start: see [`write_links`], and of what the booted image brings along `show_bound`. What is wrong with one component keeps none of the others from running,
/// and a record that can't be used keeps none of them: then the durable names count.
///
/// # Errors
/// The first link that can't be written, after all others were.
pub fn link_all(device: &mut Device) -> Result<Vec<String>, Error> {
    let stored = device.stored_components();
    if let Err(e) = &stored {
        log::warn!(reason:% = e; "component_record_unusable");
    }
    let record = stored.ok().map(|stored| stored.record);
    let binding = device.binding_or_none()?;
    let (mut linked, mut problem) = match show_bound(&mut *device.board.store, &binding) {
        Ok(linked) => (linked, None),
        Err(e) => (Vec::new(), Some(Error::from(e))),
    };
    let independent = directories(device).into_iter().filter(|(name, _)| binding.of(name).is_none());
    for (name, _) in independent {
        match write_links(&mut *device.board.store, record.as_ref(), &name) {
            Ok(()) => linked.push(name),
            Err(e) => problem = problem.or(Some(e.into())),
        }
    }
    problem.map_or(Ok(linked), Err)
}

/// Recreate the record after both copies were damaged: the version that each durable name leads to, if its release is there and trusted,
/// is the current one, and its security version the floor.
///
/// # Errors
/// [`Error::NothingToDo`] when the record can be used; when there is no root of trust, or the card fails.
pub fn recreate(device: &mut Device) -> Result<(), Error> {
    if device.stored_components().is_ok() {
        return Err(Error::NothingToDo("the record of the components is readable: nothing to repair".into()));
    }
    let opens = device.release_trust()?;
    let mut record = ComponentRecord::new(&device.record.product);
    for (name, named) in named(device)? {
        let (version, configuration) = component::parts_of(&named);
        let store = &mut device.board.store;
        let signed = store.release(&name, version)?;
        let release = opens(&signed).map_err(Error::Root)?;
        let id = release_id(&signed);
        if id.to_string() != version || release.component.as_deref() != Some(&name) {
            let problem = format!("{version} of component {name} has the release of something else");
            return Err(ComponentError::Record { problem }.into());
        }
        if let Some(component) = record.entry(&name) {
            component.security_floor = release.security_version;
            component.current = Some(Held {
                release: id,
                version: release.version,
                security_version: release.security_version,
                configuration,
            });
        }
    }
    device.recreate_components(record)
}

/// The components that this device updates by themselves, by name: not those that the booted image brings along. While its release
/// can't be used, there are none.
pub fn managed(device: &Device) -> Vec<String> {
    let components = &device.settings.components;
    let names = components.iter().map(|component| component.name.clone());
    let mut names: Vec<String> = names.filter(|name| subject(components, name).is_ok()).collect();
    // The daemon asks often, and what a slot binds has to be verified each time.
    if names.is_empty() {
        return names;
    }
    let binding = match device.binding_here() {
        Ok(binding) => binding,
        Err(e) => {
            log::warn!(reason:% = e; "bound_components_unknown");
            return Vec::new();
        }
    };
    names.retain(|name| binding.of(name).is_none());
    names
}

/// The version that each durable name leads to.
fn named(device: &mut Device) -> Result<Vec<(String, String)>, Error> {
    let mut named = Vec::new();
    for (name, _) in directories(device) {
        named.extend(device.board.store.current(&name)?.map(|version| (name, version)));
    }
    for (name, containers) in containers(device) {
        let version = containers.current(&mut *device.board.compose, &name)?;
        named.extend(version.map(|version| (name, version)));
    }
    named.sort();
    Ok(named)
}

/// The components that this device updates.
fn subjects(device: &Device) -> impl Iterator<Item = ManagedComponent> {
    let components = &device.settings.components;
    components.iter().filter_map(|component| subject(components, &component.name).ok())
}

/// Those of the kind `directory`.
fn directories(device: &Device) -> Vec<(String, Directory)> {
    let of_kind = |managed: ManagedComponent| match managed.target {
        component::Target::Directory(directory) => Some((managed.subject.name, directory)),
        component::Target::Containers(_) => None,
    };
    subjects(device).filter_map(of_kind).collect()
}

/// Those of the kind `containers`.
fn containers(device: &Device) -> Vec<(String, Containers)> {
    let of_kind = |managed: ManagedComponent| match managed.target {
        component::Target::Containers(containers) => Some((managed.subject.name, containers)),
        component::Target::Directory(_) => None,
    };
    subjects(device).filter_map(of_kind).collect()
}

/// What a boot does once the container engine answers: see [`Containers::converge`]. What is wrong with one component keeps none of the others from
/// running, and a record that can't be used keeps none of them.
///
/// # Errors
/// The first component that can't be had to run, after all others were.
pub fn converge_all(device: &mut Device) -> Result<Vec<String>, Error> {
    let stored = device.stored_components();
    if let Err(e) = &stored {
        log::warn!(reason:% = e; "component_record_unusable");
    }
    let record = stored.ok().map(|stored| stored.record);
    let (mut done, mut problem) = (Vec::new(), None);
    for (name, containers) in containers(device) {
        let board = &mut device.board;
        match containers.converge(&mut *board.engine, &mut *board.compose, record.as_ref(), &name) {
            Ok(()) => done.push(name),
            Err(e) => problem = problem.or(Some(e)),
        }
    }
    problem.map_or(Ok(done), Err)
}

/// What of a component can be set, and what is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// What its version declares.
    pub declaration: Declaration,
    /// What is set for that.
    pub values: Values,
    /// What is set for versions to come.
    pub later: Values,
}

/// What of a component can be set, and what is.
///
/// # Errors
/// When what is stored of it can't be used.
pub fn configured(device: &mut Device, component: &Component) -> Result<Configured, Error> {
    let (name, store) = (component.name.as_str(), &mut *device.board.store);
    let current = component.current.as_ref().filter(|current| current.configuration.is_some());
    let later = component::later(store, name)?;
    let values = component::values_of(store, name, current)?;
    let signed = current.map(|current| store.release(name, &current.release.to_string())).transpose()?;
    let release = signed.map(|signed| device.release_trust()?(&signed).map_err(Error::Root)).transpose()?;
    let declared = release.map(|release| release.configuration()).transpose();
    let declaration = declared.map_err(|e| Error::Root(e.into()))?.flatten().unwrap_or_default();
    Ok(Configured { declaration, values, later })
}

/// Versions of a component that could be returned to, and whose images something removed from the engine's store.
///
/// # Errors
/// When the engine doesn't answer.
pub fn gone(device: &mut Device, component: &Component) -> Result<Vec<Version>, Error> {
    let is_containers = containers(device).iter().any(|(name, _)| *name == component.name);
    if !is_containers || component.kept.is_empty() {
        return Ok(Vec::new());
    }
    let there = device.board.engine.tagged(&component::repository(&component.name));
    let there = there.map_err(|e| Error::NotNow(format!("the container engine: {e}")))?;
    let is_gone = |held: &&Held| !there.iter().any(|(tag, _)| *tag == held.release.to_string());
    Ok(component.kept.iter().filter(is_gone).map(|held| held.version.clone()).collect())
}
