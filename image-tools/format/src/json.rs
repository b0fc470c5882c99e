//! How both programs write JSON: what stands in it may reach a terminal.
use crate::text::printable_json;
use alloc::string::String;
use serde::Serialize;

/// A value as JSON on one line.
pub fn line(value: &impl Serialize) -> String {
    // Only a map whose keys aren't strings fails, and there is none.
    printable_json(&serde_json::to_string(value).unwrap_or_default())
}

/// A value as JSON that is laid out for reading.
pub fn pretty(value: &impl Serialize) -> String {
    printable_json(&serde_json::to_string_pretty(value).unwrap_or_default())
}
