//! The files of a saved image: a folder or a tar, as a tree.
use super::error::{ImageProblem, OciError};
use super::source::{ImageSource, Saved};
use super::types::{Descriptor, Layout};
use crate::volume::data::FileData;
use crate::volume::tree::{Kind, ROOT, Tree};
use crate::volume::{Reader, VolumeError, open_tree};
use bistable_format::{Digest, Hasher, limits};
use serde::de::DeserializeOwned;
use std::io::{self, Read};
use std::path::PathBuf;

/// Bytes of a document at most.
const DOCUMENT: u64 = limits::BLOB as u64;
/// Links that follow each other at most. Old versions of `docker save` write one.
const LINKS: usize = 8;
/// What is read at a time.
const PIECE: usize = 256 << 10;
/// Bytes of a layer at most, with and without compression: a few kilobytes can claim to be terabytes.
pub(super) const LAYER_MAX: u64 = 8 << 30;

/// A saved image.
pub(super) struct Store {
    path: PathBuf,
    tree: Tree,
}

impl Store {
    pub(super) fn open(source: &ImageSource, epoch: u64) -> Result<Store, OciError> {
        let (_, tree) = open_tree(&source.path, epoch, None)?;
        Ok(Store { path: source.path.clone(), tree })
    }

    pub(super) fn wrong(&self, problem: ImageProblem) -> OciError {
        OciError::Image { image: self.path.clone(), problem }
    }

    /// What it was saved as.
    pub(super) fn saved(&self, asked: Saved) -> Result<Saved, OciError> {
        let (oci, docker) = (self.find("oci-layout")?.is_some(), self.find("manifest.json")?.is_some());
        match asked {
            Saved::Any | Saved::Oci if oci => {
                let layout: Layout = self.document("oci-layout")?;
                if layout.image_layout_version != "1.0.0" {
                    return Err(
                        self.wrong(ImageProblem::Layout { version: shown(&layout.image_layout_version) })
                    );
                }
                Ok(Saved::Oci)
            }
            Saved::Any | Saved::Docker if docker => Ok(Saved::Docker),
            _ => Err(self.wrong(ImageProblem::NotAnImage)),
        }
    }

    /// A file, wherever links of the archive lead.
    pub(super) fn find(&self, name: &str) -> Result<Option<&FileData>, OciError> {
        let mut path = name.to_owned();
        for _ in 0..LINKS {
            let (mut at, mut folders, mut rest) = (ROOT, Vec::new(), None);
            for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
                if !matches!(self.tree.node(at).kind, Kind::Folder(_)) {
                    return Ok(None);
                }
                let child = self.tree.child(at, part.as_bytes()).map_err(|problem| VolumeError::Entry {
                    path: self.path.clone(),
                    entry: path.clone(),
                    problem,
                })?;
                let Some(child) = child else { return Ok(None) };
                folders.push(part);
                at = child;
            }
            match &self.tree.node(at).kind {
                Kind::File(data) => return Ok(Some(data)),
                Kind::Symlink(target) => {
                    folders.pop();
                    rest = follow(folders, target);
                }
                _ => {}
            }
            match rest {
                Some(next) => path = next,
                None => return Ok(None),
            }
        }
        Err(self.wrong(ImageProblem::Links { path: shown(name) }))
    }

    /// A file that has to be there.
    pub(super) fn file(&self, name: &str) -> Result<&FileData, OciError> {
        self.find(name)?.ok_or_else(|| self.wrong(ImageProblem::Missing { path: shown(name) }))
    }

    /// The bytes of a small file.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, OciError> {
        let data = self.file(name)?;
        if data.size > DOCUMENT {
            let (path, bytes, limit) = (shown(name), data.size, DOCUMENT);
            return Err(self.wrong(ImageProblem::TooLarge { path, bytes, limit }));
        }
        let mut bytes = vec![0; usize::try_from(data.size).unwrap_or(0)];
        self.tree.contents.open(data)?.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T, OciError> {
        self.parse(name, &self.bytes(name)?)
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, OciError> {
        serde_json::from_slice(bytes)
            .map_err(|e| self.wrong(ImageProblem::Json { path: shown(name), why: shown(&e.to_string()) }))
    }

    /// A small blob, verified.
    pub(super) fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        let (name, digest) = self.named(descriptor)?;
        let bytes = self.bytes(&name)?;
        self.compare(&name, (descriptor.size, digest), (bytes.len() as u64, Digest::of(&bytes)))?;
        Ok(bytes)
    }

    /// A blob's file, verified.
    pub(super) fn verified(&self, descriptor: &Descriptor) -> Result<(String, &FileData), OciError> {
        let (name, digest) = self.named(descriptor)?;
        let data = self.file(&name)?;
        // A file with holes can claim any size, and all of it would be hashed.
        if data.size != descriptor.size {
            return Err(self.wrong(ImageProblem::Size {
                path: shown(&name),
                wanted: descriptor.size,
                found: data.size,
            }));
        }
        if data.size > LAYER_MAX {
            return Err(self.wrong(ImageProblem::LayerTooLarge { path: shown(&name), limit: LAYER_MAX }));
        }
        let mut hasher = Hasher::new();
        let mut from = self.stream(data)?;
        let mut piece = vec![0; PIECE];
        loop {
            let got = from.read(&mut piece).map_err(|e| self.unreadable(&name, &e))?;
            if got == 0 {
                break;
            }
            hasher.update(piece.get(..got).unwrap_or_default());
        }
        self.compare(&name, (descriptor.size, digest), (data.size, hasher.finish()))?;
        Ok((name, data))
    }

    /// A file's bytes.
    pub(super) fn stream<'a>(&'a self, data: &'a FileData) -> Result<Streamed<'a>, OciError> {
        Ok(Streamed { reader: self.tree.contents.open(data)?, at: 0, size: data.size })
    }

    pub(super) fn unreadable(&self, name: &str, error: &io::Error) -> OciError {
        self.wrong(ImageProblem::Unreadable { path: shown(name), why: shown(&error.to_string()) })
    }

    fn named(&self, descriptor: &Descriptor) -> Result<(String, Digest), OciError> {
        let digest = self.digest(&descriptor.digest)?;
        Ok((format!("blobs/sha256/{digest}"), digest))
    }

    /// A digest of a document.
    pub(super) fn digest(&self, text: &str) -> Result<Digest, OciError> {
        let parsed = text.strip_prefix("sha256:").and_then(Digest::parse);
        parsed.ok_or_else(|| self.wrong(ImageProblem::Algorithm { digest: shown(text) }))
    }

    fn compare(&self, name: &str, wanted: (u64, Digest), found: (u64, Digest)) -> Result<(), OciError> {
        if wanted == found {
            return Ok(());
        }
        let path = shown(name);
        Err(self.wrong(if wanted.0 == found.0 {
            ImageProblem::Digest { path }
        } else {
            ImageProblem::Size { path, wanted: wanted.0, found: found.0 }
        }))
    }
}

/// Where a link leads, within the archive.
fn follow<'a>(mut folders: Vec<&'a str>, target: &'a [u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok().filter(|target| !target.starts_with('/'))?;
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            folders.pop()?;
        } else {
            folders.push(part);
        }
    }
    Some(folders.join("/"))
}

/// A foreign text for a message.
pub(super) fn shown(text: &str) -> String {
    bistable_format::text::printable(&text.chars().take(200).collect::<String>(), &[])
}

/// Reads a file from its beginning.
pub(super) struct Streamed<'a> {
    reader: Reader<'a>,
    at: u64,
    size: u64,
}

impl Read for Streamed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.size - self.at).map_or(into.len(), |left| left.min(into.len()));
        let piece = into.get_mut(..want).unwrap_or_default();
        if piece.is_empty() {
            return Ok(0);
        }
        self.reader.read_at(self.at, piece).map_err(io::Error::other)?;
        self.at += want as u64;
        Ok(want)
    }
}
