//! The server over a real socket, with a desk in memory: raw bytes in, raw bytes out. Nothing sleeps; where time matters,
//! the limits are short.
mod client;
mod curl;
mod desk;
mod events;
mod input;
mod jobs;
mod limits;
mod stages;
