//! The way back.
use super::{Agent, AgentEvent, Rest, run::StepError};
use crate::{
    Error,
    ports::Fault,
    steps::{StepName, revert},
};
use bistable_boot::{Asked, Event, Failure, Now, Origin, Reason, Saved, Target};

impl Agent<'_> {
    pub(super) fn revert(&mut self) -> Result<(), Error> {
        let Now::Saved(Saved::Reverting { target, failure, .. }) = self.now().clone() else { return Ok(()) };
        self.step(StepName::Revert, |agent, _| {
            agent.return_to_old_slot(&target, &failure).map_err(StepError::Blameless)
        })
    }

    fn return_to_old_slot(&mut self, target: &Target, failure: &Failure) -> Result<(), Error> {
        let boot = &mut *self.device.board.boot;
        revert::restore_flag(boot, target)?;
        // If the reboot into the trial never happened, the one-shot flag may still be set; any reset would honor it, into
        // whatever the slot holds by then.
        match boot.try_once(!target.slot) {
            // Without a flag that can be read there is no telling; nor does the firmware know.
            Err(Fault::Unfit(problem)) => log::warn!(reason:% = problem; "one_shot_flag_left"),
            done => done?,
        }
        if self.device.board.boot.booted() == target.slot {
            let asked = Asked::uncounted(self.device.board.host.boot_id());
            match self.on(Event::Rebooting(asked)) {
                Err(Error::Refused(_)) => {
                    self.observer.on_event(AgentEvent::RollbackFailed(target, failure));
                    return Err(Error::NotNow(format!(
                        "slot {} does not boot, so this device stays in slot {}, whose release failed \
                         ({failure}): write a fixed release with a card reader, or repair the card's slot {}",
                        !target.slot, target.slot, !target.slot
                    )));
                }
                done => done?,
            }
            return match self.device.board.host.reboot() {
                Ok(never) => match never {},
                Err(e) => Err(self.not_rebooted(!target.slot, e.into())),
            };
        }
        if self.device.record.origin == Origin::Bundle {
            revert::erase(&mut self.device, target)?;
        }
        self.on(Event::Reverted)?;
        self.observer.on_event(AgentEvent::Reverted(target, failure));
        Ok(())
    }

    /// Give up what is in flight and wasn't tried yet: that release is not to be installed now. Nothing to do when nothing is.
    ///
    /// # Errors
    /// As for [`resume`](Self::resume).
    pub fn give_up(&mut self, reason: Reason, why: &str) -> Result<(), Error> {
        let Now::Saved(saved) = self.now() else { return Ok(()) };
        if !matches!(saved, Saved::Installing(_) | Saved::Staged(_) | Saved::Armed { .. }) {
            return Ok(());
        }
        self.on(Event::Failed(Failure::new(reason, why)))?;
        self.resume().map(drop)
    }

    /// A person wants to go back: gives up what is in flight, or, when nothing is, tries the other slot's release
    /// again, with self-tests, trial and health check.
    ///
    /// # Errors
    /// When there is nothing to go back to; see also [`resume`](Self::resume).
    pub fn roll_back(&mut self) -> Result<Rest, Error> {
        let by_operator = || Event::Failed(Failure::new(Reason::Operator, ""));
        match self.now() {
            Now::Saved(Saved::Idle) => {
                let target = revert::previous(&mut self.device)?;
                self.on(Event::Return(target))?;
            }
            Now::Saved(
                Saved::Installing(_) | Saved::Staged(_) | Saved::Armed { .. } | Saved::Committing { .. },
            )
            | Now::Trial { .. } => self.on(by_operator())?,
            Now::Saved(Saved::Reverting { .. }) => {}
        }
        self.resume()
    }
}
