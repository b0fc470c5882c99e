//! Server-sent events: those that are there, then those that come. The backend is asked repeatedly while a client listens;
//! a listener that lost its connection names the last number that it got and misses nothing.
use super::{
    context::Context,
    problem::{Kind, Problem},
};
use crate::events::{Entry, Filter};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use bistable_format::json;
use hyper::body::Frame;
use std::{
    convert::Infallible,
    fmt::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Instant, sleep},
};

/// Its media type.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// Events that are read, and written, at once.
pub(super) const BATCH: usize = 64;
/// After so long without events, a comment shows that the stream lives.
const QUIET: Duration = Duration::from_secs(15);
/// What comes first: a client that loses the stream waits that many milliseconds before it asks again.
const BEGIN: &str = "retry: 2000\n\n";

/// A place for one who listens.
pub(super) fn place(context: &Context) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&context.feeds).try_acquire_owned().map_err(|_| {
        let detail = format!("{} streams of events are open already", context.limits.feeds);
        Problem::new(Kind::Busy, detail)
    })
}

/// Begin a stream.
pub(super) fn start(context: &Arc<Context>, filter: Filter) -> Result<Response, Problem> {
    let place = place(context)?;
    let (sender, receiver) = channel(1);
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let _place = place;
        let mut stopped = context.stopped.clone();
        tokio::select! {
            () = stopped.wait() => {}
            () = sender.closed() => {}
            () = follow(&context, filter, &sender) => {}
        }
    });
    let mut response = Response::new(Body::new(Feed(receiver)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn follow(context: &Context, mut filter: Filter, sender: &Sender<Bytes>) {
    if sender.send(Bytes::from_static(BEGIN.as_bytes())).await.is_err() {
        return;
    }
    let mut spoke = Instant::now();
    loop {
        let asked = filter.clone();
        let found = match context.call(move |backend| backend.events(&asked, BATCH)).await {
            Ok(Ok(found)) => found,
            Ok(Err(failed)) => return end(&Problem::failed(failed), sender).await,
            Err(problem) => return end(&problem, sender).await,
        };
        let may_have_more = found.events.len() >= BATCH;
        let mut text = String::new();
        for entry in &found.events {
            // Whatever a backend answers, no number comes twice.
            if entry.seq > filter.after {
                filter.after = entry.seq;
                write(&mut text, entry);
            }
        }
        filter.after = filter.after.max(found.searched);
        if text.is_empty() && spoke.elapsed() >= QUIET {
            text.push_str(":\n\n");
        }
        if !text.is_empty() {
            spoke = Instant::now();
            if sender.send(text.into()).await.is_err() {
                return;
            }
        }
        if !may_have_more {
            sleep(context.limits.poll).await;
        }
    }
}

/// The stream ends with the reason; the client asks again later.
async fn end(problem: &Problem, sender: &Sender<Bytes>) {
    // It may have gone.
    let _ = sender.send(format!("event: problem\ndata: {}\n\n", problem.json()).into()).await;
}

fn write(text: &mut String, entry: &Entry) {
    // Only a map whose keys aren't strings fails, and there is none.
    let data = json::line(entry);
    let kind: String = entry.kind.chars().filter(|c| !c.is_control()).collect();
    // A text has room.
    let _ = write!(text, "id: {}\nevent: {kind}\ndata: {data}\n\n", entry.seq);
}

/// The body of a stream.
struct Feed(Receiver<Bytes>);

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(task).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
