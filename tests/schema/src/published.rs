//! A schema as a file in the tree.
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use std::{fs, path::Path};

/// The schema of what is written, not of what would be read.
pub fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// The file has the schema of what is written of this type. `BLESS=1` writes it.
#[track_caller]
pub fn assert_published<T: JsonSchema>(path: &Path) {
    assert_is(path, &schema::<T>());
}

/// The file has the schema of what is read as this type: what has a default may be left out.
#[track_caller]
pub fn assert_request_published<T: JsonSchema>(path: &Path) {
    assert_is(path, &SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>());
}

#[track_caller]
fn assert_is(path: &Path, schema: &Schema) {
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &text).unwrap();
    }
    let old = fs::read_to_string(path).unwrap_or_default();
    assert!(
        old == text,
        "{} is not what the types say: BLESS=1 writes it, then read the difference",
        path.display()
    );
}
