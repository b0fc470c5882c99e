//! Boards: implementations of all ports together.
mod card;
mod file_volume;
mod meter;
#[cfg(target_os = "linux")]
pub mod pi;
pub mod sim;
#[cfg(test)]
mod tests;
pub mod tryboot;
pub mod uboot;

pub use card::{Access, Card, CardError};
pub use file_volume::{CardFile, FileVolume};
pub use meter::{Cut, Meter};
