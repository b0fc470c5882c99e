//! How far an offer is followed without being asked: of the image, and of each component.
use serde::Serialize;
use std::fmt;

/// How far an offer is followed without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Mode {
    /// Report it.
    Check,
    /// Download and verify it, then wait for a person or a program.
    #[default]
    Stage,
    /// Like `Stage`, and switch at the next reboot.
    Reboot,
    /// Switch in a maintenance window.
    Auto,
}

impl Mode {
    /// Each with its name in files.
    pub(super) const ALL: &[(&str, Mode)] =
        &[("check", Mode::Check), ("stage", Mode::Stage), ("reboot", Mode::Reboot), ("auto", Mode::Auto)];

    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Check => "check",
            Mode::Stage => "stage",
            Mode::Reboot => "reboot",
            Mode::Auto => "auto",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_in_files_is_name_in_messages() {
        assert!(Mode::ALL.iter().all(|(name, mode)| mode.to_string() == *name));
    }
}
