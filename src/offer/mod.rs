//! Offers: where they come from, and which one this device takes.
pub mod channel;
