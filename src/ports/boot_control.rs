use super::Fault;
use bistable_boot::{Evidence, Slot};

/// What the boot loader can do for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// All that is needed. In words, what it is.
    Supported(String),
    /// All that is needed, as far as that is known; in words, what isn't, or what it lacks.
    Note(String),
}

/// The boot flag, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// What it holds.
    pub content: Content,
    /// Whether it could be written now: better known before an update than after its trial.
    pub writable: Writable,
}

/// What the boot flag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What the agent writes.
    Whole {
        /// The slot that boots when nothing is being tried.
        default: Slot,
    },
    /// A write of the agent that was cut short. The flag still boots its default slot, but so would a trial, or one of two
    /// copies is gone.
    Torn {
        /// The slot that boots.
        default: Slot,
    },
    /// Another program or a person wrote it, or it is damaged. Only [`overwrite`](BootControl::overwrite) replaces it.
    Foreign {
        /// The slot that the boot loader finds in it nevertheless.
        default: Option<Slot>,
        /// What is wrong.
        why: String,
    },
    /// Its place was not found.
    Unreadable(String),
}

/// Whether the boot flag can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writable {
    /// Yes.
    Yes,
    /// Not while another program uses it.
    InUse(String),
    /// That could not be found out.
    Unknown(String),
}

impl Flag {
    /// The slot that boots when nothing is being tried.
    ///
    /// # Errors
    /// When the flag names none.
    pub fn default_slot(&self) -> Result<Slot, Fault> {
        match &self.content {
            Content::Whole { default } | Content::Torn { default } => Ok(*default),
            Content::Foreign { default, why } => default.ok_or_else(|| Fault::Unfit(why.clone())),
            Content::Unreadable(why) => Err(Fault::Unfit(why.clone())),
        }
    }

    /// Whether the flag holds what the agent wrote, even if another program uses it now: a flag that is in use isn't lost.
    ///
    /// # Errors
    /// [`Fault::Unfit`] with what is wrong.
    pub fn check_content(&self) -> Result<(), Fault> {
        match &self.content {
            Content::Whole { .. } | Content::Torn { .. } => Ok(()),
            Content::Foreign { why, .. } | Content::Unreadable(why) => Err(Fault::Unfit(why.clone())),
        }
    }

    /// Whether [`make_default`](BootControl::make_default) could write it.
    ///
    /// # Errors
    /// As for [`check_content`](Self::check_content); [`Fault::InUse`] when another program uses the flag.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_content()?;
        match &self.writable {
            Writable::Yes => Ok(()),
            Writable::InUse(by) => Err(Fault::InUse(by.clone())),
            Writable::Unknown(why) => Err(Fault::Unfit(why.clone())),
        }
    }

    /// Whether a write of it was cut short.
    pub const fn is_torn(&self) -> bool {
        matches!(self.content, Content::Torn { .. })
    }
}

/// The boot flag: which slot boots. One implementation for each boot flow.
pub trait BootControl {
    /// The slot that this system was booted from. Never changes while it runs.
    fn booted(&self) -> Slot;

    /// Whether the boot loader can do what this flow needs of it: better known before an update, too.
    ///
    /// # Errors
    /// When it can't, or when that can't be found out: no update may begin.
    fn support(&mut self) -> Result<Support, Fault>;

    /// Read the flag.
    ///
    /// # Errors
    /// When the machine goes down, or the card fails.
    fn read(&mut self) -> Result<Flag, Fault>;

    /// Make the next boot, and only that one, boot `slot`. With the default slot, take an earlier request back.
    ///
    /// # Errors
    /// When the flag can't be read or written, or is foreign.
    fn try_once(&mut self, slot: Slot) -> Result<(), Fault>;

    /// Make `slot` the default: one sector, durable and read back when `Ok`. Nothing is written if it is the default already.
    ///
    /// # Errors
    /// When the flag can't be written, or is foreign.
    fn make_default(&mut self, slot: Slot) -> Result<(), Fault>;

    /// Write the flag whole, with `slot` as the default, whatever it holds now: durable and read back when `Ok`.
    ///
    /// For a flag that was being written when the power went, so that what it holds is what is left of the agent's own write,
    /// or that an operator wants made again.
    ///
    /// # Errors
    /// When its place can't be found, or it can't be written.
    fn overwrite(&mut self, slot: Slot) -> Result<(), Fault>;

    /// The same, for a person who asks for it: what is missing of the flag is put back.
    ///
    /// # Errors
    /// As for [`overwrite`](Self::overwrite).
    fn put_back(&mut self, slot: Slot) -> Result<(), Fault> {
        self.overwrite(slot)
    }

    /// The same. If the file system is lost in which the flag is a file, make a new one: all other files in it are lost, so only an
    /// operator asks for this.
    ///
    /// # Errors
    /// As for [`overwrite`](Self::overwrite).
    fn renew(&mut self, slot: Slot) -> Result<(), Fault> {
        self.overwrite(slot)
    }

    /// Before `slot`, which isn't the default, changes: let no copy of the flag name it, so that not even a flag that is
    /// damaged later leads there. Nothing to do where the flag has one copy.
    ///
    /// # Errors
    /// As for [`make_default`](Self::make_default).
    fn forget(&mut self, slot: Slot) -> Result<(), Fault> {
        let _ = slot;
        Ok(())
    }

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
}

impl dyn BootControl + '_ {
    /// The slot that boots when nothing is being tried.
    ///
    /// # Errors
    /// When the flag can't be read or names no slot.
    pub fn default_slot(&mut self) -> Result<Slot, Fault> {
        self.read()?.default_slot()
    }

    /// Write a torn flag whole, with the same default. Gives that slot when it was needed.
    ///
    /// # Errors
    /// As for [`overwrite`](BootControl::overwrite).
    pub fn mend(&mut self) -> Result<Option<Slot>, Fault> {
        let Content::Torn { default } = self.read()?.content else { return Ok(None) };
        self.overwrite(default)?;
        Ok(Some(default))
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
