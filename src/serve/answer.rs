//! What each route answers.
use super::{
    backend::{Backend, HealthNow, Outlook},
    context::Context,
    feed,
    problem::{Kind, Problem},
    query::Question,
    routes::{JOBS, Target, component},
};
use crate::{
    app::{Job, Named, NotCancelled, Request, SCHEMA},
    events::Entry,
    metrics::Format,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bistable_format::text::printable_json;
use serde::Serialize;
use std::sync::Arc;

/// The OpenAPI document; a test writes it.
const OPEN_API: &str = include_str!("../docs/openapi.json");

/// One job.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct OneJob {
    /// Version of this form.
    pub(super) schema: u32,
    /// The job.
    #[serde(flatten)]
    pub(super) job: Job,
}

/// The jobs that are remembered.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AllJobs {
    /// Version of this form.
    schema: u32,
    /// The jobs, the oldest first.
    jobs: Vec<Job>,
}

/// Whether the daemon's loop lives.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Live {
    /// Version of this form.
    schema: u32,
    /// What it does, and what it does next.
    #[serde(flatten)]
    outlook: Outlook,
}

/// Whether the running release is healthy.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Ready {
    /// Version of this form.
    schema: u32,
    /// How it is.
    #[serde(flatten)]
    readiness: HealthNow,
}

/// Events that were found.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Page {
    /// Version of this form.
    schema: u32,
    /// Those that were asked for, by number.
    events: Vec<Entry>,
    /// The number to ask after for those that come next.
    next: u64,
}

/// What a route answers that only reads.
pub(super) async fn answer(
    context: &Arc<Context>,
    target: Target,
    head: &Parts,
) -> Result<Response, Problem> {
    let path = head.uri.path();
    match target {
        Target::Status => status(context).await.map(body),
        Target::History => document(context.call(|backend| backend.look(&Request::History)).await?),
        Target::Components => document(context.call(|backend| backend.look(&Request::Components)).await?),
        Target::Component => {
            let named = Named { component: component(path).to_owned() };
            document(context.call(move |backend| backend.look(&Request::Component(named))).await?)
        }
        Target::Config => document(context.call(Backend::config).await?),
        Target::Jobs => Ok(json(&AllJobs { schema: SCHEMA, jobs: context.backend.jobs() })),
        Target::Job => {
            let id = path.strip_prefix(JOBS).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
            let job = context
                .backend
                .job(id)
                .ok_or_else(|| Problem::new(Kind::NotFound, NotCancelled::Unknown(id.into()).to_string()))?;
            Ok(json(&OneJob { schema: SCHEMA, job }))
        }
        Target::Events => events(context, head).await,
        Target::Metrics => {
            let accept = head.headers.get_all(header::ACCEPT);
            let format = Format::accepted(accept.iter().filter_map(|value| value.to_str().ok()));
            let text =
                context.call(move |backend| backend.metrics(format)).await?.map_err(Problem::failed)?;
            Ok(typed(text, format.media_type()))
        }
        Target::Live => {
            let outlook = context.backend.outlook();
            if !outlook.alive {
                let why = outlook.why.unwrap_or_else(|| "no reason is known".into());
                return Err(Problem::new(Kind::NotAlive, why));
            }
            Ok(json(&Live { schema: SCHEMA, outlook }))
        }
        Target::Ready => {
            let readiness = context.backend.readiness();
            let is_ready = readiness.healthy == Some(true);
            let mut response = json(&Ready { schema: SCHEMA, readiness });
            if !is_ready {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok(response)
        }
        Target::OpenApi => Ok(body(OPEN_API)),
        // They change something, or are of a file of their own: see `dispatch`.
        Target::Act(_)
        | Target::OfComponent(_)
        | Target::Cancel
        | Target::Reload
        | Target::Bundles
        | Target::Inhibitors
        | Target::Inhibit
        | Target::Release
        | Target::WebSocket => Err(Problem::no_path(path)),
    }
}

/// The answer of `status`, a moment old at most.
pub(super) async fn status(context: &Context) -> Result<Bytes, Problem> {
    let cached = || context.status.get(context.backend.revision());
    if let Some(body) = cached() {
        return Ok(body);
    }
    let _turn = context.status.turn().await;
    if let Some(body) = cached() {
        return Ok(body);
    }
    // Asked before the look: what changes meanwhile is looked at again.
    let revision = context.backend.revision();
    let document = context.call(|backend| backend.look(&Request::Status)).await?.map_err(Problem::failed)?;
    let body = Bytes::from(document.json());
    context.status.keep(body.clone(), revision, context.limits.fresh);
    Ok(body)
}

async fn events(context: &Arc<Context>, head: &Parts) -> Result<Response, Problem> {
    let Question { filter, limit } = Question::of(head.uri.query(), &head.headers)?;
    if wants_feed(&head.headers) {
        return feed::start(context, filter);
    }
    let found =
        context.call(move |backend| backend.events(&filter, limit)).await?.map_err(Problem::failed)?;
    let next = found.events.last().map_or(0, |entry| entry.seq).max(found.searched);
    Ok(json(&Page { schema: SCHEMA, events: found.events, next }))
}

fn wants_feed(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = named.flat_map(|value| value.split(',')).filter_map(|one| one.split(';').next());
    types.any(|one| one.trim().eq_ignore_ascii_case(feed::MEDIA_TYPE))
}

fn document<T: Serialize>(document: Result<T, Box<crate::app::Document>>) -> Result<Response, Problem> {
    document.map(|document| json(&document)).map_err(Problem::failed)
}

/// A response of one JSON object; it may reach a terminal.
pub(super) fn json(answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => body(printable_json(&text)),
        Err(e) => Problem::new(Kind::Internal, format!("the answer can't be written: {e}")).into_response(),
    }
}

fn body(body: impl Into<Body>) -> Response {
    typed(body, "application/json")
}

fn typed(body: impl Into<Body>, media_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
