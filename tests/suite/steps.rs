//! The table of steps drives the agent: when a step is stopped, and when it is reported as slow.
use crate::{fixture::product, rig::Rig};
use bistable::{
    agent::{AgentEvent, Observer},
    error::Exit,
    ports::Clock,
    steps::{Limit, StepName, install::Overrides},
};
use bistable_boot::{Now, Saved};
use std::{
    io::{self, Read},
    rc::Rc,
    time::Duration,
};

/// A pipe that stops for some time in the middle of a bundle.
struct Slow {
    bytes: &'static [u8],
    half: usize,
    clock: Rc<dyn Clock>,
    stops: Duration,
}

impl Slow {
    fn new(bytes: &'static [u8], clock: &Rc<dyn Clock>, stops: Duration) -> Slow {
        Slow { bytes, half: bytes.len() / 2, clock: Rc::clone(clock), stops }
    }
}

impl Read for Slow {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.len() < self.half {
            self.clock.wait(std::mem::take(&mut self.stops));
        }
        self.bytes.read(into)
    }
}

#[derive(Default)]
struct Steps(Vec<(StepName, Duration)>);

impl Observer for Steps {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        if let AgentEvent::Slow { step, took, .. } = event {
            self.0.push((step, took));
        }
    }
}

#[test]
fn installation_that_takes_too_long_is_stopped_and_resumed_later() {
    let Limit::After(limit) = StepName::Install.row().timeout else { panic!("no limit") };
    let mut rig = Rig::new();
    let mut slow = Steps::default();
    let e = rig
        .run_heard(&mut slow, |agent| {
            let mut pipe = Slow::new(&product().good, &agent.device.board.clock, limit);
            agent.install(&mut pipe, Overrides::NONE)
        })
        .unwrap_err();
    assert_eq!(e.exit(), Exit::TryLater, "{e}");
    assert!(e.to_string().contains("install took longer than 360 minutes"), "{e}");
    assert!(matches!(slow.0[..], [(StepName::Install, took)] if took >= limit), "{:?}", slow.0);
    // It was not given up, and the same release continues.
    let rejected = rig
        .run(|agent| {
            assert!(matches!(agent.now(), Now::Saved(Saved::Installing(_))), "{:?}", agent.now());
            Ok(agent.device.record.rejected.len())
        })
        .unwrap();
    assert_eq!(rejected, 0);
    rig.run(|agent| agent.install(&mut &product().good[..], Overrides::NONE)).unwrap();
}

#[test]
fn owner_says_when_an_installation_is_stopped_and_what_is_slow() {
    let mut rig = Rig::new();
    rig.settings.timeouts.install = Duration::from_secs(600);
    let stops = Duration::from_secs(700);
    let e = rig
        .run(|agent| {
            let mut pipe = Slow::new(&product().good, &agent.device.board.clock, stops);
            agent.install(&mut pipe, Overrides::NONE)
        })
        .unwrap_err();
    assert!(
        e.to_string().contains("install took longer than 10 minutes") && e.exit() == Exit::TryLater,
        "{e}"
    );
    let mut heard = Steps::default();
    rig.settings.timeouts.expected_install = Duration::from_secs(5);
    rig.run_heard(&mut heard, |agent| {
        let mut pipe = Slow::new(&product().good, &agent.device.board.clock, Duration::from_secs(6));
        agent.install(&mut pipe, Overrides::NONE)
    })
    .unwrap();
    assert!(matches!(heard.0[..], [(StepName::Install, _)]), "{:?}", heard.0);
}

#[test]
fn step_that_takes_longer_than_expected_is_reported_and_passes() {
    let expected = StepName::Install.row().expected;
    for (stops, slow) in [(expected / 2, false), (expected + Duration::from_secs(1), true)] {
        let mut heard = Steps::default();
        Rig::new()
            .run_heard(&mut heard, |agent| {
                let mut pipe = Slow::new(&product().good, &agent.device.board.clock, stops);
                agent.install(&mut pipe, Overrides::NONE)
            })
            .unwrap();
        assert_eq!(!heard.0.is_empty(), slow, "{stops:?}: {:?}", heard.0);
    }
}
