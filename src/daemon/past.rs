//! What the event log knows from before, in the daemon's terms.
use super::{Survey, tries::ComponentTries};
use crate::{
    app::{
        Asker, Job, JobState, Outcome, Via,
        schedule::{ComponentCase, LastTry, When},
    },
    config::Mode,
    events::{Moment, PastEnd, PastJob},
    status::Date,
};
use bistable_boot::component::Component;
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

/// The components, with what is known of each from before.
pub(super) fn components(survey: &Survey, tries: &ComponentTries) -> Vec<ComponentCase> {
    let boot = survey.standing.boot.to_string();
    let case = |(component, mode): &(Component, Mode)| {
        let offered = survey.remembered.offered.get(&component.name);
        let target = component.state.target().map(|held| held.version.to_string());
        let staged = survey.remembered.staged_components.get(&component.name);
        let staged = staged.filter(|staged| Some(&staged.version) == target.as_ref());
        ComponentCase {
            component: component.clone(),
            mode: *mode,
            offered: offered.cloned(),
            staged: staged.map(|staged| when(survey, &staged.since)),
            is_staged_before: staged.is_some_and(|staged| staged.since.boot_id != boot),
            stage_failed: offered.and_then(|offered| tries.stage(&component.name, &offered.release)),
            switch_refused: tries.switch(&component.name),
        }
    };
    survey.components.iter().map(case).collect()
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
