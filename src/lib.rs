#![doc = include_str!("docs/ARCHITECTURE.md")]
#[cfg(not(any(target_os = "linux", feature = "sim")))]
compile_error!("without the feature `sim`, there is only the board of a Linux system");

pub mod agent;
mod aligned;
pub mod app;
pub mod board;
pub mod cli;
pub mod clock;
mod cmd;
pub mod component;
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
mod date;
mod device;
mod dial;
mod durable;
pub mod error;
pub mod event;
pub mod events;
pub mod fleet_lock;
pub mod flow;
pub mod http_client;
pub mod logging;
pub mod metrics;
#[cfg(feature = "daemon")]
pub mod notify;
pub mod offer;
pub mod ports;
pub mod progress;
#[cfg(feature = "daemon")]
pub mod serve;
pub mod source;
pub mod status;
pub mod steps;
pub mod teardown;
mod text;

#[cfg(feature = "daemon")]
#[doc(hidden)]
pub use cmd::daemon_device;
pub use cmd::program;
#[doc(hidden)]
pub use device::fuzz as device_fuzz;
pub use device::{
    AgentFormats, Binding, Device, Known, ReadRelease, Rebuilt, Remains, Repaired, SystemRootState,
    release_id,
};
pub use error::Error;
