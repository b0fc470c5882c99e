//! Listens to the agent for a job: how far it is, and that it lives.
use super::Front;
use crate::{
    agent::{Listener, Note},
    app::JobProgress,
};
use std::{ops::ControlFlow, sync::Arc};

/// The listener of one job.
pub(super) struct Reporter {
    front: Arc<Front>,
    job: String,
    progress: JobProgress,
}

impl Reporter {
    pub(super) fn new(front: &Arc<Front>, job: &str) -> Reporter {
        let progress = JobProgress { step: String::new(), done: 0, total: 0 };
        Reporter { front: Arc::clone(front), job: job.into(), progress }
    }

    fn step(&mut self, step: &str, total: u64) {
        self.progress = JobProgress { step: step.into(), done: 0, total };
        self.front.progress(&self.job, &self.progress);
    }
}

impl Listener for Reporter {
    fn hear(&mut self, note: Note<'_>) {
        match note {
            Note::Read(bytes) => {
                self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.total);
                self.front.progress(&self.job, &self.progress);
            }
            Note::Writing(_, release) => {
                self.step("write", release.content.bytes());
                self.front.stoppable(&self.job, true);
            }
            Note::Installed(..) => self.front.stoppable(&self.job, false),
            Note::Preflight(_) => self.step("preflight", 0),
            Note::SelfTests(_) => self.step("self-test", 0),
            Note::Health(_) => self.step("health", 0),
            Note::State(now) => {
                let name = now.name();
                self.step(name, 0);
            }
            _ => self.front.beat(),
        }
    }

    fn wants_more(&self) -> ControlFlow<()> {
        if self.front.is_stopped(&self.job) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
