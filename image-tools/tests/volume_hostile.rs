//! Tars that were made to do harm, and those that are merely broken: each is a clear error that names the
//! entry, and none touches the host's files.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod volume_support;

use std::io::Write;

use bistable_image::volume::{VolumeError, open_system};
use volume_support::{
    Entry, dir, entry, file, hard_link, image_of_tar, on_disk, open_tar, options, plan_tar, symlink, tar,
    text,
};

fn refused(entries: &[Entry], wanted: &[&str]) {
    let error = plan_tar(&tar(entries)).expect_err("must be refused");
    let text = text(&error);
    for part in wanted {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn escapes_by_path() {
    refused(&[file("../etc/passwd", "x")], &["../etc/passwd", "\"..\""]);
    refused(&[file("a/../../etc/passwd", "x")], &["a/../../etc/passwd", "\"..\""]);
    refused(&[dir("..")], &["\"..\""]);
    refused(&[hard_link("a", "../../etc/shadow")], &["entry \"a\"", "../../etc/shadow", "\"..\""]);
}

#[test]
fn escapes_by_symlink() {
    refused(&[symlink("a", "/etc"), file("a/passwd", "x")], &["a/passwd", "symlink", "\"/etc\""]);
    refused(
        &[dir("d"), symlink("d/a", ".."), file("d/a/b/c", "x")],
        &["d/a/b/c", "symlink (\"d/a\" -> \"..\")"],
    );
    refused(&[symlink("a", "/etc"), hard_link("b", "a/passwd")], &["entry \"b\"", "symlink"]);
    refused(&[symlink("a", "a"), file("a/x", "")], &["symlink"]);
}

#[test]
fn odd_structure() {
    refused(&[file("f", "x"), file("f/g", "x")], &["f/g", "\"f\"", "not a folder"]);
    refused(&[hard_link("a", "missing")], &["\"a\"", "missing"]);
    refused(&[hard_link("a", "a")], &["\"a\"", "doesn't come earlier"]);
    refused(&[dir("d"), hard_link("a", "d")], &["\"a\"", "folder"]);
    refused(&[dir("d"), file("d/x", "1"), file("d", "2")], &["\"d\"", "not empty"]);
    refused(&[file(".", "x")], &["root"]);
    refused(&[file([b'n'; 256], "x")], &["256 bytes"]);
    refused(&[file("a", "x").pax("path", "b\0c")], &["NUL"]);
    refused(&[symlink("a", [b't'; 4096])], &["\"a\"", "4096"]);
    refused(&[entry(b'2', "a")], &["\"a\"", "symlink"]);
    refused(&[entry(b'M', "part")], &["part", "put them together"]);
    refused(&[Entry { device: (5000, 0), ..entry(b'3', "dev") }], &["dev", "device"]);
    refused(&[file("a", "x").pax("uid", "-1")], &["\"a\"", "user -1"]);
    refused(&[file("a", "x").pax("SCHILY.xattr.user.a", [b'v'; 5000])], &["\"a\"", "user.a"]);
}

#[test]
fn sizes_that_lie() {
    let lie = |claimed| Entry { claimed: Some(claimed), ..file("big", "x") };
    for claimed in [1 << 20, 1 << 40, (1 << 62), u64::MAX / 2] {
        for compress in [false, true] {
            let bytes = tar(&[lie(claimed)]);
            let bytes = if compress { zstd::encode_all(&bytes[..], 1).unwrap() } else { bytes };
            let error = plan_tar(&bytes).unwrap_err();
            assert!(matches!(error, VolumeError::Truncated { .. }), "{claimed}: {}", text(&error));
        }
    }
    // In a PAX header, where it wins over the ordinary field.
    let error = plan_tar(&tar(&[file("big", "x").pax("size", "999999999999999")])).unwrap_err();
    assert!(matches!(error, VolumeError::Truncated { .. }), "{}", text(&error));
    refused(&[file("big", "x").pax("size", "18446744073709551616")], &["size"]);
    // A long name of 8 GiB must not be allocated.
    let long = Entry { claimed: Some(8 << 30), ..entry(b'L', "././@LongLink") };
    refused(&[long], &["extended header of 8589934592 bytes"]);
    // A size in the PAX header that is smaller than the data: the next header is garbage.
    let error = plan_tar(&tar(&[file("a", [b'x'; 2000]).pax("size", "600"), file("b", "y")])).unwrap_err();
    assert!(matches!(error, VolumeError::Tar { .. }), "{}", text(&error));
}

#[test]
fn sparse_maps_that_lie() {
    let sparse = |map: &str, size: &str| {
        file("s", [b'x'; 512])
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", "sparse")
            .pax("GNU.sparse.realsize", size)
            .with_map(map)
    };
    refused(&[sparse("1\n0\n513\n", "1000")], &["sparse", "more data"]);
    refused(&[sparse("1\n600\n512\n", "1000")], &["sparse", "beyond"]);
    refused(&[sparse("2\n100\n10\n50\n10\n", "1000")], &["sparse", "overlap"]);
    refused(&[sparse("99999999999\n", "1000")], &["sparse", "decimal"]);
    refused(&[sparse("x\n", "1000")], &["sparse", "decimal"]);
    refused(&[sparse("1\n0\n512\n", "18000000000000000000")], &["sparse", "too large"]);
}

impl Entry {
    fn with_map(mut self, map: &str) -> Self {
        let mut data = map.as_bytes().to_vec();
        data.resize(data.len().next_multiple_of(512), 0);
        data.extend(&self.data);
        self.data = data;
        self
    }
}

#[test]
fn cut_anywhere() {
    let whole = tar(&[dir("d"), file("d/a", [7; 3000]), file("b", "x").pax("mtime", "1.5")]);
    // The end mark's second block is not needed.
    for len in (1..whole.len() - 1024).step_by(100).chain([whole.len() - 1025]) {
        let cut = &whole[..len];
        assert!(plan_tar(cut).is_err(), "cut at {len}");
        let compressed = zstd::encode_all(cut, 1).unwrap();
        assert!(plan_tar(&compressed).is_err(), "cut at {len}, then compressed");
    }
    let error = plan_tar(&open_tar(&[file("a", "x")])).unwrap_err();
    assert!(matches!(error, VolumeError::Truncated { .. }), "{}", text(&error));
}

#[test]
fn data_behind_the_end() {
    let twice = [tar(&[file("a", "x")]), tar(&[file("b", "x")])].concat();
    assert!(text(&plan_tar(&twice).unwrap_err()).contains("behind the archive's end"));
}

fn compressed(data: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(data).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(data).unwrap();
    let mut zst = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zst.include_checksum(true).unwrap();
    zst.write_all(data).unwrap();
    [("gzip", gzip.finish().unwrap()), ("xz", xz.finish().unwrap()), ("zstd", zst.finish().unwrap())]
}

#[test]
fn damaged_compression() {
    let noise: Vec<u8> =
        (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let whole = tar(&[file("noise", &noise)]);
    let reference = image_of_tar(&whole);
    for (name, bytes) in compressed(&whole) {
        assert!(image_of_tar(&bytes) == reference, "{name} gives another image");
        for len in [20, bytes.len() / 2, bytes.len() - 20, bytes.len() - 1] {
            let error = plan_tar(&bytes[..len]).expect_err(name);
            let told = matches!(error, VolumeError::Damaged { .. } | VolumeError::Truncated { .. });
            assert!(told, "{name} cut at {len}: {}", text(&error));
        }
        for at in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 2 / 3] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(plan_tar(&damaged).is_err(), "{name} with a bit flipped at {at}");
        }
    }
}

/// Sound files that need more memory than unpacking may take: making them again the same way would not help.
#[test]
fn dictionaries_larger_than_the_memory_that_is_given_are_named() {
    let whole = tar(&[file("a", "x")]);
    // An encoder would take the memory itself: only the dictionary's size in the block's header is changed, and the header's checksum.
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(&whole).unwrap();
    let mut xz = encoder.finish().unwrap();
    // Behind the stream's 12 bytes: size, flags, filter, size of its properties, dictionary (the .xz file format, 3.1 and 5.3.1).
    assert_eq!(xz[14..16], [0x21, 1]);
    xz[16] = 36;
    let end = 12 + (usize::from(xz[12]) + 1) * 4 - 4;
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&xz[12..end]);
    xz[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    let error = plan_tar(&xz).unwrap_err();
    assert!(matches!(error, VolumeError::Window { format: "xz", limit: 256, .. }), "{}", text(&error));
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(&whole).unwrap();
    let error = plan_tar(&encoder.finish().unwrap()).unwrap_err();
    assert!(matches!(error, VolumeError::Window { format: "zstd", limit: 128, .. }), "{}", text(&error));
}

#[test]
fn images_of_containers_are_no_root_file_systems() {
    refused(&[file("oci-layout", "{}"), file("index.json", "{}")], &["an OCI image", "export"]);
    refused(&[file("manifest.json", "[]"), file("c.json", "{}")], &["docker save", "export"]);
    refused(&[dir("etc"), file("etc/.wh.passwd", "")], &["a layer of a container image", "etc/.wh.passwd"]);
    // Files of such names in a whole system mean nothing.
    image_of_tar(&tar(&[dir("etc"), file("manifest.json", "[]")]));
}

#[test]
fn unknown_inputs() {
    for (bytes, wanted) in [
        (&b""[..], "empty"),
        (b"BZh91AY", "bzip2"),
        (b"PK\x03\x04", "zip"),
        (&[0; 4096], "zeros"),
        (b"hello", "no known format"),
    ] {
        let error = plan_tar(bytes).unwrap_err();
        assert!(text(&error).contains(wanted), "{}", text(&error));
    }
    // Compressed, but no tar.
    for (name, bytes) in compressed(&[b'x'; 4096]) {
        let error = plan_tar(&bytes).unwrap_err();
        assert!(matches!(error, VolumeError::Tar { offset: 0, .. }), "{name}: {}", text(&error));
    }
}

#[test]
fn harmless_oddities() {
    let image = image_of_tar(&tar(&[
        dir("./"),
        file("/absolute", "1"),
        file("./a/./b//c", "2"),
        file("twice", "old"),
        file("twice", "new"),
        symlink("loop", "loop"),
        symlink("out", "/etc"),
        dir("out"),
        file("out/f", "3"),
        hard_link("link", "/absolute"),
        // With the file's bytes again, as POSIX allows, and with a size only, as old tars have it.
        Entry { data: b"1".to_vec(), ..hard_link("second", "/absolute") },
        Entry { claimed: Some(1), ..hard_link("third", "/absolute") },
        file("behind", "4"),
        Entry { device: (1, 3), mode: 0o666, ..entry(b'3', "null") },
    ]));
    let fs = mkext4::reader::Fs::open(&image[..]).unwrap();
    assert!(fs.verify().unwrap().is_empty());
    let read = |path: &str| fs.read_file(fs.resolve(path).unwrap()).unwrap();
    assert_eq!(read("/absolute"), b"1");
    assert_eq!(read("/a/b/c"), b"2");
    assert_eq!(read("/twice"), b"new");
    assert_eq!(read("/out/f"), b"3");
    for link in ["/link", "/second", "/third"] {
        assert_eq!(fs.resolve(link).unwrap(), fs.resolve("/absolute").unwrap());
    }
    assert_eq!(read("/behind"), b"4");
    assert_eq!(fs.symlink_target(fs.resolve("/loop").unwrap()).unwrap(), b"loop");
}

#[test]
fn deep_paths() {
    // 5,000 folders inside each other in one name: no recursion, no error.
    let deep = "d/".repeat(5000) + "f";
    let (_folder, path) = on_disk(&tar(&[file(&deep, "x")]));
    let plan = open_system(&path, &options()).unwrap();
    let mut image = Vec::new();
    plan.write_to(&mut image, &|_| {}).unwrap();
    assert!(mkext4::reader::Fs::open(&image[..]).unwrap().verify().unwrap().is_empty());
}
