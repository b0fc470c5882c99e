//! `component`: what is updated beside the slots.
use super::{Answer, Failed, say, work::Workplace};
use crate::{
    Device, Error,
    agent::components::{accept, link_all, recreate, subject, with_updater},
    app::{self, ComponentStatus, Components},
    board::Access,
    cli::{ComponentVerb, ProgressMode},
    component::{Archive, ComponentEvent},
    config::{Settings, load},
    steps::install::Bundle,
};
use bistable_boot::component::Component;
use bistable_format::Release;
use std::{fs, io::Read, path::Path};

/// A bundle as the updater takes it.
struct FromBundle<'a>(Bundle<Box<dyn Read + 'a>>);

impl Archive for FromBundle<'_> {
    fn release(&self) -> &Release {
        &self.0.release
    }
    fn signed(&self) -> &[u8] {
        &self.0.signed
    }
    fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        self.0.archive(take)
    }
}

pub(super) fn run(workplace: &Workplace<'_>, verb: &ComponentVerb) -> Result<Answer, Failed> {
    let root = workplace.root();
    let settings = load(&root)?;
    if let ComponentVerb::Units { folder } = verb {
        return Ok(units(&settings, folder)?);
    }
    let access = match verb {
        // Whoever has the device lock at a boot may wait for services that wait for the links.
        ComponentVerb::List | ComponentVerb::Show { .. } | ComponentVerb::Links => Access::ReadOnly,
        _ => Access::Exclusive,
    };
    let machine = workplace.open(&settings.board, access)?;
    machine.verb_end.tell_console();
    let ended =
        Device::open(machine.board, settings).and_then(|mut device| act(workplace, &mut device, verb));
    machine.verb_end.save()?;
    Ok(ended?)
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "a method is for one lifetime only")]
fn act(workplace: &Workplace<'_>, device: &mut Device, verb: &ComponentVerb) -> Result<Answer, Error> {
    let is_quiet = matches!(workplace.at.progress, ProgressMode::Quiet | ProgressMode::Json);
    let mut observer = |event: ComponentEvent<'_>| {
        let text = match event {
            _ if is_quiet => return,
            ComponentEvent::State(state) => format!("state: {}", state.name()),
            ComponentEvent::Step(step, took) => format!("{step}: done in {:.1} s", took.as_secs_f64()),
            ComponentEvent::Committed(version) => format!("{version} is committed"),
            ComponentEvent::Reverted(version, why) => format!("{version} was given up: {why}"),
            ComponentEvent::Remark(text) => text.into(),
        };
        say(&text);
    };
    let name = match verb {
        ComponentVerb::List => return answer(device, None),
        ComponentVerb::Units { .. } => return answer(device, None),
        ComponentVerb::Repair => {
            recreate(device)?;
            return answer(device, None);
        }
        ComponentVerb::Links => {
            let linked = link_all(device)?;
            let components = linked.iter().map(|name| ComponentStatus::from(&Component::registered(name)));
            let answer = app::Answer::Components(Components { components: components.collect() });
            return Ok(Answer::new(format!("shown: {}", linked.join(", ")), answer));
        }
        ComponentVerb::Show { name }
        | ComponentVerb::Update { name, .. }
        | ComponentVerb::Resume { name }
        | ComponentVerb::Revert { name }
        | ComponentVerb::Start { name }
        | ComponentVerb::Stop { name }
        | ComponentVerb::Reset { name } => name,
    };
    let subject = subject(&device.settings.components, name)?;
    match verb {
        ComponentVerb::List
        | ComponentVerb::Repair
        | ComponentVerb::Links
        | ComponentVerb::Units { .. }
        | ComponentVerb::Show { .. } => {}
        ComponentVerb::Update { bundle, retry_rejected, .. } => {
            let input = super::bundle::open(bundle)?;
            let mut content = FromBundle(Bundle::open(input, &device.root()?)?);
            accept(device, name, &content, *retry_rejected)?;
            with_updater(device, &subject, &mut observer, |updater| {
                updater.install(&mut content)?;
                updater.run()
            })?;
        }
        ComponentVerb::Resume { .. } => {
            with_updater(device, &subject, &mut observer, |updater| updater.run())?;
        }
        ComponentVerb::Revert { .. } => with_updater(device, &subject, &mut observer, |updater| {
            let component = updater.component();
            match (component.state.target(), component.kept.first()) {
                (Some(_), _) => updater.give_up(),
                (None, Some(kept)) => updater.return_to(&kept.clone()),
                (None, None) => {
                    Err(Error::NothingToDo(format!("component {name} has no version to return to")))
                }
            }
        })?,
        ComponentVerb::Start { .. } => {
            with_updater(device, &subject, &mut observer, |updater| updater.set_stopped(false))?;
        }
        ComponentVerb::Stop { .. } => {
            with_updater(device, &subject, &mut observer, |updater| updater.set_stopped(true))?;
        }
        ComponentVerb::Reset { .. } => {
            with_updater(device, &subject, &mut observer, |updater| updater.reset())?;
        }
    }
    answer(device, Some(name))
}

/// Have the service of each component wait for the links, and not start without them.
fn units(settings: &Settings, folder: &Path) -> Result<Answer, Error> {
    const DROP_IN: &str = "[Unit]\nRequires=bistable-components.service\nAfter=bistable-components.service\n";
    let mut names = Vec::new();
    for component in &settings.components {
        let Ok(subject) = subject(&settings.components, &component.name) else { continue };
        let path = folder.join(format!("{}.d", subject.unit)).join("50-bistable-component.conf");
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        #[expect(clippy::disallowed_methods, reason = "the folder lies in memory")]
        made.and_then(|()| fs::write(&path, DROP_IN)).map_err(|source| Error::Open { path, source })?;
        names.push(subject.unit);
    }
    let text = format!("services that wait for their components: {}", names.join(", "));
    let components =
        settings.components.iter().map(|c| ComponentStatus::from(&Component::registered(&c.name)));
    Ok(Answer::new(text, app::Answer::Components(Components { components: components.collect() })))
}

/// All components, or one.
fn answer(device: &Device, only: Option<&str>) -> Result<Answer, Error> {
    let stored = device.stored_components()?;
    let mut names: Vec<&str> = device.settings.components.iter().map(|c| c.name.as_str()).collect();
    names.extend(stored.record.components.iter().map(|c| c.name.as_str()));
    names.sort_unstable();
    names.dedup();
    let wanted = names.into_iter().filter(|name| only.is_none_or(|only| only == *name));
    let components: Vec<ComponentStatus> = wanted
        .map(|name| {
            let known = stored.record.get(name).cloned();
            ComponentStatus::from(&known.unwrap_or_else(|| Component::registered(name)))
        })
        .collect();
    let lines: Vec<String> = components.iter().map(ComponentStatus::line).collect();
    let text = if lines.is_empty() { "no component is configured".into() } else { lines.join("\n") };
    Ok(Answer::new(text, app::Answer::Components(Components { components })))
}
