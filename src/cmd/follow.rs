//! `check`, and what `install` and `update` take from a channel.
use super::{Answer, Failed};
use crate::{
    Device, Error,
    agent::Agent,
    cli::{self, Repository},
    config::{Settings, SourceLimits},
    source::{Limits, Location, Patience, Source, http::Rate},
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

fn look(
    device: &mut Device,
    asked: &Repository,
    remember: Remember,
) -> Result<(Box<dyn Source>, Found), Error> {
    let mut mirrors = mirrors(&device.settings, asked)?;
    let channel = asked.channel.clone().unwrap_or_else(|| device.settings.source.channel.clone());
    check_channel_name(&channel).map_err(|e| Error::Usage(e.to_string()))?;
    let found = check::run(device, &mut *mirrors, &channel, remember)?;
    Ok((mirrors, found))
}

/// The repositories that the command line names, or else the configuration, as one source.
fn mirrors(settings: &Settings, asked: &Repository) -> Result<Box<dyn Source>, Error> {
    let configured = || settings.source.urls.iter().map(ToString::to_string).collect();
    let urls = if asked.source.is_empty() { configured() } else { asked.source.clone() };
    if urls.is_empty() {
        return Err(CheckError::NoSource.into());
    }
    let open = || {
        let locations = urls.iter().map(|url| Location::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let (limits, patience) = limits(&settings.source.limits);
        Location::open_all(&locations, limits, patience)
    };
    Ok(open().map_err(CheckError::Source)?)
}

/// What a server may take, and how often it is asked, as configured.
fn limits(wanted: &SourceLimits) -> (Limits, Patience) {
    let window = wanted.rate_window;
    let bytes = wanted.minimum_rate_bytes.saturating_mul(window.as_secs());
    let limits = Limits {
        connect: wanted.connect_timeout,
        answer: wanted.answer_timeout,
        stall: window,
        rate: Rate { bytes, window },
        ..Limits::default()
    };
    (limits, Patience { attempts: wanted.attempts, base: wanted.retry_wait, ..Patience::default() })
}
