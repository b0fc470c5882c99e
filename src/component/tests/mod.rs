//! The driver on ports in memory: what a user sees, each bad input, and every power cut.
#![expect(clippy::redundant_closure_for_method_calls, reason = "a method is for one lifetime only")]
mod configuration;
mod containers;
mod desk;
mod explore;
mod host;
mod mutant;
#[cfg(target_os = "linux")]
mod real;
mod remove;
mod updates;
