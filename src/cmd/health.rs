//! `health`: would this system, as it runs now, pass its trial?
use super::{Answer, Failed};
use crate::{Error, agent::Agent};
use serde_json::json;

pub(super) fn run(agent: &mut Agent<'_>) -> Result<Answer, Failed> {
    let verdict = agent.health()?;
    let word = if verdict.unhealthy().is_none() { "healthy" } else { "unhealthy" };
    let fields = json!({ "verdict": word, "reason": verdict.unhealthy(), "report": verdict.report() });
    match verdict.unhealthy() {
        None => Ok(Answer::with("healthy", fields)),
        Some(reason) => Err(Failed::with(Error::Health(reason.into()), fields)),
    }
}
