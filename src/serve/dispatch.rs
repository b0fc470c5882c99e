//! The stages of a request, in their order: limits, schema, who asks, policy, agent. Method and path are the router's.
use super::{
    answer,
    context::Context,
    desk::NotTaken,
    payload,
    problem::{Kind, Problem},
    repeats::Key,
    routes::{Act, JOBS, Target},
};
use crate::app::{Asker, Job, SCHEMA, Via};
use axum::{
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::{Arc, PoisonError};
use tokio::time::timeout;

/// The user at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<u32>);

/// Answer a request.
pub(super) async fn dispatch(context: Arc<Context>, target: Target, request: Request) -> Response {
    let answered = stages(&context, target, request).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn stages(context: &Arc<Context>, target: Target, request: Request) -> Result<Response, Problem> {
    context.head(&request)?;
    let (head, body) = request.into_parts();
    let uid = head.extensions.get::<Peer>().and_then(|peer| peer.0);
    let body = read(context, &head.headers, body).await?;
    if target != Target::Events && head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::new(Kind::Malformed, "this path takes no parameters"));
    }
    let Target::Act(act) = target else {
        if !body.is_empty() && body.trim_ascii() != b"{}" {
            return Err(Problem::new(Kind::Malformed, "this path takes no body"));
        }
        return answer::answer(context, target, &head).await;
    };
    if !body.is_empty() {
        is_json(&head.headers)?;
    }
    take(context, act, &body, &head.headers, uid).await
}

/// The body, whole, in time and within its limit.
async fn read(context: &Context, headers: &HeaderMap, body: axum::body::Body) -> Result<Bytes, Problem> {
    let limit = context.limits.body;
    let too_large = || Problem::new(Kind::TooLarge, format!("the body has more than {limit} bytes"));
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match timeout(context.limits.patience, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(e)) if is_too_large(&e) => Err(too_large()),
        Ok(Err(e)) => Err(Problem::new(Kind::Malformed, format!("the body can't be read: {e}"))),
        Err(_) => {
            let seconds = context.limits.patience.as_secs();
            Err(Problem::new(Kind::SlowBody, format!("the body was not complete within {seconds} s")))
        }
    }
}

/// The library's error has a type that it doesn't export; its text is tested.
fn is_too_large(e: &axum::Error) -> bool {
    std::error::Error::source(e).unwrap_or(e).to_string().contains("length limit exceeded")
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let media = named.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let detail = format!("Content-Type is {named:?}; application/json is expected");
        return Err(Problem::new(Kind::MediaType, detail));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(Kind::MediaType, "a body with a Content-Encoding is not accepted"));
    }
    Ok(())
}

/// Put an act into the queue.
async fn take(
    context: &Arc<Context>,
    act: Act,
    body: &[u8],
    headers: &HeaderMap,
    uid: Option<u32>,
) -> Result<Response, Problem> {
    let request = payload::request(act, body)?;
    let key = Key::of(headers, uid)?;
    let by = Asker { via: Via::Api, uid };
    let repeats = Arc::clone(&context.repeats);
    let job = context
        .call(move |desk| {
            if uid.is_none() {
                return Err(Problem::new(Kind::NotAdmitted, "the kernel does not say which user asks"));
            }
            if !desk.admits(&by, &request) {
                let detail =
                    format!("user {} may not ask for {}", uid.unwrap_or_default(), request.operation());
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
        })
        .await??;
    Ok(accepted(job))
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
