//! `health`: would this system, as it runs now, pass its trial?
use super::{Answer, Failed};
use crate::{Error, agent::Agent, app};

pub(super) fn run(agent: &mut Agent<'_>) -> Result<Answer, Failed> {
    let verdict = agent.health()?;
    let answer = app::Answer::Health((&verdict).into());
    match verdict.unhealthy() {
        None => Ok(Answer::new("healthy", answer)),
        Some(reason) => Err(Failed::with(Error::Health(reason.into()), answer)),
    }
}
