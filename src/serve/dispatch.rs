//! The stages of a request, in their order: limits, token, schema, scope and user, policy, agent. Method and path are the router's.
use super::{
    acts, answer,
    context::Context,
    gate::{self, Entrance, Peer},
    inhibitors, payload,
    problem::{Kind, Problem},
    routes::{Target, component},
    upload, ws,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;
use std::sync::Arc;
use tokio::time::timeout;

/// Answer a request.
pub(super) async fn dispatch(context: Arc<Context>, target: Target, request: Request) -> Response {
    let answered = stages(&context, target, request).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn stages(context: &Arc<Context>, target: Target, request: Request) -> Result<Response, Problem> {
    context.head(&request)?;
    let (mut head, body) = request.into_parts();
    let unknown = Peer { uid: None, entrance: Entrance::Token };
    let peer = head.extensions.get::<Peer>().copied().unwrap_or(unknown);
    if target == Target::WebSocket {
        let takes_nothing = head.uri.query().is_none_or(str::is_empty) && body.is_end_stream();
        return match takes_nothing {
            // Each message passes the same stages again.
            true => ws::open(context, peer, &mut head).await,
            false => Err(Problem::new(Kind::Malformed, "this path takes no parameters and no body")),
        };
    }
    // Before anything of the body is read: a request without a token costs as little as possible.
    let visitor = gate::admit(context, peer, &head.headers).await?;
    visitor.needs(target.needs())?;
    if target != Target::Events && head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::new(Kind::Malformed, "this path takes no parameters"));
    }
    if target == Target::Bundles {
        return upload::take(context, &head.headers, body, &visitor).await;
    }
    let body = read(context, &head.headers, body).await?;
    if matches!(target, Target::Act(_) | Target::OfComponent(_)) && !body.is_empty() {
        is_json(&head.headers)?;
    }
    let asked = match target {
        Target::Act(act) => Some(payload::request(act, &body)?),
        Target::OfComponent(act) => Some(payload::of_component(act, component(head.uri.path()), &body)?),
        _ => None,
    };
    if let Some(request) = asked {
        return acts::take(context, request, &head.headers, &visitor).await;
    }
    if target == Target::Inhibit {
        is_json(&head.headers)?;
        return inhibitors::begin(context, &body, &head.headers, &visitor).await;
    }
    if !body.is_empty() && body.trim_ascii() != b"{}" {
        return Err(Problem::new(Kind::Malformed, "this path takes no body"));
    }
    match target {
        Target::Cancel => acts::cancel(context, head.uri.path(), &visitor).await,
        Target::Inhibitors => inhibitors::all(context).await,
        Target::Release => inhibitors::end(context, head.uri.path(), &visitor).await,
        Target::Reload => acts::reload(context, &visitor).await,
        target => answer::answer(context, target, &head).await,
    }
}

/// The body, whole, in time and within its limit.
async fn read(context: &Context, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
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
