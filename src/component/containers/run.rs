//! The container of the service: started, and whether it is healthy.
use super::{Containers, engine, image::Image};
use crate::{
    Error,
    component::driver::{ComponentStep, Updater, World, version_name},
    ports::{ComposeProject, Container, ContainerEngine, HostError},
    steps::health,
};
use bistable_boot::{Failure, Reason, component::Held};
use bistable_format::{Digest, health::Profile, selftest::Plan};
use std::time::Duration;

/// The policy of a container that the engine never starts by itself.
pub(super) const NEVER: &str = "no";
/// How long the pauses are in which the engine's own health check is waited for.
const PAUSE: Duration = Duration::from_secs(1);

impl Containers {
    fn containers(&self, world: &mut dyn ContainerEngine) -> Result<Vec<Container>, Error> {
        world.containers(&self.project, &self.service).map_err(|e| engine(&e))
    }

    /// Whether the service runs that version, or nothing of ours if there is none.
    pub(super) fn runs(&self, updater: &mut Updater<'_>, version: Option<&Held>) -> Result<bool, Error> {
        let name = updater.subject.name.as_str();
        let shown = updater.world.compose.shown(self.of())?;
        let shown = shown.and_then(|text| self.version_in(&text, name));
        let containers = self.containers(&mut *updater.world.engine)?;
        let tagged = updater.world.engine.tagged(&super::repository(name)).map_err(|e| engine(&e))?;
        let Some(version) = version.map(version_name) else {
            // What ran before the first version is not touched.
            let is_ours = |container: &Container| tagged.iter().any(|(_, id)| *id == container.image);
            return Ok(shown.is_none() && !containers.iter().any(is_ours));
        };
        let id = tagged.into_iter().find(|(tag, _)| *tag == version).map(|(_, id)| id);
        let is_stopped = updater.component().is_stopped;
        let is_right = |container: &Container| {
            Some(container.image) == id && (container.state == "running") != is_stopped
        };
        let is_alone = match containers.as_slice() {
            [] => is_stopped,
            [only] => is_right(only),
            _ => false,
        };
        Ok(shown.as_deref() == Some(version.as_str()) && is_alone)
    }

    /// Run what is shown. Before the first version that may be nothing.
    pub(super) fn start(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        let started = updater.world.compose.up(self.of());
        match started {
            Err(e) if updater.component().leads_to().is_none() => {
                let text = format!("service {} does not start: {e}", self.service);
                updater.observer.on_event(crate::component::driver::ComponentEvent::Remark(&text));
                Ok(())
            }
            started => started.map_err(|e| not_started(&self.service, &e)),
        }
    }

    /// Stop it, so that no engine starts it again.
    pub(super) fn stop(&self, updater: &mut Updater<'_>) -> Result<(), Error> {
        self.restart_never(&mut *updater.world.engine)?;
        updater.world.compose.stop(self.of()).map_err(|e| engine(&e))?;
        updater.world.engine.sync().map_err(|e| engine(&e))
    }

    /// Start the service, wait, and check its health. Gives why it isn't healthy.
    pub(super) fn proven(
        &self,
        updater: &mut Updater<'_>,
        version: &Held,
        profile: &Profile,
    ) -> Result<Option<Failure>, Error> {
        let unhealthy = |why: String| Some(Failure::new(Reason::Health, &why));
        let release = updater.release_of(version)?;
        let info = updater.world.engine.info().map_err(|e| engine(&e))?;
        let (Ok(image), Ok(store)) = (Image::of(&release, &self.service), info.store) else {
            return Err(Error::NotNow(
                "the container engine stores images in another way than before".into(),
            ));
        };
        let id = image.id(store);
        if !updater.world.engine.has_image(&id).map_err(|e| engine(&e))? {
            return Ok(unhealthy(Self::gone(&updater.subject.name, version).to_string()));
        }
        let started = updater.judged(
            ComponentStep::Start,
            |updater| Ok(updater.world.compose.up(self.of())),
            |started| started.as_ref().err().map(ToString::to_string),
        )?;
        if let Err(why) = started {
            // A container that can't be run is the version's; whatever keeps the engine from running it is not.
            let ours = self.containers(&mut *updater.world.engine)?.into_iter().any(|c| c.image == id);
            return match ours && !is_environmental(&why) {
                true => Ok(unhealthy(format!("service {} does not start: {why}", self.service))),
                false => Err(not_started(&self.service, &why)),
            };
        }
        let wait = updater.subject.start_wait;
        let why = updater.judged(
            ComponentStep::Health,
            |updater| {
                updater.world.clock.wait(wait);
                let containers = self.containers(&mut *updater.world.engine)?;
                if let Some(why) = self.wrong(&containers, &id) {
                    return Ok(Some(why));
                }
                let World { gpio, buses, host, clock, .. } = &mut updater.world;
                let plan = Plan::default();
                let verdict = health::check(profile, &plan, &mut **gpio, &mut **buses, &mut **host, *clock);
                if let Some(why) = verdict.unhealthy() {
                    return Ok(Some(why.to_owned()));
                }
                self.engine_health(updater, profile, &id)
            },
            Option::clone,
        )?;
        Ok(why.and_then(unhealthy))
    }

    /// What is wrong with the service's container, apart from what it says of its health.
    fn wrong(&self, containers: &[Container], id: &Digest) -> Option<String> {
        let service = &self.service;
        match containers {
            [] => Some(format!("service {service} has no container")),
            [one] if one.image != *id => {
                Some(format!("service {service} runs image {:.12}, and the release has {id:.12}", one.image))
            }
            [one] if one.state != "running" => {
                Some(format!("service {service} is {}, exit code {}", one.state, one.exit_code))
            }
            [one] if one.restarts > 0 => {
                Some(format!("service {service} ended and was restarted, {} times", one.restarts))
            }
            [_] => None,
            many => Some(format!("service {service} has {} containers", many.len())),
        }
    }

    /// Wait until the engine's own health check has a result. Gives what is wrong then.
    fn engine_health(
        &self,
        updater: &mut Updater<'_>,
        profile: &Profile,
        id: &Digest,
    ) -> Result<Option<String>, Error> {
        let until = updater.world.clock.now() + Duration::from_secs(profile.deadline_s.into());
        loop {
            let containers = self.containers(&mut *updater.world.engine)?;
            if let Some(why) = self.wrong(&containers, id) {
                return Ok(Some(why));
            }
            let health = containers.into_iter().find_map(|container| container.health);
            match health.as_deref() {
                None | Some("healthy") => return Ok(None),
                Some("starting") if updater.world.clock.now() < until => updater.world.clock.wait(PAUSE),
                Some(health) => {
                    return Ok(Some(format!(
                        "the engine's health check of service {}: {health}",
                        self.service
                    )));
                }
            }
        }
    }

    /// Have the engine start the service by itself again, as its file says, durably.
    pub(super) fn restart_by_itself(
        &self,
        engine_: &mut dyn ContainerEngine,
        compose: &mut dyn ComposeProject,
    ) -> Result<(), Error> {
        let wanted = compose.restart(self.of()).map_err(|e| engine(&e))?;
        self.set_restart(engine_, &wanted)
    }

    /// Have the engine start nothing of the service by itself, durably.
    pub(super) fn restart_never(&self, engine_: &mut dyn ContainerEngine) -> Result<(), Error> {
        self.set_restart(engine_, NEVER)
    }

    fn set_restart(&self, engine_: &mut dyn ContainerEngine, restart: &str) -> Result<(), Error> {
        let containers = self.containers(engine_)?;
        let others: Vec<_> =
            containers.into_iter().filter(|container| container.restart != restart).collect();
        for container in &others {
            engine_.set_restart(&container.id, restart).map_err(|e| engine(&e))?;
        }
        // What an earlier process set may not be durable yet, and nothing says so.
        engine_.sync().map_err(|e| engine(&e))
    }
}

fn not_started(service: &str, e: &HostError) -> Error {
    Error::NotNow(format!("service {service} can't be started: {e}"))
}

/// Whether the engine says that something beside the container is in the way.
fn is_environmental(e: &HostError) -> bool {
    const WORDS: [&str; 4] = [
        "already allocated",
        "already in use",
        "no space left on device",
        "Cannot connect to the Docker daemon",
    ];
    match e {
        HostError::Timeout(_) | HostError::NotRunnable(_) => true,
        HostError::Failed(text) => WORDS.iter().any(|words| text.contains(words)),
    }
}
