//! Waiting for the device lock: one process at a time works on a card, and some verbs must not fail because another one is
//! quicker. In a trial, a failed `resume` or `health` is a reset of the machine, and costs an attempt.
use crate::{Error, board::CardError, cli::Verb, ports::Clock};
use std::{path::Path, time::Duration};

/// How long such a verb waits. An installation may take that long; nothing else comes near it.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a person waits: the daemon looks at a channel in less.
const BRIEF: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_secs(1);

/// How long a verb waits for the lock.
pub(super) fn patience(verb: &Verb) -> Duration {
    match verb {
        Verb::Resume | Verb::Health { .. } | Verb::Offer(_) => PATIENCE,
        _ => BRIEF,
    }
}

/// Open something, again and again while another process works on it. `tell` is called once, before the first wait, with
/// what is waited for.
///
/// # Errors
/// [`CardError::Busy`] when it is still so after `patience`; any other error at once.
pub(super) fn wait<T>(
    clock: &dyn Clock,
    patience: Duration,
    tell: impl FnOnce(&Path),
    mut open: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let until = clock.now().saturating_add(patience);
    let mut tell = Some(tell);
    loop {
        match open() {
            Err(Error::Card(CardError::Busy { path })) if clock.now() < until => {
                if let Some(tell) = tell.take() {
                    tell(&path);
                }
                clock.wait(POLL);
            }
            opened => return opened,
        }
    }
}

/// The message while waiting.
pub(super) fn text(path: &Path, patience: Duration) -> String {
    format!(
        "another process works on {}: waiting up to {} s for it to end; `fuser -v {0}` shows which one",
        path.display(),
        patience.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::sim::clock::SimClock;

    fn busy() -> Result<u32, Error> {
        Err(Error::Card(CardError::Busy { path: "/dev/x".into() }))
    }

    /// How long it took, how often it was tried, what was told.
    fn waited(
        patience: Duration,
        mut open: impl FnMut(u32) -> Result<u32, Error>,
    ) -> (Result<u32, Error>, u64, u32, Vec<String>) {
        let (clock, mut tries, mut told) = (SimClock::default(), 0, Vec::new());
        let opened = wait(
            &clock,
            patience,
            |path| told.push(text(path, patience)),
            || {
                tries += 1;
                open(tries)
            },
        );
        (opened, clock.time().as_secs(), tries, told)
    }

    #[test]
    fn it_waits_as_long_as_it_may_and_says_so_once() {
        let free_at = |n: u32| move |tries: u32| if tries >= n { Ok(tries) } else { busy() };
        let (opened, seconds, _, told) = waited(PATIENCE, free_at(1));
        assert!(matches!((opened, seconds, told.len()), (Ok(1), 0, 0)));
        let (opened, seconds, _, told) = waited(PATIENCE, free_at(4));
        assert!(matches!((opened, seconds), (Ok(4), 3)));
        assert_eq!(
            told,
            [
                "another process works on /dev/x: waiting up to 600 s for it to end; `fuser -v /dev/x` shows which one"
            ]
        );
        let (opened, seconds, tries, told) = waited(PATIENCE, free_at(u32::MAX));
        assert!(matches!(opened, Err(Error::Card(CardError::Busy { .. }))));
        assert_eq!((seconds, tries, told.len()), (600, 601, 1));
    }

    #[test]
    fn other_verbs_wait_for_a_look_of_the_daemon_and_other_errors_for_nothing() {
        let (opened, seconds, tries, told) = waited(patience(&Verb::SelfTest), |_| busy());
        assert!(matches!(opened, Err(Error::Card(CardError::Busy { .. }))));
        assert_eq!((seconds, tries, told.len()), (5, 6, 1));
        let (opened, seconds, tries, _) =
            waited(patience(&Verb::Health { no_pins: false }), |_| Err(Error::NotNow("no".into())));
        assert!(matches!(opened, Err(Error::NotNow(_))));
        assert_eq!((seconds, tries), (0, 1));
    }
}
