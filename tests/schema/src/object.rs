//! The one object of `--json`.
use serde::Deserialize;
use serde_json::Value;

/// The fields that every object has, and those of a failure.
#[derive(Deserialize)]
struct Common {
    schema: u32,
    error: Option<String>,
    code: Option<String>,
    exit: Option<u8>,
}

/// Standard output is exactly one object of schema 1, which has either all fields of a failure or none of them.
#[track_caller]
pub fn object(stdout: &str) -> Value {
    let objects: Vec<Value> = lines(stdout);
    let [object] =
        <[Value; 1]>::try_from(objects).unwrap_or_else(|all| panic!("{} objects: {stdout}", all.len()));
    let common: Common = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    assert_eq!(common.schema, 1, "{stdout}");
    let failure = [common.error.is_some(), common.code.is_some(), common.exit.is_some()];
    assert!(failure == [true; 3] || failure == [false; 3], "half a failure: {stdout}");
    object
}

/// All objects of a text, each on lines of its own.
#[track_caller]
pub fn lines(text: &str) -> Vec<Value> {
    let objects = serde_json::Deserializer::from_str(text).into_iter();
    objects.map(|object| object.unwrap_or_else(|e| panic!("not JSON: {e}: {text}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_and_failure_are_objects() {
        assert_eq!(object(r#"{ "schema": 1, "channels": [] }"#)["channels"], Value::Array(Vec::new()));
        assert_eq!(object(r#"{ "schema": 1, "error": "e", "code": "c", "exit": 1 }"#)["exit"], 1);
    }

    #[test]
    #[should_panic(expected = "2 objects")]
    fn second_object_is_noticed() {
        object("{\"schema\":1}\n{\"schema\":1}");
    }

    #[test]
    #[should_panic(expected = "half a failure")]
    fn failure_without_its_code_is_noticed() {
        object(r#"{ "schema": 1, "error": "e" }"#);
    }

    #[test]
    #[should_panic(expected = "missing field `schema`")]
    fn missing_schema_is_noticed() {
        object(r#"{ "error": "e", "code": "c", "exit": 1 }"#);
    }
}
