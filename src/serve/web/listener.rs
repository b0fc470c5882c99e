//! Connections, and when they end.
use super::{
    super::{
        Limits, Stopped,
        listener::builder,
        patience::Patient,
        problem::{Kind, Problem},
    },
    Web,
    site::Site,
};
use axum::body::Body;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io, io::Write as _, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// Until connections are accepted again after that failed: usually, no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serve until told to stop; then give what is being answered a moment.
pub(super) async fn run(web: Web, stopped: Stopped, limits: Limits) -> io::Result<()> {
    web.listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(web.listener)?;
    let scheme = if web.certificate.is_some() { "https" } else { "http" };
    let site = Arc::new(Site::new(web.names, scheme, web.upstream, limits));
    let acceptor = web.certificate.map(super::Certificate::acceptor);
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
            (Ok((stream, address)), Ok(place)) => {
                let (site, acceptor) = (Arc::clone(&site), acceptor.clone());
                let serving = connection(stream, address.ip(), acceptor, site, stopped.clone(), limits);
                connections.spawn(async move {
                    let _place = place;
                    serving.await;
                });
            }
            // A handshake would cost more than it is worth: the connection ends without a word.
            (Ok((stream, _)), Err(_)) if acceptor.is_some() => drop(stream),
            (Ok((stream, _)), Err(_)) => turn_away(stream, limits),
            (Err(e), _) => {
                log::warn!(reason:% = e; "web_accept_failed");
                sleep(PAUSE).await;
            }
        }
    }
    let _ = timeout(limits.farewell, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    acceptor: Option<TlsAcceptor>,
    site: Arc<Site>,
    stopped: Stopped,
    limits: Limits,
) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return answers(stream, address, site, stopped, limits).await };
    match timeout(limits.patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => answers(stream, address, site, stopped, limits).await,
        Ok(Err(e)) => log::debug!(reason:% = e; "web_handshake_failed"),
        Err(_) => log::debug!("web_handshake_slow"),
    }
}

async fn answers<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    address: IpAddr,
    site: Arc<Site>,
    mut stopped: Stopped,
    limits: Limits,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(address, request.map(Body::new)).await) }
    });
    let stream = TokioIo::new(Patient::new(stream, limits.patience));
    let served = builder(&limits).serve_connection(stream, service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped.wait() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(e) = ended {
        log::debug!(reason:% = e; "web_connection_ended");
    }
}

/// Answer a connection that is one too many, without waiting for it.
fn turn_away(stream: TcpStream, limits: Limits) {
    let detail = format!("{} connections are open already", limits.connections);
    let problem = Problem::new(Kind::Busy, detail).raw();
    // It is new, so its buffer is empty: what doesn't fit at once is lost with its peer.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(problem.as_bytes()));
}
