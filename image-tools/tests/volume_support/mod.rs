//! What the tests of volumes share: a writer of tars, good and hostile, and short ways to plan and write.
#![allow(dead_code, clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use bistable_image::volume::{SystemOptions, VolumeError, VolumeId, VolumePlan, open_system};

pub(crate) const EPOCH: u64 = 1_700_000_000;

pub(crate) fn options() -> SystemOptions {
    SystemOptions::new(VolumeId::from_name("test/system"), EPOCH)
}

/// One tar entry, field by field, so that any of them can be wrong.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) kind: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// The size field, if it shall differ from the data's length.
    pub(crate) claimed: Option<u64>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
    pub(crate) pax: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(crate) fn entry(kind: u8, name: impl AsRef<[u8]>) -> Entry {
    let mode = if kind == b'5' { 0o755 } else { 0o644 };
    Entry {
        kind,
        name: name.as_ref().to_vec(),
        link: Vec::new(),
        data: Vec::new(),
        claimed: None,
        mode,
        uid: 0,
        gid: 0,
        mtime: 1_600_000_000,
        device: (0, 0),
        pax: Vec::new(),
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
    Entry { data: data.as_ref().to_vec(), ..entry(b'0', name) }
}

pub(crate) fn dir(name: impl AsRef<[u8]>) -> Entry {
    entry(b'5', name)
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { link: target.as_ref().to_vec(), mode: 0o777, ..entry(b'2', name) }
}

pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    Entry { link: target.as_ref().to_vec(), ..entry(b'1', name) }
}

impl Entry {
    pub(crate) fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    fn write(&self, tar: &mut Vec<u8>) {
        let mut pax = self.pax.clone();
        if self.name.len() > 100 {
            pax.push((b"path".to_vec(), self.name.clone()));
        }
        if self.link.len() > 100 {
            pax.push((b"linkpath".to_vec(), self.link.clone()));
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            header(tar, &Entry { pax: Vec::new(), ..entry(b'x', "pax") }, records.len() as u64);
            padded(tar, &records);
        }
        header(tar, self, self.claimed.unwrap_or(self.data.len() as u64));
        padded(tar, &self.data);
    }
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let bare = key.len() + value.len() + 3;
    let mut len = bare + 1;
    while bare + len.to_string().len() != len {
        len = bare + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn padded(tar: &mut Vec<u8>, data: &[u8]) {
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn header(tar: &mut Vec<u8>, entry: &Entry, size: u64) {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, len: usize, bytes: &[u8]| {
        let n = bytes.len().min(len);
        block[at..at + n].copy_from_slice(&bytes[..n]);
    };
    let octal = |value: u64, width: usize| format!("{value:0width$o}").into_bytes();
    put(0, 100, &entry.name);
    put(100, 8, &octal(entry.mode.into(), 7));
    put(108, 8, &octal(entry.uid, 7));
    put(116, 8, &octal(entry.gid, 7));
    if size < 1 << 33 {
        put(124, 12, &octal(size, 11));
    } else {
        put(124, 12, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat());
    }
    put(136, 12, &octal(entry.mtime, 11));
    put(156, 1, &[entry.kind]);
    put(157, 100, &entry.link);
    put(257, 8, b"ustar\x0000");
    put(329, 8, &octal(entry.device.0.into(), 7));
    put(337, 8, &octal(entry.device.1.into(), 7));
    put(148, 8, b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(block);
}

/// The entries without the end mark.
pub(crate) fn open_tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        entry.write(&mut tar);
    }
    tar
}

pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = open_tar(entries);
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// A file of those bytes in a new temporary folder.
pub(crate) fn on_disk(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub(crate) fn plan_tar(bytes: &[u8]) -> Result<VolumePlan, VolumeError> {
    let (_folder, path) = on_disk(bytes);
    open_system(&path, &options())
}

/// The whole image in memory.
pub(crate) fn image(plan: &VolumePlan) -> Vec<u8> {
    let mut image = Vec::new();
    let last = std::cell::Cell::new(0);
    let progress = |at: u64| {
        assert!(at >= last.get(), "progress goes back");
        last.set(at);
    };
    plan.write_to(&mut image, &progress).unwrap();
    assert_eq!(image.len() as u64, plan.size());
    assert_eq!(last.get(), plan.size());
    image
}

pub(crate) fn image_of_tar(bytes: &[u8]) -> Vec<u8> {
    let (_folder, path) = on_disk(bytes);
    image(&open_system(&path, &options()).unwrap())
}

pub(crate) fn image_of(path: &Path) -> Vec<u8> {
    image(&open_system(path, &options()).unwrap())
}

/// An error with all its sources, as a person sees it.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
