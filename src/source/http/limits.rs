//! What a server may take.
use super::Rate;
use std::time::Duration;

/// What a server may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time to find the host's address, and to connect.
    pub connect: Duration,
    /// Time from the request to the end of the answer's headers.
    pub answer: Duration,
    /// Time in which at least one byte has to come.
    pub stall: Duration,
    /// Bytes per time at least.
    pub rate: Rate,
    /// Redirects that are followed, one after another.
    pub redirects: u32,
    /// Bytes of headers.
    pub header_bytes: usize,
    /// Bytes that are read in vain, in all, because the server sends files only whole.
    pub wasted_bytes: u64,
    /// The proxy that is asked to connect.
    pub proxy: Option<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            rate: Rate { bytes: 30 << 10, window: Duration::from_secs(30) },
            redirects: 5,
            header_bytes: 32 << 10,
            wasted_bytes: 2 << 30,
            proxy: None,
        }
    }
}
