//! One function through which each step of an update passes. What follows from a failure, and when a step is stopped or said to be
//! slow, is in the [table of steps](crate::steps::STEPS), and some of it in the configuration (`timeout`).
use super::{Agent, AgentEvent};
use crate::{
    Error,
    ports::Fault,
    steps::{Limit, OnError, Step, StepName},
};
use bistable_boot::{Event, Failure};
use std::time::Duration;

/// Why a step did not pass.
#[derive(Debug)]
pub(super) enum StepError {
    /// It says nothing about the step: the machine goes down, a server is gone, the flag is in use. The state stays.
    Passing(Error),
    /// The step failed. The verdict goes into the history.
    Failed(Failure, Box<Error>),
    /// The step failed, and that says nothing about the release.
    Blameless(Error),
}

impl StepError {
    pub(super) fn failed(verdict: Failure, e: Error) -> StepError {
        StepError::Failed(verdict, Box::new(e))
    }
}

impl From<Error> for StepError {
    fn from(e: Error) -> StepError {
        StepError::Passing(e)
    }
}

impl From<Fault> for StepError {
    fn from(fault: Fault) -> StepError {
        StepError::Passing(fault.into())
    }
}

/// Until when a step may take, as time of this boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    step: StepName,
    until: Option<(Duration, Duration)>,
}

impl Deadline {
    pub(super) fn is_over(self, now: Duration) -> bool {
        self.until.is_some_and(|(until, _)| now >= until)
    }

    /// What a step that was stopped ends with.
    pub(super) fn error(self) -> Error {
        Error::TimedOut {
            step: self.step.row().name,
            limit: self.until.map_or(Duration::ZERO, |(_, limit)| limit),
        }
    }
}

impl Agent<'_> {
    /// When the agent stops a step, and how long it takes at most if nothing is unusual: as the owner says, or as the table does.
    fn times(&self, row: &Step) -> (Option<Duration>, Duration) {
        let timeouts = &self.device.settings.timeouts;
        let limit = match row.timeout {
            Limit::After(_) => Some(timeouts.install),
            Limit::Own(_) => None,
        };
        let expected = match row.id {
            StepName::Install => timeouts.expected_install,
            StepName::SelfTest => timeouts.expected_self_test,
            StepName::Health => timeouts.expected_health,
            _ => row.expected,
        };
        (limit, expected)
    }

    /// Run one step.
    pub(super) fn step<T>(
        &mut self,
        name: StepName,
        work: impl FnOnce(&mut Self, Deadline) -> Result<T, StepError>,
    ) -> Result<T, Error> {
        let row = name.row();
        let start = self.device.board.clock.now();
        let (limit, expected) = self.times(row);
        let until = limit.map(|limit| (start.saturating_add(limit), limit));
        let done = work(self, Deadline { step: name, until });
        let took = self.device.board.clock.now().saturating_sub(start);
        if took > expected {
            self.observer.on_event(AgentEvent::Slow { step: name, took, expected });
        }
        match done {
            Ok(passed) => Ok(passed),
            Err(StepError::Passing(e)) => Err(e),
            Err(StepError::Failed(verdict, e)) => {
                match row.on_error {
                    OnError::Retry | OnError::StopAndReport => {}
                    // The state that follows names the way back, which the caller's loop goes.
                    OnError::Fallback => self.on(Event::Failed(verdict))?,
                    OnError::Undo => {
                        self.on(Event::Failed(verdict))?;
                        self.revert()?;
                    }
                }
                Err(*e)
            }
            Err(StepError::Blameless(e)) => Err(match row.on_error {
                OnError::Undo => self.take_back_reboot(e),
                OnError::Retry | OnError::Fallback | OnError::StopAndReport => e,
            }),
        }
    }
}
