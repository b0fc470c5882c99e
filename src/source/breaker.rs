//! A circuit breaker for each source: one that fails again and again is left alone for a while, then asked once.
//!
//! It holds for a whole process, over all acts: a daemon neither waits for a dead mirror at each look, nor hammers a server that
//! is about to come back. A program that runs once starts with all of them closed.
use super::{Others, Source, SourceError, Span};
use crate::ports::Clock;
use std::{cell::RefCell, collections::BTreeMap, time::Duration};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open before one request is let through.
pub const OPEN_FOR: Duration = Duration::from_secs(15 * 60);
/// Failures this soon after the last one that counted are the same trouble: one act asks several times.
const SAME_TROUBLE: Duration = Duration::from_secs(30);

/// What is known of a source. Pure: times are of one clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// When the last failure that counted was.
    failed_at: Duration,
    /// Until when nothing is asked.
    open_until: Option<Duration>,
    /// Whether the one request after that is under way.
    probing: bool,
}

/// Whether a source may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Closed,
    /// It may be asked once.
    Probe,
    /// Not for so long.
    Open(Duration),
}

impl Breaker {
    /// Ask whether the source may be asked now. After [`Gate::Probe`] nothing more is let through until it answered or failed, or
    /// for as long as it would have been open.
    pub fn ask(&mut self, now: Duration) -> Gate {
        let Some(until) = self.open_until else { return Gate::Closed };
        if now < until {
            return Gate::Open(until - now);
        }
        self.probing = true;
        self.open_until = Some(now.saturating_add(OPEN_FOR));
        Gate::Probe
    }

    /// It answered.
    pub fn answered(&mut self) {
        *self = Breaker::default();
    }

    /// It failed in a way that may pass.
    pub fn failed(&mut self, now: Duration) {
        let is_same = self.failures > 0 && now.saturating_sub(self.failed_at) < SAME_TROUBLE;
        if is_same && !self.probing {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        if self.probing || self.failures >= FAILURES {
            self.open_until = Some(now.saturating_add(OPEN_FOR));
        }
        self.probing = false;
    }
}

thread_local! {
    // What the thread that owns the agent knows of its sources. By the name that the source gives itself.
    static KNOWN: RefCell<BTreeMap<String, Breaker>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forget what is known of all sources: they are asked for by hand.
pub fn close_all() {
    KNOWN.with_borrow_mut(BTreeMap::clear);
}

/// A source behind its breaker.
pub struct Guarded<S> {
    source: S,
    name: String,
    clock: Box<dyn Clock>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<S: Source> Guarded<S> {
    /// Put a source behind its breaker, as long as this thread lives.
    pub fn new(source: S, clock: Box<dyn Clock>) -> Guarded<S> {
        Guarded { name: source.name(), source, clock }
    }

    fn known<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        KNOWN.with_borrow_mut(|known| with(known.entry(self.name.clone()).or_default()))
    }

    fn ask(&self) -> Result<(), SourceError> {
        let now = self.clock.now();
        match self.known(|breaker| breaker.ask(now)) {
            Gate::Closed | Gate::Probe => Ok(()),
            Gate::Open(left) => {
                Err(SourceError::LeftAlone { at: self.name.clone(), failures: FAILURES, left })
            }
        }
    }

    fn note<T>(&self, done: Result<T, SourceError>) -> Result<T, SourceError> {
        let now = self.clock.now();
        self.known(|breaker| match &done {
            Err(e) if e.is_transport() => breaker.failed(now),
            // Also a no is an answer.
            _ => breaker.answered(),
        });
        done
    }
}

impl<S: Source> Source for Guarded<S> {
    fn name(&self) -> String {
        self.source.name()
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        self.ask()?;
        let got = self.source.get(path, limit);
        self.note(got)
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        self.ask()?;
        let opened = self.source.open_range(path, span);
        self.note(opened)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        // What is open is read on; only its failure counts.
        match self.source.read(into) {
            Err(e) => self.note(Err(e)),
            read => read,
        }
    }

    fn unasked(&mut self) -> Option<SourceError> {
        self.source.unasked()
    }

    fn report_corrupt(&mut self) -> Others {
        self.source.report_corrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        board::sim::clock::SimClock,
        source::{Flaw, Memory},
    };
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn opens_after_five_failures_for_a_quarter_of_an_hour_and_asks_once_then() {
        enum Step {
            Fails,
            Answers,
        }
        use Gate::{Closed, Open, Probe};
        use Step::{Answers, Fails};
        // The minute, what the gate says, and what comes of it.
        let table = [
            (0, Closed, Some(Fails)),
            (1, Closed, Some(Fails)),
            (2, Closed, Some(Answers)),
            (3, Closed, Some(Fails)),
            (4, Closed, Some(Fails)),
            (5, Closed, Some(Fails)),
            (6, Closed, Some(Fails)),
            (7, Closed, Some(Fails)),
            (8, Open(14 * MINUTE), None),
            (21, Open(MINUTE), None),
            (22, Probe, Some(Fails)),
            (23, Open(14 * MINUTE), None),
            (37, Probe, None),
            // Its end is unknown.
            (38, Open(14 * MINUTE), None),
            (52, Probe, Some(Answers)),
            (53, Closed, Some(Fails)),
            (54, Closed, Some(Fails)),
        ];
        let mut breaker = Breaker::default();
        for (minute, gate, step) in table {
            let now = minute * MINUTE;
            assert_eq!(breaker.ask(now), gate, "minute {minute}");
            match step {
                Some(Fails) => breaker.failed(now),
                Some(Answers) => breaker.answered(),
                None => {}
            }
        }
    }

    proptest! {
        #[test]
        fn never_more_than_one_request_in_a_quarter_of_an_hour_once_it_is_open(
            steps in prop::collection::vec((0..900_u64, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let (mut breaker, mut now, mut let_through) = (Breaker::default(), Duration::ZERO, Vec::new());
            let mut in_a_row = 0;
            for (pause, answers, is_known) in steps {
                now += Duration::from_secs(pause);
                let gate = breaker.ask(now);
                match gate {
                    Gate::Open(left) => {
                        prop_assert!(left <= OPEN_FOR && in_a_row >= FAILURES);
                        continue;
                    }
                    Gate::Probe => {
                        prop_assert!(let_through.last().is_none_or(|last| now - *last >= OPEN_FOR), "{let_through:?}, {now:?}");
                    }
                    Gate::Closed => {}
                }
                let_through.push(now);
                // The end of a probe may stay unknown; that of any other request does not.
                if gate == Gate::Probe && !is_known {
                    continue;
                }
                if answers {
                    breaker.answered();
                    in_a_row = 0;
                } else {
                    breaker.failed(now);
                    in_a_row += 1;
                }
            }
        }
    }

    #[test]
    fn holds_over_several_sources_of_one_name_until_they_are_asked_for_by_hand() {
        close_all();
        let clock = SimClock::default();
        let source = |flaws: &[Flaw]| {
            let mut memory = Memory::new([("f".to_owned(), vec![1, 2, 3])]);
            memory.flaws = flaws.to_vec().into();
            let served = memory.served();
            (Guarded::new(memory, Box::new(clock.clone())), served)
        };
        for _ in 0..FAILURES {
            // Five attempts of one act are one failure.
            let (mut dead, _) = source(&[Flaw::Unreachable; 5]);
            for _ in 0..5 {
                let e = dead.get("f", 9).unwrap_err();
                assert!(matches!(e, SourceError::Unreachable { .. } | SourceError::LeftAlone { .. }), "{e}");
                clock.wait(Duration::from_secs(2));
            }
            clock.wait(MINUTE);
        }
        let (mut well, served) = source(&[]);
        let e = well.get("f", 9).unwrap_err();
        assert!(e.is_transport() && e.retry_after().is_some_and(|left| left <= OPEN_FOR), "{e}");
        assert!(matches!(well.open_range("f", Span::WHOLE), Err(SourceError::LeftAlone { .. })));
        assert_eq!(served.bytes(), 0, "it was not asked");
        close_all();
        assert_eq!(well.get("f", 9).unwrap(), Some(vec![1, 2, 3]));
        close_all();
    }
}
