use crate::{SystemRootState, event::ComponentShown, ports::Power};
use bistable_boot::{Now, Record, Slot};
use bistable_format::Root;

/// What a status is made from: gathered by the caller, which does the I/O.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What the device remembers.
    pub record: &'a Record,
    /// Where the device is.
    pub now: &'a Now,
    /// The kind of board, as releases name it.
    pub board: &'a str,
    /// Whether the board has power. A real board that answers has; a simulated one may not.
    pub power: Power,
    /// The slot that is running; without power, the one that ran last.
    pub booted: Slot,
    /// The slot that the boot flag names, or why it can't be read.
    pub default: Result<Slot, String>,
    /// What is wrong with a boot flag that names a slot nevertheless, so that no update begins.
    pub foreign_flag: Option<String>,
    /// The root of trust, or why there is none that may be trusted.
    pub root: Result<RootFacts, String>,
    /// Whether the running system carries a root.
    pub system_root: SystemRootState,
    /// Why the update waits for a person, if it does.
    pub waits: Option<String>,
    /// Sequence number of each journal copy, `None` for one that can't be read.
    pub journal_copies: [Option<u64>; 2],
    /// What is updated beside the slots; none if that can't be read.
    pub components: Vec<ComponentShown>,
}

/// What is said about the root of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootFacts {
    /// Its version.
    pub version: u32,
    /// Whether its keys are the public demo keys.
    pub demo: bool,
}

impl From<&Root> for RootFacts {
    fn from(root: &Root) -> RootFacts {
        RootFacts { version: root.version, demo: root.refuse_demo().is_err() }
    }
}
