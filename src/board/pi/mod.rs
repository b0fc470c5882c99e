//! A real Raspberry Pi, under Linux.
pub mod buses;
pub mod gpio;
