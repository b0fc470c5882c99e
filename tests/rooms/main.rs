//! The house has no circles: no folder uses another one that uses it, the way round or directly, and no room uses one of a
//! layer above its own. The plan is in `table.rs`; what is read are the paths in the sources.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failure, files are the sources"
)]
mod build;
mod graph;
mod source;
mod table;

use graph::{Arrow, Crate, circles};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use table::{HOUSE, Plan};

/// What is wrong with a crate, beside what its plan says is left.
fn problems(plan: &Plan, sources: &Crate) -> Vec<String> {
    let layers: BTreeMap<&str, usize> = plan
        .layers
        .iter()
        .enumerate()
        .flat_map(|(layer, rooms)| rooms.split(' ').map(move |room| (room, layer)))
        .collect();
    let (rooms, arrows) = (sources.rooms(), sources.arrows());
    let mut problems: Vec<String> = rooms
        .iter()
        .filter(|room| !layers.contains_key(room.as_str()))
        .map(|room| format!("{room} has no layer in tests/rooms/table.rs"))
        .collect();
    problems.extend(
        layers.keys().filter(|room| !rooms.contains(**room)).map(|room| format!("there is no room {room}")),
    );
    let upward = |arrow: &&Arrow| {
        arrow.folder.is_empty() && layers.get(arrow.from.as_str()) < layers.get(arrow.to.as_str())
    };
    let upward = arrows.iter().filter(upward).map(|a| format!("{} -> {}", a.from, a.to));
    let found: BTreeSet<String> = circles(&arrows).into_iter().chain(upward).collect();
    let left: BTreeSet<String> = plan.left.iter().map(|&text| text.into()).collect();
    problems.extend(found.difference(&left).map(|text| {
        let kind = if text.contains("->") { "an arrow leads upward" } else { "there is a circle" };
        format!("{kind}: {text}")
    }));
    problems.extend(left.difference(&found).map(|text| format!("no longer there, so not left: {text}")));
    problems
}

#[test]
fn no_circle_of_folders_and_no_arrow_upward() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let problems: Vec<String> = HOUSE
        .iter()
        .flat_map(|plan| {
            let found = problems(plan, &Crate::read(&root.join(plan.folder)));
            found.into_iter().map(|problem| format!("{}: {problem}", plan.folder))
        })
        .collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Libraries of which only one room of the device's program may know.
const ASYNCHRONOUS: [&str; 4] = ["axum", "hyper", "hyper_util", "tokio"];

/// Which of the device's files name one of them, outside of their room.
fn asynchronous<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let outside = files.into_iter().filter(|(path, _)| !path.starts_with("serve/"));
    let named = outside.flat_map(|(path, text)| {
        let words = source::words(text);
        ASYNCHRONOUS
            .iter()
            .filter(move |name| words.iter().any(|word| word == *name))
            .map(move |name| format!("{path}: {name}"))
    });
    named.collect()
}

#[test]
fn only_the_server_is_asynchronous() {
    let files = graph::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.keys().any(|path| path.starts_with("serve/")));
    assert_eq!(asynchronous(files.iter().map(|(path, text)| (&**path, &**text))), Vec::<String>::new());
    let planted = [
        ("serve/mod.rs", "use tokio::net;"),
        ("app/mod.rs", "// tokio\nconst A: &str = \"axum\"; fn f() { tokio::spawn(g()); }"),
        ("cmd/run.rs", "use {axum::Router, hyper_util as u};"),
    ];
    assert_eq!(asynchronous(planted), ["app/mod.rs: tokio", "cmd/run.rs: axum", "cmd/run.rs: hyper_util"]);
}

/// A house of two layers, with some of its files changed.
fn checked(left: &'static [&'static str], changed: &[(&str, &str)]) -> Vec<String> {
    let mut files: BTreeMap<String, String> = [
        ("lib.rs", "pub mod low; pub mod beside; pub mod high; pub use low::deep::Deep;"),
        ("low/mod.rs", "mod deep; mod other; pub use deep::Deep; use other::Other;"),
        ("low/deep.rs", "pub struct Deep; // crate::high"),
        ("low/other.rs", "use super::Deep; pub struct Other; const TEXT: &str = \"crate::high\";"),
        (
            "beside.rs",
            "#[cfg(test)] mod tests { use crate::high::High; } fn f(c: char) -> bool { c == '\"' }",
        ),
        ("high.rs", "use crate::{Deep, beside::{self as b}}; pub struct High<'a>(&'a str);"),
    ]
    .map(|(path, text)| (path.into(), text.into()))
    .into();
    files.extend(changed.iter().map(|(path, text)| ((*path).into(), (*text).into())));
    problems(&Plan { folder: "", layers: &["beside low", "high"], left }, &Crate::of(&files))
}

#[test]
fn sound_house_is_accepted() {
    assert_eq!(checked(&[], &[]), Vec::<String>::new());
}

#[test]
fn planted_circle_is_found() {
    let planted = [("low/other.rs", "fn f() { crate::beside::g(); }"), ("beside.rs", "use crate::Deep;")];
    assert_eq!(checked(&[], &planted), ["there is a circle: beside low"]);
    assert_eq!(checked(&["beside low"], &planted), Vec::<String>::new());
}

#[test]
fn circle_within_a_folder_is_found_through_re_exports() {
    let planted = [("low/deep.rs", "use super::Other; pub struct Deep;")];
    assert_eq!(checked(&[], &planted), ["there is a circle: low: deep other"]);
}

#[test]
fn upward_arrow_is_found() {
    let planted = [("low/deep.rs", "pub struct Deep(crate::high::High);"), ("high.rs", "pub struct High;")];
    assert_eq!(checked(&[], &planted), ["an arrow leads upward: low -> high"]);
}

#[test]
fn new_room_needs_a_layer_and_what_is_gone_must_not_be_listed() {
    assert_eq!(
        checked(&["beside low"], &[("attic.rs", "")]),
        ["attic has no layer in tests/rooms/table.rs", "no longer there, so not left: beside low"]
    );
}
