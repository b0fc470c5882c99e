//! `check`, and what `install` and `update` take from a channel.
use super::{Answer, Failed, Offers, Reply, Wanted};
use crate::{
    Device, Error,
    agent::{Agent, BoundSource, components},
    config::{Settings, SourceSettings},
    error::{BundleError, CheckError},
    offer::channel::{self, Found, OfferedComponent, Remember, Taken, Unusable},
    source::{Limits, Location, RetryPolicy, Source, SourceError, http::Rate},
    steps::install::{self, Allowed, Opened, RemoteArchive, running_release},
};
use bistable_boot::{Now, Saved, Target};
use bistable_format::{Bound, Release, compat::Direction, name::check_channel_name};
use semver::Version;

/// Say what is on offer. Nothing for this device is no failure, but has an exit code of its own.
pub(super) fn check(agent: &mut Agent<'_>, repository: &Offers) -> Result<Reply, Failed> {
    let (mut mirrors, mut found) = look(agent, repository, Remember::Yes)?;
    let opened = found.open(&mut *mirrors, None);
    let components = offered(agent, repository, &mut *mirrors, &mut found)?;
    let is_offered = components.iter().any(|component| component.takes.is_some());
    let mut report = found.report();
    report.components = components;
    match opened {
        Ok((mut opened, _)) => {
            let running = running_release(&mut agent.device)?;
            opened = opened.allow(allowed(&agent.device.settings, repository, None));
            match opened.ask(&mut *mirrors, running.as_ref()) {
                Ok(download) => {
                    let refused = opened.check(&download).err().filter(|_| !is_written(agent, &opened));
                    report.refused = refused.map(|e| e.to_string());
                    report.download = Some(download);
                }
                // Only how much it is stays unknown.
                Err(e) => log::warn!(reason:% = e; "delta_unknown"),
            }
            for remark in opened.remarks() {
                agent.remark(remark);
            }
            Ok(Reply::new(report.text(), Answer::Checked(Box::new(report))))
        }
        Err(Error::NothingToDo(_)) if is_offered => {
            Ok(Reply::new(report.text(), Answer::Checked(Box::new(report))))
        }
        Err(e) => {
            let e = if matches!(e, Error::NothingToDo(_)) { Error::NothingToDo(report.text()) } else { e };
            Err(Failed::with(e, Answer::Checked(Box::new(report))))
        }
    }
}

/// What is on offer of each component that this device updates. Trouble with one keeps none of the others, nor the image, from being
/// reported.
fn offered(
    agent: &mut Agent<'_>,
    asked: &Offers,
    source: &mut dyn Source,
    found: &mut Found,
) -> Result<Vec<OfferedComponent>, Error> {
    let mut components = Vec::new();
    for name in components::managed(&agent.device) {
        let opened = components::facts(&agent.device, &name)
            .map(|facts| (found.open_component(&facts, source, None), facts));
        let (opened, facts) = match opened {
            Ok((Err(e), _)) | Err(e) if e.stopping().is_some() => return Err(e),
            Ok(both) => both,
            Err(e) => {
                agent.remark(&format!("component {name} can't be looked up: {e}"));
                continue;
            }
        };
        let takes = match opened {
            Ok((opened, _)) => {
                let most = allowed(&agent.device.settings, asked, None).bytes;
                let refused = too_much(opened.release(), most).map(|e| e.to_string());
                Some(Taken::new(opened.release(), opened.release_id().to_string(), refused))
            }
            Err(Error::NothingToDo(_)) => None,
            Err(e) => {
                agent.remark(&format!("component {name}: {e}"));
                None
            }
        };
        components.push(found.offered(&facts, takes));
    }
    Ok(components)
}

/// Whether a component's release is more than may be fetched.
fn too_much(release: &Release, most: Option<u64>) -> Option<BundleError> {
    let bytes = release.content.artifacts().iter().map(|(_, artifact)| artifact.data_bytes).sum();
    most.filter(|most| bytes > *most).map(|most| BundleError::TooMuch { bytes, most })
}

/// Find what the channel offers, or the version of it that is wanted, and do something with its verified release. `unusable` gets the
/// offers that couldn't be opened.
pub(super) fn with_offer(
    agent: &mut Agent<'_>,
    wanted: &Wanted,
    remember: Remember,
    unusable: &mut Vec<Unusable>,
    act: impl FnOnce(
        &mut Agent<'_>,
        &mut dyn install::Content,
        &mut dyn BoundSource,
        Direction,
    ) -> Result<Target, Error>,
) -> Result<Target, Error> {
    let version = wanted.version();
    let (mut mirrors, mut found) = look(agent, &wanted.offers, remember)?;
    if remember == Remember::Yes {
        agent.recall(&found, version)?;
    }
    if wanted.retry_rejected {
        found.forgive();
    }
    if version.is_some()
        && let (offer, _) = found.pick(version)?
        && let Some(why) = found.held(offer)
    {
        agent.remark(&format!(
            "release {}: {why}; installing it because it was requested",
            offer.constraints.version
        ));
    }
    let opened = found.open(&mut *mirrors, version);
    unusable.extend_from_slice(found.unusable());
    let (opened, direction) = opened?;
    for Unusable { version, problem, .. } in found.unusable() {
        agent.remark(&format!("release {version} can't be used: {problem}"));
    }
    let allowed = allowed(&agent.device.settings, &wanted.offers, version);
    let (mut opened, mut left) = (opened.allow(allowed), allowed.bytes);
    if !is_written(agent, &opened) {
        let running = running_release(&mut agent.device)?;
        let download = opened.ask(&mut *mirrors, running.as_ref())?;
        opened.check(&download)?;
        left = left.map(|left| left.saturating_sub(download.bytes));
    }
    let mut bound = Shop { asked: wanted.offers.clone(), found, left };
    act(agent, &mut opened.from(mirrors), &mut bound, direction)
}

/// A channel that was looked at, for what the images in it bring along.
pub(super) struct Shop {
    asked: Offers,
    found: Found,
    /// Bytes that may still be fetched; `None` for any number.
    pub(super) left: Option<u64>,
}

impl Shop {
    /// The release of what an image brings along, verified; `None` if the channel doesn't offer it.
    pub(super) fn archive(
        &self,
        device: &Device,
        bound: &Bound,
    ) -> Result<Option<RemoteArchive<Box<dyn Source>>>, Error> {
        let Some(offer) = self.found.channel.offer(&bound.identity) else { return Ok(None) };
        let locations = locations(&device.settings, &self.asked)?;
        let mut source = open(&device.settings, &locations)?;
        let opened = self.found.fetch(offer, &mut *source)?;
        Ok(Some(RemoteArchive::new(opened, source)))
    }
}

/// Look at the channel for what an image from elsewhere brings along. Nothing of it is remembered.
pub(super) fn shop(device: &mut Device, asked: &Offers) -> Result<Shop, Error> {
    let locations = locations(&device.settings, asked)?;
    let (_, found) = look_at(device, locations, asked, Remember::No, &mut None)?;
    Ok(Shop { asked: asked.clone(), found, left: None })
}

/// Find what the channel offers of a component, or the version of it that is wanted, and do something with its verified release.
pub(super) fn with_component(
    agent: &mut Agent<'_>,
    name: &str,
    wanted: &Wanted,
    remember: Remember,
    unusable: &mut Vec<Unusable>,
    act: impl FnOnce(&mut Agent<'_>, RemoteArchive<Box<dyn Source>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut facts = components::facts(&agent.device, name)?;
    let version = wanted.version();
    let (mut mirrors, mut found) = look(agent, &wanted.offers, remember)?;
    if wanted.retry_rejected {
        facts.rejected.clear();
    }
    let opened = found.open_component(&facts, &mut *mirrors, version);
    unusable.extend_from_slice(found.unusable());
    let (opened, _) = opened?;
    for Unusable { version, problem, .. } in found.unusable() {
        agent.remark(&format!("component {name} {version} can't be used: {problem}"));
    }
    let most = allowed(&agent.device.settings, &wanted.offers, version).bytes;
    if let Some(e) = too_much(opened.release(), most) {
        return Err(e.into());
    }
    act(agent, RemoteArchive::new(opened, mirrors))
}

/// What is named explicitly is fetched, however large it is. What is brought comes over no network that costs.
fn allowed(settings: &Settings, asked: &Offers, version: Option<&Version>) -> Allowed {
    let is_folder = |url: &String| matches!(Location::parse(url), Ok(Location::Folder(_)));
    let is_brought = !asked.source.is_empty() && asked.source.iter().all(is_folder);
    match version {
        Some(_) => Allowed::default(),
        None if is_brought => {
            Allowed { bytes: settings.update.max_download, deltas_only: settings.update.deltas_only }
        }
        None => Allowed { bytes: settings.update.max_download, deltas_only: settings.update.needs_delta() },
    }
}

/// Whether the inactive slot holds it already, tested.
fn is_written(agent: &Agent<'_>, opened: &Opened) -> bool {
    matches!(
        agent.now(),
        Now::Saved(Saved::Staged(target) | Saved::Armed { target, .. }) if target.release == opened.release_id()
    )
}

/// Give up what is in flight if it is no longer to be installed.
pub(super) fn recall(agent: &mut Agent<'_>, repository: &Offers) -> Result<(), Error> {
    let (_, found) = look(agent, repository, Remember::Yes)?;
    agent.recall(&found, None)
}

/// Look at the channel, unless a trial has to be decided first: no other process gets at the card meanwhile, and a server may take
/// its time.
fn look(
    agent: &mut Agent<'_>,
    asked: &Offers,
    remember: Remember,
) -> Result<(Box<dyn Source>, Found), Error> {
    let locations = locations(&agent.device.settings, asked)?;
    agent.is_free()?;
    let mut remark = None;
    let seen = look_at(&mut agent.device, locations, asked, remember, &mut remark);
    if let Some(remark) = remark {
        agent.remark(&remark);
    }
    let seen = seen?;
    if remember == Remember::Yes {
        // Whoever could not do it while booting, without a network, can now.
        agent.give_back();
    }
    Ok(seen)
}

fn look_at(
    device: &mut Device,
    locations: Vec<Location>,
    asked: &Offers,
    remember: Remember,
    remark: &mut Option<String>,
) -> Result<(Box<dyn Source>, Found), Error> {
    let channel = asked.channel.clone().unwrap_or_else(|| device.settings.source.channel.clone());
    check_channel_name(&channel).map_err(|e| Error::Usage(e.to_string()))?;
    let mut all = open(&device.settings, &locations)?;
    let untrusted = match channel::check(device, &mut *all, &channel, remember) {
        Err(Error::Check(e)) if e.is_untrusted() && locations.len() > 1 => e,
        found => return Ok((all, found?)),
    };
    // One of several may be wrong, and must not keep the others from saying what is right: each by itself, then. All of them,
    // because what one says may be right and yet old.
    let (mut newest, mut unreachable): (Option<(usize, Found)>, _) = (None, None);
    let mut equivocation = None;
    for (first, location) in locations.iter().enumerate() {
        let alone = open(&device.settings, std::slice::from_ref(location));
        match alone.and_then(|mut one| channel::check(device, &mut *one, &channel, remember)) {
            Ok(found) if newest.as_ref().is_none_or(|(_, before)| found.is_newer(before)) => {
                newest = Some((first, found));
            }
            Ok(_) => {}
            Err(Error::Check(e)) if e.is_equivocation() => {
                equivocation.get_or_insert(e);
            }
            Err(e) => {
                log::warn!(reason:% = e; "mirror_not_used");
                if matches!(&e, Error::Check(CheckError::Source(e)) if e.is_transport()) {
                    unreachable.get_or_insert(e);
                }
            }
        }
    }
    match (newest, unreachable, equivocation) {
        (Some((first, found)), _, equivocation) => {
            if let Some(e) = equivocation {
                *remark = Some(format!("warning: this mirror is not used: {e}"));
            }
            let mut turned = locations;
            turned.rotate_left(first);
            Ok((open(&device.settings, &turned)?, found))
        }
        // The others can't take back that two files were signed.
        (None, _, Some(e)) => Err(e.into()),
        // Those that answer are only behind: the one that doesn't may know better.
        (None, Some(e), None) if matches!(untrusted, CheckError::Stale { .. }) => Err(e),
        _ => Err(untrusted.into()),
    }
}

/// The configured repositories, if there are any that can be used.
pub(super) fn configured(settings: &Settings) -> Option<Box<dyn Source>> {
    open(settings, &locations(settings, &Offers::default()).ok()?).ok()
}

/// Repositories, with the limits that are configured.
fn open(settings: &Settings, locations: &[Location]) -> Result<Box<dyn Source>, Error> {
    let (limits, patience) = limits(&settings.source);
    Ok(Location::open_all(locations, &limits, patience).map_err(CheckError::Source)?)
}

/// The repositories that the request names, or else the configuration.
fn locations(settings: &Settings, asked: &Offers) -> Result<Vec<Location>, Error> {
    let configured = || settings.source.urls.iter().map(ToString::to_string).collect();
    let urls: Vec<String> = match asked.source.as_slice() {
        [] => configured(),
        named => named.to_vec(),
    };
    if urls.is_empty() {
        return Err(CheckError::NoSource.into());
    }
    let locations: Result<_, SourceError> = urls.iter().map(|url| Location::parse(url)).collect();
    Ok(locations.map_err(CheckError::Source)?)
}

/// What a server may take, and how often it is asked, as configured.
fn limits(source: &SourceSettings) -> (Limits, RetryPolicy) {
    let wanted = &source.limits;
    let window = wanted.rate_window;
    let bytes = wanted.minimum_rate_bytes.saturating_mul(window.as_secs());
    let limits = Limits {
        connect: wanted.connect_timeout,
        answer: wanted.answer_timeout,
        stall: window,
        rate: Rate { bytes, window },
        proxy: source.proxy.clone(),
        ..Limits::default()
    };
    (limits, RetryPolicy { attempts: wanted.attempts, base: wanted.retry_wait, ..RetryPolicy::default() })
}
