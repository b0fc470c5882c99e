//! What all requests share.
use super::{
    Limits, Stopped,
    cache::Cache,
    desk::Desk,
    ledger::Ledger,
    problem::{Kind, Problem},
    repeats::Repeats,
};
use axum::extract::Request;
use std::sync::{Arc, Mutex};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout},
};

/// What all requests share.
pub(super) struct Context {
    pub(super) desk: Arc<dyn Desk>,
    pub(super) limits: Limits,
    pub(super) stopped: Stopped,
    pub(super) status: Cache,
    pub(super) repeats: Arc<Mutex<Repeats>>,
    /// Whose tokens are taken, and when that was asked.
    pub(super) ledger: tokio::sync::Mutex<Option<(Instant, Arc<Ledger>)>>,
    /// Streams of events that may still begin.
    pub(super) feeds: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Context {
    pub(super) fn new(desk: Arc<dyn Desk>, limits: Limits, stopped: Stopped) -> Context {
        Context {
            desk,
            limits,
            stopped,
            status: Cache::default(),
            repeats: Arc::default(),
            ledger: tokio::sync::Mutex::default(),
            feeds: Arc::new(Semaphore::new(limits.feeds)),
            calls: Arc::new(Semaphore::new(limits.calls.max(1))),
        }
    }

    /// Call the desk on a thread that may block. What doesn't return keeps its place, so that calls can't pile up.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Desk) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (desk, calls) = (Arc::clone(&self.desk), Arc::clone(&self.calls));
        let called = timeout(self.limits.answer, async move {
            let place = calls.acquire_owned().await;
            spawn_blocking(move || {
                let _place = place;
                call(&*desk)
            })
            .await
        });
        match called.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => {
                log::error!(reason:% = e; "api_call_failed");
                Err(Problem::new(Kind::Internal, "the daemon's log says why"))
            }
            Err(_) => {
                let seconds = self.limits.answer.as_secs();
                Err(Problem::new(Kind::Slow, format!("there was no answer within {seconds} s")))
            }
        }
    }

    /// Whether a request's head is within its limit. The library's own limit is larger, so that the refusal has a body.
    pub(super) fn head(&self, request: &Request) -> Result<(), Problem> {
        self.limits.check_head(request)
    }
}
