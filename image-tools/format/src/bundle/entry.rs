//! The entries of a bundle: their names, media types, and headers.
use crate::{Digest, limits};
use alloc::{format, string::String};

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
/// Media type of an SBOM, as IANA has it.
pub const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";
/// Media type of a volume's data.
pub const DATA_TYPE: &str = "application/vnd.bistable.volume.v1+zstd";
/// Media type of a delta's bundle and of the signed delta.
pub const DELTA_TYPE: &str = "application/vnd.bistable.delta.v1";
/// Media type of a delta's data: zstd frames that need the base as their prefix.
pub const PATCH_TYPE: &str = "application/vnd.bistable.patch.v1+zstd";

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
