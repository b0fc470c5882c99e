//! Negative vectors: bytes that each decoder refuses, and the exact error, which `golden/vectors.txt` lists for review.
//! After each of them the good value still opens. Each variant of each error is met, by each decoder that can give it.
//! `BLESS=1 cargo test -p bistable-format --test vectors` rewrites the list.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; files in the tree need not be durable"
)]
#[path = "../common/mod.rs"]
mod common;
mod device;
mod entries;
mod errors;
mod lists;
mod payloads;
mod signed;
mod texts;

use common::{delta, frame, repository, root};
use device::{incompatible, offered_release, stale};
use entries::{bound_entry, offer_entry, wave_entry, withdrawal_entry};
use errors::{DECODE, ENVELOPE, HEADER, INCOMPATIBLE, OFFER, STALE, Section, TRUST};
use lists::{delta_lists, full_list, tar_header};
use payloads::{
    channel_payload, delta_between, delta_payload, envelope, envelope_in_storage, heads, release_payload,
    root_payload,
};
use signed::{attestation_file, channel_file, delta_file, release_file, root_successor};
use std::collections::BTreeSet;
use std::path::Path;
use texts::{plan, profile};

fn sections() -> Vec<Section> {
    vec![
        envelope(),
        envelope_in_storage(),
        heads(),
        root_payload(),
        root_successor(),
        release_payload(),
        release_file(),
        bound_entry(),
        channel_payload(),
        channel_file(),
        offer_entry(),
        wave_entry(),
        withdrawal_entry(),
        attestation_file(),
        delta_payload(),
        delta_file(),
        delta_between(),
        full_list(),
        delta_lists(),
        plan(),
        profile(),
        tar_header(),
        stale(),
        offered_release(),
        incompatible(),
    ]
}

#[test]
fn every_vector_is_refused_with_the_error_on_record() {
    let sections = sections();
    let text: String = sections
        .iter()
        .map(|section| {
            let rows = section.rows.iter().map(|(name, error)| format!("{name}: {error}\n"));
            format!("# {}\n{}\n", section.decoder, rows.collect::<String>())
        })
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors.txt");
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    for (found, recorded) in text.lines().zip(stored.lines()) {
        assert_eq!(found, recorded, "{}: read what changed, then BLESS=1", path.display());
    }
    assert_eq!(text.len(), stored.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "errors are safe to print");
    // One line each: what is counted is what is listed.
    let count: usize = sections.iter().map(|section| section.rows.len()).sum();
    assert_eq!(text.lines().count(), count + 2 * sections.len());
    assert!(count >= 110, "{count} vectors");
}

#[test]
fn every_variant_of_every_error_has_a_vector() {
    let seen: BTreeSet<&str> = sections().into_iter().flat_map(|section| section.seen).collect();
    let all: BTreeSet<&str> =
        [ENVELOPE, DECODE, TRUST, STALE, OFFER, INCOMPATIBLE, HEADER].concat().into_iter().collect();
    assert_eq!(all, seen);
}

#[test]
fn the_offsets_of_the_vectors_are_those_of_a_head() {
    // Offsets in this file count on the layout of a head: 1 and 9 bytes of requirement, 32 of repository, 1 and the product.
    let payload = root().encode().unwrap();
    assert_eq!((payload[0], payload[42], payload[43]), (9, 0, 1));
    assert_eq!(frame(&delta())[10..42], repository().0);
}
