use super::{BootTime, Event, Held, ROLLBACK_COUNTS, ROLLBACKS_LEN, State};
use crate::{
    Extension, Failure, NAME_BYTES, Origin, Outcome, Reason, Refused, Rejected, ReleaseId, extension,
    record::{push_bounded, version_bytes},
};
use alloc::{string::String, vec::Vec};
use semver::Version;
use serde::{Deserialize, Serialize};

/// How many versions before the current one are kept to go back to.
pub const KEPT_LEN: usize = 2;
/// How many rejected releases of a component are remembered; the oldest goes first.
pub const REJECTED_LEN: usize = 4;

/// How the last update of a component ended. All earlier ones are in the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The update's release.
    pub release: ReleaseId,
    /// That release's version.
    pub version: Version,
    /// How it ended.
    pub outcome: Outcome,
    /// Trials that began.
    pub attempts: u8,
}

/// All that is remembered of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, as releases and the configuration have it.
    pub name: String,
    /// What is in flight.
    pub state: State,
    /// Trials of the update in flight, kept through commit and revert for [`Ended`].
    pub attempts: u8,
    /// Where the update in flight comes from: a bundle, or a version that is kept here.
    pub origin: Origin,
    /// The version that runs, unless another one is tried.
    pub current: Option<Held>,
    /// Versions before it, the newest first, at most [`KEPT_LEN`].
    pub kept: Vec<Held>,
    /// An operator stopped it, across reboots.
    pub is_stopped: bool,
    /// The security version of the newest committed release: never falls (I9).
    pub security_floor: u32,
    /// Oldest first, at most [`REJECTED_LEN`].
    pub rejected: Vec<Rejected>,
    /// How its last update ended.
    pub last: Option<Ended>,
    /// When the way back was taken because an update failed; oldest first, at most [`ROLLBACKS_LEN`].
    pub rollbacks: Vec<BootTime>,
    /// What a newer agent added, kept as it is. At most [`EXTENSIONS_BYTES`](crate::EXTENSIONS_BYTES) in all.
    pub extensions: Vec<Extension>,
}

impl Component {
    /// A component of which no version is on the device yet.
    pub fn registered(name: &str) -> Component {
        Component {
            name: name.into(),
            state: State::Idle,
            attempts: 0,
            origin: Origin::Bundle,
            current: None,
            kept: Vec::new(),
            is_stopped: false,
            security_floor: 0,
            rejected: Vec::new(),
            last: None,
            rollbacks: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// The version that has to run outside of a trial; `None` if there is none, or if it is stopped.
    pub fn runs(&self) -> Option<&Held> {
        if self.is_stopped { None } else { self.leads_to() }
    }

    /// The version that the durable name has to lead to.
    pub fn leads_to(&self) -> Option<&Held> {
        match &self.state {
            State::Committing { target, .. } => Some(target),
            State::Reverting { skipped, .. } => self.way_back(*skipped),
            State::Removing => None,
            State::Idle
            | State::Installing(_)
            | State::Staged(_)
            | State::Armed { .. }
            | State::Failed(_) => self.current.as_ref(),
        }
    }

    /// Every version that must stay on the device: what isn't named here may be removed.
    pub fn needs(&self) -> impl Iterator<Item = &Held> {
        self.current.iter().chain(&self.kept).chain(self.state.target())
    }

    /// A version that is complete on the device and could be gone back to: it runs with the configuration that it had.
    pub fn kept(&self, release: &ReleaseId) -> Option<&Held> {
        self.kept.iter().find(|held| held.release == *release)
    }

    /// Why a release may not be installed by itself, if it was rejected.
    pub fn rejection(&self, release: &ReleaseId) -> Option<&Rejected> {
        self.rejected.iter().find(|r| r.release == *release)
    }

    /// How many updates were rolled back within an hour before that moment.
    pub fn recent_rollbacks(&self, now: &BootTime) -> usize {
        self.rollbacks.iter().filter(|then| then.least_age(now) < ROLLBACK_COUNTS).count()
    }

    /// Whether too many updates were rolled back, so that it is not updated until an operator resets it.
    pub fn is_halted(&self) -> bool {
        matches!(&self.state, State::Failed(why) if why.reason == Reason::RollbackLimit)
    }

    /// The same as [`on`](Self::on) at a moment, which is remembered if an update begins to be rolled back with it. One that an operator
    /// gives up doesn't count.
    ///
    /// # Errors
    /// As for [`on`](Self::on).
    pub fn on_at(&mut self, event: Event, at: BootTime) -> Result<bool, Refused> {
        let was_reverting = matches!(self.state, State::Reverting { .. });
        let has_changed = self.on(event)?;
        match &self.state {
            State::Reverting { failure, .. } if !was_reverting && failure.reason != Reason::Operator => {
                push_bounded(&mut self.rollbacks, at, ROLLBACKS_LEN);
            }
            _ => {}
        }
        Ok(has_changed)
    }

    /// Apply a decision. `Ok(true)` when it changed something: then the record has to be saved before anything is done about
    /// it.
    ///
    /// # Errors
    /// [`Refused`] when the event makes no sense in the state, when a version is longer than [`NAME_BYTES`], or when the
    /// version to return to is not kept; nothing is changed.
    pub fn on(&mut self, event: Event) -> Result<bool, Refused> {
        self.acceptable(&event)?;
        let before = self.clone();
        let next = self.next(&event)?;
        match &next {
            State::Armed { attempts, .. } | State::Committing { attempts, .. } => self.attempts = *attempts,
            _ => {}
        }
        match (core::mem::replace(&mut self.state, next), event) {
            (State::Idle | State::Failed(_), Event::Offer(target)) => {
                self.attempts = 0;
                self.origin = Origin::Bundle;
                // Whoever offers a rejected release wants it tried again.
                self.pardon(&target.release);
            }
            (State::Idle | State::Failed(_), Event::Return(_)) => {
                self.attempts = 0;
                self.origin = Origin::Slot;
            }
            (State::Installing(target) | State::Staged(target), Event::Failed(why)) => {
                if why.reason.rejects() && self.origin == Origin::Bundle {
                    self.reject(&target, &why);
                }
                self.ended(&target, Outcome::Abandoned(why));
            }
            (State::Committing { target, .. }, Event::Committed) => self.committed(&target),
            (State::Reverting { target, failure, skipped }, Event::Reverted | Event::Halted(_)) => {
                self.back_on(skipped);
                self.given_up(&target, failure);
            }
            (State::Reverting { target, failure, .. }, Event::StillUnhealthy(_))
                if matches!(self.state, State::Failed(_)) =>
            {
                self.given_up(&target, failure);
            }
            // An operator found the reason.
            (_, Event::Reset) => self.rollbacks.clear(),
            (_, Event::Stop) => self.is_stopped = true,
            (_, Event::Start) => self.is_stopped = false,
            _ => {}
        }
        Ok(*self != before)
    }

    /// What the table of states can't know.
    fn acceptable(&self, event: &Event) -> Result<(), Refused> {
        let refused = |event| Err(Refused { state: self.state.name(), event });
        match event {
            Event::Offer(t) | Event::Return(t) if version_bytes(&t.version) > NAME_BYTES => {
                refused("a version of more than 64 bytes")
            }
            Event::Offer(t) if t.security_version < self.security_floor => {
                refused("an offer below the security floor")
            }
            Event::Offer(_) | Event::Return(_) if self.is_halted() => {
                refused("an update after too many rollbacks")
            }
            Event::Return(t) if self.kept(&t.release) != Some(t) && !self.is_reconfigured(t) => {
                refused("a return to a version that is not kept")
            }
            _ => Ok(()),
        }
    }

    /// Whether it is the version that runs, with another configuration: that is tried like a version that is kept.
    fn is_reconfigured(&self, target: &Held) -> bool {
        let same =
            |current: &Held| Held { configuration: target.configuration, ..current.clone() } == *target;
        self.current.as_ref().is_some_and(|current| current != target && same(current))
    }

    /// The number for another configuration: above those of all versions that are needed, so that none of theirs is written to.
    pub fn next_configuration(&self) -> u32 {
        self.needs().filter_map(|held| held.configuration).max().map_or(1, |number| number.saturating_add(1))
    }

    /// The version to go back to, after that many that were not healthy either.
    fn way_back(&self, skipped: u8) -> Option<&Held> {
        match usize::from(skipped).checked_sub(1) {
            None => self.current.as_ref(),
            Some(index) => self.kept.get(index),
        }
    }

    fn committed(&mut self, target: &Held) {
        self.security_floor = self.security_floor.max(target.security_version);
        self.kept.retain(|held| held.release != target.release);
        self.pardon(&target.release);
        self.ended(target, Outcome::Committed);
        if let Some(left) = self.current.replace(target.clone()).filter(|left| left.release != target.release)
        {
            // An operator went back on purpose: what was left must not come back by itself.
            if left.version.cmp_precedence(&target.version).is_gt() {
                self.reject(&left, &Failure::new(Reason::Operator, "left for an older release"));
            }
            self.kept.insert(0, left);
            self.kept.truncate(KEPT_LEN);
        }
    }

    /// The way back led to the version that is kept behind that many.
    fn back_on(&mut self, skipped: u8) {
        let Some(index) = usize::from(skipped).checked_sub(1) else { return };
        if index < self.kept.len() {
            // The skipped versions are not healthy: none of them can be returned to.
            self.current = self.kept.drain(..=index).next_back();
        }
    }

    fn given_up(&mut self, target: &Held, failure: Failure) {
        if self.origin == Origin::Bundle && failure.reason.rejects() {
            self.reject(target, &failure);
        }
        self.ended(target, Outcome::Reverted(failure));
    }

    fn pardon(&mut self, release: &ReleaseId) {
        self.rejected.retain(|r| r.release != *release);
    }

    fn reject(&mut self, target: &Held, failure: &Failure) {
        self.pardon(&target.release);
        let (release, version) = (target.release, target.version.clone());
        push_bounded(
            &mut self.rejected,
            Rejected { release, version, failure: failure.clone() },
            REJECTED_LEN,
        );
    }

    fn ended(&mut self, target: &Held, outcome: Outcome) {
        let (release, version) = (target.release, target.version.clone());
        self.last = Some(Ended { release, version, outcome, attempts: self.attempts });
        self.attempts = 0;
    }

    /// Whether name and versions keep to [`NAME_BYTES`], and the lists to their lengths: what makes it fit.
    pub(super) fn is_bounded(&self) -> bool {
        let held = self.needs().map(|held| &held.version);
        let rejected = self.rejected.iter().map(|r| &r.version);
        let last = self.last.iter().map(|ended| &ended.version);
        !self.name.is_empty()
            && self.name.len() <= NAME_BYTES
            && self.kept.len() <= KEPT_LEN
            && self.rejected.len() <= REJECTED_LEN
            && self.rollbacks.len() <= ROLLBACKS_LEN
            && extension::are_bounded(&self.extensions)
            && self.last.iter().all(|ended| ended.outcome.is_bounded())
            && held.chain(rejected).chain(last).all(|v| version_bytes(v) <= NAME_BYTES)
    }
}
