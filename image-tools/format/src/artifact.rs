//! An artifact: bytes that a release consists of, cut into chunks and encoded.
use crate::{DecodeError, Digest, limits};
use alloc::{format, string::String};
use serde::{Deserialize, Serialize};

/// A volume, an archive, or an uncompressed layer of a container's image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Raw bytes.
    pub bytes: u64,
    /// SHA-256 of the raw bytes.
    pub digest: Digest,
    /// Raw bytes in each chunk but the last.
    pub chunk_bytes: u32,
    /// SHA-256 of the digests of all raw chunks, in order. A chunk list, full or of a delta, is accepted only if its
    /// digests hash to this: it can say how bytes are made, never which.
    pub chunks: Digest,
    /// SHA-256 of the encoded chunk list.
    pub list: Digest,
    /// Bytes of the encoded chunk list.
    pub list_bytes: u32,
    /// SHA-256 of the data.
    pub data: Digest,
    /// Bytes of the data: all chunks' encodings, one after another.
    pub data_bytes: u64,
}

impl Artifact {
    pub(crate) fn check(&self, what: &'static str) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what, problem });
        if self.bytes == 0 || self.bytes > limits::VOLUME {
            return invalid(format!("{} bytes: 1 byte to 64 GiB are possible", self.bytes));
        }
        check_chunk_bytes(what, self.chunk_bytes)?;
        if self.bytes.div_ceil(u64::from(self.chunk_bytes)) > limits::CHUNKS {
            return invalid(format!("more than {} chunks", limits::CHUNKS));
        }
        check_encoded(what, self.list_bytes, self.data_bytes)
    }
}

/// Sizes of a chunk list and of data, in releases and deltas.
pub(crate) fn check_encoded(what: &'static str, list_bytes: u32, data_bytes: u64) -> Result<(), DecodeError> {
    let invalid = |problem: String| Err(DecodeError::Invalid { what, problem });
    if data_bytes > limits::VOLUME_DATA {
        return invalid(format!("{data_bytes} bytes of data are too many"));
    }
    let bytes = usize::try_from(list_bytes).unwrap_or(usize::MAX);
    if !(limits::CHUNK_LIST_MIN..=limits::CHUNK_LIST).contains(&bytes) {
        return invalid(format!("a chunk list of {list_bytes} bytes"));
    }
    Ok(())
}

pub(crate) fn check_chunk_bytes(what: &'static str, size: u32) -> Result<(), DecodeError> {
    if size.is_power_of_two() && (limits::CHUNK_MIN..=limits::CHUNK_MAX).contains(&size) {
        return Ok(());
    }
    let problem = format!(
        "chunks of {size} bytes: a power of two from {} to {} is possible",
        limits::CHUNK_MIN,
        limits::CHUNK_MAX
    );
    Err(DecodeError::Invalid { what, problem })
}
