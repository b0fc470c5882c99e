//! Holds a stand-in against its original.
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The stand-in has the fields of its original.
#[track_caller]
pub fn assert_fields<T: JsonSchema>(original: &impl Serialize) {
    let Value::Object(written) = serde_json::to_value(original).unwrap() else { panic!("not an object") };
    let schema = schema_for!(T);
    let drawn = schema.get("properties").and_then(Value::as_object).unwrap();
    let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(drawn), names(&written));
}

/// The stand-in has the words of its original, in the same order.
#[track_caller]
pub fn assert_words<T: JsonSchema>(originals: &[impl Serialize]) {
    let written: Vec<Value> = originals.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
    let schema = schema_for!(T);
    let drawn: Vec<&Value> = match (schema.get("enum"), schema.get("oneOf")) {
        (Some(Value::Array(all)), _) => all.iter().collect(),
        (_, Some(Value::Array(all))) => all.iter().map(|one| &one["const"]).collect(),
        _ => panic!("{schema:?}"),
    };
    assert_eq!(drawn, written.iter().collect::<Vec<_>>());
}
