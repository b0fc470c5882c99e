//! What the requests about components do.
use super::{
    Answer, Code, ComponentStatus, ComponentUpdate, ComponentUpdated, Components, Configured, Context,
    Failed, From, Reply, Request, channel, reply::with_unusable,
};
use crate::{
    Device, Error,
    agent::{Agent, components},
    component::Archive,
    error::ComponentError,
    offer::channel::{Remember, Unusable},
    source::Source,
    steps::install::{Bundle, Overrides, RemoteArchive, TakePart},
};
use bistable_boot::component::{Component, ComponentRecord};
use bistable_format::Release;
use std::io::Read;

/// A bundle as the updater takes it.
pub(super) struct FromBundle<'a>(pub(super) Bundle<Box<dyn Read + 'a>>);

impl Archive for FromBundle<'_> {
    fn release(&self) -> &Release {
        &self.0.release
    }
    fn signed(&self) -> &[u8] {
        &self.0.signed
    }
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        self.0.parts(take)
    }
}

/// A release in a repository, in the same way.
pub(super) struct FromChannel(pub(super) RemoteArchive<Box<dyn Source>>);

impl Archive for FromChannel {
    fn release(&self) -> &Release {
        self.0.release()
    }
    fn signed(&self) -> &[u8] {
        self.0.signed()
    }
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error> {
        self.0.parts(take)
    }
}

/// Do what is asked for.
///
/// # Errors
/// What went wrong, with what is known of the update.
pub(super) fn handle(
    agent: &mut Agent<'_>,
    request: &Request,
    context: &mut dyn Context,
) -> Result<Reply, Failed> {
    if let Request::ComponentRepair = request {
        components::recreate(&mut agent.device)?;
    }
    let Some(name) = request.component() else { return Ok(shown(&mut agent.device, None, context)?) };
    match request {
        Request::ComponentInstall(update) | Request::ComponentUpdate(update) => {
            let mut unusable = Vec::new();
            let is_staged = matches!(request, Request::ComponentInstall(_));
            let done = update_of(agent, update, is_staged, context, &mut unusable);
            with_unusable(updated(agent, request, name, done, context), &unusable)
        }
        Request::ComponentResume(_) => {
            let done = agent.resume_component(name);
            updated(agent, request, name, done, context)
        }
        Request::ComponentRevert(_) => {
            let done = agent.revert_component(name);
            updated(agent, request, name, done, context)
        }
        Request::ComponentConfigure(configure) => {
            let done = agent.configure_component(name, &configure.change);
            updated(agent, request, name, done, context)
        }
        Request::ComponentRemove(_) => {
            agent.remove_component(name)?;
            let components = vec![ComponentStatus::from(&Component::registered(name))];
            let text = format!("component {name} is removed, with all its versions");
            Ok(Reply::new(text, Answer::Components(Components { components })))
        }
        other => {
            match other {
                Request::ComponentStart(_) => agent.stop_component(name, false)?,
                Request::ComponentStop(_) => agent.stop_component(name, true)?,
                Request::ComponentReset(_) => agent.reset_component(name)?,
                _ => {}
            }
            Ok(shown(&mut agent.device, Some(name), context)?)
        }
    }
}

fn update_of(
    agent: &mut Agent<'_>,
    ComponentUpdate { component: name, wanted }: &ComponentUpdate,
    is_staged: bool,
    context: &mut dyn Context,
    unusable: &mut Vec<Unusable>,
) -> Result<(), Error> {
    let overrides = Overrides { rejected: wanted.retry_rejected, withdrawn: wanted.force_withdrawn };
    let take = |agent: &mut Agent<'_>, content: &mut dyn Archive| match (wanted.dry_run, is_staged) {
        (true, _) => agent.check_component(name, content, overrides),
        (false, true) => agent.stage_component(name, content, overrides),
        (false, false) => agent.update_component(name, content, overrides),
    };
    match &wanted.from {
        From::Bundle(path) => {
            let bundle = context.bundle(path)?;
            let mut content = FromBundle(Bundle::open(bundle, &agent.device.root()?)?);
            take(agent, &mut content)
        }
        From::Channel | From::Version(_) => {
            let remember = if wanted.dry_run { Remember::No } else { Remember::Yes };
            channel::with_component(agent, name, wanted, remember, unusable, |agent, archive| {
                take(agent, &mut FromChannel(archive))
            })
        }
    }
}

/// How an update ended: the same of one that was done and of one that was not.
fn updated(
    agent: &mut Agent<'_>,
    request: &Request,
    name: &str,
    done: Result<(), Error>,
    context: &dyn Context,
) -> Result<Reply, Failed> {
    // While the machine goes down, nothing more can be read of it.
    let record = match &done {
        Err(e) if e.stopping().is_some() => ComponentRecord::default(),
        _ => components::record(&agent.device).unwrap_or_default(),
    };
    let component = record.get(name).cloned().unwrap_or_else(|| Component::registered(name));
    let code = done.as_ref().err().map(Code::of);
    let status = ComponentStatus::from(&component);
    let bound = match &done {
        Err(e) if e.stopping().is_some() => None,
        _ => components::bound_here(&mut agent.device, &record)?.remove(name),
    };
    let status = match bound {
        Some((version, by)) => status.bound_to(&version, by),
        None => status,
    };
    let line = status.line();
    let answer = ComponentUpdated {
        success: done.is_ok(),
        message: done.as_ref().map_or_else(ToString::to_string, |()| line.clone()),
        component: name.into(),
        version: status.version.clone(),
        rollback_performed: match &done {
            Ok(()) => matches!(request, Request::ComponentRevert(_)),
            Err(Error::Component(e)) => matches!(**e, ComponentError::GivenUp { is_back: true, .. }),
            Err(_) => false,
        },
        validation_errors: match &done {
            Err(Error::Incompatible { reasons, .. }) => reasons.iter().map(ToString::to_string).collect(),
            Err(e) if code.is_some_and(Code::is_refusal) => vec![e.to_string()],
            _ => Vec::new(),
        },
        backup: None,
        reason: code,
        job: context.job(),
    };
    match done {
        Ok(()) => {
            let would = request
                .is_dry_run()
                .then(|| format!("component {name}: it may be installed; nothing was written"));
            Ok(Reply::new(would.unwrap_or(line), Answer::ComponentUpdated(answer)))
        }
        // There is nothing to say of it beyond that.
        Err(e) if matches!(e, Error::Component(ref e) if matches!(**e, ComponentError::Unknown { .. })) => {
            Err(e.into())
        }
        Err(e) => Err(Failed::with(e, Answer::ComponentUpdated(answer))),
    }
}

/// All components, or one.
fn shown(device: &mut Device, only: Option<&str>, context: &mut dyn Context) -> Result<Reply, Error> {
    if let Some(only) = only {
        components::subject(&device.settings.components, only)?;
    }
    let record = components::record(device)?;
    let bound = components::bound_here(device, &record)?;
    let mut names: Vec<&str> = device.settings.components.iter().map(|c| c.name.as_str()).collect();
    names.extend(record.components.iter().map(|c| c.name.as_str()));
    names.extend(bound.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let offered = context.offered();
    let wanted = names.into_iter().filter(|name| only.is_none_or(|only| only == *name));
    let wanted: Vec<Component> =
        wanted.map(|name| record.get(name).cloned().unwrap_or_else(|| Component::registered(name))).collect();
    let components: Vec<ComponentStatus> = wanted
        .iter()
        .map(|component| {
            let offered = offered.get(&component.name).filter(|offered| offered.is_open(component));
            let mut status =
                ComponentStatus { offered: offered.cloned(), ..ComponentStatus::from(component) };
            if let Some((version, by)) = bound.get(&component.name) {
                return status.bound_to(version, by.clone());
            }
            match components::configured(device, component) {
                Ok(configured) => status.configuration = Configured::of(component, &configured),
                Err(e) => {
                    log::warn!(component = component.name.as_str(), reason:% = e; "configuration_not_known");
                }
            }
            match components::gone(device, component) {
                Ok(gone) => status.gone = gone.iter().map(ToString::to_string).collect(),
                // Without the engine's answer, everything else is shown all the same.
                Err(e) => log::info!(component = component.name.as_str(), reason:% = e; "images_not_known"),
            }
            status
        })
        .collect();
    let lines: Vec<String> = components.iter().map(ComponentStatus::line).collect();
    let text = if lines.is_empty() { "no component is configured".into() } else { lines.join("\n") };
    Ok(Reply::new(text, Answer::Components(Components { components })))
}
