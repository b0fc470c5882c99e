//! The server over a real socket, with a backend in memory: raw bytes in, raw bytes out. Nothing sleeps; where time matters,
//! the limits are short.
pub(in crate::serve) mod backend;
pub(in crate::serve) mod client;
mod curl;
mod events;
mod inhibitors;
mod input;
mod jobs;
mod limits;
mod stages;
pub(in crate::serve) mod tokens;
pub(in crate::serve) mod upload;
pub(in crate::serve) mod ws;
