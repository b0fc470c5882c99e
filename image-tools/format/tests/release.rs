//! Each way in which a release can make no sense.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::content::Containers;
use bistable_format::{Bound, Content, DecodeError, Digest, Release, VolumeKind, limits, name::check_name};
use common::{problem, release, root, signer, volumes};
use semver::{Version, VersionReq};

#[test]
fn round_trip() {
    let release = release();
    assert_eq!(Release::decode(&release.encode().unwrap()), Ok(release.clone()));
    let bytes = release.seal(&[&signer(4)]).unwrap();
    assert_eq!(Release::open(&bytes, &root()), Ok(release.clone()));
    assert_eq!(release.self_test_plan().unwrap().tests.len(), 4);
    assert_eq!(release.health_profile().unwrap().checks.len(), 3);
    let kinds: Vec<VolumeKind> = release.volumes().unwrap().iter().map(|(k, _)| k).collect();
    assert_eq!(kinds, VolumeKind::ALL);
}

fn requirement(text: &str) -> VersionReq {
    VersionReq::parse(text).unwrap()
}

#[test]
fn each_problem_is_named_by_writer_and_reader() {
    type Spoil = fn(&mut Release);
    let table: [(&str, Spoil, &str, &str); 34] = [
        ("product-empty", |r| r.head.product.clear(), "head", "names no product"),
        ("product-upper-case", |r| r.head.product = "Fan".into(), "product", "\"Fan\" is not a name"),
        ("product-path", |r| r.head.product = "../fan".into(), "product", "is not a name"),
        (
            "product-escape",
            |r| r.head.product = "a\u{1b}[2J".into(),
            "product",
            r#""a\u{1b}[2J" is not a name"#,
        ),
        (
            "version-long",
            |r| r.version = Version::parse(&format!("1.0.0-{}", "a".repeat(59))).unwrap(),
            "version",
            "longer than 64",
        ),
        ("boards-none", |r| r.boards.clear(), "boards", "1 to 32 boards"),
        (
            "boards-many",
            |r| r.boards = (0..33).map(|i| format!("b{i}")).collect(),
            "boards",
            "1 to 32 boards",
        ),
        ("board-no-name", |r| r.boards[1] = "pi 5".into(), "boards", "is not a name"),
        ("board-twice", |r| r.boards[1] = "pi4".into(), "boards", "pi4 is there twice"),
        (
            "components-many",
            |r| r.requires.components = (0..33).map(|i| (format!("c{i}"), VersionReq::STAR)).collect(),
            "requires",
            "more than 32",
        ),
        ("component-no-name", |r| r.requires.components[0].0 = "-x".into(), "requires", "is not a name"),
        (
            "component-twice",
            |r| r.requires.components.push(("boot-loader".into(), VersionReq::STAR)),
            "requires",
            "boot-loader is there twice",
        ),
        (
            "requirement-long",
            |r| r.requires.running = Some(requirement(&format!("=1.0.0-{}", "a".repeat(250)))),
            "requires",
            "longer than 256",
        ),
        (
            "component-requirement-long",
            |r| r.requires.components[0].1 = requirement(&format!("=1.0.0-{}", "a".repeat(250))),
            "requires",
            "longer than 256",
        ),
        ("description-long", |r| r.description = "x".repeat(4097), "description", "longer than 4096"),
        (
            "description-escape",
            |r| r.description = "\u{1b}]0;title\u{7}".into(),
            "description",
            "control characters",
        ),
        (
            "description-carriage-return",
            |r| r.description = "safe\rgone".into(),
            "description",
            "control characters",
        ),
        (
            "description-direction",
            |r| r.description = "safe \u{202e}txt.exe".into(),
            "description",
            "control characters or invisible ones",
        ),
        (
            "author-zero-width",
            |r| r.author = "Ada\u{200b}".into(),
            "author",
            "control characters or invisible ones",
        ),
        ("author-long", |r| r.author = "x".repeat(65), "author", "longer than 64"),
        ("author-line-break", |r| r.author = "Ada\nroot: yes".into(), "author", "control characters"),
        ("boot-empty", |r| volumes(r).boot.bytes = 0, "boot volume", "0 bytes: 1 byte to 64 GiB"),
        (
            "boot-half-sector",
            |r| volumes(r).boot.bytes = 256,
            "boot volume",
            "256 bytes are not whole sectors",
        ),
        ("system-empty", |r| volumes(r).system.bytes = 0, "system volume", "0 bytes"),
        ("system-odd", |r| volumes(r).system.bytes += 1, "system volume", "not whole sectors"),
        (
            "system-above-64-GiB",
            |r| volumes(r).system.bytes = (64 << 30) + 512,
            "system volume",
            "1 byte to 64 GiB",
        ),
        ("system-huge", |r| volumes(r).system.bytes = u64::MAX - 511, "system volume", "1 byte to 64 GiB"),
        ("data-above-tar", |r| volumes(r).system.data_bytes = 8 << 30, "system volume", "are too many"),
        ("list-tiny", |r| volumes(r).boot.list_bytes = 3, "boot volume", "chunk list of 3 bytes"),
        (
            "list-huge",
            |r| volumes(r).system.list_bytes = (8 << 20) + 1,
            "system volume",
            "chunk list of 8388609 bytes",
        ),
        ("plan-broken", |r| r.self_tests = "[[test".into(), "self-test plan", "line 1"),
        (
            "plan-pin-twice",
            |r| r.self_tests = r.self_tests.replace("in = 27", "in = 17"),
            "self-test plan",
            "GPIO17 is named twice",
        ),
        ("profile-broken", |r| r.health = "deadline_s = 'x'".into(), "health profile", "line 1"),
        (
            "profile-unknown-key",
            |r| r.health = "\ndeadlines = 4".into(),
            "health profile",
            "line 2: unknown field `deadlines`",
        ),
    ];
    for (name, spoil, field, expected) in table {
        let mut bad = release();
        spoil(&mut bad);
        let text = problem(bad.encode());
        let (what, said) = text.split_once(": ").unwrap();
        assert!(
            said.contains(expected) && (what.contains(field) || said.starts_with(field)),
            "{name}: {text}"
        );
        // A reader says the same about bytes that a writer without checks made.
        // But more values than a list may have aren't even decoded.
        let bytes = postcard::to_allocvec(&bad).unwrap();
        match name.ends_with("-many") {
            true => assert_eq!(Release::decode(&bytes), Err(DecodeError::Malformed("release")), "{name}"),
            false => assert_eq!(problem(Release::decode(&bytes)), text, "{name}"),
        }
    }
}

#[test]
fn limits_themselves_are_allowed() {
    type Edge = fn(&mut Release);
    let edges: [(&str, Edge); 9] = [
        ("product", |r| r.head.product = "a".repeat(64)),
        ("version", |r| r.version = Version::parse(&format!("1.0.0-{}", "a".repeat(58))).unwrap()),
        ("boards", |r| r.boards = (0..32).map(|i| format!("b{i}")).collect()),
        ("volume", |r| volumes(r).system.bytes = 64 << 30),
        ("sector", |r| volumes(r).boot.bytes = 512),
        ("data", |r| volumes(r).system.data_bytes = (8 << 30) - 1),
        ("list", |r| volumes(r).boot.list_bytes = 8 << 20),
        ("people", |r| r.author = "\u{1f98a}".repeat(16)),
        ("empty", |r| {
            r.author.clear();
            r.description.clear();
            r.self_tests.clear();
            r.health.clear();
            r.requires = bistable_format::Requires::default();
            r.build_time = u64::MAX;
            r.security_version = u32::MAX;
        }),
    ];
    for (name, edge) in edges {
        let mut release = release();
        edge(&mut release);
        assert_eq!(Release::decode(&release.encode().unwrap()), Ok(release), "{name}");
    }
}

#[test]
fn a_release_with_the_longest_texts_and_requirements_can_be_sealed() {
    let long = |i: usize| requirement(&format!("=1.0.0-{}", format!("{i:03}x").repeat(62)));
    let mut release = release();
    release.head.product = "p".repeat(limits::NAME);
    release.boards = (0..limits::BOARDS).map(|i| format!("{i:064}")).collect();
    release.requires.running = Some(long(999));
    release.requires.components = (0..limits::COMPONENTS).map(|i| (format!("{i:064}"), long(i))).collect();
    release.description = "d".repeat(limits::DESCRIPTION);
    release.author = "a".repeat(limits::NAME);
    release.self_tests = format!("#{}", "t".repeat(limits::PLAN - 1));
    release.health = format!("#{}", "h".repeat(limits::PLAN - 1));
    let bytes = release.seal(&[&signer(4)]).unwrap();
    assert!(bytes.len() > 48 << 10, "{}", bytes.len());
    assert_eq!(Release::open(&bytes, &root()), Ok(release));
}

#[test]
fn a_release_that_has_the_most_of_everything_is_refused_by_its_writer() {
    let long = |i: usize| requirement(&format!("=1.0.0-{}", format!("{i:03}x").repeat(62)));
    let most = || (0..limits::COMPONENTS).map(|i| (format!("{i:064}"), long(i))).collect::<Vec<_>>();
    let bound = (0..limits::COMPONENTS)
        .map(|i| common::bound(&format!("{i:064}"), &format!("1.0.0-{}", "a".repeat(58))));
    let mut release = release();
    release.boards = (0..limits::BOARDS).map(|i| format!("{i:064}")).collect();
    release.requires.running = Some(long(999));
    (release.requires.components, release.requires.conflicts) = (most(), most());
    release.head.product = "p".repeat(limits::NAME);
    release.author = "a".repeat(limits::NAME);
    release.origin = "o".repeat(limits::REASON);
    release.bound = bound.collect::<Vec<_>>().into();
    release.description = "d".repeat(limits::DESCRIPTION);
    release.self_tests = format!("#{}", "t".repeat(limits::PLAN - 1));
    release.health = format!("#{}", "h".repeat(limits::PLAN - 1));
    let bytes = postcard::to_allocvec(&release).unwrap().len();
    let limit = limits::ENVELOPE_PAYLOAD;
    let encoded = |release: &Release| release.encode().map(|bytes| bytes.len());
    assert_eq!(encoded(&release), Err(DecodeError::TooLarge { what: "release", bytes, limit }));
    release.description.clear();
    assert_eq!(encoded(&release), Ok(bytes - limits::DESCRIPTION - 1), "only all of it together doesn't fit");
}

#[test]
fn thirty_two_bound_components_fit_beside_everything_else() {
    let bound = (0..limits::COMPONENTS).map(|i| Bound {
        extensions: common::extensions(2),
        ..common::bound(&format!("{i:064}"), &format!("1.0.0-{}", "a".repeat(58)))
    });
    let release = Release {
        bound: bound.collect::<Vec<_>>().into(),
        description: "d".repeat(limits::DESCRIPTION),
        self_tests: format!("#{}", "t".repeat(limits::PLAN - 1)),
        health: format!("#{}", "h".repeat(limits::PLAN - 1)),
        ..release()
    };
    let (bytes, limit) = (release.encode().unwrap().len(), limits::ENVELOPE_PAYLOAD);
    let alone = bytes - limits::DESCRIPTION - 2 * limits::PLAN;
    assert!(bytes <= limit && alone <= limit / 8, "{bytes} bytes of {limit}, {alone} without the texts");
    assert_eq!(Release::open(&release.seal(&[&signer(4)]).unwrap(), &root()), Ok(release));
}

#[test]
fn only_images_bring_components_along_and_only_once() {
    type Spoil = fn(&mut Release);
    let image: [(&str, Spoil, &str); 6] = [
        (
            "component",
            |r| r.component = Some("app".into()),
            "release: component: an image is the whole system",
        ),
        (
            "bound-twice",
            |r| r.bound.push(common::bound("app", "2.0.1")),
            "release: bound component: app is there twice",
        ),
        (
            "bound-version-long",
            |r| r.bound[0].version = Version::parse(&format!("1.0.0-{}", "a".repeat(59))).unwrap(),
            "release: bound component: longer than 64 bytes",
        ),
        ("durable-zero", |r| r.durable = 0, "release: durable: formats are counted from 1"),
        ("origin-long", |r| r.origin = "x".repeat(201), "release: origin: longer than 200 bytes"),
        (
            "origin-escape",
            |r| r.origin = "\u{1b}[2J".into(),
            "release: origin: has control characters or invisible ones",
        ),
    ];
    let application: [(&str, Spoil, &str); 3] = [
        (
            "component-none",
            |r| r.component = None,
            "release: component: an application needs the name of its component",
        ),
        (
            "component-no-name",
            |r| r.component = Some("My App".into()),
            "release: component: \"My App\" is not a name",
        ),
        (
            "bound",
            |r| r.bound.push(common::bound("models", "2.0.1")),
            "release: bound component: only an image brings components along",
        ),
    ];
    let archive: [(&str, Spoil, &str); 4] = [
        (
            "archive-empty",
            |r| archive(r).bytes = 0,
            "release: archive: 0 bytes: 1 byte to 64 GiB are possible",
        ),
        (
            "archive-chunks-odd",
            |r| archive(r).chunk_bytes = 262143,
            "release: archive: chunks of 262143 bytes",
        ),
        (
            "archive-chunks-many",
            |r| (archive(r).bytes, archive(r).chunk_bytes) = (64 << 30, 256 << 10),
            "release: archive: more than 65536 chunks",
        ),
        ("archive-list", |r| archive(r).list_bytes = 3, "release: archive: a chunk list of 3 bytes"),
    ];
    let containers: [(&str, Spoil, &str); 12] = [
        ("services-none", |r| stack(r).services.clear(), "0 services: 1 to 16 are possible"),
        ("blobs-none", |r| stack(r).blobs.clear(), "0 blobs: 1 to 32 are possible"),
        ("service-no-name", |r| stack(r).services[0].name = "a/b".into(), "\"a/b\" is not a name"),
        ("service-twice", |r| stack(r).services[1].name = "web".into(), "service web is there twice"),
        (
            "manifest-absent",
            |r| stack(r).services[1].manifest = Digest([1; 32]),
            "the manifest 010101010101 of service db",
        ),
        ("layer-twice", |r| stack(r).layers[1].digest = stack(r).layers[0].digest, "is there twice"),
        ("layer-empty", |r| stack(r).layers[2].bytes = 0, "release: layer: 0 bytes"),
        ("blob-empty", |r| stack(r).blobs[1].bytes = 0, "a blob of 0 bytes: 1 to 1048576 are possible"),
        ("blob-large", |r| stack(r).blobs[1].bytes = (1 << 20) + 1, "a blob of 1048577 bytes"),
        ("blob-twice", |r| stack(r).blobs[3].digest = stack(r).blobs[1].digest, "is there twice"),
        ("component-none", |r| r.component = None, "an application needs the name of its component"),
        ("bound", |r| r.bound.push(common::bound("app", "2.0.1")), "only an image brings components along"),
    ];
    let applications = || [common::directory_release(), common::containers_release()];
    let table = image
        .iter()
        .map(|row| (release(), row))
        .chain(applications().into_iter().flat_map(|r| application.iter().map(move |row| (r.clone(), row))))
        .chain(archive.iter().map(|row| (common::directory_release(), row)))
        .chain(containers.iter().map(|row| (common::containers_release(), row)));
    for (mut bad, (name, spoil, expected)) in table {
        assert!(bad.encode().is_ok(), "{name}");
        spoil(&mut bad);
        let text = problem(bad.encode());
        assert!(text.contains(expected), "{name}: {text}");
        let bytes = postcard::to_allocvec(&bad).unwrap();
        match Release::decode(&bytes) {
            Err(error) => assert_eq!(error.to_string(), text, "{name}"),
            // An entry that makes no sense is one that can't be read.
            Ok(read) => assert_eq!(read.bound.unreadable()[0].why.to_string(), text, "{name}"),
        }
    }
}

#[test]
fn an_sbom_is_a_file_of_the_release_or_only_a_digest() {
    use bistable_format::{Extensions, content::Blob, extensions::Extension};
    let release = common::release_with_sbom();
    let sbom = Blob { digest: Digest::of(common::SBOM), bytes: u32::try_from(common::SBOM.len()).unwrap() };
    assert_eq!(Release::decode(&release.encode().unwrap()).unwrap().sbom_file(), Some(sbom));
    // Kept elsewhere.
    assert_eq!(common::release().sbom_file(), None);
    // Whoever doesn't know it ignores it.
    assert!(release.extensions.0.iter().all(|e| e.id % 2 == 0));
    let too_large = common::release().set_sbom(&vec![0; limits::SBOM as usize + 1]);
    assert!(matches!(too_large, Err(DecodeError::TooLarge { .. })), "{too_large:?}");
    let told = common::release().set_sbom(b"").unwrap_err().to_string();
    assert!(told.contains("0 bytes: 1 to 33554432 are possible"), "{told}");
    for (bytes, sbom, words) in [
        (&[0x80, 0x80, 0x80, 0x10, 0][..], Some(sbom.digest), "release: SBOM is followed by bytes"),
        (&[0x81, 0x80, 0x80, 0x10], Some(sbom.digest), "33554433 bytes: 1 to 33554432 are possible"),
        (&[0], Some(sbom.digest), "0 bytes: 1 to 33554432 are possible"),
        (&[], Some(sbom.digest), "release: SBOM is truncated"),
        (&[1, 2, 3, 4, 5, 6], Some(sbom.digest), "release: SBOM has 6 bytes, more than the 5"),
        (&[5], None, "has a length and no digest"),
    ] {
        let mut bad = common::directory_release();
        bad.sbom = sbom;
        bad.extensions = Extensions(vec![Extension { id: 66, bytes: bytes.into() }]);
        let text = bad.encode().unwrap_err().to_string();
        assert!(text.contains(words), "{bytes:?}: {text}");
        let read = Release::decode(&postcard::to_allocvec(&bad).unwrap());
        assert_eq!(read.unwrap_err().to_string(), text);
        assert_eq!(bad.sbom_file(), None);
    }
}

fn archive(release: &mut Release) -> &mut bistable_format::Artifact {
    match &mut release.content {
        Content::Directory(directory) => &mut directory.archive,
        other => panic!("not a directory: {other:?}"),
    }
}

fn stack(release: &mut Release) -> &mut Containers {
    match &mut release.content {
        Content::Containers(containers) => containers,
        other => panic!("not containers: {other:?}"),
    }
}

#[test]
fn artifacts_are_named_in_the_order_of_a_bundle() {
    let names = |release: Release| -> Vec<String> {
        release.content.artifacts().into_iter().map(|(id, _)| id.to_string()).collect()
    };
    assert_eq!(names(release()), ["boot", "system"]);
    assert_eq!(names(common::directory_release()), ["archive"]);
    assert_eq!(names(common::containers_release()), ["layer-1", "layer-2", "layer-3"]);
    let bytes: Vec<u64> = common::containers_release().constraints().bytes;
    assert_eq!(bytes, [5_000_000, 70_000, 123]);
}

#[test]
fn truncated_and_trailing_bytes_are_refused() {
    let bytes = release().encode().unwrap();
    for cut in 0..bytes.len() {
        assert!(Release::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Release::decode(&longer), Err(DecodeError::Trailing("release")));
}

#[test]
fn names_are_of_a_small_alphabet() {
    for good in ["a", "0", "pi4", "my-product_2.0", "a..b", &"z".repeat(64)] {
        assert_eq!(check_name("name", good), Ok(()), "{good}");
    }
    for bad in [
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "_x",
        "A",
        "a b",
        "a/b",
        "a\\b",
        "a\0",
        "\u{e4}",
        "a\n",
        &"z".repeat(65),
    ] {
        assert!(problem(check_name("name", bad)).contains("use 1 to 64 of a-z 0-9 . _ -"), "{bad}");
    }
}
