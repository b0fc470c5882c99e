//! What changes something: an act goes into the queue, a job is taken back. Who asks must be known.
use super::{
    answer,
    context::Context,
    desk::NotTaken,
    problem::{Kind, Problem},
    repeats::Key,
    routes::JOBS,
};
use crate::app::{Asker, Job, Request, SCHEMA, Via};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use std::sync::{Arc, PoisonError};

/// Put a request into the queue.
pub(super) async fn take(
    context: &Arc<Context>,
    request: Request,
    headers: &HeaderMap,
    uid: Option<u32>,
) -> Result<Response, Problem> {
    let key = Key::of(headers, uid)?;
    let by = asker(uid)?;
    let repeats = Arc::clone(&context.repeats);
    let taken = context.call(move |desk| {
        if !desk.admits(&by, &request) {
            let user = by.uid.map_or_else(|| "this user".into(), |uid| format!("user {uid}"));
            let detail = format!("{user} may not ask for {}", request.operation());
            return Err(Problem::new(Kind::NotAdmitted, detail));
        }
        let Some(key) = key else { return desk.ask(request, by).map_err(Problem::from) };
        // Held until the job is there: of two requests that come together, one makes it.
        let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let before = repeats.find(&key, &request, |id| desk.job(id).is_some())?;
        if let Some(job) = before.and_then(|id| desk.job(&id)) {
            return Ok(job);
        }
        let job = desk.ask(request.clone(), by)?;
        repeats.add(key, &request, &job.id);
        Ok(job)
    });
    taken.await?.map(accepted)
}

/// Take a job back.
pub(super) async fn cancel(context: &Context, path: &str, uid: Option<u32>) -> Result<Response, Problem> {
    let Asker { uid, .. } = asker(uid)?;
    let id = path.strip_prefix(JOBS).and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/cancel"));
    let id = id.unwrap_or_default().to_owned();
    let job = context.call(move |desk| desk.cancel(&id)).await??;
    log::info!(job:% = job.id, uid; "api_cancel");
    Ok(answer::json(&answer::OneJob { schema: SCHEMA, job }))
}

/// Who asks.
fn asker(uid: Option<u32>) -> Result<Asker, Problem> {
    if uid.is_none() {
        return Err(Problem::new(Kind::NotAdmitted, "the kernel does not say which user asks"));
    }
    Ok(Asker { via: Via::Api, uid })
}

fn accepted(job: Job) -> Response {
    let location = HeaderValue::try_from(format!("{JOBS}/{}", job.id));
    let mut response = answer::json(&answer::OneJob { schema: SCHEMA, job });
    *response.status_mut() = StatusCode::ACCEPTED;
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
