//! What the schedule is a function of, beside the clocks: the device, its rules, and what happened.
use super::{
    case::ComponentCase,
    due::{LastTry, Seed},
    moment::When,
    windows::Windows,
    zone::Zone,
};
use crate::config::{Mode, UpdateSettings};
use bistable_boot::{BootId, Now, Slot};
use std::time::Duration;

/// The device, and where its update stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The update.
    pub now: Now,
    /// The slot that runs.
    pub booted: Slot,
    /// What identifies the device in rollouts: its draws are made from it.
    pub id: String,
    /// This boot.
    pub boot: BootId,
}

/// What the owner wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How far an offer is followed (`update.mode`).
    pub mode: Mode,
    /// Whether there is a channel to follow (`source.urls`).
    pub follows: bool,
    /// How often the channel is looked at (`update.check_interval`).
    pub interval: Duration,
    /// When the device may switch (`update.windows`).
    pub windows: Windows,
    /// The zone of the windows (`update.time_zone`).
    pub zone: Zone,
    /// Whether the windows are closed while the clock is not synchronized (`update.windows_need_clock`).
    pub windows_need_clock: bool,
    /// How long a staged release waits for a window (`update.force_after`).
    pub force_after: Option<Duration>,
    /// How many rollbacks within an hour end what it does by itself (`update.max_rollbacks`).
    pub max_rollbacks: usize,
    /// How long one waits whose urgency is `security` (`update.security_force_after`), if that is shorter.
    pub security_force_after: Option<Duration>,
}

/// What happened, as the daemon knows it from events, and from those who asked it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The last look at the channel, or the last attempt to continue an installation.
    pub last_look: Option<LastTry>,
    /// Since when a release is staged.
    pub staged: Option<When>,
    /// Whether that one mends a hole: its urgency is `security`.
    pub is_urgent: bool,
    /// What holds a switch back.
    pub inhibitors: Vec<Inhibitor>,
    /// When updates were rolled back.
    pub rollbacks: Vec<When>,
    /// When trials began.
    pub trials: Vec<When>,
    /// The last switch, if it was refused: by FleetLock, by a hook.
    pub switch_refused: Option<LastTry>,
    /// Whether the boot's own service has not yet decided what this boot is.
    pub trial_pending: bool,
    /// The components that are updated beside the slots, by name.
    pub components: Vec<ComponentCase>,
}

/// A lease that holds a switch back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibitor {
    /// Who has it.
    pub owner: String,
    /// What for.
    pub reason: String,
    /// When it ends, in time since the boot.
    pub ends: Duration,
}

impl Rules {
    /// The rules that are configured. The zone database is read here, and only here.
    pub fn of(update: &UpdateSettings, follows: bool) -> Rules {
        Rules {
            mode: update.mode,
            follows,
            interval: update.check_interval,
            windows: update.windows.clone().into(),
            zone: Zone::named(&update.time_zone),
            windows_need_clock: update.windows_need_clock,
            force_after: update.force_after,
            security_force_after: update.security_force_after,
            max_rollbacks: update.max_rollbacks as usize,
        }
    }
}

impl Rules {
    /// How long a staged release waits for a window.
    pub(super) fn forced_after(&self, is_urgent: bool) -> Option<Duration> {
        let urgent = self.security_force_after.filter(|_| is_urgent);
        self.force_after.into_iter().chain(urgent).min()
    }
}

impl Standing {
    pub(super) fn seed(&self) -> Seed<'_> {
        Seed { id: &self.id, boot: self.boot }
    }
}
