//! Components: what is updated beside the slots, without a reboot.
//!
//! Versions of a component lie side by side: folders on the partition `persistent`, or images in a container engine's store. What runs is
//! decided at each boot by the durable name; a trial changes only what lies in `/run`. So whatever ends a trial, the next boot runs the
//! old version, and nothing has to be written for that (I14). The durable name changes at the commit, after the data was made durable
//! (I13).
//!
//! | folder or file | noun |
//! |---|---|
//! | `driver` | the driver of the component's table, the same for all kinds |
//! | `directory` | the kind `directory`: a folder that a service runs from |
//! | `containers` | the kind `containers`: a service of a Compose project |
//! | `bound` | versions that an image brings along |
//! | `target` | what a component is made of |
mod bound;
mod containers;
mod directory;
mod driver;
mod target;
#[cfg(test)]
mod tests;

pub use crate::error::ComponentError;
pub(crate) use crate::ports::parts_of;
pub use bound::{show_bound, stored_bound};
pub use containers::Containers;
pub(crate) use containers::repository;
pub use directory::{Directory, write_links};
pub use driver::{
    Archive, Change, ComponentEvent, ComponentObserver, ComponentStep, Memory, Procedure, Subject, Trust,
    Updater, World,
};
pub(crate) use driver::{SERVICE_MAX, SPARE_BYTES, check_space, later, values_of};
pub use target::{ManagedComponent, Target};
