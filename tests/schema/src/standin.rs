//! What types of crates that know nothing of schemas look like in JSON. Nothing is made of these but their schemas.
#![allow(dead_code, missing_debug_implementations, reason = "nothing is made of these but their schemas")]
use schemars::JsonSchema;

/// Of `bistable_boot::Slot`.
#[derive(JsonSchema)]
pub enum Slot {
    #[doc(hidden)]
    A,
    #[doc(hidden)]
    B,
}

/// Of `bistable_boot::BySlot`.
#[derive(JsonSchema)]
pub struct BySlot<T> {
    a: T,
    b: T,
}

/// Numbers that only rise: what was accepted once can't be undercut.
#[derive(JsonSchema)]
pub struct Floors {
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
pub enum Need {
    /// It must.
    Required,
    /// It should: a failure is only told.
    Wanted,
}

#[cfg(test)]
mod tests {
    use crate::{assert_fields, assert_words};

    #[test]
    fn stand_ins_look_like_their_originals() {
        assert_fields::<super::Floors>(&bistable_boot::Floors::default());
        assert_fields::<super::BySlot<u8>>(&bistable_boot::BySlot::new(|_| 0_u8));
        assert_words::<super::Slot>(&bistable_boot::Slot::ALL);
    }
}
