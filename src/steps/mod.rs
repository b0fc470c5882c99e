//! One file per step of an update. The agent runs them in the order of the states, as the [table](STEPS) says.
pub mod commit;
pub mod health;
pub mod install;
pub mod preflight;
pub mod revert;
pub mod selftest;
mod table;

pub use table::{Limit, OnError, STEPS, Step, StepName};
