//! An answer that is used again for a moment, so that many who ask cost the card nothing.
use axum::body::Bytes;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::MutexGuard, time::Instant};

/// The newest answer to one question.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: Mutex<Option<Kept>>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Kept {
    revision: u64,
    until: Instant,
    body: Bytes,
}

impl Cache {
    /// The answer, if it is still fresh and from this revision.
    pub(super) fn get(&self, revision: u64) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.as_ref()?;
        (kept.revision == revision && Instant::now() < kept.until).then(|| kept.body.clone())
    }

    /// Keep an answer for so long. Its revision is the one before the question was asked.
    pub(super) fn keep(&self, body: Bytes, revision: u64, fresh: Duration) {
        let kept = Kept { revision, until: Instant::now() + fresh, body };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    /// The turn to ask: one asks, the others wait for what it gets.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().await
    }
}
