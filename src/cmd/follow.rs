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
    if remember == Remember::Yes {
        found.recall(agent)?;
    }
    let (offer, direction) = found.pick(version)?;
    let mut content = found.fetch(offer, mirrors)?;
    act(agent, &mut content, direction)
}

fn look(
    device: &mut Device,
    asked: &Repository,
    remember: Remember,
) -> Result<(Box<dyn Source>, Found), Error> {
    let urls = urls(&device.settings, asked)?;
    let channel = asked.channel.clone().unwrap_or_else(|| device.settings.source.channel.clone());
    check_channel_name(&channel).map_err(|e| Error::Usage(e.to_string()))?;
    let limits = device.settings.source.limits.clone();
    let mut all = open(&urls, &limits)?;
    let untrusted = match check::run(device, &mut *all, &channel, remember) {
        Err(Error::Check(e)) if e.is_untrusted() && urls.len() > 1 => e,
        found => return Ok((all, found?)),
    };
    // One of several may be wrong, and must not keep the others from saying what is right: each by itself, then.
    for first in 0..urls.len() {
        let mut turned = urls.clone();
        turned.rotate_left(first);
        let found =
            open(&turned[..1], &limits).and_then(|mut one| check::run(device, &mut *one, &channel, remember));
        if let Ok(found) = found {
            log::warn!("not_used={untrusted}");
            return Ok((open(&turned, &limits)?, found));
        }
    }
    Err(untrusted.into())
}

/// The repositories that the command line names, or else the configuration.
fn urls(settings: &Settings, asked: &Repository) -> Result<Vec<String>, Error> {
    let configured = || settings.source.urls.iter().map(ToString::to_string).collect();
    let urls: Vec<String> = if asked.source.is_empty() { configured() } else { asked.source.clone() };
    if urls.is_empty() { Err(CheckError::NoSource.into()) } else { Ok(urls) }
}

/// Those of them that are there, as one source: a stick may not be plugged in.
fn open(urls: &[String], wanted: &SourceLimits) -> Result<Box<dyn Source>, Error> {
    let open = || {
        let locations = urls.iter().map(|url| Location::parse(url)).collect::<Result<Vec<_>, _>>()?;
        let (limits, patience) = limits(wanted);
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
