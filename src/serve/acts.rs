//! What changes something: an act goes into the queue, a job is taken back. The asker must be known.
use super::{
    answer,
    backend::{Backend, NotTaken},
    context::Context,
    gate::{Visitor, scope_of},
    problem::{Kind, Problem},
    repeats::Key,
    routes::JOBS,
};
use crate::app::{Asker, Job, Request, SCHEMA};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use std::sync::{Arc, PoisonError};

/// Put a request into the queue, and answer with its job.
pub(super) async fn take(
    context: &Arc<Context>,
    request: Request,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Response, Problem> {
    visitor.needs(scope_of(&request))?;
    let key = Key::of(headers, &asker(visitor)?)?;
    ask(context, request, key, visitor).await.map(|job| accepted(&job))
}

/// Put a request into the queue; the same key and request again get the same job.
pub(super) async fn ask(
    context: &Arc<Context>,
    request: Request,
    key: Option<Key>,
    visitor: &Visitor,
) -> Result<Job, Problem> {
    visitor.needs(scope_of(&request))?;
    let by = asker(visitor)?;
    let repeats = Arc::clone(&context.repeats);
    let taken = context.call(move |backend| {
        admits(backend, &by, &request)?;
        let Some(key) = key else { return backend.ask(request, by, None).map_err(Problem::from) };
        // Held until the job is there: of two requests that come together, one makes it.
        let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let before = repeats.find(&key, &request, |id| is_kept(backend, id))?;
        if let Some(job) = before.and_then(|id| backend.job(&id)) {
            return Ok(job);
        }
        let job = backend.ask(request.clone(), by, None)?;
        repeats.add(key, &request, &job.id);
        Ok(job)
    });
    taken.await?
}

/// Whether there still is the job or the inhibitor of that name.
pub(super) fn is_kept(backend: &dyn Backend, id: &str) -> bool {
    backend.job(id).is_some() || backend.inhibitors().iter().any(|held| held.id == id)
}

/// Take a job back.
pub(super) async fn cancel(context: &Context, path: &str, visitor: &Visitor) -> Result<Response, Problem> {
    let Asker { uid, token, .. } = asker(visitor)?;
    let id = path.strip_prefix(JOBS).and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/cancel"));
    let id = id.unwrap_or_default().to_owned();
    let job = context.call(move |backend| backend.cancel(&id)).await??;
    log::info!(job:% = job.id, uid, token; "api_cancel");
    Ok(answer::json(&answer::OneJob { schema: SCHEMA, job }))
}

/// Have the configuration read again.
pub(super) async fn reload(context: &Context, visitor: &Visitor) -> Result<Response, Problem> {
    let by = asker(visitor)?;
    let checked = context.call(move |desk| desk.reload(by)).await?;
    checked.map(|document| answer::json(&document)).map_err(Problem::failed)
}

/// Who asks.
pub(super) fn asker(visitor: &Visitor) -> Result<Asker, Problem> {
    if visitor.by.uid.is_none() {
        return Err(Problem::new(Kind::NotAdmitted, "the kernel does not say which user asks"));
    }
    Ok(visitor.by.clone())
}

/// Refuse what the backend doesn't let this user do.
pub(super) fn admits(backend: &dyn Backend, by: &Asker, request: &Request) -> Result<(), Problem> {
    if backend.admits(by, request) {
        return Ok(());
    }
    let user = by.uid.map_or_else(|| "this user".into(), |uid| format!("user {uid}"));
    Err(Problem::new(Kind::NotAdmitted, format!("{user} may not ask for {}", request.operation())))
}

fn accepted(job: &Job) -> Response {
    let mut response = answer::json(&answer::OneJob { schema: SCHEMA, job: job.clone() });
    *response.status_mut() = StatusCode::ACCEPTED;
    with_location(response, job)
}

/// A response that says where its job is.
pub(super) fn with_location(mut response: Response, job: &Job) -> Response {
    let location = HeaderValue::try_from(format!("{JOBS}/{}", job.id));
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl From<NotTaken> for Problem {
    fn from(why: NotTaken) -> Problem {
        let kind = match why {
            NotTaken::Busy => Kind::Busy,
            NotTaken::Closed => Kind::Closing,
            NotTaken::Trial => Kind::Trial,
        };
        Problem::new(kind, why.to_string())
    }
}
