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

/// What is drawn here is what is written there.
mod tests {
    use crate::steps::selftest::need;
    use bistable_format::selftest::Need;
    use schemars::{JsonSchema, schema_for};
    use serde::Serialize;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[derive(Serialize)]
    struct Written(#[serde(serialize_with = "need")] Need);

    fn fields<T: JsonSchema>(original: &impl Serialize) {
        let Value::Object(written) = serde_json::to_value(original).unwrap() else { panic!("no object") };
        let schema = schema_for!(T);
        let drawn = schema.get("properties").and_then(Value::as_object).unwrap();
        let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(drawn), names(&written));
    }

    fn words<T: JsonSchema>(written: &[Value]) {
        let schema = schema_for!(T);
        let drawn: Vec<&Value> = match (schema.get("enum"), schema.get("oneOf")) {
            (Some(Value::Array(all)), _) => all.iter().collect(),
            (_, Some(Value::Array(all))) => all.iter().map(|one| &one["const"]).collect(),
            _ => panic!("{schema:?}"),
        };
        assert_eq!(drawn, written.iter().collect::<Vec<_>>());
    }

    #[test]
    fn stand_ins_look_like_their_originals() {
        fields::<super::Floors>(&bistable_boot::Floors::default());
        fields::<super::BySlot<u8>>(&bistable_boot::BySlot::new(|_| 0_u8));
        words::<super::Slot>(&bistable_boot::Slot::ALL.map(|slot| serde_json::to_value(slot).unwrap()));
        let needs = [Need::Required, Need::Wanted].map(|need| serde_json::to_value(Written(need)).unwrap());
        words::<super::Need>(&needs);
    }
}
