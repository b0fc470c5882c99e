//! One turn of the daemon's loop: an act, or a sleep.
use super::{
    DevicePort, Handle, Held, Message, Queries, QueuedJob, Report, Sick, Survey, TICK, handle::DEPTH,
    holds::Holds, past, reporter::Reporter, tries::ComponentTries,
};
use crate::{
    Error,
    agent::is_reboot,
    app::{
        self, Answer, Asker, Code, ComponentUpdate, Failed, Jobs, Named, Outcome, Reboot, Reply, Request,
        Via, Wanted,
        schedule::{self, Act, Facts, LastTry, Moment, Next, When},
    },
    board::CardError,
    config::ConfigError,
    error::Exit,
    events::{Kind, Priority},
    ports::Fault,
    serve::{Backend, NotTaken},
    source,
};
use bistable_boot::{Now, Saved};
use serde_json::json;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

/// What was seen of the device is believed for this long, unless a change is reported.
const FRESH: Duration = Duration::from_secs(600);

/// A way back that was refused, by FleetLock for example, is tried again after this time.
const LEAVE_AGAIN: Duration = Duration::from_secs(15 * 60);

/// Reports that wait at most.
const REPORTS: usize = 64;

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done: another turn may follow at once.
    Acted,
    /// There is nothing to do for so long, unless a message comes.
    Sleep(Duration),
    /// The machine goes down.
    Down,
}

/// The daemon.
#[derive(Debug)]
pub struct Daemon<W> {
    port: W,
    handle: Arc<Handle>,
    /// What was asked for and is done in the next turn: the others wait in the channel, which is bounded.
    asked: Option<QueuedJob>,
    /// What is to be written into the event log.
    reports: Vec<Report>,
    /// Inhibitors that the event log knows of; `None` until the log was read.
    holds: Option<Holds>,
    /// Who had the configuration read again, if anyone did.
    reloaded: Option<Asker>,
    /// The configuration that was reported last, and the problems of one that were.
    logged: Option<String>,
    rejected: Option<ConfigError>,
    /// The release that this run goes back from, and when it tries that again.
    leaving: Option<(String, Duration)>,
    seen: Option<(Duration, Survey)>,
    /// The last look at the channel, of this run.
    look: Option<LastTry>,
    /// The last switch, if it was refused.
    refused: Option<LastTry>,
    /// What was tried in vain for components.
    tries: ComponentTries,
    /// Another process works on the device: nothing is tried again before this.
    busy_until: Duration,
}

/// The daemon itself, as the one that asks.
const SCHEDULE: Asker = Asker::new(Via::Schedule, None);

impl<W: DevicePort> Daemon<W> {
    /// A daemon, its front, and its messages. `session` is the run of the program.
    pub fn new(
        mut port: W,
        window: Box<dyn Queries>,
        session: &str,
    ) -> (Daemon<W>, Arc<Handle>, Receiver<Message>) {
        let (sender, messages) = sync_channel(DEPTH);
        let survey = port.survey().ok();
        let boot = survey.as_ref().map(|survey| survey.standing.boot.to_string());
        let mut jobs = Jobs::new(&boot.unwrap_or_default(), session);
        if let Some(survey) = &survey {
            jobs.restore(survey.remembered.jobs.iter().map(past::job));
        }
        // Whether a trial is undecided is unknown of a device that can't be read.
        let undecided = survey.as_ref().is_none_or(Survey::is_undecided);
        let handle = Arc::new(Handle::new(window, sender, jobs));
        handle.undecided(undecided);
        let seen = survey.map(|survey| (port.moment().uptime, survey));
        let daemon = Daemon {
            port,
            handle: Arc::clone(&handle),
            asked: None,
            reports: Vec::new(),
            holds: None,
            reloaded: None,
            logged: None,
            rejected: None,
            leaving: None,
            seen,
            look: None,
            refused: None,
            tries: ComponentTries::default(),
            busy_until: Duration::ZERO,
        };
        (daemon, handle, messages)
    }

    /// Take in a message. What it asks for is done in the next turn: one at a time.
    pub fn take(&mut self, message: Message) {
        match message {
            Message::Job(queued) => self.asked = Some(queued),
            Message::Report(report) => self.keep(report),
            Message::Nudge => {
                self.handle.nudge_came();
                self.reloaded = self.handle.take_reloaded().or(self.reloaded.take());
                self.seen = None;
            }
        }
    }

    /// Have something written with the next event.
    fn keep(&mut self, report: Report) {
        if self.reports.len() < REPORTS {
            self.reports.push(report);
        } else {
            log::warn!(event = report.kind.traits().name; "not_reported");
        }
    }

    /// Take nothing in any more.
    pub(super) fn close(&self) {
        self.handle.close();
    }

    /// Do the next thing, or say how long there is nothing to do.
    pub fn turn(&mut self) -> Turn {
        self.handle.beat();
        if let Some(queued) = self.asked.take() {
            return self.asked_for(queued);
        }
        let moment = self.port.moment();
        let is_new = self.seen.is_none();
        let survey = match self.survey(&moment) {
            Ok(survey) => survey,
            Err(e) => {
                let why = e.to_string();
                if self.handle.outlook().why.as_ref() != Some(&why) {
                    log::warn!(reason = why; "device_not_read");
                }
                self.handle.rest(None, None, why);
                return Turn::Sleep(TICK);
            }
        };
        if moment.uptime < self.busy_until {
            return Turn::Sleep(self.busy_until - moment.uptime);
        }
        self.complain(&survey);
        let holds = self.holds.get_or_insert_with(|| Holds::known(&survey.remembered.inhibitors));
        for report in holds.look(moment.uptime, &survey.inhibitors) {
            self.keep(report);
        }
        if !survey.is_undecided() && self.tell(&survey) {
            return Turn::Acted;
        }
        if survey.standing.now.is_idle()
            && let Some(sick) = self.handle.take_sick()
            && let Some(turn) = self.leave(&moment, &survey, &sick)
        {
            return turn;
        }
        match self.next(&moment, &survey) {
            // An inhibitor may hold it off by now, and nothing says that a folder is there that wasn't.
            Next::Do { act: Act::Switch | Act::SwitchComponent { .. } } if !is_new => {
                self.seen = None;
                Turn::Acted
            }
            Next::Do { act } => self.act(act),
            Next::Sleep { until, why } => {
                let time = until.saturating_sub(moment.uptime);
                let at = moment.wall.map(|wall| crate::date::rfc3339(wall.saturating_add(time.as_secs())));
                let facts = self.facts(&survey);
                let next = schedule::announced(&moment, &survey.standing, &survey.rules, &facts, until, &why);
                let why = match &survey.rejected {
                    Some(e) => format!("{why}; the configuration of before still counts: {e}"),
                    None => why.to_string(),
                };
                self.handle.rest(next, at, why);
                Turn::Sleep(time.max(Duration::from_secs(1)))
            }
        }
    }

    /// Go back from a release that was unhealthy for too long: once for each release, and not before that is in the log. What is
    /// gone back to passes self-tests, trial and health check as after any `revert`; with its commit what was left is rejected, for its
    /// health check failed (I16), so it does not come back by itself.
    fn leave(&mut self, moment: &Moment, survey: &Survey, sick: &Sick) -> Option<Turn> {
        let was_left = survey.remembered.left.iter().any(|left| left.release == sick.release);
        let is_again = self.leaving.as_ref().is_some_and(|(release, _)| *release == sick.release);
        let is_early = self.leaving.as_ref().is_some_and(|(_, not_before)| moment.uptime < *not_before);
        if was_left && !is_again || is_early {
            return None;
        }
        if !was_left {
            let Sick { version, release, reason } = sick;
            let data = json!({ "version": version, "release": release, "reason": reason });
            let report = Report { kind: Kind::HealthRevert, source: "daemon", data };
            match self.port.report(&[report], &SCHEDULE) {
                Ok(true) => {}
                // What is not known after the next boot could happen again and again.
                Ok(false) => {
                    log::warn!(version; "unhealthy_release_stays_without_a_log");
                    return None;
                }
                Err(e) => {
                    log::warn!(version, reason:% = e; "unhealthy_release_stays_for_now");
                    return None;
                }
            }
        }
        log::warn!(version = sick.version, reason = sick.reason; "unhealthy_release_left");
        let Some(end) = self.own(&Request::Revert) else { return Some(Turn::Down) };
        // Only what passes is tried again: without another release there is no way back.
        let again = end.busy || end.exit == Exit::TryLater;
        let not_before = if again { moment.uptime.saturating_add(LEAVE_AGAIN) } else { Duration::MAX };
        self.leaving = Some((sick.release.clone(), not_before));
        Some(Turn::Acted)
    }

    /// A configuration that has a problem is reported once.
    fn complain(&mut self, survey: &Survey) {
        if self.rejected == survey.rejected {
            return;
        }
        self.rejected.clone_from(&survey.rejected);
        if let Some(e) = &survey.rejected {
            log::warn!(reason:% = e; "configuration_rejected");
            let data = json!({ "problems": e.problems });
            let report = Report { kind: Kind::ConfigRejected, source: "config", data };
            self.take(Message::Report(report));
        }
    }

    /// Have reports written, and the configuration if the log has another one; whether that worked.
    fn tell(&mut self, survey: &Survey) -> bool {
        let is_new = survey.unlogged.is_some() && survey.unlogged != self.logged;
        if self.reports.is_empty() && !is_new {
            // What changes later is not attributed to the caller that had it read again.
            self.reloaded = None;
            return false;
        }
        match self.port.report(&self.reports, self.reloaded.as_ref().unwrap_or(&SCHEDULE)) {
            Ok(_) => {
                self.reports.clear();
                self.logged.clone_from(&survey.unlogged);
                self.reloaded = None;
            }
            // Perhaps another process works on the device.
            Err(e) => {
                log::debug!(reason:% = e; "reports_wait");
                return false;
            }
        }
        true
    }

    /// Do what was asked for, unless it was taken back or a trial is undecided by now.
    fn asked_for(&mut self, queued: QueuedJob) -> Turn {
        if !self.handle.begin(&queued.job) {
            return Turn::Acted;
        }
        let moment = self.port.moment();
        if self.survey(&moment).is_ok_and(|survey| survey.is_undecided()) {
            let error = NotTaken::Trial.to_string();
            let (exit, code) = (Exit::TryLater.code(), Some(Code::NotNow));
            self.handle.end(&queued.job, Some(Outcome { exit, code, error: Some(error), answer: None }));
            return Turn::Acted;
        }
        // A request by hand also asks sources whose breaker is open.
        source::close_all();
        let looks = matches!(queued.request, Request::Check(_));
        let Some(end) = self.perform(queued) else { return Turn::Down };
        if looks {
            self.looked(&end);
        }
        Turn::Acted
    }

    fn survey(&mut self, moment: &Moment) -> Result<Survey, Error> {
        match &self.seen {
            Some((at, survey)) if moment.uptime.saturating_sub(*at) < FRESH => Ok(survey.clone()),
            _ => {
                let survey = self.port.survey()?;
                self.handle.undecided(survey.is_undecided());
                self.seen = Some((moment.uptime, survey.clone()));
                Ok(survey)
            }
        }
    }

    fn next(&self, moment: &Moment, survey: &Survey) -> Next {
        schedule::next(moment, &survey.standing, &survey.rules, &self.facts(survey))
    }

    fn facts(&self, survey: &Survey) -> Facts {
        Facts {
            last_look: self.look.or_else(|| past::look(survey)),
            staged: past::staged(survey),
            inhibitors: survey.inhibitors.iter().map(Held::inhibitor).collect(),
            is_urgent: survey.is_urgent,
            trials: past::trials(survey),
            rollbacks: survey.rollbacks.clone(),
            switch_refused: self.refused,
            trial_pending: false,
            components: past::components(survey, &self.tries),
        }
    }

    /// What the schedule wants.
    fn act(&mut self, act: Act) -> Turn {
        let done = match act {
            Act::Report => self.own(&Request::Check(Default::default())).map(|end| self.looked(&end)),
            Act::Look => self.look_and_stage(),
            Act::Resume => self.own(&Request::Install(Wanted::default())).map(|end| self.resumed(&end)),
            Act::Switch => self.switch(),
            Act::StageComponent { component } => self.stage_component(&component),
            Act::SwitchComponent { component } => self.switch_component(&component),
        };
        done.map_or(Turn::Down, |()| Turn::Acted)
    }

    /// See what is on offer, and have it staged if it is for this device. A release in flight is looked at again: it may be
    /// withdrawn by now.
    fn look_and_stage(&mut self) -> Option<()> {
        let in_flight = self.seen.as_ref().is_some_and(|(_, survey)| !survey.standing.now.is_idle());
        let checked = self.own(&Request::Check(Default::default()))?;
        if checked.takes || (matches!(checked.exit, Exit::Done | Exit::NothingToDo) && in_flight) {
            let installed = self.own(&Request::Install(Wanted::default()))?;
            self.looked(&installed);
        } else {
            self.looked(&checked);
        }
        Some(())
    }

    /// Into the trial: by way of the self-tests, if they didn't pass yet.
    fn switch(&mut self) -> Option<()> {
        let is_staged = self
            .seen
            .as_ref()
            .is_some_and(|(_, survey)| matches!(survey.standing.now, Now::Saved(Saved::Staged(_))));
        let armed = if is_staged { Some(self.own(&Request::Arm)?) } else { None };
        let end = match armed {
            Some(end) if end.exit != Exit::Done => end,
            _ => self.own(&Request::Reboot)?,
        };
        let tried = self.tried(self.refused);
        self.refused = (end.exit != Exit::Done && !end.busy).then_some(tried);
        Some(())
    }

    /// Stage what is on offer of a component.
    fn stage_component(&mut self, component: &str) -> Option<()> {
        let offered = self.seen.as_ref().and_then(|(_, survey)| survey.remembered.offered.get(component));
        let release = offered.map(|offered| offered.release.clone()).unwrap_or_default();
        let before = self.tries.stage(component, &release);
        let wanted = Wanted::default();
        let end = self
            .own(&Request::ComponentInstall(ComponentUpdate { component: component.to_owned(), wanted }))?;
        if !end.busy {
            let failed = LastTry { not_before: end.not_before, ..self.tried(before) };
            self.tries.staged(component, &release, (end.exit != Exit::Done).then_some(failed));
        }
        Some(())
    }

    /// Continue the update of a component. A verdict ends it; anything else that keeps it is tried again later.
    fn switch_component(&mut self, component: &str) -> Option<()> {
        let end = self.own(&Request::ComponentResume(Named { component: component.to_owned() }))?;
        if !end.busy {
            let tried = self.tried(self.tries.switch(component));
            let is_over = matches!(end.exit, Exit::Done | Exit::SelfTest | Exit::Health);
            self.tries.switched(component, (!is_over).then_some(tried));
        }
        Some(())
    }

    /// Something was tried just now, once more in vain.
    fn tried(&mut self, before: Option<LastTry>) -> LastTry {
        let Moment { uptime, wall, .. } = self.port.moment();
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        LastTry { when: When { wall, uptime: Some(uptime) }, failures, not_before: None }
    }

    /// A look ended: when the next one is due follows from how.
    fn looked(&mut self, end: &End) {
        self.tried_to_look(end, matches!(end.exit, Exit::Done | Exit::NothingToDo | Exit::Incompatible));
    }

    /// Continuing a half-written slot was tried: as long as it is half written, that is tried again, but not at once.
    fn resumed(&mut self, end: &End) {
        self.tried_to_look(end, end.exit == Exit::Done);
    }

    fn tried_to_look(&mut self, end: &End, succeeded: bool) {
        if end.busy {
            return;
        }
        let tried = self.tried(self.look);
        let failures = if succeeded { 0 } else { tried.failures };
        self.look = Some(LastTry { failures, not_before: end.not_before, ..tried });
    }

    fn own(&mut self, request: &Request) -> Option<End> {
        let job = self.handle.own(request, SCHEDULE);
        self.handle.begin(&job);
        self.perform(QueuedJob { job, request: request.clone(), by: SCHEDULE, bundle: None })
    }

    /// Do what a job asks for; `None` if the machine goes down.
    fn perform(&mut self, queued: QueuedJob) -> Option<End> {
        let (id, operation) = (queued.job.clone(), queued.request.operation());
        let mut reporter = Reporter::new(&self.handle, &id);
        let ended = self.port.act(queued, &mut reporter);
        self.seen = None;
        let goes_down = goes_down(&ended);
        let takes =
            matches!(&ended, Ok(Reply { answer: Answer::Checked(report), .. }) if report.takes.is_some());
        let busy =
            matches!(&ended, Err(failed) if matches!(&*failed.error, Error::Card(CardError::Busy { .. })));
        if busy {
            self.busy_until = self.port.moment().uptime.saturating_add(TICK);
        }
        let cancelled = matches!(&ended, Err(failed) if matches!(*failed.error, Error::Cancelled));
        let not_before = ended.as_ref().err().and_then(|failed| failed.error.retry_after());
        let (document, exit) = app::document(ended);
        if let Some(failure) = &document.failure {
            let (class, severity) = failure.code.traits();
            let level = match severity {
                Priority::Info => log::Level::Info,
                Priority::Warning => log::Level::Warn,
                Priority::Error | Priority::Critical => log::Level::Error,
            };
            log::log!(level, job = id, operation, class:?, severity:?, reason = failure.error; "job_failed");
        }
        let failure = document.failure.clone();
        let outcome = Outcome {
            exit: exit.code(),
            code: failure.as_ref().map(|failure| failure.code),
            error: failure.map(|failure| failure.error),
            answer: Some(document),
        };
        self.handle.end(&id, (!cancelled).then_some(outcome));
        if goes_down {
            self.handle.close();
            return None;
        }
        // After a check was cancelled, the next one must not follow at once.
        let exit = if cancelled { Exit::NothingToDo } else { exit };
        Some(End { exit, busy, takes, not_before })
    }
}

/// How an act of the daemon's own ended.
#[derive(Clone, Copy, Debug)]
struct End {
    exit: Exit,
    /// Another process works on the device.
    busy: bool,
    /// The channel offers an image that the device takes.
    takes: bool,
    /// How long the other side asks to be left alone.
    not_before: Option<Duration>,
}

fn goes_down(ended: &Result<Reply, Failed>) -> bool {
    match ended {
        Ok(reply) => reply.reboot == Reboot::Done,
        Err(failed) => {
            is_reboot(&failed.error)
                || matches!(&*failed.error, Error::Fault(fault) if Fault::stopping(fault).is_some())
        }
    }
}
