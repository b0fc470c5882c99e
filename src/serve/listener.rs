//! Connections, and when they end.
use super::{
    Door, Limits, Stopped,
    backend::Backend,
    context::Context,
    gate::{Entrance, Peer},
    patience::Patient,
    problem::{Kind, Problem},
    router::router,
    ws::{Stay, until_left},
};
use axum::{Router, body::Body, response::Response};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    io::Write,
    pin::pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What the library buffers at least.
const BUFFER_MIN: usize = 8 << 10;
/// Until connections are accepted again after that failed: usually, no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serve until told to stop; then give what is being answered a moment.
pub(super) async fn run(
    backend: Arc<dyn Backend>,
    doors: Vec<Door>,
    stopped: Stopped,
    limits: Limits,
) -> io::Result<()> {
    let router = router(Arc::new(Context::new(backend, limits, stopped.clone())));
    let mut opened = Vec::new();
    for Door { listener, entrance } in doors {
        listener.set_nonblocking(true)?;
        opened.push((tokio::net::UnixListener::from_std(listener)?, entrance));
    }
    let mut serving = JoinSet::new();
    for (listener, entrance) in opened {
        let (router, stopped) = (router.clone(), stopped.clone());
        serving.spawn(async move {
            let serve = |(stream, _)| connection(stream, entrance, router.clone(), stopped.clone(), limits);
            // Each door has places of its own: clients that crowd one leave the other free.
            let poll = |task: &mut task::Context<'_>| listener.poll_accept(task);
            let full = |(stream, _): (UnixStream, _)| turn_away(stream.into_std(), limits);
            accept(poll, serve, full, stopped.clone(), limits, "api_accept_failed").await;
        });
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// Serve each connection that comes until told to stop, and turn away those for which there is no place; then give what is
/// being answered a moment. `failed` is the event of a connection that could not be accepted.
pub(super) async fn accept<C, F: Future<Output = ()> + Send + 'static>(
    poll: impl Fn(&mut task::Context<'_>) -> Poll<io::Result<C>>,
    serve: impl Fn(C) -> F,
    full: impl Fn(C),
    mut stopped: Stopped,
    limits: Limits,
    failed: &'static str,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped.wait() => break,
            Some(_) = connections.join_next() => continue,
            accepted = poll_fn(&poll) => accepted,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok(connection), Ok(place)) => {
                let serving = serve(connection);
                connections.spawn(async move {
                    let _place = place;
                    serving.await;
                });
            }
            (Ok(connection), Err(_)) => full(connection),
            (Err(e), _) => {
                log::warn!(reason:% = e; "{failed}");
                sleep(PAUSE).await;
            }
        }
    }
    // What is still being answered then is given up.
    let _ = timeout(limits.farewell, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(
    stream: UnixStream,
    entrance: Entrance,
    router: Router,
    stopped: Stopped,
    limits: Limits,
) {
    let peer = Peer { uid: stream.peer_cred().ok().map(|peer| peer.uid()), entrance };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    answers(stream, service, stopped, limits, "api_connection_ended").await;
}

/// Answer the requests of a connection until its end, or until told to stop. `broken` is the event of one that ends otherwise.
pub(super) async fn answers(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    stopped: Stopped,
    limits: Limits,
    broken: &'static str,
) {
    let stream = TokioIo::new(Patient::new(stream, limits.patience));
    let (stay, left) = Stay::new();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(stay.clone());
        service.call(request)
    });
    if let Err(e) = http(stream, service, stopped, limits).await {
        log::debug!(reason:% = e; "{broken}");
    }
    // A conversation that one of the requests began.
    until_left(left).await;
}

async fn http(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    service: impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    mut stopped: Stopped,
    limits: Limits,
) -> hyper::Result<()> {
    let mut served = pin!(builder(&limits).serve_connection(stream, service).with_upgrades());
    tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped.wait() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    }
}

/// How connections are read.
fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        // Twice what is allowed: a head between the two is refused with a body that says why.
        .max_buf_size((2 * limits.head).max(BUFFER_MIN));
    builder
}

/// Answer a connection that is one too many, without waiting for it.
pub(super) fn turn_away(stream: io::Result<impl Write>, limits: Limits) {
    let detail = format!("{} connections are open already", limits.connections);
    let problem = Problem::new(Kind::Busy, detail).raw();
    // It is new, so its buffer is empty: what doesn't fit at once is lost with its peer.
    let _ = stream.and_then(|mut stream| stream.write_all(problem.as_bytes()));
}
