//! Wakes threads that wait for something to happen.
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A bell. A waiting thread hears each ring since its last wait.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    fn rings(&self) -> MutexGuard<'_, u64> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wake all who wait.
    pub fn ring(&self) {
        let mut rings = self.rings();
        *rings = rings.wrapping_add(1);
        drop(rings);
        self.rung.notify_all();
    }

    /// Wait until it rings, or until `time` has passed. `heard` is the number of rings so far.
    pub fn wait(&self, heard: &mut u64, time: Duration) {
        let waited = self.rung.wait_timeout_while(self.rings(), time, |rings| *rings == *heard);
        *heard = *waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_that_came_before_the_wait_is_heard() {
        let (bell, mut heard) = (Bell::default(), 0);
        bell.ring();
        bell.ring();
        bell.wait(&mut heard, Duration::from_secs(3600));
        assert_eq!(heard, 2);
        bell.wait(&mut heard, Duration::ZERO);
        assert_eq!(heard, 2);
    }
}
