//! Scenarios on a simulated, an emulated and a real Pi.
//!
//! | file | noun |
//! |---|---|
//! | [`demo`] | a whole life of a device, told to a person |
//! | [`run`] | the device scenarios on a rig: simulated, emulated or real Pi |
pub mod demo;
pub mod run;
