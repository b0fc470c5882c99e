//! Headers to the byte, and the frame around a release.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::bundle::{
    BLOCK, BadHeader, EMPTY, Frame, Header, INDEX_NAME, Input, Kind, LAYOUT, LAYOUT_NAME, Part, ReadError,
    Reader, blob_digest, blob_name,
};
use bistable_format::{Digest, VolumeKind, limits};
use common::{release, root, signer};
use proptest::prelude::*;
use std::{convert::Infallible, io::Read};

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(LAYOUT_NAME.to_owned()),
        Just(INDEX_NAME.to_owned()),
        any::<[u8; 32]>().prop_map(|d| blob_name(&Digest(d))),
    ]
}

proptest! {
    #[test]
    fn headers_round_trip_and_the_tar_crate_reads_them(name in names(), bytes in 0..=limits::VOLUME_DATA) {
        let header = Header { name, bytes };
        let block = header.encode().unwrap();
        prop_assert_eq!(Header::decode(&block), Ok(header.clone()));
        let read = tar::Header::from_byte_slice(&block);
        prop_assert!(read.as_ustar().is_some());
        prop_assert_eq!(read.path_bytes().to_vec(), header.name.as_bytes());
        prop_assert_eq!(read.entry_size().unwrap(), bytes);
        prop_assert_eq!(read.entry_type(), tar::EntryType::Regular);
        prop_assert_eq!((read.mode().unwrap(), read.uid().unwrap(), read.gid().unwrap()), (0o644, 0, 0));
        prop_assert_eq!(read.mtime().unwrap(), 0);
        let others = block.iter().enumerate().filter(|(i, _)| !(148..156).contains(i));
        let sum = others.map(|(_, b)| u32::from(*b)).sum::<u32>() + 8 * u32::from(b' ');
        prop_assert_eq!(read.cksum().unwrap(), sum);
        prop_assert_eq!((bytes + header.padding() as u64) % BLOCK as u64, 0);
        prop_assert!(header.padding() < BLOCK);
    }

    #[test]
    fn any_block_is_refused_or_is_what_its_header_encodes_to(block in prop::collection::vec(any::<u8>(), BLOCK)) {
        let block: [u8; BLOCK] = block.try_into().unwrap();
        if let Ok(header) = Header::decode(&block) {
            prop_assert_eq!(header.encode(), Ok(block));
        }
    }

    #[test]
    fn a_changed_header_is_refused_or_is_another_to_the_bit(
        name in names(), bytes in 0..=limits::VOLUME_DATA, at in 0..BLOCK, to: u8,
    ) {
        let good = Header { name, bytes }.encode().unwrap();
        let mut block = good;
        block[at] = to;
        prop_assert_eq!(Header::decode(&block).is_ok(), block == good, "one byte always breaks the checksum");
    }
}

#[test]
fn a_frame_has_no_header_that_does_not_fit() {
    let digest = Digest::of(b"");
    let refused = [
        (String::new(), 0),
        ("index.json\0".into(), 0),
        ("index.json\0x".into(), 0),
        ("../index.json".into(), 0),
        ("./index.json".into(), 0),
        ("/etc/passwd".into(), 0),
        ("blobs/sha256/".into(), 0),
        (format!("blobs/sha256/{digest:.63}"), 0),
        (blob_name(&digest).to_uppercase(), 0),
        (format!("{}x", blob_name(&digest)), 0),
        ("x".repeat(500), 0),
        (INDEX_NAME.into(), limits::VOLUME_DATA + 1),
        (INDEX_NAME.into(), u64::MAX),
    ];
    for (name, bytes) in refused {
        assert_eq!(Header { name: name.clone(), bytes }.encode(), Err(BadHeader), "{name:?} {bytes}");
    }
}

#[test]
fn what_other_tar_writers_write_is_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path(INDEX_NAME).unwrap();
    header.set_size(7);
    header.set_mode(0o644);
    header.set_cksum();
    assert_eq!(Header::decode(header.as_bytes()), Err(BadHeader), "GNU magic");
    let ours = Header { name: INDEX_NAME.into(), bytes: 7 }.encode().unwrap();
    for (name, change) in [
        ("symlink", (|h| h.set_entry_type(tar::EntryType::Symlink)) as fn(&mut tar::Header)),
        ("pax", |h| h.set_entry_type(tar::EntryType::XHeader)),
        ("mode", |h| h.set_mode(0o4755)),
        ("owner", |h| h.set_uid(1000)),
        ("time", |h| h.set_mtime(1)),
    ] {
        let mut header = tar::Header::from_byte_slice(&ours).clone();
        change(&mut header);
        header.set_cksum();
        assert_eq!(Header::decode(header.as_bytes()), Err(BadHeader), "{name}");
    }
    assert_eq!(Header::decode(&[0; BLOCK]), Err(BadHeader), "the end");
}

#[test]
fn blob_names_give_their_digest_back() {
    let digest = Digest::of(b"x");
    assert_eq!(blob_digest(&blob_name(&digest)), Some(digest));
    assert_eq!(blob_digest(&digest.to_string()), None);
    assert_eq!(blob_digest("blobs/sha512/00"), None);
}

/// A release whose volumes' blobs are these bytes, and its envelope.
fn small() -> (bistable_format::Release, Vec<u8>, [&'static [u8]; 4]) {
    let contents: [&[u8]; 4] = [b"boot list", b"system list", b"boot data", b"system data and more"];
    let mut release = release();
    let volumes = common::volumes(&mut release);
    for (volume, list, data) in [(&mut volumes.boot, 0, 2), (&mut volumes.system, 1, 3)] {
        volume.list = Digest::of(contents[list]);
        volume.list_bytes = u32::try_from(contents[list].len()).unwrap();
        volume.data = Digest::of(contents[data]);
        volume.data_bytes = contents[data].len() as u64;
    }
    let bytes = release.seal(&[&signer(4)]).unwrap();
    (release, bytes, contents)
}

#[test]
fn a_bundle_is_a_tar_of_an_oci_layout() {
    let (release, signed, [boot_list, system_list, boot_data, system_data]) = small();
    let frame = Frame::new(&signed, &release);
    let contents: [&[u8]; 9] = [
        LAYOUT.as_bytes(),
        frame.index.as_bytes(),
        frame.manifest.as_bytes(),
        EMPTY.as_bytes(),
        &signed,
        boot_list,
        system_list,
        boot_data,
        system_data,
    ];
    let bundle = frame.bundle(contents[4..].iter().copied()).unwrap();
    assert_eq!(frame.headers.len(), contents.len());
    assert_eq!(frame.bundle_bytes(), bundle.len() as u64);

    let mut archive = tar::Archive::new(&bundle[..]);
    let mut seen = 0;
    for (entry, expected) in archive.entries().unwrap().zip(contents) {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, expected, "{name}");
        if let Some(digest) = blob_digest(&name) {
            assert_eq!(digest, Digest::of(&content), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
    // The index names the manifest, and the manifest all blobs, with their sizes.
    assert!(
        frame.index.contains(&format!("\"digest\":\"sha256:{}\"", Digest::of(frame.manifest.as_bytes())))
    );
    assert!(frame.index.contains(&format!("\"size\":{}", frame.manifest.len())));
    for content in &contents[3..] {
        let named = format!("\"digest\":\"sha256:{}\",\"size\":{}", Digest::of(content), content.len());
        assert!(frame.manifest.contains(&named), "{named}");
    }
}

#[test]
fn the_tag_is_one_that_registries_take() {
    let mut release = release();
    release.head.product = "p".repeat(64);
    release.version = semver::Version::parse(&format!("1.0.0-{}+b", "a".repeat(56))).unwrap();
    let signed = release.seal(&[&signer(4)]).unwrap();
    let frame = Frame::new(&signed, &release);
    let tag = frame.index.split("ref.name\":\"").nth(1).unwrap().split('"').next().unwrap();
    assert!((1..=128).contains(&tag.len()), "{}", tag.len());
    assert!(tag.starts_with(|c: char| c.is_ascii_alphanumeric()));
    assert!(tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{tag}");
    assert!(frame.manifest.len() as u64 <= limits::BUNDLE_TEXT);
}

#[test]
fn each_content_has_its_entries_in_order() {
    for (release, names) in [
        (release(), &["release", "boot.chunks", "system.chunks", "boot.img.zst", "system.img.zst"][..]),
        (
            common::release_with_sbom(),
            &["release", "boot.chunks", "system.chunks", "sbom.cdx.json", "boot.img.zst", "system.img.zst"],
        ),
        (common::directory_release(), &["release", "archive.chunks", "archive.tar.zst"]),
        (
            common::containers_release(),
            &[
                "release",
                "layer-1.chunks",
                "layer-2.chunks",
                "layer-3.chunks",
                "blob",
                "blob",
                "blob",
                "blob",
                "layer-1.tar.zst",
                "layer-2.tar.zst",
                "layer-3.tar.zst",
            ],
        ),
    ] {
        let signed = release.seal(&[&signer(4)]).unwrap();
        let frame = Frame::new(&signed, &release);
        let titles: Vec<&str> = frame
            .manifest
            .split("image.title\":\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .filter(|title| *title != release.what())
            .collect();
        // The release comes first in the manifest; then lists, blobs and data, as the entries have them.
        assert_eq!(titles, names);
        let digests: Vec<Digest> = frame.headers[4..].iter().filter_map(|h| blob_digest(&h.name)).collect();
        assert_eq!(digests.len(), names.len());
        for (digest, header) in digests.iter().zip(&frame.headers[4..]) {
            assert!(
                frame.manifest.contains(&format!("\"digest\":\"sha256:{digest}\",\"size\":{}", header.bytes))
            );
        }
    }
}

#[test]
fn the_manifest_of_the_largest_release_fits() {
    use bistable_format::content::{Blob, Containers, Service};
    let digest = |kind: &str, i: usize| Digest::of(format!("{kind} {i}").as_bytes());
    let mut containers = Containers {
        services: (0..limits::SERVICES)
            .map(|i| Service { name: format!("{i:064}"), manifest: digest("blob", i) })
            .collect(),
        layers: vec![],
        blobs: (0..limits::BLOBS).map(|i| Blob { digest: digest("blob", i), bytes: limits::BLOB }).collect(),
    };
    containers.layers = (0..limits::LAYERS)
        .map(|i| bistable_format::Artifact {
            digest: digest("layer", i),
            list_bytes: u32::try_from(limits::CHUNK_LIST).unwrap(),
            ..common::artifact(limits::VOLUME, limits::VOLUME_DATA)
        })
        .collect();
    let mut release = common::containers_release();
    release.content = bistable_format::Content::Containers(containers);
    release.head.product = "p".repeat(limits::NAME);
    release.version = semver::Version::parse(&format!("1.0.0-{}", "a".repeat(58))).unwrap();
    release.set_sbom(&vec![b' '; limits::SBOM as usize]).unwrap();
    let signed = release.seal(&[&signer(4)]).unwrap();
    let frame = Frame::new(&signed, &release);
    let (bytes, limit) = (frame.manifest.len() as u64, limits::BUNDLE_TEXT);
    assert!(bytes <= limit, "{bytes} bytes of {limit}");
    assert!(frame.headers.iter().all(|h| h.encode().is_ok()));
}

/// A bundle in memory that comes in small pieces.
struct Memory<'a>(&'a [u8]);

impl Input for Memory<'_> {
    type Error = Infallible;

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let bytes = into.len().min(self.0.len()).min(100);
        let (now, later) = self.0.split_at(bytes);
        into[..bytes].copy_from_slice(now);
        self.0 = later;
        Ok(bytes)
    }
}

/// All lists and data of a bundle.
fn read(bundle: &[u8]) -> Result<Vec<Vec<u8>>, ReadError<Infallible>> {
    let mut reader = Reader::open(Memory(bundle), &root(), Some(Kind::Full))?;
    let mut contents =
        VolumeKind::ALL.into_iter().map(|kind| reader.list(kind)).collect::<Result<Vec<_>, _>>()?;
    for kind in VolumeKind::ALL {
        let part = Part::Data(kind.into());
        let mut data = vec![0; usize::try_from(reader.begin(part)?.bytes).unwrap()];
        let at = reader.at();
        reader.fill(&mut data, part)?;
        if Digest::of(&data) != reader.release().volumes().unwrap().get(kind).data {
            return Err(ReadError::Digest { at, part });
        }
        reader.finish(part)?;
        contents.push(data);
    }
    reader.end()?;
    Ok(contents)
}

fn small_bundle() -> (Vec<u8>, [&'static [u8]; 4]) {
    let (release, signed, contents) = small();
    let parts = [&signed[..]].into_iter().chain(contents);
    (Frame::new(&signed, &release).bundle(parts).unwrap(), contents)
}

#[test]
fn reader_gives_what_was_written_and_finds_every_changed_byte() {
    let (bundle, contents) = small_bundle();
    assert_eq!(read(&bundle).unwrap(), contents);
    for at in 0..bundle.len() {
        let mut other = bundle.clone();
        other[at] ^= 1;
        let e = read(&other).unwrap_err();
        let found = match &e {
            ReadError::NotAnEntry { at, .. }
            | ReadError::Differs { at, .. }
            | ReadError::Digest { at, .. } => *at,
            ReadError::Release(_) => continue,
            e => panic!("byte {at}: {e:?}"),
        };
        // A header that was changed is reported where it begins, if it is none any more.
        assert!(found <= at as u64, "byte {at}: {e:?}");
    }
}

/// The same bundle with an SBOM that is longer than what a reader hashes at a time.
fn with_sbom(sbom: &[u8]) -> Vec<u8> {
    let (mut release, _, contents) = small();
    release.set_sbom(sbom).unwrap();
    let signed = release.seal(&[&signer(4)]).unwrap();
    let [boot_list, system_list, boot_data, system_data] = contents;
    let parts = [&signed[..], boot_list, system_list, sbom, boot_data, system_data];
    Frame::new(&signed, &release).bundle(parts).unwrap()
}

#[test]
fn reader_passes_over_the_sbom_and_verifies_it() {
    let sbom = vec![b'x'; (64 << 10) + 1];
    let bundle = with_sbom(&sbom);
    assert_eq!(read(&bundle).unwrap(), small().2);
    let first = bundle.windows(100).position(|w| w == [b'x'; 100]).unwrap();
    for at in [first, first + sbom.len() - 1] {
        let mut other = bundle.clone();
        other[at] ^= 1;
        assert_eq!(read(&other), Err(ReadError::Digest { at: first as u64, part: Part::Sbom }));
    }
    for bytes in [first - 1, first, first + sbom.len() - 1] {
        let e = read(&bundle[..bytes]);
        assert_eq!(e, Err(ReadError::Truncated { at: bytes as u64, part: Part::Sbom }));
    }
    // The header is a function of the release, as all others.
    let mut other = bundle.clone();
    other[first - BLOCK + 124] ^= 1;
    assert!(matches!(read(&other), Err(ReadError::Differs { part: Part::Sbom, .. })));
}

#[test]
fn reader_gives_the_sbom_to_whoever_asks_for_it() {
    let sbom = |bundle: &[u8]| {
        let mut reader = Reader::open(Memory(bundle), &root(), None).unwrap();
        // Not before the lists.
        assert_eq!(reader.sbom(), Ok(None));
        VolumeKind::ALL.into_iter().for_each(|kind| drop(reader.list(kind).unwrap()));
        let sbom = reader.sbom();
        assert!(reader.begin(Part::Data(VolumeKind::Boot.into())).is_ok());
        sbom
    };
    assert_eq!(sbom(&with_sbom(common::SBOM)), Ok(Some(common::SBOM.to_vec())));
    assert_eq!(sbom(&small_bundle().0), Ok(None));
}

#[test]
fn reader_finds_every_end_that_is_not_the_bundles_own() {
    let (mut bundle, _) = small_bundle();
    for bytes in 0..bundle.len() {
        let e = read(&bundle[..bytes]).unwrap_err();
        assert!(matches!(e, ReadError::Truncated { at, .. } if at == bytes as u64), "{bytes} bytes: {e:?}");
    }
    let at = bundle.len() as u64;
    bundle.push(0);
    assert_eq!(read(&bundle), Err(ReadError::Trailing { at }));
}

#[test]
fn reader_refuses_the_other_kind_before_it_verifies_anything() {
    let (bundle, _) = small_bundle();
    let opened = Reader::open(Memory(&bundle), &root(), Some(Kind::Delta));
    assert!(matches!(opened, Err(ReadError::Kind(Kind::Full))));
}
