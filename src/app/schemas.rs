//! Publishes the JSON schemas of what programs read, from the types that write it.
use super::{Answer, Code, Job, Request};
use crate::{
    event::Numbered,
    events::{Entry, Transition},
    steps::selftest::need,
};
use bistable_format::selftest::Need;
use bistable_schema::{Failure, ProgressLine, assert_published, assert_request_published, assert_words};
use serde::Serialize;
use std::path::{Path, PathBuf};

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/schemas").join(name)
}

#[test]
fn what_programs_read_is_as_published() {
    assert_published::<Answer>(&published("answer.json"));
    assert_request_published::<Request>(&published("request.json"));
    assert_published::<Job>(&published("job.json"));
    assert_published::<Failure<Code>>(&published("failure.json"));
    assert_published::<Numbered>(&published("event.json"));
    assert_published::<Entry>(&published("log-entry.json"));
    assert_published::<Transition>(&published("log-transition.json"));
    assert_published::<ProgressLine>(&published("progress.json"));
}

#[test]
fn progress_has_one_schema_for_both_programs() {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("image-tools/docs/schemas/progress.json");
    assert_eq!(read(&published("progress.json")), read(&host));
}

#[test]
fn stand_in_of_need_has_the_words_that_are_written() {
    #[derive(Serialize)]
    struct Written(#[serde(serialize_with = "need")] Need);
    assert_words::<bistable_schema::Need>(&[Need::Required, Need::Wanted].map(Written));
}
