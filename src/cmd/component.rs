//! `component links`, `component containers` and `component units`: what a boot does about components; and `component logs`. Everything
//! else about them is a request.
use super::{Answer, Failed, request::AtBoot, work::Workplace};
use crate::{
    Device, Error,
    agent::components::{converge_all, link_all, subject},
    app::{self, ComponentConfigure, ComponentLogs, ComponentStatus, Components, Request},
    board::Access,
    cli::ComponentConfigArgs,
    component::{Change, Containers, Directory, Target},
    config::{Settings, load},
    error::ComponentError,
    ports::{CONFIGURATION_LINKS, ServiceOf},
    text::printable,
};
use bistable_boot::component::Component;
use bistable_format::configuration::{ENVIRONMENT, FILE, Values};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::Duration,
};

/// How long the service manager may take to find lines in its journal, on a slow card.
const LOGS_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run(workplace: &Workplace<'_>, asked: AtBoot<'_>) -> Result<Answer, Failed> {
    let settings = load(&workplace.root())?;
    let folder = match asked {
        AtBoot::Links => return links(workplace, settings),
        AtBoot::Containers => return containers(workplace, settings),
        AtBoot::Units(folder) => folder,
    };
    Ok(units(&settings, folder)?)
}

/// The values that a command line names.
pub(super) fn configure(args: &ComponentConfigArgs) -> Result<Request, Error> {
    let mut set: Values = args.set.iter().cloned().collect();
    for (name, file) in &args.from {
        let path = Path::new(file);
        let unread = |source| Error::Open { path: path.into(), source };
        let mut reader: Box<dyn Read> = match file.as_str() {
            "-" => Box::new(io::stdin()),
            _ => Box::new(File::open(path).map_err(unread)?),
        };
        let mut text = String::new();
        // One byte more than a value may have: then it is refused.
        reader.by_ref().take(FILE as u64 + 2).read_to_string(&mut text).map_err(unread)?;
        set.insert(name.clone(), text);
    }
    let change = Change { set, unset: args.unset.clone(), later: args.later };
    Ok(Request::ComponentConfigure(ComponentConfigure { component: args.name.clone(), change }))
}

/// The last lines that a component printed. It asks the service manager or the engine, which say it to root only.
pub(super) fn logs(workplace: &Workplace<'_>, name: &str, lines: u32) -> Result<Answer, Failed> {
    let settings = load(&workplace.root())?;
    let target = subject(&settings.components, name)?.target;
    let mut board = workplace.open(&settings.board, Access::ReadOnly)?.board;
    let printed = match &target {
        Target::Directory(Directory { unit, .. }) => board.services.logs(unit, lines, LOGS_TIMEOUT),
        Target::Containers(Containers { project, service }) => {
            board.compose.logs(ServiceOf { project, service }, lines)
        }
    };
    let printed = printed.map_err(|e| ComponentError::Logs { name: name.into(), problem: e.to_string() })?;
    let lines: Vec<String> = printed.lines().map(printable).collect();
    let text = match lines.as_slice() {
        [] => format!("{name} has printed nothing"),
        lines => lines.join("\n"),
    };
    Ok(Answer::new(text, app::Answer::ComponentLogs(ComponentLogs { component: name.into(), lines })))
}

fn links(workplace: &Workplace<'_>, settings: Settings) -> Result<Answer, Failed> {
    // Whoever has the device lock at a boot may wait for services that wait for the links.
    let machine = workplace.open(&settings.board, Access::ReadOnly)?;
    machine.verb_end.tell_console();
    let linked = Device::open(machine.board, settings).and_then(|mut device| link_all(&mut device));
    machine.verb_end.save()?;
    let linked = linked?;
    Ok(Answer::new(format!("shown: {}", linked.join(", ")), names(&linked)))
}

/// Have the containers run that the record says. What may run is decided by the process that has the device lock, so it is taken.
fn containers(workplace: &Workplace<'_>, settings: Settings) -> Result<Answer, Failed> {
    let machine = workplace.open(&settings.board, Access::Exclusive)?;
    machine.verb_end.tell_console();
    let converged = Device::open(machine.board, settings).and_then(|mut device| converge_all(&mut device));
    machine.verb_end.save()?;
    let converged = converged?;
    Ok(Answer::new(format!("running: {}", converged.join(", ")), names(&converged)))
}

/// Have the service of each component wait for the links, and not start without them.
fn units(settings: &Settings, folder: &Path) -> Result<Answer, Error> {
    const DROP_IN: &str =
        "[Unit]\nRequires=bistable-components.service\nAfter=bistable-components.service\n[Service]\n";
    let mut waiting = Vec::new();
    for component in &settings.components {
        let Ok(subject) = subject(&settings.components, &component.name) else { continue };
        let Target::Directory(Directory { unit, .. }) = subject.target else { continue };
        let path = folder.join(format!("{unit}.d")).join("50-bistable-component.conf");
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        // What is set is read at each start of the service; nothing of it is no error.
        let links = Path::new("/run").join(CONFIGURATION_LINKS).join(&component.name);
        let text = format!("{DROP_IN}EnvironmentFile=-{}\n", links.join(ENVIRONMENT).display());
        #[expect(clippy::disallowed_methods, reason = "the folder lies in memory")]
        made.and_then(|()| fs::write(&path, text)).map_err(|source| Error::Open { path, source })?;
        waiting.push(unit);
    }
    let all: Vec<String> = settings.components.iter().map(|component| component.name.clone()).collect();
    Ok(Answer::new(format!("services that wait for their components: {}", waiting.join(", ")), names(&all)))
}

fn names(names: &[String]) -> app::Answer {
    let components = names.iter().map(|name| ComponentStatus::from(&Component::registered(name)));
    app::Answer::Components(Components { components: components.collect() })
}
