//! Bundles that must be refused: each with its exit code and a text that says what, where and what to do. Slot A stays
//! as it is, the default and running, and afterwards a good update works.
use crate::{
    draft::Draft,
    fixture::{demo_product, key, noise, product},
    pi::Pi,
};
use bistable_format::{Digest, KeyKind};
use std::{
    fs::{self, File},
    path::PathBuf,
};

/// A name, how to make it from a draft of 1.2.0, exit code, words of the message.
type Case = (&'static str, fn(Draft) -> Vec<u8>, i32, &'static [&'static str]);

fn signed(draft: Draft) -> Vec<u8> {
    draft.pack(&[&product().release_key])
}

/// A zstd frame's head that announces `content` bytes, then one block of a repeated byte, the last one.
fn frame(content: u64, block: u32) -> Vec<u8> {
    // Magic; frame header descriptor: 8 bytes of content size, no single segment; the largest window there is.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, 0xff];
    bytes.extend_from_slice(&content.to_le_bytes());
    // Last block, type RLE.
    bytes.extend_from_slice(&(block << 3 | 0b011).to_le_bytes()[..3]);
    bytes.push(b'x');
    bytes
}

const CONTENT: &[&str] =
    &["of the system volume does not decode to what its list says", "the release was built wrongly"];
const CHUNK: &[&str] = &["chunk 1 of the system volume is damaged", "bundle byte", "copy the bundle again"];

const CASES: &[Case] = &[
    // Trust.
    ("unsigned", |d| d.pack(&[]), 5, &["the release is not signed", "sign it"]),
    (
        "signed-by-a-stranger",
        |d| d.pack(&[&key(9, KeyKind::Production)]),
        5,
        &["which this root does not know", "another product"],
    ),
    (
        "signed-by-the-channel-key",
        |d| d.pack(&[&product().channel_key]),
        5,
        &["key 3", "does not name for release"],
    ),
    (
        "signed-by-the-root-key",
        |d| d.pack(&[&product().root_key]),
        5,
        &["key 1", "does not name for release"],
    ),
    // Compatibility.
    (
        "wrong-product",
        |d| signed(d.with(|d| d.release.head.product = "toaster".into())),
        6,
        &["it is for product toaster", "a greenhouse"],
    ),
    (
        "wrong-board",
        |d| signed(d.with(|d| d.release.boards = vec!["pi5".into(), "cm4".into()])),
        6,
        &["pi5, cm4", "this board is a pi4"],
    ),
    ("older", |d| signed(d.version("0.9.9")), 6, &["0.9.9 is not newer than 1.0.0"]),
    ("pre-release-of-what-runs", |d| signed(d.version("1.0.0-rc.1")), 6, &["1.0.0-rc.1 is not newer"]),
    ("equal-version-other-content", |d| signed(d.version("1.0.0")), 6, &["1.0.0 is not newer than 1.0.0"]),
    (
        "equal-but-for-build-metadata",
        |d| signed(d.version("1.0.0+later")),
        6,
        &["1.0.0+later is not newer than 1.0.0"],
    ),
    (
        "lower-security-version",
        |d| signed(d.with(|d| d.release.security_version = 1)),
        6,
        &["security version 1 is below 2"],
    ),
    (
        "requires-a-newer-running-version",
        |d| signed(d.with(|d| d.release.requires.running = Some(">=1.0.5".parse().unwrap()))),
        6,
        &["requires a running version >=1.0.5", "1.0.0 is running", "install a version in between"],
    ),
    (
        "requires-a-component",
        |d| signed(d.with(|d| d.release.requires.components.push(("modem".into(), ">=4".parse().unwrap())))),
        6,
        &["requires modem >=4", "the device has none"],
    ),
    (
        "everything-wrong-at-once",
        |d| {
            signed(d.version("0.1.0").with(|d| {
                d.release.head.product = "toaster".into();
                d.release.security_version = 0;
            }))
        },
        6,
        &["toaster", "0.1.0 is not newer", "security version 0"],
    ),
    (
        "system-larger-than-the-slot",
        |d| signed(d.with(|d| d.system.bytes = 1 << 32)),
        6,
        &["system volume has 4294967296 bytes", "the slot's partition"],
    ),
    (
        "boot-larger-than-the-slot",
        |d| signed(d.with(|d| d.boot.bytes = 1 << 30)),
        6,
        &["boot volume has 1073741824 bytes"],
    ),
    // Releases that make no sense, signed by the right key.
    (
        "plan-names-a-pin-twice",
        |d| {
            let plan = "[[test]]\nname = \"a\"\nkind = \"loopback\"\nout = 17\nin = 17\n";
            signed(d.with(|d| d.release.self_tests = plan.into()))
        },
        5,
        &["self-test plan", "GPIO17"],
    ),
    ("plan-is-no-toml", |d| signed(d.with(|d| d.release.self_tests = "][".into())), 5, &["self-test plan"]),
    (
        "health-check-of-an-unknown-kind",
        |d| {
            let profile = "[[check]]\nname = \"a\"\nkind = \"hope\"\nat = \"before\"\n";
            signed(d.with(|d| d.release.health = profile.into()))
        },
        6,
        &["its check \"a\" is required before the switch and not known here", "unknown kind \"hope\""],
    ),
    (
        "self-test-of-an-unknown-kind",
        |d| {
            let plan = "[[test]]\nname = \"a\"\nkind = \"hope\"\n";
            signed(d.with(|d| d.release.self_tests = plan.into()))
        },
        6,
        &["its check \"a\" is required before the switch and not known here"],
    ),
    (
        "self-tests-of-which-none-gates-the-flag",
        |d| {
            let plan = "[[test]]\nname = \"a\"\nkind = \"hope\"\nneed = \"wanted\"\n";
            signed(d.with(|d| d.release.self_tests = plan.into()))
        },
        6,
        &["none of its self-tests can run before the switch here"],
    ),
    (
        "needs-a-newer-agent",
        |d| signed(d.with(|d| d.release.head.agent = ">=9.1.0".into())),
        6,
        &["the release needs bistable >=9.1.0, and this is 0.1.0: update Bistable first"],
    ),
    (
        "of-another-repository",
        |d| signed(d.with(|d| d.release.head.repository = bistable_format::Digest::of(b"other"))),
        5,
        &["the release is of repository", "two repositories share a key"],
    ),
    (
        "extension-that-must-be-understood",
        |d| {
            let id = 7;
            signed(d.with(|d| {
                d.release.extensions.0.push(bistable_format::extensions::Extension { id, bytes: vec![1] });
            }))
        },
        6,
        &["release has extension 7, which this version does not understand"],
    ),
    (
        "brings-a-component-along",
        |d| {
            signed(d.with(|d| {
                d.release.bound.push(bistable_format::Bound {
                    component: "app".into(),
                    version: "1.2.0".parse().unwrap(),
                    identity: bistable_format::Digest::of(b"app"),
                    extensions: Default::default(),
                });
            }))
        },
        75,
        &["release 1.2.0 brings component app 1.2.0 along, which is not on this device"],
    ),
    // Chunk lists, signed by the right key.
    (
        "list-too-short",
        |d| {
            signed(d.with(|d| {
                d.system.list.chunks.pop();
                d.system.frames.pop();
            }))
        },
        5,
        &["the chunk list of the system volume", "chunks where the volume has"],
    ),
    (
        "list-too-long",
        |d| {
            signed(d.with(|d| {
                d.system.list.chunks.push(d.system.list.chunks[1].clone());
                d.system.frames.push(d.system.frames[1].clone());
            }))
        },
        5,
        &["the chunk list of the system volume", "chunks where the volume has"],
    ),
    (
        "list-without-its-data",
        |d| signed(d.with(|d| drop(d.boot.frames.pop()))),
        5,
        &["the chunk list of the boot volume", "where the volume's data has"],
    ),
    ("list-swapped", |d| signed(d.with(|d| d.system.list.chunks.swap(1, 2))), 5, CHUNK),
    (
        "list-doubled",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.list.chunks[at + 1] = d.system.list.chunks[at].clone();
                // The data has as many bytes as the list says.
                let bytes = d.system.frames[at].len();
                d.system.frames[at + 1].resize(bytes, 0);
            }))
        },
        5,
        &["of the system volume is damaged", "bundle byte"],
    ),
    (
        "list-with-chunks-of-an-odd-size",
        |d| signed(d.with(|d| d.system.list.chunk_bytes = 300_000)),
        5,
        &["chunks of 300000 bytes"],
    ),
    (
        "list-is-noise",
        |d| {
            let bundle = signed(d);
            let parts = crate::draft::parts(&bundle);
            let mut bad = bundle;
            let at = parts[6].content.clone();
            let len = at.len();
            bad[at].copy_from_slice(&noise(5, len));
            bad
        },
        5,
        &["chunk list of the system volume", "fetch or copy it again"],
    ),
    (
        "delta",
        |d| signed(d.with(|d| d.system.list.base = Some(Digest::of(b"base")))),
        5,
        &["the chunk list of the system volume", "it is of a delta"],
    ),
    // Chunks, signed by the right key.
    (
        "raw-digest-wrong",
        |d| signed(d.with(|d| d.system.list.chunks[1].digest = Digest::of(b"else"))),
        5,
        CONTENT,
    ),
    (
        "zero-chunk-that-is-not",
        |d| {
            signed(d.with(|d| {
                let digest = Digest::of(b"not zeros");
                let zero =
                    |c: &bistable_format::Chunk| matches!(c.encoding, bistable_format::Encoding::Zero { .. });
                d.system.list.chunks.iter_mut().find(|c| zero(c)).unwrap().digest = digest;
            }))
        },
        5,
        CONTENT,
    ),
    (
        "bomb-larger-than-its-chunk",
        |d| {
            let bomb = zstd::bulk::compress(&vec![b'x'; 64 << 20], 19).unwrap();
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.set_frame(at, bomb);
            }))
        },
        5,
        CONTENT,
    ),
    (
        "bomb-that-announces-an-exabyte",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.set_frame(at, frame(1 << 60, 1 << 17));
            }))
        },
        5,
        CONTENT,
    ),
    (
        "bomb-with-a-huge-window",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.set_frame(at, frame(1 << 17, 1 << 17));
            }))
        },
        5,
        CONTENT,
    ),
    (
        "frame-cut-short",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                let half = d.system.frames[at].len() / 2;
                let frame = d.system.frames[at][..half].to_vec();
                d.system.set_frame(at, frame);
            }))
        },
        5,
        CONTENT,
    ),
    (
        "frame-of-fewer-bytes",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.set_frame(at, zstd::bulk::compress(b"short", 1).unwrap());
            }))
        },
        5,
        CONTENT,
    ),
    (
        "frame-is-noise",
        |d| {
            signed(d.with(|d| {
                let at = d.system.full_chunk();
                d.system.set_frame(at, noise(7, 1000));
            }))
        },
        5,
        CONTENT,
    ),
    (
        "header-chunk-is-noise",
        |d| signed(d.with(|d| d.boot.set_frame(0, noise(8, 1000)))),
        5,
        &["chunk 0 of the boot volume does not decode"],
    ),
    // What isn't even a bundle, or more than one.
    ("trailing-byte", |d| [signed(d), vec![1]].concat(), 5, &["bytes follow the end of the bundle"]),
    ("trailing-zeros", |d| [signed(d), vec![0; 10 << 10]].concat(), 5, &["bytes follow the end"]),
    (
        "twice",
        |d| {
            let b = signed(d);
            [b.clone(), b].concat()
        },
        5,
        &["bytes follow the end"],
    ),
    ("empty", |_| Vec::new(), 1, &["this is not a bundle", "bistable-image build"]),
    ("one-byte", |_| vec![b'o'], 1, &["this is not a bundle"]),
    ("text", |_| b"hello\n".repeat(1000), 1, &["this is not a bundle"]),
    ("noise", |_| noise(6, 100_000), 1, &["this is not a bundle"]),
    ("zst", |d| zstd::bulk::compress(&signed(d), 1).unwrap(), 1, &["this is not a bundle"]),
    (
        "only-the-release",
        |d| {
            let b = signed(d);
            b[crate::draft::parts(&b)[4].content.clone()].to_vec()
        },
        1,
        &["this is not a bundle"],
    ),
];

#[test]
fn each_is_refused_harms_nothing_and_a_good_update_follows() {
    for (name, make, code, words) in CASES {
        // A device of its own: what a slot already holds isn't decoded again.
        let pi = Pi::new();
        eprintln!("{name}");
        let bundle = pi.file(name, &make(product().draft()));
        pi.run_on("update", &bundle).must(*code, words);
        pi.is_unharmed();
        // Nothing of it says anything against the release: it may come again, whole.
        assert_eq!(pi.status()["rejected"], serde_json::json!([]), "{name}");
        pi.takes_the_good_update();
    }
}

#[test]
fn a_dry_run_refuses_what_it_can_see_and_writes_nothing() {
    let pi = Pi::new();
    pi.status();
    let before = fs::read(&pi.card).unwrap();
    for (name, make, code, words) in CASES.iter().filter(|(_, _, code, _)| *code == 6) {
        pi.run_on("install --dry-run", &pi.file(name, &make(product().draft()))).must(*code, words);
    }
    pi.run_on("update -n", &pi.good()).must(0, &[]);
    assert!(fs::read(&pi.card).unwrap() == before);
}

#[test]
fn odd_files() {
    let pi = Pi::new();
    let sparse = pi.path("sparse");
    File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    let tar = pi.path("plain.tar");
    let mut archive = tar_of(&pi);
    archive.resize(archive.len() + 1024, 0);
    fs::write(&tar, archive).unwrap();
    fs::create_dir(pi.path("folder")).unwrap();
    let cases: [(PathBuf, &[&str]); 7] = [
        (sparse, &["this is not a bundle"]),
        (PathBuf::from("/dev/zero"), &["this is not a bundle"]),
        (PathBuf::from("/dev/null"), &["this is not a bundle"]),
        (tar, &["this is not a bundle"]),
        (pi.path("folder"), &["folder", "not a bundle"]),
        (pi.path("missing.bundle"), &["missing.bundle", "No such file"]),
        (pi.card.clone(), &["this is not a bundle"]),
    ];
    for (path, words) in cases {
        for verb in ["install", "update", "install -n"] {
            pi.run_on(verb, &path).must(1, words);
        }
        pi.is_unharmed();
    }
    pi.run_with("install -", b"").must(1, &["this is not a bundle"]);
    pi.takes_the_good_update();
}

/// A tar as anybody makes one: its first entry is even called as a bundle's is.
fn tar_of(pi: &Pi) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..10].copy_from_slice(b"oci-layout");
    header[100..107].copy_from_slice(b"0000600");
    header[124..135].copy_from_slice(b"00000000036");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(&fs::read(pi.good()).unwrap()[512..1024]);
    header
}

#[test]
fn the_release_that_runs_is_nothing_to_do() {
    let pi = Pi::new();
    pi.run_on("update", &pi.file("old.bundle", &product().old)).must(3, &["1.0.0 is what runs already"]);
    pi.is_unharmed();
    pi.takes_the_good_update();
}

#[test]
fn demo_keys_are_refused_unless_the_owner_allows_them() {
    let pi = Pi::of(demo_product());
    let good = pi.good();
    let words = ["demo key", "real keys"];
    pi.run_on("install", &good).must(5, &words);
    pi.run("preflight").must(1, &words);
    pi.run_on("install -n", &good).must(5, &words);
    pi.is_unharmed();
    pi.config("allow_demo_keys = true\n");
    pi.takes_the_good_update();
}
