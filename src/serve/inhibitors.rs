//! What holds a switch off: shown, begun and ended. It is no act of the agent's, so it waits for nothing, and it is answered while a trial
//! is undecided, too.
use super::{
    acts::{self, is_kept},
    answer,
    backend::Backend,
    context::Context,
    gate::Visitor,
    payload,
    problem::{Kind, Problem},
    repeats::Key,
    routes::INHIBITORS,
};
use crate::{
    app::{Holding, Inhibit, NotInhibited, SCHEMA},
    config::tokens::Scope,
};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use std::sync::{Arc, PoisonError};

/// One inhibitor.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct OneInhibitor {
    /// Version of this form.
    schema: u32,
    /// The inhibitor.
    #[serde(flatten)]
    inhibitor: Holding,
}

/// All that hold.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AllInhibitors {
    /// Version of this form.
    schema: u32,
    /// Those that hold now, by name.
    inhibitors: Vec<Holding>,
}

/// Those that hold.
pub(super) async fn all(context: &Context) -> Result<Response, Problem> {
    let inhibitors = context.call(Backend::inhibitors).await?;
    Ok(answer::json(&AllInhibitors { schema: SCHEMA, inhibitors }))
}

/// Begin one.
pub(super) async fn begin(
    context: &Arc<Context>,
    body: &[u8],
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Response, Problem> {
    let asked: Inhibit = payload::read(body)?;
    asked.time()?;
    let by = acts::asker(visitor)?;
    let key = Key::of(headers, &by)?;
    let repeats = Arc::clone(&context.repeats);
    let held = context.call(move |backend| {
        let Some(key) = key else { return backend.inhibit(&asked, &by).map_err(Problem::from) };
        // Held until it is there: of two requests that come together, one makes it.
        let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
        let before = repeats.find(&key, &asked, |id| is_kept(backend, id))?;
        if let Some(held) = before.and_then(|id| backend.inhibitors().into_iter().find(|held| held.id == id))
        {
            return Ok(held);
        }
        let held = backend.inhibit(&asked, &by)?;
        repeats.add(key, &asked, &held.id);
        Ok(held)
    });
    let inhibitor = held.await??;
    let location = HeaderValue::try_from(format!("{INHIBITORS}/{}", inhibitor.id));
    let mut response = answer::json(&OneInhibitor { schema: SCHEMA, inhibitor });
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// End one.
pub(super) async fn end(context: &Context, path: &str, visitor: &Visitor) -> Result<Response, Problem> {
    let by = acts::asker(visitor)?;
    let id = path.strip_prefix(INHIBITORS).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let (id, any) = (id.to_owned(), visitor.scope() >= Scope::Admin);
    let inhibitor = context.call(move |backend| backend.release(&id, &by, any)).await??;
    Ok(answer::json(&OneInhibitor { schema: SCHEMA, inhibitor }))
}

impl From<NotInhibited> for Problem {
    fn from(why: NotInhibited) -> Problem {
        let kind = match &why {
            NotInhibited::Reason | NotInhibited::Time(_) => Kind::Malformed,
            NotInhibited::TooMany(_) | NotInhibited::TooManyOfOne { .. } => Kind::TooMany,
            NotInhibited::Unknown(_) => Kind::NotFound,
            NotInhibited::NotYours { .. } => Kind::Scope,
            NotInhibited::File(_) => Kind::Internal,
        };
        Problem::new(kind, why.to_string())
    }
}
