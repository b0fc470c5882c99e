//! The verbs that move an update along.
use super::{Answer, Failed, Reboot, follow, health, machine::Keeper, say};
use crate::{
    Error,
    agent::{Agent, Rest, is_reboot},
    app::{
        self, CardWrites, MayInstall, Preflighted, Readiness, Rested, SelfTested, SelfTestsVerdict, policy,
    },
    cli::{Source, Verb},
    error::BundleError,
    events::SharedLog,
    http_client::Scheme,
    offer::channel::{Remember, Unusable},
    source::{self, Location, SourceError, Stream},
    steps::install::{Content, Overrides},
};
use bistable_boot::{Now, Saved};
use semver::Version;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

pub(super) fn run(
    agent: &mut Agent<'_>,
    verb: &Verb,
    keeper: &Keeper,
    log: Option<&SharedLog>,
) -> Result<Answer, Failed> {
    let mut unusable = Vec::new();
    let rest = match verb {
        Verb::Preflight => return preflight(agent),
        Verb::Check(repository) => {
            let checked = follow::check(agent, repository);
            if let Some(log) = log {
                super::events::checked(log, &checked);
            }
            return checked;
        }
        Verb::SelfTest => return self_test(agent),
        Verb::Health => return health::run(agent),
        Verb::Install(source) | Verb::Update(source) if source.dry_run => {
            let would = dry_run(agent, source, &mut unusable);
            return with_unusable(would.map_err(Into::into), &unusable);
        }
        Verb::Install(source) => install(agent, source, &mut unusable).map(|target| match agent.now() {
            Now::Saved(Saved::Armed { .. }) => Rest::Armed(target),
            _ => Rest::Staged(target),
        }),
        Verb::Arm => agent.arm().map(Rest::Armed),
        Verb::Reboot => reboot(agent),
        Verb::Update(source) => update(agent, source, &mut unusable),
        Verb::Commit => agent.keep(),
        Verb::Revert => agent.go_back(),
        Verb::Resume => {
            let (booted, mode) = (agent.device.board.boot.booted(), agent.device.settings.update.mode);
            agent.boot(|now| policy::waits(now, booted, mode))
        }
        // The others never get here.
        Verb::Status { .. } | Verb::History | Verb::Events(_) | Verb::Repair(_) | Verb::Config(_) => {
            agent.resume()
        }
        #[cfg(feature = "sim")]
        Verb::Sim(_) => agent.resume(),
    };
    let CardWrites { writes, bytes } = keeper.written();
    log::info!(bytes, writes; "card_written");
    with_unusable(answer(agent, rest, keeper), &unusable)
}

/// A program is told, too, which offers were passed over because they couldn't be opened.
fn with_unusable(ended: Result<Answer, Failed>, unusable: &[Unusable]) -> Result<Answer, Failed> {
    ended.map(|answer| answer.passing_over(unusable)).map_err(|failed| failed.passing_over(unusable))
}

/// Where the agent came to rest, or that the machine rebooted, as was asked for.
pub(super) fn answer(
    agent: &Agent<'_>,
    rest: Result<Rest, Error>,
    keeper: &Keeper,
) -> Result<Answer, Failed> {
    let (text, reboot) = match &rest {
        Ok(rest) => (rest_text(agent, rest), if_armed(rest)),
        Err(e) if is_reboot(e) => (String::new(), Reboot::Done),
        Err(_) => (String::new(), Reboot::No),
    };
    match rest {
        Err(e) if reboot == Reboot::No => Err(e.into()),
        _ => {
            let slot = match reboot {
                Reboot::Done => keeper.booted(),
                Reboot::No | Reboot::Needed => Some(agent.device.board.boot.booted()),
            };
            let running = slot.and_then(|slot| agent.device.record.slots[slot].as_ref());
            let rested = Rested {
                state: agent.now().name().into(),
                rebooted: reboot == Reboot::Done,
                slot,
                running: running.map(|image| image.version.to_string()),
                waits: waits(agent).filter(|_| reboot != Reboot::Done),
                installed: agent.installed,
                card: keeper.written(),
            };
            Ok(Answer::new(text, app::Answer::Rested(rested)).reboot(reboot))
        }
    }
}

fn if_armed(rest: &Rest) -> Reboot {
    match rest {
        Rest::Armed(_) => Reboot::Needed,
        Rest::Idle | Rest::WantsBundle(_) | Rest::Staged(_) => Reboot::No,
    }
}

fn rest_text(agent: &Agent<'_>, rest: &Rest) -> String {
    let slot = agent.device.board.boot.booted();
    match rest {
        Rest::Idle => {
            let running = agent.device.running();
            let running = running.map_or_else(|| "an unknown release".into(), |i| i.version.to_string());
            format!("at rest: slot {slot} runs {running}")
        }
        Rest::WantsBundle(t) => {
            format!("release {} is half installed: `bistable install` with its bundle goes on", t.version)
        }
        Rest::Staged(t) => {
            let done =
                format!("release {} is staged in slot {}; slot {slot} is untouched", t.version, t.slot);
            waits(agent).map_or_else(|| done.clone(), |why| format!("{done}\n{why}"))
        }
        Rest::Armed(t) => {
            format!("release {} is armed: the next reboot tries slot {}, once", t.version, t.slot)
        }
    }
}

/// Why the update waits for a person, if it does.
fn waits(agent: &Agent<'_>) -> Option<String> {
    policy::waits(agent.now(), agent.device.board.boot.booted(), agent.device.settings.update.mode)
}

fn preflight(agent: &mut Agent<'_>) -> Result<Answer, Failed> {
    let report = agent.preflight()?;
    let problem = report.problem();
    let verdict = if problem.is_none() { Readiness::Fine } else { Readiness::Stop };
    let answer = app::Answer::Preflighted(Preflighted { verdict, checks: report.checks });
    match problem {
        None => Ok(Answer::new("an update may begin", answer)),
        Some(problem) => Err(Failed::with(Error::Preflight(problem), answer)),
    }
}

fn self_test(agent: &mut Agent<'_>) -> Result<Answer, Failed> {
    let report = agent.self_test()?;
    let refused = report.refusal().map(|_| report.summary());
    let text = match report.tests.len() {
        0 => "the plan has no tests".into(),
        1 => "1 test ran: passed".into(),
        tests => format!("{tests} tests ran: passed"),
    };
    let verdict = if refused.is_some() { SelfTestsVerdict::Failed } else { SelfTestsVerdict::Passed };
    let answer = app::Answer::SelfTested(SelfTested { verdict, report });
    match refused {
        None => Ok(Answer::new(text, answer)),
        Some(summary) => Err(Failed::with(Error::SelfTest(summary), answer)),
    }
}

fn dry_run(agent: &mut Agent<'_>, source: &Source, unusable: &mut Vec<Unusable>) -> Result<Answer, Error> {
    let overrides = overrides(source);
    let target = match Wanted::of(source) {
        Wanted::Bundle(path) => with_bundle(path, |bundle| agent.check(bundle, overrides))?,
        Wanted::Offer(version) => {
            let check = |agent: &mut Agent<'_>, offer: &mut dyn Content, direction| {
                agent.check_content(offer, overrides, direction)
            };
            follow::with_offer(agent, source, version.as_ref(), Remember::No, unusable, check)?
        }
    };
    let text =
        format!("release {} may be installed into slot {}; nothing was written", target.version, target.slot);
    let answer = MayInstall { would_install: target.version.to_string(), slot: target.slot };
    Ok(Answer::new(text, app::Answer::MayInstall(answer)))
}

fn install(
    agent: &mut Agent<'_>,
    source: &Source,
    unusable: &mut Vec<Unusable>,
) -> Result<bistable_boot::Target, Error> {
    let overrides = overrides(source);
    match Wanted::of(source) {
        Wanted::Bundle(path) => {
            let mut repository = follow::configured(&agent.device.settings);
            with_bundle(path, |bundle| agent.install_or_fetch(bundle, repository.take(), overrides))
        }
        Wanted::Offer(version) => {
            let install = |agent: &mut Agent<'_>, offer: &mut dyn Content, direction| {
                agent.install_from(offer, overrides, direction)
            };
            follow::with_offer(agent, source, version.as_ref(), Remember::Yes, unusable, install)
        }
    }
}

/// What is to be installed.
enum Wanted<'a> {
    Bundle(&'a Path),
    /// What the channel offers, or this version of it.
    Offer(Option<Version>),
}

impl Wanted<'_> {
    /// A file whose name looks like a version is named with a folder: `./1.2.3`.
    fn of(source: &Source) -> Wanted<'_> {
        match &source.what {
            None => Wanted::Offer(None),
            Some(path) => match path.to_str().map(Version::parse) {
                Some(Ok(version)) => Wanted::Offer(Some(version)),
                _ => Wanted::Bundle(path),
            },
        }
    }
}

fn overrides(source: &Source) -> Overrides {
    Overrides { rejected: source.retry_rejected, withdrawn: source.force_withdrawn }
}

fn update(agent: &mut Agent<'_>, source: &Source, unusable: &mut Vec<Unusable>) -> Result<Rest, Error> {
    // What the boot loader refused to try makes way for another offer.
    let is_armed = |agent: &Agent<'_>| matches!(agent.now(), Now::Saved(Saved::Armed { tries, .. }) if !tries.are_refused());
    if is_armed(agent) && matches!(Wanted::of(source), Wanted::Offer(None)) {
        // What is armed is tried, whatever is on offer by now; unless it was withdrawn.
        follow::recall(agent, &source.repository)?;
        if is_armed(agent) {
            return agent.resume();
        }
    }
    install(agent, source, unusable)?;
    agent.resume()
}

fn reboot(agent: &mut Agent<'_>) -> Result<Rest, Error> {
    match agent.now() {
        Now::Saved(Saved::Armed { .. }) => agent.reboot_into_trial(),
        _ => {
            say("no release is armed: a plain reboot");
            match agent.device.board.host.reboot()? {}
        }
    }
}

fn with_bundle<T>(path: &Path, mut f: impl FnMut(&mut dyn Read) -> Result<T, Error>) -> Result<T, Error> {
    if path == Path::new("-") {
        return f(&mut io::stdin().lock());
    }
    if let Some(url) = path.to_str().filter(|text| Scheme::of(text).is_some()) {
        return f(&mut download(url).map_err(BundleError::Source)?);
    }
    let mut file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        let source = io::Error::new(io::ErrorKind::IsADirectory, "this is a folder, not a bundle");
        return Err(Error::Open { path: path.into(), source });
    }
    f(&mut file)
}

/// A bundle on a web server, from its beginning; a connection that breaks is made again, and goes on where it was.
fn download(url: &str) -> Result<Stream<Box<dyn source::Source>>, SourceError> {
    Stream::open(Location::parse(url)?.open()?, "")
}
