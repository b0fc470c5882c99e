//! Ports in memory, with the faults of the real ones: what a power cut takes, it takes here.
//!
//! | file | noun |
//! |---|---|
//! | `supply` | the power, which goes at a chosen operation |
//! | `store` | the versions of components, and the names that lead to them |
//! | `services` | services that run from what their link shows when they start |
//! | `engine` | a container engine, and the Compose projects that it runs |
mod engine;
mod services;
mod store;
mod supply;

pub use engine::{EngineFacts, HostFailure, MemoryEngine};
pub use services::{Behavior, MemoryServices};
pub use store::{MemoryStore, Stored};
pub use supply::{Loss, Supply};
