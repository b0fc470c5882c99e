//! Hears the agent of a simulated Pi.
use super::card::{Card, Op};
use bistable::{
    agent::{AgentEvent, Observer},
    steps::{health, selftest},
};

/// Hears what the agent says, and believes only what is true.
pub(super) struct CardRecorder {
    pub(super) card: Card,
    /// Whether the system that runs passes an honest self-test and health check.
    pub(super) good: bool,
}

impl Observer for CardRecorder {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        match event {
            AgentEvent::SelfTests(report) => {
                let passed = report.verdict() == selftest::Verdict::Passed && !report.tests.is_empty();
                self.card.watch(|w| w.self_tested(passed));
            }
            AgentEvent::Health(verdict) => {
                let healthy = matches!(verdict, health::Verdict::Healthy(_)) && self.good;
                let tests = verdict.report().self_tests.as_ref();
                let tested = tests.is_some_and(|r| r.refusal().is_none() && !r.tests.is_empty());
                self.card.watch(|w| {
                    w.health_checked(healthy && !verdict.report().checks.is_empty());
                    w.self_tested(tested);
                });
            }
            AgentEvent::Committed(target) => {
                self.card.note(Op::Promised(target.version.clone()));
                self.card.watch(|w| w.promised(&target.version));
            }
            _ => {}
        }
    }
}
