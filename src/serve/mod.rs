//! The daemon's API: HTTP/1.1 and JSON on a Unix socket. See `docs/api.md`.
//!
//! A request passes these stages, in this order, and each may refuse it: the limits of connection and head; method and path;
//! the token, where one is asked for; body and schema; who asks; the policy (nothing is done while a trial is undecided); the agent's queue. The server itself
//! knows nothing of the device: a [`Backend`] answers.
//!
//! This is the one room that names axum, hyper and tokio.
//!
//! | file | noun |
//! |---|---|
//! | [`backend`](Backend) | the port that answers |
//! | `routes`, `router` | the table of routes: router, `Allow` and the OpenAPI document follow from it |
//! | `dispatch` | the stages of a request |
//! | `answer` | what each route answers that only reads |
//! | `acts` | what changes something: acts go into the queue, jobs are taken back |
//! | `inhibitors` | what holds a switch off |
//! | [`gate`](Entrance) | who comes in on which socket: tokens and their scopes |
//! | [`token_store`](TokenStore) | whose tokens are taken |
//! | `upload` | a bundle that is installed while it comes |
//! | `context` | what all requests share; calls of the backend that may block |
//! | `payload` | the body of an act, as a request that names nothing on this machine |
//! | `query` | the question after a path, as a filter of events |
//! | `repeats` | `Idempotency-Key` |
//! | `cache` | an answer that is used again for a moment |
//! | `feed` | server-sent events |
//! | `ws` | conversations over WebSocket |
//! | `problem` | a refusal, as RFC 9457 has it |
//! | `listener` | connections, and when they end |
//! | `patience` | a stream that gives up a peer which reads nothing |
//! | [`limits`](Limits) | what a peer may cost |
//! | [`web`] | the web page's process |
//! | `page` | what the device is and does, as HTML |
//! | [`stop`](Stopper) | how the server is told to end |
mod acts;
mod answer;
mod backend;
mod cache;
mod context;
mod dispatch;
mod feed;
mod gate;
mod inhibitors;
mod limits;
mod listener;
#[cfg(test)]
mod openapi;
mod page;
mod patience;
mod payload;
mod problem;
mod query;
mod repeats;
mod router;
mod routes;
mod stop;
#[cfg(test)]
mod tests;
mod token_store;
mod upload;
pub mod web;
pub(crate) mod ws;

pub use backend::{Backend, Found, HealthNow, NotTaken, Outlook};
pub use gate::Entrance;
pub use limits::Limits;
pub use stop::{Stopped, Stopper};
pub use token_store::TokenStore;

use std::{io, os::unix::net::UnixListener, sync::Arc};

/// What a request over HTTP asks for, for the table of all ways.
#[cfg(test)]
pub(crate) fn asked_over_http(path: &str, body: &str) -> Option<crate::app::Request> {
    let component = routes::component(path);
    let route = routes::TABLE.iter().find(|route| route.path.replace("{name}", component) == path)?;
    match route.target {
        routes::Target::OfComponent(act) => payload::of_component(act, component, body.as_bytes()).ok(),
        routes::Target::Components => Some(crate::app::Request::Components),
        routes::Target::Component => {
            Some(crate::app::Request::Component(crate::app::Named { component: component.into() }))
        }
        routes::Target::Act(act) => payload::request(act, body.as_bytes()).ok(),
        routes::Target::Status => Some(crate::app::Request::Status),
        routes::Target::History => Some(crate::app::Request::History),
        _ => None,
    }
}

/// A socket, and who may come in on it.
#[derive(Debug)]
pub struct Door {
    /// The socket.
    pub listener: UnixListener,
    /// Who may come in.
    pub entrance: Entrance,
}

/// Serve the API on this thread until [`Stopper::stop`] is called, or the last stopper is dropped.
///
/// # Errors
/// When there can be no event loop, or a listener can't be used.
pub fn serve(backend: Arc<dyn Backend>, doors: Vec<Door>, stopped: Stopped) -> io::Result<()> {
    serve_within(backend, doors, stopped, Limits::default())
}

/// The same with other limits.
///
/// # Errors
/// As [`serve`].
pub fn serve_within(
    backend: Arc<dyn Backend>,
    doors: Vec<Door>,
    stopped: Stopped,
    limits: Limits,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(limits.calls.max(1))
        .build()?;
    let served = runtime.block_on(listener::run(backend, doors, stopped, limits));
    // A call of the backend that doesn't return must not keep the daemon from ending.
    runtime.shutdown_background();
    served
}
