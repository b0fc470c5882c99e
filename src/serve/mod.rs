//! The daemon's API.
mod desk;

pub use desk::{Desk, Found, NotTaken, Outlook};
