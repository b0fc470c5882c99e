//! What a channel says meanwhile of the update in flight.
use super::Agent;
use crate::{Error, offer::channel::Found};
use bistable_boot::{Now, Reason, Saved};
use bistable_format::{Digest, rollout::RolloutState};
use semver::Version;

impl Agent<'_> {
    /// Give up an update in flight whose release was withdrawn meanwhile, before it is tried; or whose rollout was halted,
    /// unless a person names it, or it is armed: what comes back from there is rejected, and a halt is no verdict.
    ///
    /// # Errors
    /// When that can't be saved or done.
    pub fn recall(&mut self, found: &Found, named: Option<&Version>) -> Result<(), Error> {
        let Now::Saved(
            saved @ (Saved::Installing(target) | Saved::Staged(target) | Saved::Armed { target, .. }),
        ) = self.now()
        else {
            return Ok(());
        };
        let identity = Digest(target.release.0);
        if let Some(withdrawal) = found.channel.withdrawal(&identity) {
            return self.give_up(Reason::Operator, &format!("withdrawn: {}", withdrawal.reason));
        }
        let halted = found.channel.offer(&identity).is_some_and(|o| o.rollout.pace == RolloutState::Halted);
        if halted && named != Some(&target.version) && !matches!(saved, Saved::Armed { .. }) {
            return self.give_up(Reason::Install, "its rollout was halted");
        }
        Ok(())
    }
}
