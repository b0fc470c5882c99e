//! What types of other crates look like in JSON: these crates know nothing of schemas.
#![allow(dead_code, reason = "nothing is made of these but their schemas")]
use schemars::JsonSchema;

/// Of `bistable_boot::Slot`.
#[derive(JsonSchema)]
pub(crate) enum Slot {
    A,
    B,
}

/// Of `bistable_boot::BySlot`.
#[derive(JsonSchema)]
pub(crate) struct BySlot<T> {
    a: T,
    b: T,
}

/// Numbers that only rise: what was accepted once can't be undercut.
#[derive(JsonSchema)]
pub(crate) struct Floors {
    /// Version of the root.
    root_version: u32,
    /// Number of the newest channel file that was seen.
    channel_sequence: u64,
    /// Security version of the newest committed release.
    security_version: u32,
    /// The newest time of issue that was seen, in seconds since 1970.
    issued_at: u64,
}

/// Whether a test or check must pass.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// It must.
    Required,
    /// It should: a failure is only told.
    Wanted,
}
