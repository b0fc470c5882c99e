//! The driver of a component's table, which is the same for all kinds.
//!
//! | file | noun |
//! |---|---|
//! | `subject` | what a component is on this device, whatever its kind |
//! | `space` | what must be free for a version |
//! | `content` | where a new version comes from |
//! | `configuration` | what a version runs with |
//! | `updater` | one method a state, and what differs between the kinds |
//! | `stage` | from an offer to a version that is complete and durable |
//! | `trial` | the new version, live |
//! | `back` | the way back |
//! | `observed` | what it reports while it works |
mod back;
mod configuration;
mod content;
mod observed;
mod space;
mod stage;
mod subject;
mod trial;
mod updater;

pub(crate) use crate::error::ComponentError;
pub use configuration::Change;
pub(crate) use configuration::{later, values_of};
pub use content::Archive;
pub use observed::{ComponentEvent, ComponentObserver, ComponentStep};
pub(crate) use space::{SPARE_BYTES, check_space};
pub(crate) use stage::found;
pub use subject::Subject;
pub use updater::{Memory, Procedure, Trust, Updater, World};
pub(crate) use updater::{SERVICE_MAX, name_of, version_name};
