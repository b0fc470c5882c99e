//! What all requests share.
use super::{
    Limits, Stopped,
    cache::Cache,
    desk::Desk,
    problem::{Kind, Problem},
    repeats::Repeats,
};
use axum::extract::Request;
use std::sync::{Arc, Mutex};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// What all requests share.
pub(super) struct Context {
    pub(super) desk: Arc<dyn Desk>,
    pub(super) limits: Limits,
    pub(super) stopped: Stopped,
    pub(super) status: Cache,
    pub(super) repeats: Arc<Mutex<Repeats>>,
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
        // `GET path HTTP/1.1`, then `name: value`, each with its line's end.
        let line =
            request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n".len() + 1;
        let fields =
            request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        let bytes = line + fields.sum::<usize>() + "\r\n".len();
        if bytes > self.limits.head {
            let detail = format!("the head has {bytes} bytes; {} are allowed", self.limits.head);
            return Err(Problem::new(Kind::HeadTooLarge, detail));
        }
        Ok(())
    }
}
