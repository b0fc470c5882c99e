//! The components that an image brings along: staged before its slot is written, tested and checked with it, and shown by the boot that
//! runs it. Nothing of them is saved: see [`Device::binding`].
use super::{Agent, components::subject};
use crate::{
    Device, Error,
    component::{
        Archive, ManagedComponent, Memory, SERVICE_MAX, SPARE_BYTES, Target, check_space, show_bound,
        stored_bound,
    },
    device::{bound_name, bound_release, with_bound},
    error::ComponentError,
    release_id,
    steps::install::Content,
};
use bistable_boot::{Slot, component::ComponentRecord};
use bistable_format::{
    Bound, Release,
    compat::{self, Direction},
    content::{CONTAINERS_KIND, DIRECTORY_KIND},
    health, selftest,
};

/// Where the components are had that an image brings along.
pub trait BoundSource {
    /// Open the release of one, verified; `None` if it isn't here.
    ///
    /// # Errors
    /// When it can't be had.
    fn open(&mut self, device: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error>;
}

/// Nowhere: an image is all that there is.
#[derive(Clone, Copy, Debug)]
pub struct ImageOnly;

impl BoundSource for ImageOnly {
    fn open(&mut self, _: &mut Device, _: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
        Ok(None)
    }
}

/// A version of a component that is to be staged.
pub(super) struct Brought {
    component: String,
    archive: Box<dyn Archive>,
}

/// Nothing is remembered of a bound version.
#[derive(Default)]
struct Unrecorded(ComponentRecord);

impl Memory for Unrecorded {
    fn record(&self) -> &ComponentRecord {
        &self.0
    }

    fn save(&mut self, _: ComponentRecord) -> Result<(), Error> {
        Err(Error::NotNow("the version of an image has no state of its own".into()))
    }
}

impl Agent<'_> {
    /// Open what an image brings along and this device lacks, and decide whether it may go onto it. Nothing is written.
    ///
    /// # Errors
    /// [`ComponentError::NotBrought`] for what can't be had, [`ComponentError::BoundUnfit`] with the reasons,
    /// [`ComponentError::Space`]; and when the store can't be read.
    pub(super) fn open_bound(
        &mut self,
        content: &dyn Content,
        from: &mut dyn BoundSource,
    ) -> Result<Vec<Brought>, Error> {
        let image = content.release();
        let (mut brought, mut needed) = (Vec::new(), SPARE_BYTES);
        for bound in &image.bound {
            self.check_kind(bound)?;
            if let Some(release) = stored(&mut self.device, bound)? {
                self.check_bound(image, bound, &release)?;
                continue;
            }
            let not_brought = |source: Option<Error>| ComponentError::NotBrought {
                image: image.version.clone(),
                component: bound.component.clone(),
                version: bound.version.clone(),
                source: source.map(Box::new),
            };
            let archive = match from.open(&mut self.device, bound) {
                Err(e) if e.stopping().is_some() => return Err(e),
                Err(e) => return Err(not_brought(Some(e)).into()),
                Ok(None) => return Err(not_brought(None).into()),
                Ok(Some(archive)) => archive,
            };
            // The image's release says which one it is: any other one is as good as none.
            if !is_of(bound, &*archive) {
                return Err(not_brought(None).into());
            }
            self.check_bound(image, bound, archive.release())?;
            needed = needed.saturating_add(archive.release().content.bytes());
            self.check_room(&bound.component, needed)?;
            brought.push(Brought { component: bound.component.clone(), archive });
        }
        Ok(brought)
    }

    /// What is configured as containers can't be switched with a slot.
    fn check_kind(&self, bound: &Bound) -> Result<(), Error> {
        let declared = subject(&self.device.settings.components, &bound.component);
        match declared.map(|managed| managed.target) {
            Ok(Target::Containers(_)) => Err(unfit(bound, &[kind_problem(CONTAINERS_KIND)]).into()),
            _ => Ok(()),
        }
    }

    /// Whether a component's release goes onto this device together with the image.
    fn check_bound(&self, image: &Release, bound: &Bound, release: &Release) -> Result<(), Error> {
        let device = &self.device;
        let mut reasons = Vec::new();
        if !release.configuration_text().is_empty() {
            reasons.push("it declares a configuration, which does not change with a slot so far".into());
        }
        if release.content.kind() != DIRECTORY_KIND {
            reasons.push(kind_problem(release.content.kind()));
        }
        let record = super::components::record(device).unwrap_or_default();
        let mut others = with_bound(device.independent(&record), &image.bound);
        others.push((device.record.product.clone(), image.version.clone()));
        let facts = compat::Device {
            product: &device.record.product,
            board: &device.board.name,
            running: None,
            security_floor: record.get(&bound.component).map_or(0, |component| component.security_floor),
            components: &others,
            boot_bytes: u64::MAX,
            system_bytes: u64::MAX,
        };
        let kinds = [release.content.kind()];
        let found = compat::check_component(
            &release.constraints(),
            (&bound.component, &kinds),
            &facts,
            Direction::Back,
        );
        reasons.extend(found.iter().chain(&compat::check_release(release)).map(ToString::to_string));
        if reasons.is_empty() { Ok(()) } else { Err(unfit(bound, &reasons).into()) }
    }

    /// Make what was opened complete and durable, beside the versions that run. They stay the current ones.
    ///
    /// # Errors
    /// When an archive can't be had or unpacked, or the partition `persistent` is to blame.
    pub(super) fn stage_bound(&mut self, brought: Vec<Brought>) -> Result<(), Error> {
        for Brought { component, mut archive } in brought {
            let managed = subject(&self.device.settings.components, &component);
            let managed = managed.unwrap_or_else(|_| ManagedComponent::undeclared(&component));
            self.with_updater(&managed, Unrecorded::default(), |updater| updater.stage_bound(&mut *archive))?;
        }
        Ok(())
    }

    /// What the booted image says of a component, if this is that very release and it is not on this device any more: the partition
    /// `persistent` was lost, or the card was made without it.
    ///
    /// # Errors
    /// When the store, or the booted image's release, can't be read.
    pub(super) fn lost_version(&mut self, name: &str, content: &dyn Archive) -> Result<Option<Bound>, Error> {
        let binding = self.device.binding_here()?;
        let Some(bound) = binding.of(name).filter(|bound| is_of(bound, content)).cloned() else {
            return Ok(None);
        };
        Ok(if stored(&mut self.device, &bound)?.is_none() { Some(bound) } else { None })
    }

    /// Whether it may be put back.
    ///
    /// # Errors
    /// When its release doesn't go onto this device, or the partition `persistent` is full.
    pub(super) fn check_lost(&mut self, bound: &Bound, content: &dyn Archive) -> Result<(), Error> {
        let image = self.device.release_of(self.device.board.boot.booted())?;
        self.check_bound(&image, bound, content.release())?;
        self.check_room(&bound.component, content.release().content.bytes().saturating_add(SPARE_BYTES))
    }

    fn check_room(&mut self, name: &str, needed: u64) -> Result<(), Error> {
        check_space(name, needed, self.device.board.store.free_bytes()?)
    }

    /// Stage it again, show it, and start its service.
    ///
    /// # Errors
    /// As for [`check_lost`](Self::check_lost) and [`stage_bound`](Self::stage_bound), and when the service doesn't start.
    pub(super) fn put_back(&mut self, bound: &Bound, content: &mut dyn Archive) -> Result<(), Error> {
        self.check_lost(bound, content)?;
        let managed = subject(&self.device.settings.components, &bound.component)?;
        self.with_updater(&managed, Unrecorded::default(), |updater| updater.stage_bound(content))?;
        let binding = self.device.binding_here()?;
        show_bound(&mut *self.device.board.store, &binding)?;
        let Target::Directory(directory) = managed.target else { return Ok(()) };
        let started = self.device.board.services.start(&directory.unit, SERVICE_MAX);
        started.map_err(|e| Error::NotNow(format!("service {} can't be started: {e}", directory.unit)))
    }

    /// The releases of what the image in a slot brings along, each with what the image says of it.
    ///
    /// # Errors
    /// [`ComponentError::NotBrought`] for one that is not on the device.
    pub(super) fn bound_releases(&mut self, slot: Slot) -> Result<Vec<(Bound, Release)>, Error> {
        let binding = self.device.binding(slot)?;
        let image = self.device.record.slots[slot].as_ref().map(|image| image.version.clone());
        let mut releases = Vec::new();
        for bound in binding.bound {
            let Some(release) = stored(&mut self.device, &bound)? else {
                let (component, version) = (bound.component, bound.version);
                let image = image.unwrap_or_else(|| version.clone());
                return Err(ComponentError::NotBrought { image, component, version, source: None }.into());
            };
            releases.push((bound, release));
        }
        Ok(releases)
    }

    /// The self-tests of what the image in a slot brings along.
    ///
    /// # Errors
    /// As for [`bound_releases`](Self::bound_releases), and when a plan can't be read.
    pub(super) fn bound_self_tests(&mut self, slot: Slot) -> Result<selftest::Plan, Error> {
        let mut all = selftest::Plan::default();
        for (bound, release) in self.bound_releases(slot)? {
            let plan = release.self_test_plan().map_err(|e| unusable(&bound, &e))?;
            all.tests.extend(plan.tests.into_iter().map(|test| {
                let name = of(&bound, &test.name);
                selftest::Test { name, ..test }
            }));
        }
        Ok(all)
    }

    /// What healthy means for the image in a slot together with what it brings along: its own profile, with the checks of each
    /// component, which are good at the same time or not at all. With them, the services that run from the components.
    ///
    /// # Errors
    /// As for [`bound_releases`](Self::bound_releases), and when a profile can't be read.
    pub(super) fn bound_health(
        &mut self,
        slot: Slot,
        mut profile: health::Profile,
    ) -> Result<(health::Profile, Vec<String>), Error> {
        let mut units = Vec::new();
        for (bound, release) in self.bound_releases(slot)? {
            let managed = subject(&self.device.settings.components, &bound.component).ok();
            let owners = managed.as_ref().and_then(|managed| managed.subject.health.clone());
            let own = match owners {
                Some(owners) => owners,
                None => release.health_profile().map_err(|e| unusable(&bound, &e))?,
            };
            let own = own.expecting(&bound.version);
            profile.deadline_s = profile.deadline_s.max(own.deadline_s);
            profile.settle_s = profile.settle_s.max(own.settle_s);
            profile.checks.extend(own.checks.into_iter().map(|check| {
                let name = of(&bound, &check.name);
                health::Check { name, ..check }
            }));
            if let Some(Target::Directory(directory)) = managed.map(|managed| managed.target) {
                profile.checks.push(health::Check {
                    name: of(&bound, &directory.unit),
                    need: selftest::Need::Required,
                    at: selftest::At::Trial,
                    timeout_ms: UNIT_MS,
                    kind: health::Kind::Unit { unit: directory.unit.clone() },
                });
                units.push(directory.unit);
            }
        }
        Ok((profile, units))
    }

    /// Whether this boot shows what the image in its slot brings along.
    ///
    /// # Errors
    /// [`ComponentError::NotShown`] for the first that it does not show.
    pub(super) fn bound_is_shown(&mut self, slot: Slot) -> Result<(), Error> {
        for bound in self.device.binding(slot)?.bound {
            let shown = self.device.board.store.shown(&bound.component)?;
            if shown.as_deref() != Some(bound_name(&bound).as_str()) {
                let (name, version) = (bound.component, bound.version);
                return Err(ComponentError::NotShown { name, version }.into());
            }
        }
        Ok(())
    }
}

impl Agent<'_> {
    /// Remove the versions that nothing needs any more since an image was committed: what the image before the last one brought along.
    ///
    /// # Errors
    /// When the machine goes down. What can't be removed is found again by the next clean-up.
    pub(super) fn clean_up_bound(&mut self) -> Result<(), Error> {
        let names = match self.device.board.store.components() {
            Err(e) if e.stopping().is_some() => return Err(e.into()),
            names => names.unwrap_or_default(),
        };
        // Versions of containers have images in the engine's store, too: those go with an update of them.
        let record = match super::components::record(&self.device) {
            Err(e) if e.stopping().is_some() => return Err(e),
            // What it names isn't known, so nothing is removed.
            Err(_) => return Ok(()),
            Ok(record) => record,
        };
        for name in names {
            let managed = subject(&self.device.settings.components, &name);
            let managed = managed.unwrap_or_else(|_| ManagedComponent::undeclared(&name));
            if matches!(managed.target, Target::Directory(_)) {
                self.with_updater(&managed, Unrecorded(record.clone()), |updater| {
                    updater.clean_up();
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

/// How long the service manager may take to say how a service is, in milliseconds.
const UNIT_MS: u32 = 5_000;

fn stored(device: &mut Device, bound: &Bound) -> Result<Option<Release>, Error> {
    let opens = device.release_trust()?;
    stored_bound(&mut *device.board.store, &|signed| opens(signed).map_err(Error::Root), bound)
}

/// Whether a release is the very one that an image names.
fn is_of(bound: &Bound, archive: &dyn Archive) -> bool {
    release_id(archive.signed()) == bound_release(bound)
}

/// What a test or a check of a component is called among those of the image.
fn of(bound: &Bound, name: &str) -> String {
    format!("{}: {name}", bound.component)
}

fn kind_problem(kind: u16) -> String {
    format!(
        "it is {}, and only directories are switched together with an image: install it by itself",
        bistable_format::content::kind_name(kind)
    )
}

fn unfit(bound: &Bound, reasons: &[String]) -> ComponentError {
    let (component, version) = (bound.component.clone(), bound.version.clone());
    ComponentError::BoundUnfit { component, version, reasons: reasons.to_vec() }
}

fn unusable(bound: &Bound, e: &dyn std::fmt::Display) -> ComponentError {
    ComponentError::StoredRelease { name: bound.component.clone(), problem: e.to_string() }
}
