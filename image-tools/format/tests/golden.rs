//! Files of each format, from fixed keys. What is in them must be read, and written again to the bit, by every version:
//! devices in the field have them. `BLESS=1 cargo test -p bistable-format --test golden` rewrites them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; files in the tree need not be durable"
)]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::bundle::{BLOCK, Frame, Header};
use bistable_format::{Channel, ChunkList, Release, Root};
use common::{channel, delta, key, list, offer, release, root, signer};
use std::path::Path;

/// The file's bytes; with `BLESS=1` they are written first.
fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, made).unwrap();
    }
    let stored = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}: run with BLESS=1", path.display()));
    assert!(
        stored == made,
        "{}: differs from what is written now: see what changed, then BLESS=1",
        path.display()
    );
    stored
}

#[test]
fn signed_root() {
    let made = root().seal(&[&signer(1), &signer(2)]).unwrap();
    let opened = Root::open(&golden("root.root", &made)).unwrap();
    assert_eq!(opened, root());
    assert_eq!(opened.seal(&[&signer(1), &signer(2)]).unwrap(), made);
}

#[test]
fn signed_release() {
    let made = release().seal(&[&signer(4)]).unwrap();
    let opened = Release::open(&golden("release.release", &made), &root()).unwrap();
    assert_eq!(opened, release());
    assert_eq!(opened.seal(&[&signer(4)]).unwrap(), made);
}

#[test]
fn signed_channel() {
    let made = channel().seal(&[&signer(5)]).unwrap();
    let opened = Channel::open(&golden("channel.channel", &made), &root()).unwrap();
    assert_eq!(opened, channel());
    assert_eq!(opened.seal(&[&signer(5)]).unwrap(), made);
}

#[test]
fn signed_attestation() {
    let word = Attestation {
        release: offer().identity,
        kind: "tests-passed".into(),
        at: 1_700_000_000,
        note: "bench 2".into(),
    };
    let made = word.seal(&signer(6)).unwrap();
    assert_eq!(Attestation::open(&golden("tests-passed.attestation", &made), &key(6)), Ok(word));
}

#[test]
fn chunk_lists() {
    for (name, (list, raw, data)) in [("full.chunks", list()), ("delta.chunks", delta())] {
        let made = list.encode(raw, data).unwrap();
        let decoded = ChunkList::decode(&golden(name, &made), raw, data).unwrap();
        assert_eq!(decoded, list);
        assert_eq!(decoded.encode(raw, data).unwrap(), made);
    }
}

#[test]
fn bundle_frame() {
    let signed = release().seal(&[&signer(4)]).unwrap();
    let frame = Frame::new(&signed, &release());
    golden("index.json", frame.index.as_bytes());
    golden("manifest.json", frame.manifest.as_bytes());
    let headers: Vec<u8> = frame.headers.iter().flat_map(|h| h.encode().unwrap()).collect();
    let stored = golden("headers.bin", &headers);
    let (blocks, rest) = stored.as_chunks::<BLOCK>();
    assert!(rest.is_empty());
    let decoded: Vec<Header> = blocks.iter().map(|b| Header::decode(b).unwrap()).collect();
    assert_eq!(decoded, frame.headers);
}

#[test]
fn text_of_everything() {
    let signed = release().seal(&[&signer(4)]).unwrap();
    let headers: Vec<String> = Frame::new(&signed, &release())
        .headers
        .iter()
        .map(|h| format!("{:>10}  {}\n", h.bytes, h.name))
        .collect();
    let text = format!(
        "root\n{:#?}\n\nrelease\n{:#?}\n\nself-tests\n{:#?}\n\nhealth\n{:#?}\n\nfull list\n{:#?}\n\ndelta list\n{:#?}\n\nentries\n{}",
        root(),
        release(),
        release().self_test_plan().unwrap(),
        release().health_profile().unwrap(),
        list().0,
        delta().0,
        headers.concat(),
    );
    golden("dump.txt", text.as_bytes());
}
