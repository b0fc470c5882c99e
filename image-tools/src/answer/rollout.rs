//! Who gets a release, and when.
use bistable_format::rollout;
use serde::Serialize;

/// Whether a rollout continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Pace {
    /// As the waves say.
    Running,
    /// No further device gets it.
    Paused,
    /// No device gets it.
    Halted,
}

impl From<rollout::RolloutState> for Pace {
    fn from(pace: rollout::RolloutState) -> Pace {
        match pace {
            rollout::RolloutState::Running => Pace::Running,
            rollout::RolloutState::Paused(_) => Pace::Paused,
            rollout::RolloutState::Halted => Pace::Halted,
        }
    }
}

/// A rollout.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rollout {
    /// Whether it continues.
    pub pace: Pace,
    /// When it was paused, in seconds since 1970.
    pub paused_at: Option<u64>,
    /// Groups of devices that get it before all waves.
    pub canaries: Vec<String>,
    /// The waves; none for all devices at once.
    pub waves: Vec<Wave>,
}

/// A wave.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Wave {
    /// When it begins, in seconds since 1970.
    pub at: u64,
    /// Seconds over which its share grows; 0 for at once.
    pub over: u32,
    /// Share of the fleet that it lets in, with all waves before: of 10,000.
    pub share: u16,
}

impl From<&rollout::Rollout> for Rollout {
    fn from(rollout: &rollout::Rollout) -> Rollout {
        let wave = |wave: &rollout::Wave| Wave { at: wave.at, over: wave.over, share: wave.share };
        Rollout {
            pace: rollout.pace.into(),
            paused_at: match rollout.pace {
                rollout::RolloutState::Paused(at) => Some(at),
                rollout::RolloutState::Running | rollout::RolloutState::Halted => None,
            },
            canaries: rollout.canaries.clone(),
            waves: rollout.waves.iter().map(wave).collect(),
        }
    }
}
