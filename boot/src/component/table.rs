//! The update of a component: one table.
use super::{Component, Event, KEPT_LEN, State};
use crate::{Failure, MAX_ATTEMPTS, Refused};

impl Component {
    /// Which state an event leads to. Total: each pair is listed here or refused.
    ///
    /// # Errors
    /// [`Refused`] when the event makes no sense in this state.
    pub fn next(&self, event: &Event) -> Result<State, Refused> {
        use Event as E;
        let refused = || Err(Refused { state: self.state.name(), event: event.name() });
        // What is stopped has nothing to show in a trial: an operator starts it first.
        if self.is_stopped && matches!(event, E::Offer(_) | E::Return(_)) {
            return Err(Refused { state: "stopped", event: event.name() });
        }
        Ok(match (self.state.clone(), event.clone()) {
            (State::Idle | State::Failed(_), E::Offer(t)) => State::Installing(t),
            // It is complete and was verified: no writing, but all the proving.
            (State::Idle | State::Failed(_), E::Return(t)) => State::Staged(t),
            (State::Installing(t), E::Installed) => State::Staged(t),
            (State::Staged(target), E::SelfTestsPassed) => State::Armed { target, attempts: 0, begun: None },

            // A power cut in a trial must not condemn a good version, so it is tried again, as often as allowed (I11).
            (State::Armed { target, attempts, .. }, E::Trying(_)) if attempts >= MAX_ATTEMPTS => {
                State::Reverting { target, failure: Failure::out_of_attempts(attempts), skipped: 0 }
            }
            (State::Armed { target, attempts, .. }, E::Trying(boot)) => {
                State::Armed { target, attempts: attempts.saturating_add(1), begun: Some(boot) }
            }
            (State::Armed { target, attempts, begun: Some(begun) }, E::Canceled(boot)) if begun == boot => {
                State::Armed { target, attempts: attempts.saturating_sub(1), begun: None }
            }
            // Only a trial of this boot can say that it went well (I4).
            (State::Armed { target, attempts, begun: Some(begun) }, E::Healthy(boot)) if begun == boot => {
                State::Committing { target, attempts }
            }

            (State::Committing { .. }, E::Committed) => State::Idle,
            // Without a version before it there is nothing to go back to.
            (State::Reverting { failure, .. }, E::Reverted) if self.current.is_none() => {
                State::Failed(failure)
            }
            (State::Reverting { .. }, E::Reverted) => State::Idle,
            // An older version is healthy, and the next one would be the one too many.
            (State::Reverting { .. }, E::Halted(why)) => State::Failed(why),
            (State::Reverting { target, failure, skipped }, E::StillUnhealthy(why)) => {
                match usize::from(skipped) < self.kept.len().min(KEPT_LEN) && self.current.is_some() {
                    true => State::Reverting { target, failure, skipped: skipped.saturating_add(1) },
                    false => State::Failed(why),
                }
            }

            // The durable name is untouched, and nothing ran: giving up costs nothing.
            (State::Installing(_) | State::Staged(_), E::Failed(_)) => State::Idle,
            // The new version may be running: the way back is a state of its own.
            (State::Armed { target, .. } | State::Committing { target, .. }, E::Failed(failure)) => {
                State::Reverting { target, failure, skipped: 0 }
            }

            (State::Failed(_), E::Reset) => State::Idle,
            (State::Idle, E::Stop) if !self.is_stopped => State::Idle,
            (State::Failed(why), E::Stop) if !self.is_stopped => State::Failed(why),
            (State::Idle, E::Start) if self.is_stopped => State::Idle,
            (State::Failed(why), E::Start) if self.is_stopped => State::Failed(why),
            // Nothing of it runs.
            (State::Idle | State::Failed(_), E::Remove) if self.is_stopped || self.current.is_none() => {
                State::Removing
            }
            _ => return refused(),
        })
    }
}
