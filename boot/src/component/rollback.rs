use crate::BootId;
use serde::{Deserialize, Serialize};

/// How many rollbacks of a component are remembered; a limit of them can't be higher.
pub const ROLLBACKS_LEN: usize = 5;
/// For how long a rollback counts, in seconds.
pub const ROLLBACK_COUNTS: u64 = 3600;

/// A moment, by the clock of a boot and by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTime {
    /// The boot.
    pub boot: BootId,
    /// Seconds since its start.
    pub uptime: u32,
    /// Seconds since 1970, if the wall clock could be believed.
    pub wall: Option<u64>,
}

impl BootTime {
    /// How many seconds ago it was at least. Of another boot, only the wall clock can tell, and without one it may have been right
    /// before this boot.
    pub fn least_age(&self, now: &BootTime) -> u64 {
        let since_boot = u64::from(now.uptime);
        if self.boot == now.boot {
            return since_boot.saturating_sub(u64::from(self.uptime));
        }
        match (self.wall, now.wall) {
            (Some(then), Some(now)) => since_boot.max(now.saturating_sub(then)),
            _ => since_boot,
        }
    }
}
