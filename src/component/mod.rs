//! Components: what is updated beside the slots, without a reboot.
//!
//! Versions of a component lie side by side on the partition `persistent`. The image's path to it is a link into `/run`, and where
//! that leads is decided at each boot by the durable name; a trial changes the link in `/run` only. So whatever ends a trial, the
//! next boot runs the old version, and nothing has to be written for that (I14). The durable name changes at the commit, after the
//! data was made durable (I13).
//!
//! | file | noun |
//! |---|---|
//! | `subject` | what a component is on this device: its service and its files |
//! | `content` | where a new version comes from |
//! | `updater` | the driver of the component's table: one method a state |
//! | `stage` | from an offer to a version that is complete and durable |
//! | `trial` | the new version, live |
//! | `back` | the way back |
//! | `links` | what a boot does: the durable name, and the links in `/run` |
//! | `observed` | what it reports while it works |
mod back;
mod content;
mod links;
mod observed;
mod stage;
mod subject;
#[cfg(test)]
mod tests;
mod trial;
mod updater;

pub use crate::error::ComponentError;
pub use content::Archive;
pub use links::write_links;
pub use observed::{ComponentEvent, ComponentObserver, ComponentStep};
pub use subject::Subject;
pub use updater::{Memory, Trust, Updater, World};
