//! Which formats of durable structures the two agents of a device read (I18).
use bistable_boot::Formats;
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
    /// Those of this version; a release says what its agent reads.
    fn default() -> Self {
        AgentFormats { ours: Formats::OURS, of_release: |release| release.durable }
    }
}
