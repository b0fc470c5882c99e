//! What the daemon and whoever asks it share: the queue, the jobs, and what comes next. Nothing here waits for the device.
use super::{
    QueuedJob,
    bell::Bell,
    health::{Health, Sick},
};
use crate::{
    app::{
        Asker, BundleStream, Document, Holding, Inhibit, Job, JobProgress, Jobs, NotCancelled, NotInhibited,
        Outcome, Request,
    },
    events::{Filter, Kind},
    metrics::{Format, Live},
    serve::{Backend, Found, HealthNow, NotTaken, Outlook, TokenStore},
    status::Date,
};
use serde_json::Value;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
    time::Duration,
};

/// Requests that may wait while one is done.
pub const DEPTH: usize = 16;

/// Without a sign of life for so long, the loop hangs: systemd thinks so, too (`WatchdogSec=` of the unit).
const SILENCE_MAX: Duration = Duration::from_secs(900);

/// What comes to the daemon.
#[derive(Debug)]
pub enum Message {
    /// A job.
    Job(QueuedJob),
    /// Something changed: look again.
    Nudge,
    /// Something that the event log has to hold.
    Report(Report),
}

/// Something that a part of the daemon without a device reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What happened.
    pub kind: Kind,
    /// The part that reports it.
    pub source: &'static str,
    /// More of it.
    pub data: Value,
}

/// Answers what needs no device of its own, on the thread of whoever asks.
pub trait Queries: Send + Sync {
    /// `status` or `history`.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn look(&self, request: &Request) -> Result<Document, Box<Document>>;
    /// Events from the log: see [`Backend::events`].
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>>;
    /// What holds a switch off.
    fn inhibitors(&self) -> Vec<Holding>;
    /// See [`Backend::inhibit`].
    ///
    /// # Errors
    /// Likewise.
    fn inhibit(&self, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited>;
    /// See [`Backend::release`].
    ///
    /// # Errors
    /// Likewise.
    fn release(&self, id: &str, by: &Asker, any: bool) -> Result<Holding, NotInhibited>;
    /// What `config show` answers.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn config(&self) -> Result<Document, Box<Document>>;
    /// What `config check` answers.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn check_config(&self) -> Result<Document, Box<Document>>;
    /// What is measured, with what only the daemon knows of itself: see [`Backend::metrics`].
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn metrics(&self, format: Format, live: Live) -> Result<String, Box<Document>>;
    /// Whose tokens are taken.
    fn token_store(&self) -> TokenStore;
    /// What the clock on the wall shows.
    fn date(&self) -> Date;
    /// The daemon lives: tell who watches over it.
    fn beat(&self);
    /// Time since some moment of this run.
    fn now(&self) -> Duration;
}

/// The daemon's front: what it shares with whoever asks.
pub struct Handle {
    window: Box<dyn Queries>,
    messages: SyncSender<Message>,
    nudged: AtomicBool,
    bell: Bell,
    shared: Mutex<Shared>,
}

struct Shared {
    jobs: Jobs,
    outlook: Outlook,
    undecided: bool,
    /// The job that can be stopped now, and whether it is to be.
    stoppable: Option<(String, bool)>,
    revision: u64,
    /// When it last gave a sign of life.
    beat: Duration,
    /// How the running release is.
    health: Health,
    /// What is to be gone back from.
    sick: Option<Sick>,
    /// Who had the configuration read again.
    reloaded: Option<Asker>,
    closed: bool,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    pub(super) fn new(window: Box<dyn Queries>, messages: SyncSender<Message>, jobs: Jobs) -> Handle {
        let outlook =
            Outlook { alive: true, doing: None, next: None, at: None, why: Some("it has just begun".into()) };
        let shared = Shared {
            jobs,
            outlook,
            undecided: false,
            stoppable: None,
            revision: 0,
            beat: window.now(),
            health: Health::unknown("no check was made yet"),
            sick: None,
            reloaded: None,
            closed: false,
        };
        Handle {
            window,
            messages,
            nudged: AtomicBool::new(false),
            bell: Bell::default(),
            shared: Mutex::new(shared),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed: the daemon looks again. One such word is as good as many, and no more than one takes a place in the
    /// queue.
    pub fn nudge(&self) {
        self.bell.ring();
        if !self.nudged.swap(true, Ordering::SeqCst) && self.messages.try_send(Message::Nudge).is_err() {
            self.nudge_came();
        }
    }

    /// What rings when something changed.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Have something written into the event log, some time soon. While too much waits, it is left out.
    pub fn report(&self, kind: Kind, source: &'static str, data: Value) {
        let name = kind.traits().name;
        if self.messages.try_send(Message::Report(Report { kind, source, data })).is_err() {
            log::warn!(event = name; "not_reported");
        }
    }

    /// The running release is like that.
    pub fn health(&self, health: Health) {
        self.shared().health = health;
    }

    /// The running release has been unhealthy for too long.
    pub fn sick(&self, sick: Sick) {
        self.shared().sick = Some(sick);
        // It wakes only the daemon.
        if !self.nudged.swap(true, Ordering::SeqCst) && self.messages.try_send(Message::Nudge).is_err() {
            self.nudge_came();
        }
    }

    /// What is to be gone back from, once.
    pub(super) fn take_sick(&self) -> Option<Sick> {
        self.shared().sick.take()
    }

    /// The caller that had the configuration read again, once.
    pub(super) fn take_reloaded(&self) -> Option<Asker> {
        self.shared().reloaded.take()
    }

    /// The word that something changed has come.
    pub(super) fn nudge_came(&self) {
        self.nudged.store(false, Ordering::SeqCst);
    }

    /// The daemon lives.
    pub(crate) fn beat(&self) {
        self.window.beat();
        let now = self.window.now();
        self.shared().beat = now;
    }

    /// A job of the daemon's own.
    pub(super) fn own(&self, request: &Request, by: Asker) -> String {
        let date = self.window.date();
        self.shared().jobs.ask(request, by, date).id
    }

    /// A job begins, unless it was taken back.
    pub(super) fn begin(&self, id: &str) -> bool {
        let mut shared = self.shared();
        let waits = shared.jobs.get(id).is_some_and(|job| !job.state.is_final());
        if waits {
            shared.jobs.begin(id);
            shared.outlook.doing = shared.jobs.get(id).map(|job| job.operation.clone());
        }
        waits
    }

    pub(super) fn progress(&self, id: &str, progress: &JobProgress) {
        let mut shared = self.shared();
        shared.jobs.progress(id, progress.clone());
        shared.revision = shared.revision.wrapping_add(1);
        drop(shared);
        self.beat();
    }

    /// Whether a job can be stopped from now on.
    pub(super) fn stoppable(&self, id: &str, can_be: bool) {
        self.shared().stoppable = can_be.then(|| (id.to_owned(), false));
    }

    /// Whether a job is to stop.
    pub(super) fn is_stopped(&self, id: &str) -> bool {
        self.shared().stoppable.as_ref().is_some_and(|(job, stop)| job == id && *stop)
    }

    /// A job ended; with no outcome if it was cancelled.
    pub(super) fn end(&self, id: &str, outcome: Option<Outcome>) {
        let mut shared = self.shared();
        shared.stoppable = None;
        match outcome {
            Some(outcome) => shared.jobs.end(id, outcome),
            None => shared.jobs.cancelled(id),
        }
        shared.outlook.doing = None;
        shared.revision = shared.revision.wrapping_add(1);
        drop(shared);
        self.bell.ring();
    }

    /// Whether a trial is undecided.
    pub(super) fn undecided(&self, undecided: bool) {
        self.shared().undecided = undecided;
    }

    /// Nothing is done now: what is next and when, if that is known, and why not sooner.
    pub(super) fn rest(&self, next: Option<&str>, at: Option<String>, why: String) {
        let mut shared = self.shared();
        let next = next.map(ToOwned::to_owned);
        shared.outlook = Outlook { alive: true, doing: None, next, at, why: Some(why) };
        shared.revision = shared.revision.wrapping_add(1);
    }

    /// The machine goes down.
    pub(super) fn close(&self) {
        let mut shared = self.shared();
        shared.closed = true;
        shared.jobs.lose();
    }
}

impl Backend for Handle {
    fn look(&self, request: &Request) -> Result<Document, Box<Document>> {
        self.window.look(request)
    }

    fn revision(&self) -> u64 {
        self.shared().revision
    }

    fn ask(&self, request: Request, by: Asker, bundle: Option<BundleStream>) -> Result<Job, NotTaken> {
        let date = self.window.date();
        let mut shared = self.shared();
        if shared.closed {
            return Err(NotTaken::Closed);
        }
        if shared.undecided {
            return Err(NotTaken::Trial);
        }
        let job = shared.jobs.ask(&request, by.clone(), date);
        let queued = QueuedJob { job: job.id.clone(), request, by, bundle };
        match self.messages.try_send(Message::Job(queued)) {
            Ok(()) => Ok(job),
            Err(e) => {
                shared.jobs.forget(&job.id);
                Err(match e {
                    TrySendError::Full(_) => NotTaken::Busy,
                    TrySendError::Disconnected(_) => NotTaken::Closed,
                })
            }
        }
    }

    fn jobs(&self) -> Vec<Job> {
        self.shared().jobs.all().cloned().collect()
    }

    fn job(&self, id: &str) -> Option<Job> {
        self.shared().jobs.get(id).cloned()
    }

    fn cancel(&self, id: &str) -> Result<Job, NotCancelled> {
        let mut shared = self.shared();
        match &mut shared.stoppable {
            Some((job, stop)) if job == id => {
                *stop = true;
                shared.jobs.get(id).cloned().ok_or_else(|| NotCancelled::Unknown(id.into()))
            }
            _ => shared.jobs.take_back(id),
        }
    }

    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>> {
        self.window.events(filter, limit)
    }

    fn inhibitors(&self) -> Vec<Holding> {
        self.window.inhibitors()
    }

    fn inhibit(&self, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited> {
        let held = self.window.inhibit(asked, by)?;
        self.nudge();
        Ok(held)
    }

    fn release(&self, id: &str, by: &Asker, any: bool) -> Result<Holding, NotInhibited> {
        let held = self.window.release(id, by, any)?;
        self.nudge();
        Ok(held)
    }

    fn config(&self) -> Result<Document, Box<Document>> {
        self.window.config()
    }

    fn reload(&self, by: Asker) -> Result<Document, Box<Document>> {
        // Each act reads the configuration, so that it is valid is all that has to be known; a word wakes whoever sleeps by it.
        let checked = self.window.check_config();
        self.shared().reloaded = Some(by);
        self.nudge();
        checked
    }

    fn metrics(&self, format: Format) -> Result<String, Box<Document>> {
        let Health { healthy, took, checks, .. } = self.shared().health.clone();
        let checked_in = healthy.filter(|_| !checks.is_empty()).map(|_| took);
        let live = Live { resident: None, healthy, checked_in };
        self.window.metrics(format, live)
    }

    fn readiness(&self) -> HealthNow {
        let Health { healthy, reason, version, took, checks } = self.shared().health.clone();
        HealthNow { healthy, reason, version, took, checks }
    }

    fn token_store(&self) -> TokenStore {
        self.window.token_store()
    }

    fn outlook(&self) -> Outlook {
        let now = self.window.now();
        let shared = self.shared();
        let alive = !shared.closed && now.saturating_sub(shared.beat) < SILENCE_MAX;
        Outlook { alive, ..shared.outlook.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, atomic::AtomicU64, mpsc::sync_channel};

    /// A window in which only time passes.
    struct Hours(Arc<AtomicU64>);

    impl Queries for Hours {
        fn look(&self, _: &Request) -> Result<Document, Box<Document>> {
            unreachable!("not queried")
        }
        fn events(&self, _: &Filter, _: usize) -> Result<Found, Box<Document>> {
            unreachable!("not read")
        }
        fn inhibitors(&self) -> Vec<Holding> {
            unreachable!("nobody asks")
        }
        fn inhibit(&self, _: &Inhibit, _: &Asker) -> Result<Holding, NotInhibited> {
            unreachable!("nobody asks")
        }
        fn release(&self, _: &str, _: &Asker, _: bool) -> Result<Holding, NotInhibited> {
            unreachable!("nobody asks")
        }
        fn config(&self) -> Result<Document, Box<Document>> {
            unreachable!("not asked")
        }
        fn check_config(&self) -> Result<Document, Box<Document>> {
            unreachable!("nobody asks")
        }
        fn metrics(&self, _: Format, _: Live) -> Result<String, Box<Document>> {
            unreachable!("not measured")
        }
        fn token_store(&self) -> TokenStore {
            unreachable!("no token is shown")
        }
        fn date(&self) -> Date {
            Date { time: "2026-11-29T12:00:00Z".into(), synchronized: true }
        }
        fn beat(&self) {}
        fn now(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn loop_that_gives_no_sign_of_life_is_not_said_to_live() {
        let time = Arc::new(AtomicU64::new(5000));
        let (messages, _inbox) = sync_channel(1);
        let handle = Handle::new(Box::new(Hours(Arc::clone(&time))), messages, Jobs::new("b", "s"));
        assert!(handle.outlook().alive, "it has just begun");
        time.store(5899, Ordering::SeqCst);
        assert!(handle.outlook().alive);
        time.store(5900, Ordering::SeqCst);
        assert!(!handle.outlook().alive, "a quarter of an hour without a sign of life");
        handle.beat();
        assert!(handle.outlook().alive, "a fsync of some minutes is over");
        handle.close();
        assert!(!handle.outlook().alive);
    }
}
