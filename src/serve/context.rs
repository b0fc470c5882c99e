//! What all requests share.
use super::{
    Limits, Stopped,
    backend::Backend,
    cache::Cache,
    problem::{Kind, Problem},
    repeats::Repeats,
    token_store::TokenStore,
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
    pub(super) backend: Arc<dyn Backend>,
    pub(super) limits: Limits,
    pub(super) stopped: Stopped,
    pub(super) status: Cache,
    pub(super) repeats: Arc<Mutex<Repeats>>,
    /// Whose tokens are taken, and when that was asked.
    pub(super) token_store: tokio::sync::Mutex<Option<(Instant, Arc<TokenStore>)>>,
    /// Streams of events that may still begin.
    pub(super) feeds: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Context {
    pub(super) fn new(backend: Arc<dyn Backend>, limits: Limits, stopped: Stopped) -> Context {
        Context {
            backend,
            limits,
            stopped,
            status: Cache::default(),
            repeats: Arc::default(),
            token_store: tokio::sync::Mutex::default(),
            feeds: Arc::new(Semaphore::new(limits.feeds)),
            calls: Arc::new(Semaphore::new(limits.calls.max(1))),
        }
    }

    /// Call the backend on a thread that may block. What doesn't return keeps its place, so that calls can't pile up.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Backend) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (backend, calls) = (Arc::clone(&self.backend), Arc::clone(&self.calls));
        let called = timeout(self.limits.answer, async move {
            let place = calls.acquire_owned().await;
            spawn_blocking(move || {
                let _place = place;
                call(&*backend)
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
