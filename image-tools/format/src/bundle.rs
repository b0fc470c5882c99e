//! A bundle: one file with a release and its data, to the byte.
//!
//! It is a tar of an OCI image layout, which `tar`, `skopeo` and `oras` understand, in a fixed order, so that it
//! installs from a stream:
//!
//! ```text
//! oci-layout                         a constant
//! index.json                         names the manifest
//! blobs/sha256/<manifest>            names all that follows
//! blobs/sha256/<empty>               the OCI "empty" config, {}
//! blobs/sha256/<release>             the signed release
//! blobs/sha256/<list> × n            chunk lists: boot, system; archive; or one a layer
//! blobs/sha256/<blob> × n            manifests and configurations of containers
//! blobs/sha256/<data> × n            data, as the chunk lists
//! two blocks of zeros, and then nothing
//! ```
//! There is one way to write each byte of it. A reader therefore doesn't parse tar headers or JSON of strangers: once
//! the release is verified, everything around the data is a function of the release, and is compared. A bit that
//! flips anywhere is found.
use crate::{Digest, Release, limits};
use alloc::{format, string::String, vec::Vec};

/// Bytes of a tar block.
pub const BLOCK: usize = 512;
/// Bytes after the last entry.
pub const END_BYTES: usize = 2 * BLOCK;
/// Name of the first entry.
pub const LAYOUT_NAME: &str = "oci-layout";
/// Content of the first entry.
pub const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// Name of the second entry.
pub const INDEX_NAME: &str = "index.json";
/// The OCI "empty" config.
pub const EMPTY: &str = "{}";

/// Media type of the artifact and of the signed release.
pub const RELEASE_TYPE: &str = "application/vnd.bistable.release.v1";
/// Media type of a chunk list.
pub const LIST_TYPE: &str = "application/vnd.bistable.chunks.v1";
/// Media type of a container image's manifest or configuration.
pub const BLOB_TYPE: &str = "application/vnd.bistable.blob.v1";
/// Media type of a volume's data.
pub const DATA_TYPE: &str = "application/vnd.bistable.volume.v1+zstd";

/// An entry's header: name and size are all that varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `oci-layout`, `index.json` or `blobs/sha256/<hex>`.
    pub name: String,
    /// Bytes of content, which blocks of zeros fill up to whole blocks.
    pub bytes: u64,
}

/// A header that isn't of the one allowed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tar header as a bundle has them")]
pub struct BadHeader;

impl Header {
    /// Of a blob.
    pub fn blob(digest: &Digest, bytes: u64) -> Header {
        Header { name: blob_name(digest), bytes }
    }

    /// The 512 bytes: POSIX ustar, mode 0644, owner 0, time 0.
    ///
    /// # Errors
    /// [`BadHeader`] for a name that no entry has, or a size that doesn't fit.
    pub fn encode(&self) -> Result<[u8; BLOCK], BadHeader> {
        let known =
            matches!(self.name.as_str(), LAYOUT_NAME | INDEX_NAME) || blob_digest(&self.name).is_some();
        if !known || self.bytes > limits::VOLUME_DATA {
            return Err(BadHeader);
        }
        let mut block = [0; BLOCK];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &self.name);
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", self.bytes));
        put(136, "00000000000");
        put(156, "0");
        put(257, "ustar\x0000");
        // The checksum counts its own field as blanks.
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum::<u32>() + 8 * u32::from(b' ');
        let text = format!("{sum:06o}\0 ");
        block[148..156].copy_from_slice(text.as_bytes());
        Ok(block)
    }

    /// Read a header. Total: only what [`encode`](Self::encode) writes is accepted, to the bit.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn decode(block: &[u8; BLOCK]) -> Result<Header, BadHeader> {
        let name = block.split(|b| *b == 0).next().unwrap_or_default();
        let name = core::str::from_utf8(name).map_err(|_| BadHeader)?;
        let size = core::str::from_utf8(&block[124..135]).map_err(|_| BadHeader)?;
        let bytes = u64::from_str_radix(size, 8).map_err(|_| BadHeader)?;
        let header = Header { name: name.into(), bytes };
        if header.encode()? == *block { Ok(header) } else { Err(BadHeader) }
    }

    /// Zero bytes after the content.
    pub fn padding(&self) -> usize {
        let over = usize::try_from(self.bytes % BLOCK as u64).unwrap_or(0);
        (BLOCK - over) % BLOCK
    }
}

/// Name of a blob's entry.
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

/// The digest in a blob's name.
pub fn blob_digest(name: &str) -> Option<Digest> {
    Digest::parse(name.strip_prefix("blobs/sha256/")?)
}

/// All entries of a bundle but for the contents of lists and data: a function of the signed release alone.
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
    /// Of the signed release `bytes`, which decode to `release`.
    pub fn new(bytes: &[u8], release: &Release) -> Frame {
        let release_digest = Digest::of(bytes);
        let descriptor = |media: &str, digest: &Digest, bytes: u64, title: &str| {
            format!(
                "{{\"mediaType\":\"{media}\",\"digest\":\"sha256:{digest}\",\"size\":{bytes},\
                 \"annotations\":{{\"org.opencontainers.image.title\":\"{title}\"}}}}"
            )
        };
        let mut layers =
            alloc::vec![descriptor(RELEASE_TYPE, &release_digest, bytes.len() as u64, "release")];
        let mut lists = Vec::new();
        let mut data = Vec::new();
        let artifacts = release.content.artifacts();
        for (name, a) in &artifacts {
            layers.push(descriptor(LIST_TYPE, &a.list, a.list_bytes.into(), &format!("{name}.chunks")));
            lists.push(Header::blob(&a.list, a.list_bytes.into()));
        }
        for blob in release.content.blobs() {
            layers.push(descriptor(BLOB_TYPE, &blob.digest, blob.bytes.into(), "blob"));
            lists.push(Header::blob(&blob.digest, blob.bytes.into()));
        }
        let suffix = if release.volumes().is_some() { "img.zst" } else { "tar.zst" };
        for (name, a) in &artifacts {
            layers.push(descriptor(DATA_TYPE, &a.data, a.data_bytes, &format!("{name}.{suffix}")));
            data.push(Header::blob(&a.data, a.data_bytes));
        }
        let empty = Digest::of(EMPTY.as_bytes());
        // Product and version are names of a checked alphabet: nothing in them needs escaping.
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
             \"artifactType\":\"{RELEASE_TYPE}\",\
             \"config\":{{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"sha256:{empty}\",\"size\":{}}},\
             \"layers\":[{}],\
             \"annotations\":{{\"org.opencontainers.image.title\":\"{}\",\"org.opencontainers.image.version\":\"{}\"}}}}",
            EMPTY.len(),
            layers.join(","),
            release.product(),
            release.version,
        );
        let manifest_digest = Digest::of(manifest.as_bytes());
        // A tag is what `skopeo` and `oras` address an image by; it has no `+`.
        let tag: String = format!("{}-{}", release.product(), release.version)
            .replace('+', "_")
            .chars()
            .take(128)
            .collect();
        let index = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\
             \"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
             \"digest\":\"sha256:{manifest_digest}\",\"size\":{},\"artifactType\":\"{RELEASE_TYPE}\",\
             \"annotations\":{{\"org.opencontainers.image.ref.name\":\"{tag}\"}}}}]}}",
            manifest.len(),
        );
        let mut headers = alloc::vec![
            Header { name: LAYOUT_NAME.into(), bytes: LAYOUT.len() as u64 },
            Header { name: INDEX_NAME.into(), bytes: index.len() as u64 },
            Header::blob(&manifest_digest, manifest.len() as u64),
            Header::blob(&empty, EMPTY.len() as u64),
            Header::blob(&release_digest, bytes.len() as u64),
        ];
        headers.extend(lists);
        headers.extend(data);
        Frame { index, manifest, headers }
    }

    /// Bytes of the whole bundle.
    pub fn bundle_bytes(&self) -> u64 {
        let entries: u64 = self.headers.iter().map(|h| BLOCK as u64 + h.bytes + h.padding() as u64).sum();
        entries + END_BYTES as u64
    }
}
