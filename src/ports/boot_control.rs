use super::Fault;
use bistable_boot::{Evidence, Slot};

/// For how long a switch of the boot flag holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The next boot only; power loss forgets it.
    Once,
    /// From now on.
    Always,
}

/// What the boot loader can do for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// All that is needed. In words, what it is.
    Fine(String),
    /// All that is needed, as far as that is known; in words, what isn't, or what it lacks.
    Note(String),
}

/// The boot flag: which slot boots.
pub trait BootControl {
    /// The slot that this system was booted from. Never changes while it runs.
    fn booted(&self) -> Slot;

    /// The slot that boots when nothing is being tried.
    ///
    /// # Errors
    /// When the flag can't be read or names no slot.
    fn default_slot(&mut self) -> Result<Slot, Fault>;

    /// Make the next boot, or all from now on, boot `slot`.
    ///
    /// `Once` writes nothing that outlives the power. `Always` writes one sector, and has returned `Ok` only if it
    /// is durable and was read back. Either is idempotent.
    ///
    /// # Errors
    /// When the flag can't be written, or holds something that nobody of ours wrote.
    fn switch(&mut self, slot: Slot, how: Switch) -> Result<(), Fault>;

    /// Write the flag whole, with `slot` as the default, whatever it holds now: durable and read back, when `Ok`.
    ///
    /// For a flag that was being written when the power went, so that what it holds is what is left of our own write,
    /// or that a person wants made anew. Everybody else uses [`switch`](Self::switch), which leaves alone what nobody
    /// of ours wrote.
    ///
    /// # Errors
    /// When there is no place for it to be found, or it can't be written.
    fn rewrite(&mut self, slot: Slot) -> Result<(), Fault>;

    /// Whether [`switch`](Self::switch) could write it: better known before an update than after its trial.
    ///
    /// # Errors
    /// When the flag can't be read, or holds something that nobody of ours wrote; [`Fault::InUse`] when it is sound, but
    /// can't be written while somebody else uses it.
    fn check(&mut self) -> Result<(), Fault>;

    /// Whether the flag holds what ours wrote, whoever uses it just now: one that is in use isn't lost.
    ///
    /// # Errors
    /// When the flag can't be read, or holds something that nobody of ours wrote.
    fn check_content(&mut self) -> Result<(), Fault> {
        match self.check() {
            Err(Fault::InUse(_)) => Ok(()),
            checked => checked,
        }
    }

    /// Whether the boot loader can do what this flow needs of it: better known before an update, too.
    ///
    /// # Errors
    /// When it can't, or when that can't be found out: no update may begin.
    fn support(&mut self) -> Result<Support, Fault>;

    /// The boot loader's own count of what it began, as it is now: stored with each request for a trial, for
    /// [`evidence`](Self::evidence). Always 0 where it keeps none.
    ///
    /// # Errors
    /// When the flag can't be read.
    fn counter(&mut self) -> Result<u32, Fault> {
        Ok(0)
    }

    /// Whether the trial of `slot` began that an earlier boot asked for when the [`counter`](Self::counter) was `counter`.
    /// `NotTried` needs proof; what isn't known is `Unknown`.
    ///
    /// # Errors
    /// When the machine goes down, or the evidence can't be read.
    fn evidence(&mut self, slot: Slot, counter: u32) -> Result<Evidence, Fault>;

    /// Whether the flag was torn between its two fields: it still boots, but a trial would boot the default slot.
    ///
    /// # Errors
    /// When the flag can't be read.
    fn is_torn(&mut self) -> Result<bool, Fault>;

    /// Write a torn flag whole, with the same default. `Ok(true)` when that was needed.
    ///
    /// # Errors
    /// As for [`switch`](Self::switch).
    fn repair(&mut self) -> Result<bool, Fault> {
        if !self.is_torn()? {
            return Ok(false);
        }
        let default = self.default_slot()?;
        self.switch(default, Switch::Always)?;
        Ok(true)
    }

    /// Before the slot that isn't the default changes: let nothing that is left of earlier switches name it, so that
    /// not even a flag that is damaged later leads there. Nothing to do where the flag has one copy.
    ///
    /// # Errors
    /// As for [`switch`](Self::switch).
    fn settle(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// What each boot flow must say about trials.
#[cfg(test)]
pub(crate) mod contract {
    use super::*;

    /// What became of a trial of slot B that slot A asked for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Became {
        /// It runs.
        Runs,
        /// It died, and slot A was booted again.
        Died,
        /// The boot loader ignored the request, and booted slot A.
        Ignored,
        /// The power went after the flag was set, and slot A was booted.
        PowerLost,
        /// The power went before the flag was set.
        NeverSet,
    }

    /// `boots` gives the flow in the boot that follows, and the counter of before. A trial that began is never called one that
    /// did not, or else it would be tried without end (I11); one that a boot loader refused is known (I16).
    pub(crate) fn evidence(mut boots: impl FnMut(Became) -> (Box<dyn BootControl>, u32)) {
        use Evidence::{NotTried, Tried, Unknown};
        let table: [(Became, &[Evidence]); 5] = [
            (Became::Runs, &[Tried]),
            (Became::Died, &[Tried, Unknown]),
            (Became::Ignored, &[NotTried]),
            (Became::PowerLost, &[NotTried, Unknown]),
            (Became::NeverSet, &[NotTried, Unknown]),
        ];
        for (became, allowed) in table {
            let (mut boot, counter) = boots(became);
            let found = boot.evidence(Slot::B, counter).unwrap();
            assert!(allowed.contains(&found), "{became:?}: {found:?}");
            assert_eq!(boot.evidence(Slot::B, counter).unwrap(), found, "asking changes nothing");
        }
    }
}
