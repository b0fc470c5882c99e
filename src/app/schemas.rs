//! Publishes the JSON schemas of what programs read, from the types that write it.
use super::{Answer, Failure};
use crate::{event::Numbered, progress};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use std::{fs, path::Path};

/// A schema of what is written, not of what would be read.
fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

fn published(name: &str, schema: &Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/schemas").join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a file of the sources")]
        fs::write(&path, &text).unwrap();
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        old == text,
        "{} is not what the types say: BLESS=1 writes it, then read the difference",
        path.display()
    );
}

#[test]
fn what_programs_read_is_as_published() {
    published("answer.json", &schema::<Answer>());
    published("failure.json", &schema::<Failure>());
    published("event.json", &schema::<Numbered>());
    published("progress.json", &schema::<progress::Object<'_>>());
}
