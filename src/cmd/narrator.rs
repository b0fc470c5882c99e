//! Tells a person, step by step, what the agent does and why. On standard error; the result goes to standard output.
use super::say;
use crate::{
    agent::{AgentEvent, Observer},
    cli::{GlobalArgs, ProgressMode},
    component::ComponentEvent,
    event::Counter,
    progress::{Mode, Progress},
    steps::{health, preflight, selftest},
};
use bistable_boot::{MAX_ATTEMPTS, Now, Saved};
use bistable_format::{json, selftest::Need};
use std::{
    io::{self, IsTerminal},
    time::Instant,
};

/// The listener of the command line.
pub(super) struct Narrator {
    progress: Progress,
    quiet: bool,
    /// For programs, what happens goes between the lines of progress.
    events: Option<Counter>,
}

impl Narrator {
    pub(super) fn new(at: &GlobalArgs) -> Narrator {
        let mode = match at.progress {
            ProgressMode::Auto => Mode::Auto,
            ProgressMode::Plain => Mode::Plain,
            ProgressMode::Json => Mode::Json,
            ProgressMode::Quiet => Mode::Quiet,
        };
        let terminal = io::stderr().is_terminal();
        // Words between JSON lines would be no JSON.
        let quiet = matches!(at.progress, ProgressMode::Json | ProgressMode::Quiet);
        #[expect(clippy::disallowed_methods, reason = "only says how often progress is printed")]
        let start = Instant::now();
        let progress = Progress::new(mode, terminal, Box::new(io::stderr()), move || start.elapsed());
        let events = (at.progress == ProgressMode::Json).then(Counter::default);
        Narrator { progress, quiet, events }
    }

    fn tell(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }
}

impl Observer for Narrator {
    fn on_event(&mut self, note: AgentEvent<'_>) {
        self.report(note);
        match note {
            AgentEvent::State(Now::Saved(Saved::Idle)) => {}
            // Asking for a trial counts nothing, but it is the next one.
            AgentEvent::State(Now::Saved(Saved::Armed { tries, .. })) if tries.asked.is_some() => {
                self.tell(&format!(
                    "state: armed, trial {} of {MAX_ATTEMPTS}",
                    tries.attempts.saturating_add(1)
                ));
            }
            AgentEvent::State(Now::Saved(Saved::Armed { tries, .. })) if tries.refused > 0 => {
                let n = tries.refused;
                let s = if n == 1 { "" } else { "s" };
                self.tell(&format!("state: armed, the boot loader did not begin the trial in {n} reboot{s}"));
            }
            AgentEvent::State(Now::Saved(Saved::Armed { tries, .. })) if tries.attempts > 0 => {
                let n = tries.attempts;
                self.tell(&format!("state: armed, trial {n} of {MAX_ATTEMPTS} ended without a verdict"));
            }
            AgentEvent::State(Now::Saved(Saved::Reverting { failure: why, reboots: 0, .. })) => {
                self.tell(&format!("state: reverting ({why})"));
            }
            AgentEvent::State(Now::Saved(Saved::Reverting { .. })) => {}
            AgentEvent::State(state) => self.tell(&format!("state: {}", state.name())),
            AgentEvent::Preflight(report) => self.preflight(report),
            AgentEvent::Accepted(target, release) => self.tell(&format!(
                "release {} {} ({:.12}): signature verified, compatible with this device; installing into slot {}",
                release.product(),
                release.version,
                target.release,
                target.slot
            )),
            AgentEvent::Writing(target, release) => {
                self.progress.start(&format!("write slot {}", target.slot), release.content.bytes());
            }
            AgentEvent::Read(bytes) => self.progress.advance(bytes),
            // The error says it; the state and what follows say it.
            AgentEvent::RollbackFailed(..) | AgentEvent::Ended(_) | AgentEvent::Saved(_) => {}
            AgentEvent::Component(name, event) => self.component(name, event),
            AgentEvent::Remark(text) => self.tell(text),
            AgentEvent::Slow { step, took, expected } => {
                self.tell(&format!("{step}: took {} s, expected at most {} s", took.as_secs(), expected.as_secs()));
            }
            AgentEvent::Installed(target, stats) => {
                self.progress.finish();
                let by_delta = if stats.delta_bytes > 0 {
                    format!(" ({} MiB of it by delta)", tenths_of_mib(stats.delta_bytes))
                } else {
                    String::new()
                };
                self.tell(&format!(
                    "slot {}: {} MiB written, {} of {} chunks were right already, {} MiB read back and compared, {} \
                     MiB fetched{by_delta}, {} MiB taken from the running slot",
                    target.slot,
                    mib(stats.written_bytes),
                    stats.skipped,
                    stats.chunks,
                    mib(stats.verified_bytes),
                    tenths_of_mib(stats.fetched_bytes),
                    tenths_of_mib(stats.reused_bytes),
                ));
                match stats.stale {
                    0 => {}
                    1 => self.tell("one chunk of the running system changed since it was installed: its full data was fetched"),
                    stale => self.tell(&format!(
                        "{stale} chunks of the running system changed since it was installed: their full data was fetched"
                    )),
                }
            }
            AgentEvent::SelfTests(report) => self.self_tests(report),
            AgentEvent::Health(verdict) => self.health(verdict),
            AgentEvent::Repaired(slot) => {
                self.tell(&format!("boot flag: was torn by a power cut, or changed; written whole for slot {slot}"));
            }
            AgentEvent::Rebooting(slot) => {
                self.tell(&format!("reboot: booting slot {slot} once; a power loss falls back to the default slot"));
            }
            AgentEvent::Committed(t) => {
                self.tell(&format!("boot flag: slot {} is the default now, release {}", t.slot, t.version));
            }
            AgentEvent::Reverted(t, why) => {
                let (version, slot) = (&t.version, t.slot);
                self.tell(&match why.reason.rejects() {
                    true => format!(
                        "reverted: release {version} in slot {slot} is rejected ({why}); to try it again: `bistable \
                         update VERSION|FILE --retry-rejected`"
                    ),
                    false => format!("reverted: release {version} in slot {slot} is given up ({why})"),
                });
            }
        }
    }
}

impl Narrator {
    /// As an event, for programs.
    fn report(&mut self, note: AgentEvent<'_>) {
        if let (Some(counter), Some(event)) = (&mut self.events, note.event()) {
            say(&json::line(&counter.number(event)));
        }
    }

    fn component(&mut self, name: &str, event: ComponentEvent<'_>) {
        match event {
            ComponentEvent::Saved(now, _) => self.tell(&format!("state: {}", now.state.name())),
            ComponentEvent::Begun(step, bytes) if step.reads() => {
                self.progress.start(&format!("{step} {name}"), bytes);
            }
            ComponentEvent::Begun(..) => {}
            ComponentEvent::Read(bytes) => self.progress.advance(bytes),
            ComponentEvent::Step(step, took, problem) => {
                if step.reads() {
                    self.progress.finish();
                }
                let took = took.as_secs_f64();
                self.tell(&match problem {
                    None => format!("{step}: done in {took:.1} s"),
                    Some(problem) => format!("{step}: failed after {took:.1} s: {problem}"),
                });
            }
            ComponentEvent::Committed(version) => self.tell(&format!("{version} is committed")),
            ComponentEvent::Reverted(version, why) => {
                self.tell(&format!("{version} was given up: {why}"));
            }
            ComponentEvent::Remark(text) => self.tell(text),
        }
    }

    fn preflight(&self, report: &preflight::Report) {
        for check in &report.checks {
            let mark = match check.verdict {
                preflight::Verdict::Pass => "ok  ",
                preflight::Verdict::Note => "note",
                preflight::Verdict::Stop => "STOP",
            };
            self.tell(&format!("  {mark} {}: {}", check.name, check.found));
        }
    }

    fn self_tests(&self, report: &selftest::Report) {
        for t in &report.tests {
            let mark = match (t.verdict, t.refuses()) {
                (selftest::Verdict::Passed, _) => "ok  ",
                (_, true) => "FAIL",
                (_, false) => "warn",
            };
            self.tell(&format!("  {mark} self-test {} ({}): {}", t.name, t.kind, t.measured));
        }
        if report.tests.iter().any(|t| matches!(t.kind.as_str(), "loopback" | "level" | "pulse")) {
            self.tell(&format!("       pins by {}", report.backend));
        }
    }

    fn health(&self, verdict: &health::Verdict) {
        let report = verdict.report();
        if let Some(tests) = &report.self_tests {
            self.self_tests(tests);
        }
        for c in &report.checks {
            let mark = match (c.standing, c.need) {
                (health::Standing::Good, _) => "ok  ",
                (_, Need::Required) => "FAIL",
                (_, Need::Wanted) => "warn",
            };
            self.tell(&format!("  {mark} health {} ({}): {}", c.name, c.kind, c.said));
        }
        self.tell(&verdict_line(verdict));
    }
}

/// What a health check ended with. One that checked nothing says so.
fn verdict_line(verdict: &health::Verdict) -> String {
    let report = verdict.report();
    let took = report.took.as_secs();
    match verdict {
        health::Verdict::Healthy(_) if report.checks.is_empty() && report.self_tests.is_none() => {
            "healthy: no checks configured: the system came up, and nothing else was looked at".into()
        }
        health::Verdict::Healthy(_) => {
            format!("healthy: everything stayed good for {} s, {took} s in all", report.settle.as_secs())
        }
        health::Verdict::Unhealthy { reason, .. } => format!("unhealthy after {took} s: {reason}"),
    }
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// What goes over the air may be far below one MiB.
fn tenths_of_mib(bytes: u64) -> String {
    let tenths = (bytes * 10).div_ceil(1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_health_check_of_nothing_does_not_say_that_all_is_good() {
        let report = |self_tests| health::Report {
            deadline: Duration::from_secs(60),
            settle: Duration::from_secs(10),
            took: Duration::from_secs(12),
            self_tests,
            checks: Vec::new(),
        };
        let nothing = verdict_line(&health::Verdict::Healthy(report(None)));
        assert!(nothing.starts_with("healthy: no checks configured"), "{nothing}");
        let tested = selftest::Report { backend: "sim".into(), tests: Vec::new() };
        let tested = verdict_line(&health::Verdict::Healthy(report(Some(tested))));
        assert_eq!(tested, "healthy: everything stayed good for 10 s, 12 s in all");
        let sick = health::Verdict::Unhealthy { reason: "web not good".into(), report: report(None) };
        assert_eq!(verdict_line(&sick), "unhealthy after 12 s: web not good");
    }
}
