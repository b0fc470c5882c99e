//! Connections, and when they end.
use super::{
    Door, Limits, Stopped,
    context::Context,
    desk::Desk,
    gate::{Entrance, Peer},
    patience::Patient,
    problem::{Kind, Problem},
    router::router,
};
use axum::Router;
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
use std::{io, io::Write as _, pin::pin, sync::Arc, time::Duration};
use tokio::{
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
    desk: Arc<dyn Desk>,
    doors: Vec<Door>,
    stopped: Stopped,
    limits: Limits,
) -> io::Result<()> {
    let router = router(Arc::new(Context::new(desk, limits, stopped.clone())));
    let mut opened = Vec::new();
    for Door { listener, entrance } in doors {
        listener.set_nonblocking(true)?;
        opened.push((tokio::net::UnixListener::from_std(listener)?, entrance));
    }
    let mut serving = JoinSet::new();
    for (listener, entrance) in opened {
        serving.spawn(at_door(listener, entrance, router.clone(), stopped.clone(), limits));
    }
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// Serve at one door. Each has places of its own: who crowds one leaves the other free.
async fn at_door(
    listener: tokio::net::UnixListener,
    entrance: Entrance,
    router: Router,
    stopped: Stopped,
    limits: Limits,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (mut stopping, mut connections) = (stopped.clone(), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.wait() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let serving = connection(stream, entrance, router.clone(), stopped.clone(), limits);
                connections.spawn(async move {
                    let _place = place;
                    serving.await;
                });
            }
            (Ok((stream, _)), Err(_)) => turn_away(stream, limits),
            (Err(e), _) => {
                log::warn!(reason:% = e; "api_accept_failed");
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
    mut stopped: Stopped,
    limits: Limits,
) {
    let peer = Peer { uid: stream.peer_cred().ok().map(|peer| peer.uid()), entrance };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let served =
        builder(&limits).serve_connection(TokioIo::new(Patient::new(stream, limits.patience)), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped.wait() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(e) = ended {
        log::debug!(reason:% = e; "api_connection_ended");
    }
}

/// How connections are read.
pub(super) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.patience)
        // Twice what is allowed: a head between the two is refused with a body that says why.
        .max_buf_size((2 * limits.head).max(BUFFER_MIN));
    builder
}

/// Answer a connection that is one too many, without waiting for it.
fn turn_away(stream: UnixStream, limits: Limits) {
    let detail = format!("{} connections are open already", limits.connections);
    let problem = Problem::new(Kind::Busy, detail).raw();
    // It is new, so its buffer is empty: what doesn't fit at once is lost with its peer.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(problem.as_bytes()));
}
