//! Manual pages and completions.
use serde::Serialize;

/// Manual pages.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ManualWritten {
    /// The files that were written.
    pub files: Vec<String>,
}

/// Completions for a shell.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CompletionsPrinted {
    /// The shell.
    pub shell: String,
    /// What it has to read.
    pub script: String,
}
