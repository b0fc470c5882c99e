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
use bistable_format::{Channel, ChunkList, Delta, Release, Root};
use common::{
    attestation, channel, containers_release, delta, delta_list, directory_release, key, later_payload, list,
    next_root, offer, raw_channel, raw_offer, raw_wave, release, release_with_sbom, repository, root, signer,
};
use std::path::Path;

/// The file's bytes; with `BLESS=1` they are written first.
fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name), made)
}

fn file(path: &Path, made: &[u8]) -> Vec<u8> {
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, made).unwrap();
    }
    let stored = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}: run with BLESS=1", path.display()));
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
fn signed_successor() {
    let made = next_root().seal(&[&signer(2), &signer(3)]).unwrap();
    assert_eq!(root().successor(&golden("next.root", &made)), Ok(next_root()));
}

#[test]
fn signed_releases_of_each_content() {
    for (name, release) in [
        ("release.release", release()),
        ("directory.release", directory_release()),
        ("containers.release", containers_release()),
        ("sbom.release", release_with_sbom()),
    ] {
        let made = release.seal(&[&signer(4)]).unwrap();
        let opened = Release::open(&golden(name, &made), &root()).unwrap();
        assert_eq!(opened, release, "{name}");
        assert_eq!(opened.seal(&[&signer(4)]).unwrap(), made, "{name}");
    }
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
    let made = attestation().seal(&signer(6)).unwrap();
    let stored = golden("tests-passed.attestation", &made);
    assert_eq!(Attestation::open(&stored, &key(6), &repository()), Ok(attestation()));
}

#[test]
fn signed_delta() {
    let made = delta().seal(&[&signer(4)]).unwrap();
    let opened = Delta::open(&golden("delta.delta", &made), &root()).unwrap();
    assert_eq!(opened, delta());
    assert_eq!(opened.seal(&[&signer(4)]).unwrap(), made);
}

#[test]
fn chunk_lists() {
    let (full, artifact) = list();
    let made = full.encode(artifact.bytes, artifact.data_bytes).unwrap();
    assert_eq!(ChunkList::decode(&golden("full.chunks", &made), &artifact), Ok(full));
    let (of_delta, making) = delta_list();
    let made = of_delta.encode(making.target.bytes, making.data_bytes).unwrap();
    assert_eq!(making.decode(&golden("delta.chunks", &made)), Ok(of_delta));
}

#[test]
fn bundle_frames_of_each_content() {
    for (name, release) in [
        ("image", release()),
        ("directory", directory_release()),
        ("containers", containers_release()),
        ("sbom", release_with_sbom()),
    ] {
        let signed = release.seal(&[&signer(4)]).unwrap();
        golden_frame(name, &Frame::new(&signed, &release));
    }
}

#[test]
fn bundle_frame_of_a_delta() {
    let signed = (release().seal(&[&signer(4)]).unwrap(), delta().seal(&[&signer(4)]).unwrap());
    golden_frame("delta", &Frame::delta((&signed.0, &release()), (&signed.1, &delta())));
}

fn golden_frame(name: &str, frame: &Frame) {
    golden(&format!("{name}.index.json"), frame.index.as_bytes());
    golden(&format!("{name}.manifest.json"), frame.manifest.as_bytes());
    let headers: Vec<u8> = frame.headers.iter().flat_map(|h| h.encode().unwrap()).collect();
    let stored = golden(&format!("{name}.headers.bin"), &headers);
    let (blocks, rest) = stored.as_chunks::<BLOCK>();
    assert!(rest.is_empty());
    let decoded: Vec<Header> = blocks.iter().map(|b| Header::decode(b).unwrap()).collect();
    assert_eq!(decoded, frame.headers);
}

#[test]
fn fuzzing_starts_from_good_values() {
    let payload = |sealed: Vec<u8>| sealed[16..sealed.len() - 80].to_vec();
    // A list comes behind what its release says of it: sectors, and bytes of data.
    let sizes = |bytes: u64, data_bytes: u64| {
        let word = |n: u64| u32::try_from(n).unwrap().to_le_bytes();
        [word(bytes / 512), word(data_bytes)].concat()
    };
    let (full, artifact) = list();
    let (of_delta, making) = delta_list();
    let (raw, data) = (artifact.bytes, artifact.data_bytes);
    let strange = [raw_offer(&offer(), &[raw_wave(2, b"by region")]), b"an offer of 2030".to_vec()];
    for (name, made) in [
        ("envelope_root/payload", root().encode().unwrap()),
        ("envelope_root/signed", root().seal(&[&signer(1), &signer(2)]).unwrap()),
        ("envelope_root/next", next_root().encode().unwrap()),
        ("release/payload", release().encode().unwrap()),
        ("release/directory", directory_release().encode().unwrap()),
        ("release/containers", containers_release().encode().unwrap()),
        ("release/sbom", release_with_sbom().encode().unwrap()),
        ("channel/golden", payload(channel().seal(&[&signer(5)]).unwrap())),
        ("channel/offer", raw_channel(&channel(), &strange, &[])),
        ("delta/payload", payload(delta().seal(&[&signer(4)]).unwrap())),
        ("head/payload", later_payload(">=9.0.0", "thermostat")),
        ("head/release", release().encode().unwrap()),
        ("chunk_list/full", [sizes(raw, data), full.encode(raw, data).unwrap()].concat()),
        (
            "chunk_list/delta",
            [sizes(raw, making.data_bytes), of_delta.encode(raw, making.data_bytes).unwrap()].concat(),
        ),
    ] {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds");
        file(&seeds.join(name), &made);
    }
}

#[test]
fn text_of_everything() {
    let entries = |release: &Release| -> String {
        let signed = release.seal(&[&signer(4)]).unwrap();
        let frame = Frame::new(&signed, release);
        frame.headers.iter().map(|h| format!("{:>10}  {}\n", h.bytes, h.name)).collect()
    };
    let of_delta = {
        let signed = (release().seal(&[&signer(4)]).unwrap(), delta().seal(&[&signer(4)]).unwrap());
        let frame = Frame::delta((&signed.0, &release()), (&signed.1, &delta()));
        frame.headers.iter().map(|h| format!("{:>10}  {}\n", h.bytes, h.name)).collect()
    };
    let sections = [
        ("root", format!("{:#?}", root())),
        ("next root", format!("{:#?}", next_root())),
        ("release of an image", format!("{:#?}", release())),
        ("release of a directory", format!("{:#?}", directory_release())),
        ("release of containers", format!("{:#?}", containers_release())),
        ("self-tests", format!("{:#?}", release().self_test_plan().unwrap())),
        ("health", format!("{:#?}", release().health_profile().unwrap())),
        ("channel", format!("{:#?}", channel())),
        ("attestation", format!("{:#?}", attestation())),
        ("delta", format!("{:#?}", delta())),
        ("full list", format!("{:#?}", list().0)),
        ("delta list", format!("{:#?}", delta_list().0)),
        ("entries of an image", entries(&release())),
        ("entries of an image with an SBOM", entries(&release_with_sbom())),
        ("entries of a directory", entries(&directory_release())),
        ("entries of containers", entries(&containers_release())),
        ("entries of a delta", of_delta),
    ];
    let text: String = sections.iter().map(|(name, text)| format!("{name}\n{text}\n\n")).collect();
    golden("dump.txt", text.as_bytes());
}
