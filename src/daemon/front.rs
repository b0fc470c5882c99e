//! What the daemon and whoever asks it share: the queue, the jobs, and what comes next. Nobody waits here for the device.
use crate::{
    app::{Asker, Document, Job, JobProgress, Jobs, NotCancelled, Outcome, Request},
    events::Filter,
    serve::{Desk, Found, NotTaken, Outlook},
    status::Date,
};
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    mpsc::{SyncSender, TrySendError},
};

/// Requests that may wait while one is done.
pub const DEPTH: usize = 16;

/// What comes to the daemon.
#[derive(Debug)]
pub enum Letter {
    /// A job, by its id.
    Job(String, Request, Asker),
    /// Something changed: look again.
    Nudge,
}

/// Answers what needs no device of its own, on the thread of whoever asks.
pub trait Window: Send + Sync {
    /// `status` or `history`.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn look(&self, request: &Request) -> Result<Document, Box<Document>>;
    /// Events from the log: see [`Desk::events`].
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>>;
    /// What `config show` answers.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    fn config(&self) -> Result<Document, Box<Document>>;
    /// What the clock on the wall shows.
    fn date(&self) -> Date;
    /// The daemon lives: tell who watches over it.
    fn beat(&self);
}

/// The daemon's front: what it shares with whoever asks.
pub struct Front {
    window: Box<dyn Window>,
    letters: SyncSender<Letter>,
    shared: Mutex<Shared>,
}

struct Shared {
    jobs: Jobs,
    outlook: Outlook,
    undecided: bool,
    /// The job that can be stopped now, and whether it is to be.
    stoppable: Option<(String, bool)>,
    revision: u64,
    closed: bool,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

impl Front {
    pub(super) fn new(window: Box<dyn Window>, letters: SyncSender<Letter>, jobs: Jobs) -> Front {
        let outlook =
            Outlook { alive: true, doing: None, next: None, at: None, why: Some("it has just begun".into()) };
        let shared = Shared { jobs, outlook, undecided: false, stoppable: None, revision: 0, closed: false };
        Front { window, letters, shared: Mutex::new(shared) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The jobs that are remembered, the oldest first.
    pub fn jobs_now(&self) -> Vec<Job> {
        self.shared().jobs.all().cloned().collect()
    }

    /// Something changed: the daemon looks again. One such word is as good as many.
    pub fn nudge(&self) {
        let _ = self.letters.try_send(Letter::Nudge);
    }

    /// The daemon lives.
    pub(super) fn beat(&self) {
        self.window.beat();
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
    }

    /// What comes next, and whether a trial is undecided.
    pub(super) fn foresee(&self, outlook: Outlook, undecided: bool) {
        let mut shared = self.shared();
        (shared.outlook, shared.undecided) = (outlook, undecided);
        shared.revision = shared.revision.wrapping_add(1);
    }

    /// The machine goes down.
    pub(super) fn close(&self) {
        let mut shared = self.shared();
        shared.closed = true;
        shared.outlook.alive = false;
        shared.jobs.lose();
    }
}

impl Desk for Front {
    fn look(&self, request: &Request) -> Result<Document, Box<Document>> {
        self.window.look(request)
    }

    fn revision(&self) -> u64 {
        self.shared().revision
    }

    fn ask(&self, request: Request, by: Asker) -> Result<Job, NotTaken> {
        let date = self.window.date();
        let mut shared = self.shared();
        if shared.closed {
            return Err(NotTaken::Closed);
        }
        if shared.undecided {
            return Err(NotTaken::Trial);
        }
        let job = shared.jobs.ask(&request, by, date);
        match self.letters.try_send(Letter::Job(job.id.clone(), request, by)) {
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
        self.jobs_now()
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

    fn config(&self) -> Result<Document, Box<Document>> {
        self.window.config()
    }

    fn outlook(&self) -> Outlook {
        self.shared().outlook.clone()
    }
}
