//! The frame around a delta: what is signed decides every entry.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::bundle::{BLOCK, EMPTY, Frame, Header, Kind, LAYOUT, blob_digest};
use bistable_format::delta::ArtifactDelta;
use bistable_format::{Artifact, Content, Delta, Digest, Release, limits};
use common::{delta, release, signer};
use std::io::Read;

/// A delta whose boot volume is in the base whole, with its blobs: lists, then data.
fn small() -> (Delta, [&'static [u8]; 4]) {
    let contents: [&[u8]; 4] = [b"boot list", b"system list", b"", b"patches of the system"];
    let mut delta = delta();
    for (one, list, data) in [(0, 0, 2), (1, 1, 3)] {
        let one = &mut delta.artifacts[one];
        one.list = Digest::of(contents[list]);
        one.list_bytes = u32::try_from(contents[list].len()).unwrap();
        one.data = Digest::of(contents[data]);
        one.data_bytes = contents[data].len() as u64;
    }
    (delta, contents)
}

fn signed(release: &Release, delta: &Delta) -> (Vec<u8>, Vec<u8>) {
    (release.seal(&[&signer(4)]).unwrap(), delta.seal(&[&signer(4)]).unwrap())
}

fn frame(release: &Release, delta: &Delta) -> Frame {
    let (signed_release, signed_delta) = signed(release, delta);
    Frame::delta((&signed_release, release), (&signed_delta, delta))
}

fn titles(frame: &Frame) -> Vec<&str> {
    frame
        .manifest
        .split("image.title\":\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|title| *title != "thermostat")
        .collect()
}

#[test]
fn delta_bundle_is_a_tar_of_an_oci_layout() {
    let (delta, [boot_list, system_list, boot_data, system_data]) = small();
    let (signed_release, signed_delta) = signed(&release(), &delta);
    let frame = Frame::delta((&signed_release, &release()), (&signed_delta, &delta));
    let contents: [&[u8]; 10] = [
        LAYOUT.as_bytes(),
        frame.index.as_bytes(),
        frame.manifest.as_bytes(),
        EMPTY.as_bytes(),
        &signed_release,
        &signed_delta,
        boot_list,
        system_list,
        boot_data,
        system_data,
    ];
    let bundle = frame.bundle(contents[4..].iter().copied()).unwrap();
    assert_eq!(frame.headers.len(), contents.len());
    assert_eq!(frame.bundle_bytes(), bundle.len() as u64);

    let mut archive = tar::Archive::new(&bundle[..]);
    let mut entries = archive.entries().unwrap();
    for expected in contents {
        let mut entry = entries.next().unwrap().unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, expected, "{name}");
        if let Some(digest) = blob_digest(&name) {
            assert_eq!(digest, Digest::of(&content), "{name}");
        }
    }
    assert!(entries.next().is_none());
    assert!(
        frame.index.contains(&format!("\"digest\":\"sha256:{}\"", Digest::of(frame.manifest.as_bytes())))
    );
    assert!(frame.index.contains(&format!("\"size\":{}", frame.manifest.len())));
    for content in &contents[3..] {
        let named = format!("\"digest\":\"sha256:{}\",\"size\":{}", Digest::of(content), content.len());
        assert!(frame.manifest.contains(&named), "{named}");
    }
    assert_eq!(
        titles(&frame),
        ["release", "delta", "boot.chunks", "system.chunks", "boot.patch.zst", "system.patch.zst"]
    );
}

#[test]
fn artifacts_come_in_the_releases_order_and_only_those_that_the_delta_makes() {
    let (mut turned, _) = small();
    turned.artifacts.reverse();
    let (straight, _) = small();
    let lists = |frame: &Frame| frame.headers[6..].to_vec();
    assert_eq!(lists(&frame(&release(), &turned)), lists(&frame(&release(), &straight)));
    turned.artifacts.truncate(1);
    assert_eq!(
        titles(&frame(&release(), &turned)),
        ["release", "delta", "system.chunks", "system.patch.zst"]
    );
}

#[test]
fn each_change_of_what_is_signed_changes_the_frame() {
    type Change = fn(&mut Delta);
    let good = frame(&release(), &small().0);
    let changes: [(&str, Change); 8] = [
        ("base", |d| d.base.0[0] ^= 1),
        ("target", |d| d.target.0[0] ^= 1),
        ("list", |d| d.artifacts[0].list.0[31] ^= 1),
        ("bytes of a list", |d| d.artifacts[0].list_bytes += 1),
        ("data", |d| d.artifacts[1].data.0[31] ^= 1),
        ("bytes of data", |d| d.artifacts[1].data_bytes += 1),
        ("an artifact less", |d| d.artifacts.truncate(1)),
        ("the names the other way around", |d| {
            d.artifacts[0].name = "system".into();
            d.artifacts[1].name = "boot".into();
        }),
    ];
    for (name, change) in changes {
        let (mut other, _) = small();
        change(&mut other);
        let other = frame(&release(), &other);
        assert_ne!(other.manifest, good.manifest, "{name}");
        assert_ne!(other.index, good.index, "{name}");
        assert_ne!(other.headers, good.headers, "{name}");
    }
    let mut other = release();
    other.description.push('.');
    assert_ne!(frame(&other, &small().0).headers[4], good.headers[4], "another release");
}

#[test]
fn the_two_kinds_of_bundle_tell_each_other_apart() {
    let (signed_release, _) = signed(&release(), &small().0);
    let full = Frame::new(&signed_release, &release());
    let delta = frame(&release(), &small().0);
    assert_eq!(Kind::claimed(full.manifest.as_bytes()), Kind::Full);
    assert_eq!(Kind::claimed(delta.manifest.as_bytes()), Kind::Delta);
    assert_eq!(full.headers[4], delta.headers[4], "the release");
    assert_ne!(full.headers[..4], delta.headers[..4]);
    // Anything else is a full one's, and then differs from it.
    assert_eq!(Kind::claimed(b""), Kind::Full);
    assert_eq!(Kind::claimed(&delta.manifest.as_bytes()[1..]), Kind::Full);
    assert_eq!(Kind::claimed(&delta.manifest.as_bytes()[..100]), Kind::Full);
}

#[test]
fn delta_tag_names_the_base_and_is_one_that_registries_take() {
    let tag = |frame: &Frame| -> String {
        frame.index.split("ref.name\":\"").nth(1).unwrap().split('"').next().unwrap().into()
    };
    let base = delta().base;
    assert_eq!(tag(&frame(&release(), &delta())), format!("thermostat-1.4.0-rc.2_build.7-from-{base:.12}"));
    let mut long = release();
    long.head.product = "p".repeat(limits::NAME);
    long.version = semver::Version::parse(&format!("1.0.0-{}+b", "a".repeat(56))).unwrap();
    let tag = tag(&frame(&long, &delta()));
    assert_eq!(tag.len(), 128);
    assert!(tag.ends_with(&format!("-from-{base:.12}")), "{tag}");
    assert!(tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{tag}");
}

#[test]
fn the_manifest_of_the_largest_delta_fits() {
    let mut target = common::containers_release();
    let mut containers = common::containers();
    let layer = |i: usize| Artifact {
        digest: Digest::of(&i.to_le_bytes()),
        ..common::artifact(limits::VOLUME, limits::VOLUME_DATA)
    };
    containers.layers = (0..limits::LAYERS).map(layer).collect();
    target.content = Content::Containers(containers);
    target.head.product = "p".repeat(limits::NAME);
    target.version = semver::Version::parse(&format!("1.0.0-{}", "a".repeat(58))).unwrap();
    let (one, _) = small();
    let mut delta = delta();
    delta.artifacts = target
        .content
        .artifacts()
        .iter()
        .map(|(id, _)| ArtifactDelta {
            name: id.to_string(),
            list_bytes: u32::try_from(limits::CHUNK_LIST).unwrap(),
            data_bytes: limits::VOLUME_DATA,
            ..one.artifacts[1].clone()
        })
        .collect();
    let frame = frame(&target, &delta);
    let (bytes, limit) = (frame.manifest.len() as u64, limits::BUNDLE_TEXT);
    assert!(bytes <= limit, "{bytes} bytes of {limit}");
    assert!(frame.headers.iter().all(|h: &Header| h.encode().is_ok_and(|block| block.len() == BLOCK)));
    assert_eq!(frame.headers.len(), 6 + 2 * limits::LAYERS);
}
