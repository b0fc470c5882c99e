//! Publishes the JSON schemas of what programs read, from the types that write it.
use super::Answer;
use crate::error::Exit;
use bistable_schema::{Failure, ProgressLine, assert_published};
use std::path::{Path, PathBuf};

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas").join(name)
}

#[test]
fn what_programs_read_is_as_published() {
    assert_published::<Answer>(&published("answer.json"));
    assert_published::<Failure<Exit>>(&published("failure.json"));
    assert_published::<ProgressLine>(&published("progress.json"));
}
