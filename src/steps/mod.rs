//! One file per step of an update. The agent calls them in the order of the states.
pub mod commit;
pub mod health;
pub mod install;
pub mod preflight;
pub mod revert;
pub mod selftest;
