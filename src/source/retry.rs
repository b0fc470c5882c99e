//! A source asked again, with growing pauses.
use super::{Others, Source, SourceError, Span};
use crate::ports::Clock;
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// How often something is tried again, and how long the pauses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Number of failed attempts in a row after which it is given up.
    pub attempts: u32,
    /// The longest pause after the first of them; it doubles with each one.
    pub base: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// An attempt that brought at least this many bytes is not counted as failed.
    pub progress_bytes: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let base = Duration::from_secs(1);
        RetryPolicy { attempts: 6, base, longest: Duration::from_secs(60), progress_bytes: 16 << 10 }
    }
}

impl RetryPolicy {
    /// The pause after failed attempt `n`, counted from 1: anything up to a limit that doubles, so that devices which
    /// lost their server at the same moment don't come back at the same moment.
    pub fn pause(&self, n: u32, random: u64) -> Duration {
        let doubled = self.base.saturating_mul(1 << n.saturating_sub(1).min(30));
        let most = u64::try_from(doubled.min(self.longest).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(match most.checked_add(1) {
            Some(choices) => random % choices,
            None => random,
        })
    }
}

/// A random number: for pauses, not for secrets.
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// A source that is asked again as long as its trouble may pass by itself, from the byte that it had reached.
pub struct Retry<S> {
    source: S,
    patience: RetryPolicy,
    clock: Box<dyn Clock>,
    random: Box<dyn FnMut() -> u64>,
    path: String,
    span: Span,
    failures: u32,
    /// Bytes since the last trouble.
    came: u64,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retry").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<S: Source> Retry<S> {
    /// Ask `source` with `patience`; `clock` waits, `random` makes the pauses differ.
    pub fn new(
        source: S,
        patience: RetryPolicy,
        clock: Box<dyn Clock>,
        random: impl FnMut() -> u64 + 'static,
    ) -> Self {
        Retry {
            source,
            patience,
            clock,
            random: Box::new(random),
            path: String::new(),
            span: Span::WHOLE,
            failures: 0,
            came: 0,
        }
    }

    /// Wait, unless it is given up.
    fn pause(&mut self, e: SourceError) -> Result<(), SourceError> {
        self.failures += 1;
        if !e.is_transport() || self.failures >= self.patience.attempts {
            return Err(e);
        }
        let asked = e.retry_after().unwrap_or_default();
        if asked > self.patience.longest {
            // Whoever asks for this comes back later.
            return Err(e);
        }
        let pause = self.patience.pause(self.failures, (self.random)()).max(asked);
        log::warn!(attempt = self.failures, pause_ms:% = pause.as_millis(), reason:% = e; "retry");
        self.clock.wait(pause);
        Ok(())
    }
}

impl<S: Source> Source for Retry<S> {
    fn name(&self) -> String {
        self.source.name()
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        self.failures = 0;
        loop {
            match self.source.get(path, limit) {
                Err(e) => self.pause(e)?,
                done => return done,
            }
        }
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        (self.path, self.span) = (path.into(), span);
        (self.failures, self.came) = (0, 0);
        loop {
            match self.source.open_range(path, span) {
                Err(e) => self.pause(e)?,
                done => return done,
            }
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        loop {
            let mut failed = match self.source.read(into) {
                Ok(n) => {
                    self.span.from += n as u64;
                    self.came += n as u64;
                    return Ok(n);
                }
                Err(e) => e,
            };
            if self.came >= self.patience.progress_bytes {
                self.failures = 0;
            }
            self.came = 0;
            loop {
                self.pause(failed)?;
                match self.source.open_range(&self.path, self.span) {
                    Ok(()) => break,
                    Err(e) => failed = e,
                }
            }
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
        source::{Flaw, Memory, fill},
    };

    const PATIENCE: RetryPolicy = RetryPolicy {
        attempts: 4,
        base: Duration::from_secs(1),
        longest: Duration::from_secs(5),
        progress_bytes: 100,
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_any_shorter_one_is_possible() {
        for (n, most) in [(1, 1000), (2, 2000), (3, 4000), (4, 5000), (5, 5000), (u32::MAX, 5000)] {
            let most = Duration::from_millis(most);
            let nanos = u64::try_from(most.as_nanos()).unwrap();
            assert_eq!(PATIENCE.pause(n, nanos), most, "{n}");
            assert_eq!(PATIENCE.pause(n, nanos + 1), Duration::ZERO, "{n}");
            assert!((0..1000).all(|i| PATIENCE.pause(n, random().wrapping_add(i)) <= most), "{n}");
        }
        let endless = RetryPolicy { base: Duration::MAX, longest: Duration::MAX, ..PATIENCE };
        assert_eq!(endless.pause(40, 7), Duration::from_nanos(7));
    }

    fn retry(flaws: &[Flaw]) -> (Retry<Memory>, SimClock, crate::source::Served) {
        let mut memory = Memory::new([("f".to_owned(), (0..=255).cycle().take(1000).collect())]);
        memory.flaws = flaws.to_vec().into();
        let (clock, served) = (SimClock::default(), memory.served());
        let nanos = u64::try_from(PATIENCE.base.as_nanos()).unwrap();
        (Retry::new(memory, PATIENCE, Box::new(clock.clone()), move || nanos), clock, served)
    }

    #[test]
    fn resumes_at_the_byte_that_it_reached() {
        use Flaw::{Cut, Unreachable};
        let (mut source, clock, served) =
            retry(&[Unreachable, Cut(300), Unreachable, Unreachable, Cut(150), Cut(1)]);
        source.open_range("f", Span::new(100, 900)).unwrap();
        let mut bytes = vec![0; 800];
        fill(&mut source, &mut bytes).unwrap();
        let want: Vec<u8> = (0..=255).cycle().skip(100).take(800).collect();
        assert!(bytes == want);
        assert_eq!(source.read(&mut [0; 9]).unwrap(), 0);
        assert_eq!(served.bytes(), 800, "no byte twice");
        assert!(clock.now() > Duration::from_secs(3), "{:?}", clock.now());
    }

    #[test]
    fn gives_up_after_fruitless_attempts_and_at_once_when_asking_again_does_not_help() {
        let (mut source, clock, _) = retry(&[Flaw::Unreachable; 9]);
        assert!(matches!(source.get("f", 9999), Err(SourceError::Unreachable { .. })));
        assert_eq!(clock.now(), Duration::from_secs(3), "three pauses");
        let (mut source, clock, served) = retry(&[Flaw::Cut(99); 9]);
        source.open_range("f", Span::WHOLE).unwrap();
        assert!(matches!(fill(&mut source, &mut [0; 1000]), Err(SourceError::Cut { byte: 396, .. })));
        assert_eq!((clock.now(), served.bytes()), (Duration::from_secs(3), 396));
        for flaw in [Flaw::Missing, Flaw::Changed] {
            let (mut source, clock, _) = retry(&[flaw; 9]);
            assert!(!source.open_range("f", Span::WHOLE).unwrap_err().is_transport());
            assert_eq!(clock.now(), Duration::ZERO);
        }
    }
}
