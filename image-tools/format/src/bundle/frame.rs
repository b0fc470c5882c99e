//! Everything in a bundle around its lists and data: a function of what is signed.
//!
//! The bundle of a delta has one entry more than that of a release, and data that need the base:
//!
//! ```text
//! oci-layout, index.json, <manifest>, <empty>, <release> as in a full bundle
//! blobs/sha256/<delta>               the signed delta
//! blobs/sha256/<list> × n            its chunk lists, in the release's order
//! blobs/sha256/<data> × n            its data, as the chunk lists: 0 bytes where the base has everything
//! two blocks of zeros, and then nothing
//! ```
use super::entry::{
    BLOB_TYPE, BLOCK, BadHeader, DATA_TYPE, DELTA_TYPE, EMPTY, END_BYTES, Header, INDEX_NAME, LAYOUT,
    LAYOUT_NAME, LIST_TYPE, PATCH_TYPE, RELEASE_TYPE, SBOM_TYPE,
};
use crate::{Delta, Digest, Release};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Characters of a tag: what registries take.
const TAG: usize = 128;

/// Which of the two bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A release with all its data.
    Full,
    /// A release with what makes it from another one.
    Delta,
}

impl Kind {
    /// What a manifest claims to be of. Nothing is verified: the claim only tells which entry follows the release, and
    /// the [`Frame`] is compared afterwards.
    pub fn claimed(manifest: &[u8]) -> Kind {
        let delta = manifest_start(Kind::Delta);
        if manifest.starts_with(delta.as_bytes()) { Kind::Delta } else { Kind::Full }
    }

    fn media_type(self) -> &'static str {
        match self {
            Kind::Full => RELEASE_TYPE,
            Kind::Delta => DELTA_TYPE,
        }
    }
}

/// All entries of a bundle but for the contents of lists and data: a function of what is signed, alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Content of `index.json`.
    pub index: String,
    /// Content of the manifest's blob.
    pub manifest: String,
    /// Every entry's header, in order.
    pub headers: Vec<Header>,
}

impl Frame {
    /// Entries before the signed release.
    pub const TEXTS: usize = 4;

    /// Of the full bundle of the signed release `bytes`, which decode to `release`.
    pub fn new(bytes: &[u8], release: &Release) -> Frame {
        let mut layers = Layers::default();
        layers.add(RELEASE_TYPE, Digest::of(bytes), bytes.len() as u64, "release");
        let artifacts = release.content.artifacts();
        for (name, a) in &artifacts {
            layers.add(LIST_TYPE, a.list, a.list_bytes.into(), &format!("{name}.chunks"));
        }
        for blob in release.content.blobs() {
            layers.add(BLOB_TYPE, blob.digest, blob.bytes.into(), "blob");
        }
        if let Some(sbom) = release.sbom_file() {
            layers.add(SBOM_TYPE, sbom.digest, sbom.bytes.into(), "sbom.cdx.json");
        }
        let suffix = if release.volumes().is_some() { "img.zst" } else { "tar.zst" };
        for (name, a) in &artifacts {
            layers.add(DATA_TYPE, a.data, a.data_bytes, &format!("{name}.{suffix}"));
        }
        layers.frame(Kind::Full, release, "")
    }

    /// Of the bundle of a signed delta, whose bytes decode to `delta`, to the signed release, whose bytes decode to
    /// `release`. Its artifacts come in the release's order; those that the delta doesn't make aren't in it.
    pub fn delta(
        (signed_release, release): (&[u8], &Release),
        (signed_delta, delta): (&[u8], &Delta),
    ) -> Frame {
        let mut layers = Layers::default();
        layers.add(RELEASE_TYPE, Digest::of(signed_release), signed_release.len() as u64, "release");
        layers.add(DELTA_TYPE, Digest::of(signed_delta), signed_delta.len() as u64, "delta");
        let artifacts: Vec<_> = release
            .content
            .artifacts()
            .iter()
            .filter_map(|(id, _)| delta.artifact(&id.to_string()))
            .collect();
        for a in &artifacts {
            layers.add(LIST_TYPE, a.list, a.list_bytes.into(), &format!("{}.chunks", a.name));
        }
        for a in &artifacts {
            layers.add(PATCH_TYPE, a.data, a.data_bytes, &format!("{}.patch.zst", a.name));
        }
        layers.frame(Kind::Delta, release, &format!("-from-{:.12}", delta.base))
    }

    /// The first entries in memory, with these contents from the signed release on: one entry for each.
    ///
    /// # Errors
    /// [`BadHeader`] for more data than an entry may have.
    pub fn head<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BadHeader> {
        let texts: [&[u8]; Frame::TEXTS] =
            [LAYOUT.as_bytes(), self.index.as_bytes(), self.manifest.as_bytes(), EMPTY.as_bytes()];
        let mut bytes = Vec::new();
        let mut put = |header: &Header, content: &[u8]| {
            bytes.extend_from_slice(&header.encode()?);
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len() + header.padding(), 0);
            Ok(())
        };
        let mut headers = self.headers.iter();
        for (text, header) in texts.into_iter().zip(&mut headers) {
            put(header, text)?;
        }
        for (content, header) in contents.into_iter().zip(headers) {
            put(header, content)?;
        }
        Ok(bytes)
    }

    /// The whole bundle in memory, with these contents from the signed release on.
    ///
    /// # Errors
    /// [`BadHeader`] for more data than an entry may have.
    pub fn bundle<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BadHeader> {
        let mut bytes = self.head(contents)?;
        bytes.resize(bytes.len() + END_BYTES, 0);
        Ok(bytes)
    }

    /// Bytes of the whole bundle.
    pub fn bundle_bytes(&self) -> u64 {
        let entries: u64 = self.headers.iter().map(|h| BLOCK as u64 + h.bytes + h.padding() as u64).sum();
        entries + END_BYTES as u64
    }
}

/// The blobs that a manifest names, as it names them and as entries.
#[derive(Default)]
struct Layers {
    texts: Vec<String>,
    headers: Vec<Header>,
}

impl Layers {
    fn add(&mut self, media: &str, digest: Digest, bytes: u64, title: &str) {
        self.texts.push(format!(
            "{{\"mediaType\":\"{media}\",\"digest\":\"sha256:{digest}\",\"size\":{bytes},\
             \"annotations\":{{\"org.opencontainers.image.title\":\"{title}\"}}}}"
        ));
        self.headers.push(Header::blob(&digest, bytes));
    }

    fn frame(self, kind: Kind, release: &Release, tag_end: &str) -> Frame {
        let empty = Digest::of(EMPTY.as_bytes());
        // Product and version are names of a checked alphabet: nothing in them needs escaping.
        let manifest = format!(
            "{}\"config\":{{\"mediaType\":\"{EMPTY_TYPE}\",\"digest\":\"sha256:{empty}\",\"size\":{}}},\
             \"layers\":[{}],\
             \"annotations\":{{\"org.opencontainers.image.title\":\"{}\",\"org.opencontainers.image.version\":\"{}\"}}}}",
            manifest_start(kind),
            EMPTY.len(),
            self.texts.join(","),
            release.what(),
            release.version,
        );
        let manifest_digest = Digest::of(manifest.as_bytes());
        // A tag is what `skopeo` and `oras` address an image by; it has no `+`.
        let mut tag: String = format!("{}-{}", release.what().replace('/', "-"), release.version)
            .replace('+', "_")
            .chars()
            .take(TAG.saturating_sub(tag_end.len()))
            .collect();
        tag.push_str(tag_end);
        let index = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX_TYPE}\",\
             \"manifests\":[{{\"mediaType\":\"{MANIFEST_TYPE}\",\
             \"digest\":\"sha256:{manifest_digest}\",\"size\":{},\"artifactType\":\"{}\",\
             \"annotations\":{{\"org.opencontainers.image.ref.name\":\"{tag}\"}}}}]}}",
            manifest.len(),
            kind.media_type(),
        );
        let mut headers = alloc::vec![
            Header { name: LAYOUT_NAME.into(), bytes: LAYOUT.len() as u64 },
            Header { name: INDEX_NAME.into(), bytes: index.len() as u64 },
            Header::blob(&manifest_digest, manifest.len() as u64),
            Header::blob(&empty, EMPTY.len() as u64),
        ];
        headers.extend(self.headers);
        Frame { index, manifest, headers }
    }
}

fn manifest_start(kind: Kind) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST_TYPE}\",\"artifactType\":\"{}\",",
        kind.media_type()
    )
}
