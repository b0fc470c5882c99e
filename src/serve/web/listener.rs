//! Connections to the page: with TLS where there is a certificate.
use super::{
    super::{
        Limits, Stopped,
        listener::{accept, answers, turn_away},
    },
    Web,
    site::Site,
};
use axum::body::Body;
use hyper::{Request, body::Incoming, service::service_fn};
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Serve until told to stop; then give what is being answered a moment.
pub(super) async fn run(web: Web, stopped: Stopped, limits: Limits) -> io::Result<()> {
    web.listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(web.listener)?;
    let scheme = if web.certificate.is_some() { "https" } else { "http" };
    let site = Arc::new(Site::new(web.names, scheme, web.upstream, stopped.clone(), limits));
    let acceptor = web.certificate.map(super::Certificate::acceptor);
    let poll = |task: &mut task::Context<'_>| listener.poll_accept(task);
    let serve = |(stream, address): (TcpStream, SocketAddr)| {
        connection(stream, address.ip(), acceptor.clone(), Arc::clone(&site), stopped.clone(), limits)
    };
    let full = |(stream, _): (TcpStream, SocketAddr)| {
        // A handshake would cost more than it is worth: the connection ends without a word.
        if acceptor.is_none() {
            turn_away(stream.into_std(), limits);
        }
    };
    accept(poll, serve, full, stopped.clone(), limits, "web_accept_failed").await;
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
    let Some(acceptor) = acceptor else { return page(stream, address, site, stopped, limits).await };
    match timeout(limits.patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => page(stream, address, site, stopped, limits).await,
        Ok(Err(e)) => log::debug!(reason:% = e; "web_handshake_failed"),
        Err(_) => log::debug!("web_handshake_slow"),
    }
}

async fn page(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: IpAddr,
    site: Arc<Site>,
    stopped: Stopped,
    limits: Limits,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(address, request.map(Body::new)).await) }
    });
    answers(stream, service, stopped, limits, "web_connection_ended").await;
}
