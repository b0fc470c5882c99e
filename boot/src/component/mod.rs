//! Components: what is updated beside the slots, without a reboot. The same rules as for a slot: a state is saved before its
//! one action is done, and after a power cut the action is done again.
//!
//! The versions lie side by side, so no slot is written and no boot flag flipped. One durable name says which version runs by default:
//! a link or a line of a compose file, that changes at the commit only. A trial shows the new version to its unit through
//! something that a power cut removes, so the way back from a trial needs no write.
//!
//! | file | noun |
//! |---|---|
//! | `held` | a version of a component that lies on this device |
//! | `state` | what the record holds of a component's update, and what it asks for |
//! | `event` | what is decided |
//! | `table` | the table: state × event → state |
//! | `entry` | all that is remembered of one component |
//! | `rollback` | when an update was rolled back |
//! | `record` | all of them, on two copies |
//! | `lifecycle` | the state in the words of people who run services: a view |
mod entry;
mod event;
mod held;
mod lifecycle;
mod record;
mod rollback;
mod state;
mod table;

pub use entry::{Component, Ended, KEPT_LEN, REJECTED_LEN};
pub use event::Event;
pub use held::Held;
pub use lifecycle::Lifecycle;
pub use record::{COMPONENTS_LEN, ComponentRecord};
pub use rollback::{BootTime, ROLLBACK_COUNTS, ROLLBACKS_LEN};
pub use state::{Action, State};
