//! What a component does next without being asked.
//!
//! | its update | `check` | `stage` | `reboot` | `auto` |
//! |---|---|---|---|---|
//! | none, nothing on offer; or stopped | rests | rests | rests | rests |
//! | none, or failed, and a version is on offer | rests | stages it | stages it | stages it |
//! | installing | continues | continues | continues | continues |
//! | staged | waits for a person | waits for a person | switches after the next boot | switches if it may |
//! | armed | waits for a person | continues | continues | switches if it may |
//! | committing, reverting, removing | finishes | finishes | finishes | finishes |
//!
//! A version is staged after a look at the channel of this boot, so that devices that start together don't fetch at once, and while
//! one is staged a newer one takes its place. Nothing is switched while an inhibitor lives, too many updates were rolled back, or the
//! last refusal is too recent, and in the mode `auto` only in a window, unless the version was staged `force_after` ago. What was
//! begun is finished whatever the rules say: a commit or a way back that waits leaves the component between two versions.
use super::{
    act::Act,
    case::ComponentCase,
    plan::{Plan, Wait},
    why::Why,
};
use crate::config::Mode;
use bistable_boot::component::{Held, State};

/// What comes next for a component.
pub(super) enum Next {
    /// Do that now.
    Do(Act),
    /// Nothing, and why, until then if that is known.
    Wait(Wait),
    /// Nothing is left to do.
    Rest,
}

impl Plan<'_> {
    /// Finish what was begun, with a back-off while that fails.
    pub(super) fn finish(&self, case: &ComponentCase) -> Next {
        match self.refused_until(case.switch_refused.as_ref()) {
            None => Next::Do(Act::SwitchComponent { component: case.name() }),
            Some(wait) => Next::Wait(self.of(case, wait)),
        }
    }

    /// What comes next for a component of which nothing is undecided.
    pub(super) fn component(&self, case: &ComponentCase) -> Next {
        let waits = |why| Next::Wait((None, why));
        match &case.component.state {
            State::Committing { .. } | State::Reverting { .. } | State::Removing => self.finish(case),
            State::Installing(_) => self.stage(case).unwrap_or(Next::Rest),
            State::Failed(_) if case.component.is_halted() => {
                waits(Why::ComponentHalted { component: case.name() })
            }
            State::Idle | State::Failed(_) if case.wants().is_some() => {
                self.stage(case).unwrap_or(Next::Rest)
            }
            State::Idle | State::Failed(_) => Next::Rest,
            State::Staged(target) => match (case.wants().and_then(|_| self.stage(case)), case.mode) {
                (Some(act @ Next::Do(_)), _) => act,
                (_, Mode::Check | Mode::Stage) => {
                    waits(Why::ComponentStaged { component: case.name(), mode: case.mode })
                }
                (_, Mode::Reboot) if !case.is_staged_before => {
                    waits(Why::ComponentNextBoot { component: case.name() })
                }
                (_, Mode::Reboot) => self.switch_component(case, None),
                (_, Mode::Auto) => self.switch_component(case, Some(target)),
            },
            State::Armed { .. } if case.mode == Mode::Check => {
                waits(Why::ComponentStaged { component: case.name(), mode: case.mode })
            }
            State::Armed { target, .. } => {
                self.switch_component(case, Some(target).filter(|_| case.mode == Mode::Auto))
            }
        }
    }

    /// Fetch and stage, after a look of this boot; `None` before that.
    fn stage(&self, case: &ComponentCase) -> Option<Next> {
        let is_looked = self.facts.last_look.is_some_and(|last| last.when.uptime.is_some());
        if !self.rules.follows || !is_looked {
            return None;
        }
        Some(match self.backed_off(case.stage_failed.as_ref()) {
            Some(wait) => Next::Wait(self.of(case, wait)),
            None => Next::Do(Act::StageComponent { component: case.name() }),
        })
    }

    /// A switch if nothing is in its way; the windows are for the version that is given.
    fn switch_component(&self, case: &ComponentCase, in_windows: Option<&Held>) -> Next {
        let closed = || {
            let target = in_windows?;
            self.closed(case.is_urgent(target), case.staged.as_ref())
        };
        let wait = self
            .inhibited()
            .or_else(|| self.rolled_back())
            .or_else(|| self.refused_until(case.switch_refused.as_ref()))
            .or_else(closed);
        match wait {
            None => Next::Do(Act::SwitchComponent { component: case.name() }),
            Some(wait) => Next::Wait(self.of(case, wait)),
        }
    }

    /// The same wait, of a component.
    fn of(&self, case: &ComponentCase, (until, why): Wait) -> Wait {
        (until, Why::Component { component: case.name(), why: Box::new(why) })
    }
}
