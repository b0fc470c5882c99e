//! A request that was put into the queue, from its asking to its end.
use super::{Code, Document, Request};
use crate::status::Date;
use serde::Serialize;
use std::collections::VecDeque;

/// Jobs that are remembered. Those that haven't ended are kept beyond it: the queue bounds them.
pub const JOBS: usize = 64;

/// One request in the queue, being done, or done.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Job {
    /// Its name. No other job of this device has it, in this boot or another one.
    pub id: String,
    /// What was asked for: `update`, `arm` and so on.
    pub operation: String,
    /// Where it is.
    pub state: JobState,
    /// When it was asked for.
    pub asked: Date,
    /// Who asked.
    pub by: Asker,
    /// How far it is, while that is known.
    pub progress: Option<JobProgress>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum JobState {
    /// It waits for those before it.
    Queued,
    /// It is being done.
    Running,
    /// It was done, or failed: the outcome says which.
    Ended,
    /// It was taken back before anything depended on it.
    Cancelled,
    /// A reboot, a crash or a power cut ended it: `status` and the event log say how far it came.
    Lost,
}

impl JobState {
    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        match self {
            JobState::Queued | JobState::Running => false,
            JobState::Ended | JobState::Cancelled | JobState::Lost => true,
        }
    }
}

/// The way on which a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Via {
    /// Over the socket.
    Api,
    /// Over the socket of the web page, with a token.
    Web,
    /// From the daemon's own schedule.
    Schedule,
}

impl Via {
    const ALL: [Via; 3] = [Via::Api, Via::Web, Via::Schedule];

    /// Its name, as in JSON and in the event log.
    pub const fn name(self) -> &'static str {
        match self {
            Via::Api => "api",
            Via::Web => "web",
            Via::Schedule => "schedule",
        }
    }

    /// The way of that name.
    pub fn named(name: &str) -> Option<Via> {
        Via::ALL.into_iter().find(|via| via.name() == name)
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Asker {
    /// The way on which the request came.
    pub via: Via,
    /// The user whose process asked, as the kernel says.
    pub uid: Option<u32>,
    /// The name of the token that was shown, where one is asked for.
    pub token: Option<String>,
}

impl Asker {
    /// Who asks without a token.
    pub const fn new(via: Via, uid: Option<u32>) -> Asker {
        Asker { via, uid, token: None }
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JobProgress {
    /// What is being done.
    pub step: String,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes of all of it.
    pub total: u64,
}

/// How a job ended.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The exit code that the same request has on the command line.
    pub exit: u8,
    /// What kind of failure it was, if it failed.
    pub code: Option<Code>,
    /// What went wrong, human-readable, if it failed.
    pub error: Option<String>,
    /// What the command line prints with `--json`.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Document<super::Answered, Code>>"))]
    pub answer: Option<Document>,
}

/// Why a job was not cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCancelled {
    /// There is none of this name, or it is forgotten.
    #[error("job {0} is unknown: it was never asked for, or {JOBS} newer jobs replaced it")]
    Unknown(String),
    /// It has ended already.
    #[error("job {0} has already ended: there is nothing to cancel")]
    Ended(String),
    /// It is past the point up to which it can be taken back.
    #[error("job {id} can no longer be cancelled: {why}")]
    TooLate {
        /// The job.
        id: String,
        /// What it does that must not be stopped.
        why: String,
    },
}

/// The jobs that are remembered, the oldest first. Pure: whoever owns it says what happened.
#[derive(Clone, Debug)]
pub struct Jobs {
    prefix: String,
    next: u64,
    jobs: VecDeque<Job>,
}

impl Jobs {
    /// None yet. The boot and the run of the program make the names of its jobs unique: a run numbers from 1.
    pub fn new(boot_id: &str, session: &str) -> Jobs {
        let short = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
        let prefix = format!("{}-{}", short(boot_id), short(session));
        Jobs { prefix, next: 1, jobs: VecDeque::new() }
    }

    /// Something was asked for, and waits.
    pub fn ask(&mut self, request: &Request, by: Asker, asked: Date) -> Job {
        let id = format!("{}-{}", self.prefix, self.next);
        self.next = self.next.saturating_add(1);
        let operation = request.operation().into();
        let job = Job { id, operation, state: JobState::Queued, asked, by, progress: None, outcome: None };
        self.keep(job.clone());
        job
    }

    /// Jobs of an earlier run, the oldest first. Those that hadn't ended are lost.
    pub fn restore(&mut self, earlier: impl IntoIterator<Item = Job>) {
        for job in earlier {
            self.keep(job);
        }
        self.lose();
    }

    /// A job is being done now.
    pub fn begin(&mut self, id: &str) {
        self.change(id, |job| job.state = JobState::Running);
    }

    /// A job came that far.
    pub fn progress(&mut self, id: &str, progress: JobProgress) {
        self.change(id, |job| job.progress = Some(progress));
    }

    /// A job was done, or failed.
    pub fn end(&mut self, id: &str, outcome: Outcome) {
        self.change(id, |job| {
            job.state = JobState::Ended;
            job.outcome = Some(outcome);
        });
    }

    /// A job was stopped before anything depended on it.
    pub fn cancelled(&mut self, id: &str) {
        self.change(id, |job| job.state = JobState::Cancelled);
    }

    /// Take back a job that waits.
    ///
    /// # Errors
    /// [`NotCancelled`]. One that is being done has to be stopped by the thread that does it.
    pub fn take_back(&mut self, id: &str) -> Result<Job, NotCancelled> {
        match self.get(id).map(|job| job.state) {
            None => Err(NotCancelled::Unknown(id.into())),
            Some(JobState::Running) => {
                Err(NotCancelled::TooLate { id: id.into(), why: "it has begun".into() })
            }
            Some(state) if state.is_final() => Err(NotCancelled::Ended(id.into())),
            Some(_) => {
                self.cancelled(id);
                self.get(id).cloned().ok_or_else(|| NotCancelled::Unknown(id.into()))
            }
        }
    }

    /// A job that was refused after all: it is as if it had never been asked for.
    pub fn forget(&mut self, id: &str) {
        self.jobs.retain(|job| job.id != id);
    }

    /// The machine goes down, or the agent has ended: what hasn't ended never will.
    pub fn lose(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| !job.state.is_final()) {
            job.state = JobState::Lost;
        }
    }

    /// All that are remembered, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter()
    }

    /// The one of that name.
    pub fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// What has ended stays as it is.
    fn change(&mut self, id: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id && !job.state.is_final()) {
            change(job);
        }
    }

    fn keep(&mut self, job: Job) {
        self.jobs.push_back(job);
        while self.jobs.len() > JOBS
            && let Some(oldest) = self.jobs.iter().position(|job| job.state.is_final())
        {
            self.jobs.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Jobs {
        Jobs::new("4f1c8a52-3a1f-47de", "00ff00ff00ff")
    }

    fn ask(jobs: &mut Jobs) -> String {
        let by = Asker::new(Via::Api, Some(1000));
        let asked = Date { time: "2026-11-29T12:00:00Z".into(), synchronized: true };
        jobs.ask(&Request::Arm, by, asked).id
    }

    fn done() -> Outcome {
        Outcome { exit: 0, code: None, error: None, answer: None }
    }

    #[test]
    fn names_differ_between_runs_and_boots() {
        let (mut one, mut other_run) = (jobs(), Jobs::new("4f1c8a52-3a1f-47de", "11aa"));
        assert_eq!(ask(&mut one), "4f1c8a52-00ff00ff-1");
        assert_eq!(ask(&mut one), "4f1c8a52-00ff00ff-2");
        assert_eq!(ask(&mut other_run), "4f1c8a52-11aa-1");
        assert_eq!(
            ask(&mut Jobs::new("a/../b\n", "")),
            "ab--1",
            "whatever a boot id is, a name is one part of a path"
        );
    }

    #[test]
    fn way_has_one_name_in_json_and_in_the_log() {
        for via in Via::ALL {
            assert_eq!(
                (serde_json::to_value(via).unwrap(), Via::named(via.name())),
                (via.name().into(), Some(via))
            );
        }
        assert_eq!(Via::named("pigeon"), None);
    }

    #[test]
    fn job_goes_from_queued_to_its_end_and_stays_there() {
        let mut jobs = jobs();
        let id = ask(&mut jobs);
        let state = |jobs: &Jobs| jobs.get(&id).unwrap().state;
        assert_eq!(state(&jobs), JobState::Queued);
        jobs.begin(&id);
        jobs.progress(&id, JobProgress { step: "write".into(), done: 1, total: 2 });
        assert_eq!(state(&jobs), JobState::Running);
        assert_eq!(jobs.get(&id).unwrap().progress.as_ref().unwrap().done, 1);
        jobs.end(&id, done());
        jobs.lose();
        jobs.begin(&id);
        jobs.cancelled(&id);
        assert_eq!(
            (state(&jobs), jobs.get(&id).unwrap().outcome.as_ref().unwrap().exit),
            (JobState::Ended, 0)
        );
    }

    #[test]
    fn only_what_waits_is_taken_back() {
        let mut jobs = jobs();
        let (waits, runs, ended) = (ask(&mut jobs), ask(&mut jobs), ask(&mut jobs));
        jobs.begin(&runs);
        jobs.end(&ended, done());
        assert_eq!(jobs.take_back(&waits).unwrap().state, JobState::Cancelled);
        assert!(matches!(jobs.take_back(&runs), Err(NotCancelled::TooLate { .. })));
        assert_eq!(jobs.take_back(&ended).unwrap_err(), NotCancelled::Ended(ended));
        assert_eq!(jobs.take_back(&waits).unwrap_err(), NotCancelled::Ended(waits));
        assert_eq!(jobs.take_back("x").unwrap_err(), NotCancelled::Unknown("x".into()));
    }

    #[test]
    fn the_newest_are_remembered_and_none_that_has_not_ended_is_forgotten() {
        let mut jobs = jobs();
        let first = ask(&mut jobs);
        for _ in 0..2 * JOBS {
            let id = ask(&mut jobs);
            jobs.end(&id, done());
        }
        assert_eq!(jobs.all().count(), JOBS);
        assert!(jobs.get(&first).is_some(), "it still waits");
        let newest = jobs.all().last().unwrap().id.clone();
        assert!(newest.ends_with(&format!("-{}", 2 * JOBS + 1)));
        for _ in 0..2 * JOBS {
            ask(&mut jobs);
        }
        assert_eq!(jobs.all().count(), 2 * JOBS + 1, "all of them wait");
    }

    #[test]
    fn what_an_earlier_run_left_is_lost() {
        let mut before = jobs();
        let (ended, ran) = (ask(&mut before), ask(&mut before));
        before.end(&ended, done());
        before.begin(&ran);
        let mut after = Jobs::new("4f1c8a52-3a1f-47de", "11aa");
        after.restore(before.all().cloned());
        assert_eq!(after.get(&ended).unwrap().state, JobState::Ended);
        assert_eq!(after.get(&ran).unwrap().state, JobState::Lost);
    }
}
