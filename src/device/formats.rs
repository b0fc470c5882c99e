//! Which formats of durable structures the two agents of a device read (I18).
use bistable_boot::{FIRST_FORMAT, Formats};
use bistable_format::Release;

/// The agent that runs, and what is known of the one in another release.
#[derive(Clone, Copy, Debug)]
pub struct AgentFormats {
    /// Those that the running agent reads.
    pub ours: Formats,
    /// The highest one that the agent in a release reads.
    pub of_release: fn(&Release) -> u16,
}

impl Default for AgentFormats {
    /// Those of this version. Its releases don't say what their agents read, so that is the first format.
    fn default() -> Self {
        AgentFormats { ours: Formats::OURS, of_release: |_| FIRST_FORMAT }
    }
}
