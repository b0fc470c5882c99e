//! Listens to the agent for a job: how far it is, and that it lives.
use super::Handle;
use crate::{
    agent::{AgentEvent, Observer},
    app::JobProgress,
    component::ComponentEvent,
};
use std::{ops::ControlFlow, sync::Arc};

/// The observer of one job.
pub(super) struct Reporter {
    handle: Arc<Handle>,
    job: String,
    progress: JobProgress,
}

impl Reporter {
    pub(super) fn new(handle: &Arc<Handle>, job: &str) -> Reporter {
        let progress = JobProgress { step: String::new(), done: 0, total: 0 };
        Reporter { handle: Arc::clone(handle), job: job.into(), progress }
    }

    fn step(&mut self, step: &str, total: u64) {
        self.progress = JobProgress { step: step.into(), done: 0, total };
        self.handle.progress(&self.job, &self.progress);
    }

    fn component(&mut self, event: ComponentEvent<'_>) {
        match event {
            ComponentEvent::Read(bytes) => {
                self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.total);
                self.handle.progress(&self.job, &self.progress);
            }
            ComponentEvent::Begun(step, bytes) => {
                self.step(&step.to_string(), bytes);
                // After these the service is another one.
                self.handle.stoppable(&self.job, step.is_stoppable());
            }
            _ => self.handle.beat(),
        }
    }
}

impl Observer for Reporter {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        match event {
            AgentEvent::Read(bytes) => {
                self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.total);
                self.handle.progress(&self.job, &self.progress);
            }
            AgentEvent::Writing(_, release) => {
                self.step("write", release.content.bytes());
                self.handle.stoppable(&self.job, true);
            }
            AgentEvent::Installed(..) => self.handle.stoppable(&self.job, false),
            AgentEvent::Preflight(_) => self.step("preflight", 0),
            AgentEvent::SelfTests(_) => self.step("self-test", 0),
            AgentEvent::Health(_) => self.step("health", 0),
            AgentEvent::State(now) => {
                let name = now.name();
                self.step(name, 0);
            }
            AgentEvent::Component(_, event) => self.component(event),
            _ => self.handle.beat(),
        }
    }

    fn wants_more(&self) -> ControlFlow<()> {
        if self.handle.is_stopped(&self.job) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
