//! The proof that no power cut leaves a device without a bootable, healthy release.
//!
//! | file | noun |
//! |---|---|
//! | [`prove`] | the simulated card, what a power cut leaves of it, the oracle, the mutants; `disk` for the real program |
//! | [`model`] | the update protocol as a model: order of acts, cards, machines, rules |
pub mod model;
pub mod prove;
