//! `check`, and what `install` and `update` take from a channel.
use super::{Answer, Failed};
use crate::{
    Device, Error,
    agent::Agent,
    cli::{self, Repository},
    config::Settings,
    source::{Location, Mirrors, Source, SourceError},
    steps::{
        check::{self, CheckError, Found, Remember},
        install::Content,
    },
};
use bistable_boot::Target;
use bistable_format::{channel::check_channel_name, compat::Direction};
use semver::Version;

/// Say what is on offer. Nothing for this device is no failure, but has an exit code of its own.
pub(super) fn check(agent: &mut Agent<'_>, repository: &Repository) -> Result<Answer, Failed> {
    let (_, found) = look(&mut agent.device, repository, Remember::Yes)?;
    let report = found.report();
    match found.pick(None) {
        Ok(_) => Ok(Answer::new(report.text(), &report)),
        Err(e) => {
            let fields = serde_json::to_value(&report).unwrap_or_default();
            Err(Failed::with(
                if matches!(e, Error::NothingToDo(_)) { Error::NothingToDo(report.text()) } else { e },
                fields,
            ))
        }
    }
}

/// Find what the channel offers, or this version of it, and do something with its verified release.
pub(super) fn with_offer(
    agent: &mut Agent<'_>,
    source: &cli::Source,
    version: Option<&Version>,
    remember: Remember,
    act: impl FnOnce(&mut Agent<'_>, &mut dyn Content, Direction) -> Result<Target, Error>,
) -> Result<Target, Error> {
    let (mirrors, found) = look(&mut agent.device, &source.repository, remember)?;
    let (offer, direction) = found.pick(version)?;
    let mut content = found.fetch(offer, mirrors)?;
    act(agent, &mut content, direction)
}

fn look(device: &mut Device, asked: &Repository, remember: Remember) -> Result<(Mirrors, Found), Error> {
    let mut mirrors = mirrors(&device.settings, asked)?;
    let channel = asked.channel.clone().unwrap_or_else(|| device.settings.source.channel.clone());
    check_channel_name(&channel).map_err(|e| Error::Usage(e.to_string()))?;
    let found = check::run(device, &mut mirrors, &channel, remember)?;
    Ok((mirrors, found))
}

/// The repositories that the command line names, or else the configuration.
fn mirrors(settings: &Settings, asked: &Repository) -> Result<Mirrors, Error> {
    let configured = || settings.source.urls.iter().map(ToString::to_string).collect();
    let urls = if asked.source.is_empty() { configured() } else { asked.source.clone() };
    if urls.is_empty() {
        return Err(CheckError::NoSource.into());
    }
    let open = |url: &String| Location::parse(url)?.open();
    let sources: Result<Vec<Box<dyn Source>>, SourceError> = urls.iter().map(open).collect();
    Ok(Mirrors::new(sources.map_err(CheckError::Source)?))
}
