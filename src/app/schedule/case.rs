//! A component, what its owner wants, and what happened to it.
use super::{due::LastTry, moment::When};
use crate::{config::Mode, events::OfferedVersion};
use bistable_boot::{
    Outcome, Reason,
    component::{Component, Held},
};

/// A component, what its owner wants, and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentCase {
    /// What is remembered of it.
    pub component: Component,
    /// How far an offer is followed (`component.NAME.mode`).
    pub mode: Mode,
    /// What the channel offered of it when it was last checked.
    pub offered: Option<OfferedVersion>,
    /// Since when the version is staged that is.
    pub staged: Option<When>,
    /// Whether that was before this boot.
    pub is_staged_before: bool,
    /// The last attempt to stage what is on offer, if it failed.
    pub stage_failed: Option<LastTry>,
    /// The last switch, if it was refused.
    pub switch_refused: Option<LastTry>,
}

impl ComponentCase {
    /// Whether something was begun that must be finished before anything else.
    pub(super) fn is_undecided(&self) -> bool {
        self.component.state.is_undecided()
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.component.name.clone()
    }

    /// The version on offer that may be staged by itself, unless it is in flight.
    pub(super) fn wants(&self) -> Option<&OfferedVersion> {
        let in_flight = self.component.state.target().map(|held| held.release.to_string());
        let offered = self.offered.as_ref()?;
        let is_wanted = self.mode != Mode::Check
            && !self.component.is_stopped
            && offered.refused.is_none()
            && offered.is_open(&self.component)
            && !self.is_unfit(offered)
            && in_flight.as_deref() != Some(offered.release.as_str());
        is_wanted.then_some(offered)
    }

    /// Whether that release was given up before its trial: it can't be unpacked here, or an operator canceled it.
    fn is_unfit(&self, offered: &OfferedVersion) -> bool {
        self.component.last.as_ref().is_some_and(|last| {
            let abandoned = matches!(&last.outcome, Outcome::Abandoned(why) if why.reason == Reason::Install);
            abandoned && last.release.to_string() == offered.release
        })
    }

    /// Whether what is staged fixes a security problem.
    pub(super) fn is_urgent(&self, target: &Held) -> bool {
        let offered = self.offered.as_ref();
        offered.is_some_and(|offered| offered.urgent && offered.release == target.release.to_string())
    }
}
