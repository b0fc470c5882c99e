//! What each request does, with the agent that owns the device: the one place, whoever asks.
use super::{
    Answer, CardWrites, Context, Failed, From, HealthChecked, MayInstall, Preflighted, Readiness, Reboot,
    Reply, Request, Rested, SelfTested, SelfTestsVerdict, Wanted, bound::Beside, channel, component,
    dates::dates, policy, reply::with_unusable,
};
use crate::{
    Device, Error,
    agent::{Agent, BoundSource, Rest, components, is_reboot},
    offer::channel::{Remember, Unusable},
    status::{self, Facts, RootFacts, Status},
    steps::{
        health,
        install::{Content, Overrides},
    },
};
use bistable_boot::{Now, Saved, Target};

/// Do what is asked for.
///
/// # Errors
/// What went wrong, with the report that says why if there is one.
pub fn handle(agent: &mut Agent<'_>, request: &Request, context: &mut dyn Context) -> Result<Reply, Failed> {
    let mut unusable = Vec::new();
    let rest = match request {
        // Drawings are for a terminal; whoever has one makes them.
        Request::Status => return Ok(Reply::new("", Answer::Status(Box::new(status(agent, context))))),
        Request::History => {
            let dates = dates(&agent.device, &context.ends());
            return Ok(Reply::new("", Answer::History(status::history(&agent.device.record, &dates))));
        }
        Request::Preflight => return preflight(agent),
        Request::Check(offers) => return channel::check(agent, offers),
        Request::SelfTest => return self_test(agent),
        Request::Health => return health_report(agent, health::Pins::Used),
        Request::HealthWithoutPins => return health_report(agent, health::Pins::LeftOut),
        Request::Components
        | Request::Component(_)
        | Request::ComponentInstall(_)
        | Request::ComponentUpdate(_)
        | Request::ComponentResume(_)
        | Request::ComponentRevert(_)
        | Request::ComponentStart(_)
        | Request::ComponentStop(_)
        | Request::ComponentReset(_)
        | Request::ComponentRemove(_)
        | Request::ComponentConfigure(_)
        | Request::ComponentRepair => return component::handle(agent, request, context),
        Request::Install(wanted) | Request::Update(wanted) if wanted.dry_run => {
            let would = dry_run(agent, wanted, context, &mut unusable);
            return with_unusable(would.map_err(Into::into), &unusable);
        }
        Request::Install(wanted) => {
            install(agent, wanted, context, &mut unusable).map(|target| match agent.now() {
                Now::Saved(Saved::Armed { .. }) => Rest::Armed(target),
                _ => Rest::Staged(target),
            })
        }
        Request::Arm => agent.arm().map(Rest::Armed),
        Request::Reboot => reboot(agent),
        Request::Update(wanted) => update(agent, wanted, context, &mut unusable),
        Request::Commit => agent.commit(),
        Request::Revert => agent.roll_back(),
        Request::Resume => {
            let (booted, mode) = (agent.device.board.boot.booted(), agent.device.settings.update.mode);
            agent.boot(|now| policy::waits(now, booted, mode))
        }
    };
    let CardWrites { writes, bytes } = context.written();
    log::info!(bytes, writes; "card_written");
    with_unusable(rested(agent, rest, context), &unusable)
}

/// The device, for people and for programs.
fn status(agent: &mut Agent<'_>, context: &dyn Context) -> Status {
    let device = &mut agent.device;
    let flag = device.board.boot.read();
    let foreign_flag = flag.as_ref().ok().and_then(|flag| flag.check_content().err()).map(|e| e.to_string());
    let default = flag.and_then(|flag| flag.default_slot()).map_err(|e| e.to_string());
    let root = device.root().map(|root| RootFacts::from(&root)).map_err(|e| e.to_string());
    let journal_copies = device.journal_copies();
    // Looking must be possible above all when something is wrong: `component list` says what is wrong with the record.
    let record = components::record(device).unwrap_or_default();
    let components = components::shown(device, &record);
    Status::new(Facts {
        record: &device.record,
        now: device.now(),
        board: &device.board.name,
        power: context.power(),
        booted: device.board.boot.booted(),
        default,
        foreign_flag,
        root,
        system_root: device.system_root(),
        waits: waits(device),
        journal_copies,
        components,
    })
}

/// Where the agent came to rest, or that the machine rebooted, as was asked for.
pub(crate) fn rested(
    agent: &Agent<'_>,
    rest: Result<Rest, Error>,
    context: &dyn Context,
) -> Result<Reply, Failed> {
    let (text, reboot) = match &rest {
        Ok(rest) => (rest_text(agent, rest), if_armed(rest)),
        Err(e) if is_reboot(e) => (String::new(), Reboot::Done),
        Err(_) => (String::new(), Reboot::No),
    };
    match rest {
        Err(e) if reboot == Reboot::No => Err(e.into()),
        _ => {
            let slot = match reboot {
                Reboot::Done => context.booted(),
                Reboot::No | Reboot::Needed => Some(agent.device.board.boot.booted()),
            };
            let running = slot.and_then(|slot| agent.device.record.slots[slot].as_ref());
            let rested = Rested {
                state: agent.now().name().into(),
                rebooted: reboot == Reboot::Done,
                slot,
                running: running.map(|image| image.version.to_string()),
                waits: waits(&agent.device).filter(|_| reboot != Reboot::Done),
                installed: agent.installed,
                card: context.written(),
            };
            Ok(Reply::new(text, Answer::Rested(rested)).reboot(reboot))
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
            format!("release {} is incomplete: run `bistable install` with its bundle to resume", t.version)
        }
        Rest::Staged(t) => {
            let done =
                format!("release {} is staged in slot {}; slot {slot} is untouched", t.version, t.slot);
            waits(&agent.device).map_or_else(|| done.clone(), |why| format!("{done}\n{why}"))
        }
        Rest::Armed(t) => {
            format!("release {} is armed: the next reboot tries slot {}, once", t.version, t.slot)
        }
    }
}

/// Why the update waits for a person, if it does.
fn waits(device: &Device) -> Option<String> {
    policy::waits(device.now(), device.board.boot.booted(), device.settings.update.mode)
}

fn preflight(agent: &mut Agent<'_>) -> Result<Reply, Failed> {
    let report = agent.preflight()?;
    let problem = report.error();
    let verdict = if problem.is_none() { Readiness::Ready } else { Readiness::Stop };
    let answer = Answer::Preflighted(Preflighted { verdict, checks: report.checks });
    match problem {
        None => Ok(Reply::new("an update may begin", answer)),
        Some(problem) => Err(Failed::with(problem, answer)),
    }
}

fn self_test(agent: &mut Agent<'_>) -> Result<Reply, Failed> {
    let report = agent.self_test()?;
    let refused = report.refusal().map(|_| report.summary());
    let text = match report.tests.len() {
        0 => "the plan has no tests".into(),
        1 => "1 test ran: passed".into(),
        tests => format!("{tests} tests ran: passed"),
    };
    let verdict = if refused.is_some() { SelfTestsVerdict::Failed } else { SelfTestsVerdict::Passed };
    let answer = Answer::SelfTested(SelfTested { verdict, report });
    match refused {
        None => Ok(Reply::new(text, answer)),
        Some(summary) => Err(Failed::with(Error::SelfTest(summary), answer)),
    }
}

fn health_report(agent: &mut Agent<'_>, pins: health::Pins) -> Result<Reply, Failed> {
    let verdict = agent.health(pins)?;
    let answer = Answer::Health(HealthChecked::from(&verdict));
    match verdict.unhealthy() {
        None => Ok(Reply::new("healthy", answer)),
        Some(reason) => Err(Failed::with(Error::Health(reason.into()), answer)),
    }
}

fn dry_run(
    agent: &mut Agent<'_>,
    wanted: &Wanted,
    context: &mut dyn Context,
    unusable: &mut Vec<Unusable>,
) -> Result<Reply, Error> {
    let overrides = overrides(wanted);
    let check = |agent: &mut Agent<'_>, offer: &mut dyn Content, bound: &mut dyn BoundSource, direction| {
        agent.check_with(offer, bound, overrides, direction)
    };
    let target = match &wanted.from {
        From::Bundle(path) => {
            let mut bundle = context.bundle(path)?;
            let mut bound = Beside::new(context, path, &wanted.offers);
            agent.check(&mut *bundle, &mut bound, overrides)?
        }
        From::Channel | From::Version(_) => {
            channel::with_offer(agent, wanted, Remember::No, unusable, check)?
        }
    };
    let text =
        format!("release {} may be installed into slot {}; nothing was written", target.version, target.slot);
    let answer = MayInstall { would_install: target.version.to_string(), slot: target.slot };
    Ok(Reply::new(text, Answer::MayInstall(answer)))
}

fn install(
    agent: &mut Agent<'_>,
    wanted: &Wanted,
    context: &mut dyn Context,
    unusable: &mut Vec<Unusable>,
) -> Result<Target, Error> {
    let overrides = overrides(wanted);
    let install = |agent: &mut Agent<'_>, offer: &mut dyn Content, bound: &mut dyn BoundSource, direction| {
        agent.install_with(offer, bound, overrides, direction)
    };
    match &wanted.from {
        From::Bundle(path) => {
            let repository = channel::configured(&agent.device.settings);
            let mut bundle = context.bundle(path)?;
            let mut bound = Beside::new(context, path, &wanted.offers);
            agent.install_or_fetch(&mut *bundle, repository, &mut bound, overrides)
        }
        From::Channel | From::Version(_) => {
            channel::with_offer(agent, wanted, Remember::Yes, unusable, install)
        }
    }
}

fn overrides(wanted: &Wanted) -> Overrides {
    Overrides { rejected: wanted.retry_rejected, withdrawn: wanted.force_withdrawn }
}

fn update(
    agent: &mut Agent<'_>,
    wanted: &Wanted,
    context: &mut dyn Context,
    unusable: &mut Vec<Unusable>,
) -> Result<Rest, Error> {
    // What the boot loader refused to try makes way for another offer.
    let is_armed = |agent: &Agent<'_>| matches!(agent.now(), Now::Saved(Saved::Armed { tries, .. }) if !tries.are_refused());
    if is_armed(agent) && wanted.from == From::Channel {
        // What is armed is tried, whatever is on offer by now; unless it was withdrawn.
        channel::recall(agent, &wanted.offers)?;
        if is_armed(agent) {
            return agent.resume();
        }
    }
    install(agent, wanted, context, unusable)?;
    agent.resume()
}

fn reboot(agent: &mut Agent<'_>) -> Result<Rest, Error> {
    match agent.now() {
        Now::Saved(Saved::Armed { .. }) => agent.reboot_into_trial(),
        _ => {
            agent.remark("no release is armed: a plain reboot");
            match agent.device.board.host.reboot()? {}
        }
    }
}
