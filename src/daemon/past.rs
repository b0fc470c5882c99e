//! What the event log knows from before, in the daemon's terms.
use super::Survey;
use crate::{
    app::{
        Asker, Job, JobState, Outcome, Via,
        schedule::{LastTry, When},
    },
    events::{Moment, PastEnd, PastJob},
    status::Date,
};
use std::time::Duration;

/// The last look at the channel; or the installation that it led to, if that failed.
pub(super) fn look(survey: &Survey) -> Option<LastTry> {
    let looked = survey.remembered.install.as_ref().or(survey.remembered.looked.as_ref())?;
    let not_before = looked.retry_after.map(Duration::from_secs);
    Some(LastTry { when: when(survey, &looked.at), failures: looked.failures, not_before })
}

/// When trials began.
pub(super) fn trials(survey: &Survey) -> Vec<When> {
    survey.remembered.trials.iter().map(|trial| when(survey, trial)).collect()
}

/// Since when the release that is staged is.
pub(super) fn staged(survey: &Survey) -> Option<When> {
    survey.remembered.staged.as_ref().map(|staged| when(survey, staged))
}

fn when(survey: &Survey, moment: &Moment) -> When {
    When { wall: moment.wall(), uptime: moment.uptime(&survey.standing.boot.to_string()) }
}

/// A job of an earlier run. What it answered is in the event log only.
pub(super) fn job(past: &PastJob) -> Job {
    let via = Via::named(&past.via).unwrap_or(Via::Api);
    let outcome = past.ended.as_ref().map(|PastEnd { exit, error, .. }| Outcome {
        exit: *exit,
        code: None,
        error: error.clone(),
        answer: None,
    });
    Job {
        id: past.id.clone(),
        operation: past.operation.clone(),
        state: if outcome.is_some() { JobState::Ended } else { JobState::Lost },
        asked: Date { time: past.began.timestamp.clone(), synchronized: past.began.synchronized },
        by: Asker { via, uid: past.uid, token: past.token.clone() },
        progress: None,
        outcome,
    }
}
