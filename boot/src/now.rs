//! Where the device is, and the update state machine: one table.
use crate::{
    Action, Event, Failure, Refused, Saved, Slot, Target,
    attempt::{Boot, MAX_ATTEMPTS, Tries},
};

/// Where the device is: what follows from what is [saved](Saved) and from the boot that runs.
///
/// Saved as armed and booted from the target's slot, it is on trial; saved as armed and booted from the other one, the
/// trial ended without a verdict or never began: [`attempt`](crate::Tries) says which. Only a decision leads from here to
/// what is saved next, so a trial can't be saved.
///
/// ```
/// use bistable_boot::{Action, Event, Failure, Now, Reason, ReleaseId, Saved, Slot, Target};
///
/// let target = Target {
///     slot: Slot::B,
///     release: ReleaseId([1; 32]),
///     version: semver::Version::new(1, 1, 0),
///     security_version: 0,
///     durable: 1,
/// };
/// let saved = Now::Saved(Saved::Idle).on(Event::Offer(target.clone()))?;
/// assert_eq!(Now::Saved(saved.clone()).todo(), Action::Install);
///
/// let staged = Now::Saved(saved).on(Event::Installed)?;
/// let armed = Now::Saved(staged).on(Event::SelfTestsPassed)?;
/// assert_eq!(Now::Saved(armed.clone()).todo(), Action::Try);
///
/// // Booted into slot B, it is on trial. Health decides.
/// let trial = Now::Trial { target, attempts: 1 };
/// assert_eq!(trial.todo(), Action::HealthCheck);
/// let bad = trial.on(Event::Failed(Failure::new(Reason::Health, "the fan stays off")))?;
/// assert_eq!(Now::Saved(bad).todo(), Action::Revert);
///
/// // What makes no sense is refused.
/// assert!(Now::Saved(armed).on(Event::Healthy).is_err());
/// # Ok::<(), bistable_boot::Refused>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Now {
    /// A state that the journal could hold. It need not hold it yet: the boot may have shown an attempt that counts.
    Saved(Saved),
    /// Running from the new slot, not yet committed.
    Trial {
        /// What is tried.
        target: Target,
        /// Trials that began, this one included.
        attempts: u8,
    },
}

impl Saved {
    /// Where the device is in that boot. The same boot always gives the same answer, so it needs no save.
    pub fn booted(&self, boot: Boot) -> Now {
        Now::Saved(match self.clone() {
            Saved::Armed { target, tries } if boot.slot == target.slot => {
                return Now::Trial { target, attempts: tries.begun() };
            }
            Saved::Armed { target, tries } => Saved::Armed { target, tries: tries.judged(boot) },
            // Power went between verdict and flag. The verdict was about another boot: prove it again, and keep counting,
            // so that a flag that can't be written doesn't repeat this forever.
            Saved::Committing { target, attempts } if boot.slot != target.slot => {
                Saved::Armed { target, tries: Tries::after(attempts) }
            }
            // A firmware that finds nothing in the old slot walks to this one again.
            Saved::Reverting { target, failure, reboots, asked: Some(asked) }
                if boot.slot == target.slot && boot.id != asked =>
            {
                Saved::Reverting { target, failure, reboots: reboots.saturating_add(1), asked: None }
            }
            state => state,
        })
    }

    /// Where the device is if the verdict may be about another boot than this one, and the flag doesn't say yet that it
    /// counted: on trial again. `None` where there is no verdict.
    pub fn unproven(&self) -> Option<Now> {
        match self.clone() {
            Saved::Committing { target, attempts } => Some(Now::Trial { target, attempts }),
            _ => None,
        }
    }
}

impl Now {
    /// The update in flight, if any.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Now::Saved(saved) => saved.target(),
            Now::Trial { target, .. } => Some(target),
        }
    }

    /// Trials of the update in flight that count, where the state says so.
    pub fn attempts(&self) -> Option<u8> {
        match self {
            Now::Saved(saved) => saved.attempts(),
            Now::Trial { attempts, .. } => Some(*attempts),
        }
    }

    /// Whether nothing is in flight.
    pub const fn is_idle(&self) -> bool {
        matches!(self, Now::Saved(Saved::Idle))
    }

    /// Whether a trial has to be decided first, or a commit or a revert to be finished: nothing else may begin before that.
    pub const fn is_undecided(&self) -> bool {
        match self {
            Now::Trial { .. } | Now::Saved(Saved::Committing { .. } | Saved::Reverting { .. }) => true,
            Now::Saved(Saved::Idle | Saved::Installing(_) | Saved::Staged(_) | Saved::Armed { .. }) => false,
        }
    }

    /// Whether the boot's own service has something to decide or to finish: nothing else acts before it has. Beside what is
    /// undecided, that is a release whose trials are used up, and one that runs without having been tried.
    pub fn awaits_boot(&self, booted: Slot) -> bool {
        match self {
            Now::Saved(Saved::Staged(target)) => target.slot == booted,
            Now::Saved(Saved::Armed { target, tries }) => target.slot == booted || tries.are_used_up(),
            _ => self.is_undecided(),
        }
    }

    /// Whether the boot loader refused the trial so often that the update waits for a person.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Now::Saved(saved) if saved.is_refused())
    }

    /// What must be done now: a function of the state alone.
    pub const fn todo(&self) -> Action {
        match self {
            Now::Saved(Saved::Idle) => Action::Wait,
            Now::Saved(Saved::Installing(_)) => Action::Install,
            Now::Saved(Saved::Staged(_)) => Action::SelfTest,
            Now::Saved(Saved::Armed { .. }) => Action::Try,
            Now::Trial { .. } => Action::HealthCheck,
            Now::Saved(Saved::Committing { .. }) => Action::Commit,
            Now::Saved(Saved::Reverting { .. }) => Action::Revert,
        }
    }

    /// Which state an event leads to. Total: each pair is listed here or refused.
    ///
    /// # Errors
    /// [`Refused`] when the event makes no sense in this state.
    pub fn on(self, event: Event) -> Result<Saved, Refused> {
        use Event as E;
        let saved = match self {
            Now::Saved(saved) => saved,
            Now::Trial { target, attempts } => {
                return match event {
                    E::Healthy => Ok(Saved::Committing { target, attempts }),
                    // The slot is running: the way back is a state of its own.
                    E::Failed(why) => Ok(revert(target, why)),
                    event => Err(refused("on trial", &event)),
                };
            }
        };
        Ok(match (saved, event) {
            (Saved::Idle, E::Offer(t)) => Saved::Installing(t),
            // The other slot still holds what it was committed with: no writing, but all the proving.
            (Saved::Idle, E::Return(t)) => Saved::Staged(t),
            (Saved::Installing(t), E::Installed) => Saved::Staged(t),
            (Saved::Staged(target), E::SelfTestsPassed) => Saved::Armed { target, tries: Tries::default() },
            // A person looked into why the boot loader refused: it is asked again. The trials that happened still count.
            (Saved::Armed { target, tries }, E::SelfTestsPassed) if tries.are_refused() => {
                Saved::Armed { target, tries: Tries::after(tries.attempts) }
            }

            // One power cut must not condemn a good release, so it is tried again, as often as allowed (I11).
            (Saved::Armed { target, tries }, E::Rebooting(_)) if tries.are_used_up() => {
                revert(target, Failure::out_of_attempts(tries.attempts))
            }
            // Asking counts nothing (I16): whether the trial began is known after the reboot.
            (Saved::Armed { target, tries }, E::Rebooting(asked)) if !tries.are_refused() => {
                Saved::Armed { target, tries: tries.ask(asked) }
            }
            (Saved::Armed { target, tries }, E::RebootCanceled) => {
                Saved::Armed { target, tries: Tries { asked: None, ..tries } }
            }

            (Saved::Committing { .. }, E::Committed) => Saved::Idle,
            (Saved::Reverting { .. }, E::Reverted) => Saved::Idle,
            // A firmware that finds nothing in the old slot walks to this one again. Bounded: better a system that
            // runs and says what is wrong than one that reboots forever.
            (Saved::Reverting { target, failure, reboots, .. }, E::Rebooting(asked))
                if reboots < MAX_ATTEMPTS =>
            {
                Saved::Reverting { target, failure, reboots, asked: Some(asked.boot) }
            }
            (Saved::Reverting { target, failure, reboots, .. }, E::RebootCanceled) => {
                Saved::Reverting { target, failure, reboots, asked: None }
            }

            // The boot flag is untouched: giving up costs nothing.
            (Saved::Installing(_) | Saved::Staged(_), E::Failed(_)) => Saved::Idle,
            // The slot may be about to run: the way back is a state of its own.
            (Saved::Armed { target, .. } | Saved::Committing { target, .. }, E::Failed(why)) => {
                revert(target, why)
            }

            (saved, event) => return Err(refused(saved.name(), &event)),
        })
    }

    /// The state's name, as status and logs print it.
    pub const fn name(&self) -> &'static str {
        match self {
            Now::Saved(saved) => saved.name(),
            Now::Trial { .. } => "on trial",
        }
    }
}

fn refused(state: &'static str, event: &Event) -> Refused {
    Refused { state, event: event.name() }
}

fn revert(target: Target, failure: Failure) -> Saved {
    Saved::Reverting { target, failure, reboots: 0, asked: None }
}
