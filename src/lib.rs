//! The device's side of Bistable: install a signed bundle into the inactive slot, prove it, try it, keep it or go
//! back. The power may go at any instant.
//!
//! The agent is two pure functions on data, [`Now::todo`](bistable_boot::Now::todo) and
//! [`Now::on`](bistable_boot::Now::on), and a driver, [`agent`], that saves each state before it does what the
//! state names. After a power cut it loads the state and does it again; there is no recovery code.
//!
//! | state | does | where |
//! |---|---|---|
//! | Idle | looks whether an update may begin, and what may be installed | [`steps::preflight`], [`steps::install::accept`] |
//! | Installing | writes the inactive slot, reads it back, the header last | [`steps::install`] |
//! | Staged | hardware-interface self-tests on the running system | [`selftest`] |
//! | Armed | counts the attempt, sets the one-shot boot flag, reboots | [`agent::Agent::reboot_into_trial`] |
//! | Trial | self-tests and health check on the new system | [`steps::health`] |
//! | Committing | makes the slot the default: one sector | [`steps::commit`], [`boot_flag`] |
//! | Reverting | the old slot runs and is the default, the failed one doesn't look bootable | [`steps::revert`] |
//!
//! Everything that touches the world is behind [`ports`]; [`board`] has their implementations.
pub mod agent;
pub mod board;
pub mod boot_flag;
pub mod cli;
mod cmd;
pub mod config;
mod date;
mod device;
mod durable;
pub mod error;
pub mod fleet_lock;
pub mod logging;
pub mod ports;
pub mod progress;
pub mod selftest;
pub mod source;
pub mod status;
pub mod steps;
pub mod teardown;

#[doc(hidden)]
pub use device::fuzz as device_fuzz;
pub use device::{
    AgentFormats, Device, Known, ReadRelease, Rebuilt, Remains, Repaired, SystemRootState, release_id,
};
pub use error::Error;
