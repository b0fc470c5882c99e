//! How a volume is cut into chunks, how each is encoded, and what it must hash to.
//!
//! A chunk list is named by its digest in the signed release, so it needs no signature. The full volume's data is the
//! chunks' zstd frames one after another: `zstd -dc` gives the raw image back.
use crate::{DecodeError, Digest, from_postcard, limits, to_postcard};
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Fewest bytes that an encoded list can have.
pub const MIN_BYTES: usize = 4;

/// A run of bytes of a base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u32,
}

/// How a chunk's raw bytes are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// All zero. The data still has a zstd frame of them, so that the data as a whole stays a zstd file.
    Zero {
        /// Bytes of the frame, which a reader may pass over.
        bytes: u32,
        /// SHA-256 of the frame.
        digest: Digest,
    },
    /// One zstd frame.
    Zstd {
        /// Bytes of the frame.
        bytes: u32,
        /// SHA-256 of the frame: checked before it is decompressed.
        digest: Digest,
    },
    /// The same as a range of the base image. Only in a delta.
    Copy(Range),
    /// A zstd frame with ranges of the base image as its prefix. Only in a delta.
    Patch {
        /// Bytes of the frame.
        bytes: u32,
        /// SHA-256 of the frame.
        digest: Digest,
        /// What makes up the prefix.
        #[serde(deserialize_with = "crate::limited::<_, _, { limits::RANGES }>")]
        prefix: Vec<Range>,
    },
}

impl Encoding {
    /// Bytes that the chunk takes in the data.
    pub fn data_bytes(&self) -> u32 {
        match self {
            Encoding::Zero { bytes, .. } | Encoding::Zstd { bytes, .. } | Encoding::Patch { bytes, .. } => {
                *bytes
            }
            Encoding::Copy(_) => 0,
        }
    }

    /// Number of ranges in its prefix.
    fn ranges(&self) -> usize {
        match self {
            Encoding::Patch { prefix, .. } => prefix.len(),
            Encoding::Zero { .. } | Encoding::Zstd { .. } | Encoding::Copy(_) => 0,
        }
    }
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// SHA-256 of the raw bytes: what the slot must hold.
    pub digest: Digest,
    /// Where they come from.
    pub encoding: Encoding,
}

/// All chunks of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkList {
    /// Raw bytes in each chunk but the last: a power of two between the limits.
    pub chunk_bytes: u32,
    /// SHA-256 of the base image's raw bytes, if this is a delta.
    pub base: Option<Digest>,
    /// In order.
    #[serde(deserialize_with = "limited_chunks")]
    pub chunks: Vec<Chunk>,
}

/// At most as many chunks and ranges as allowed, counted while they are decoded.
fn limited_chunks<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Chunk>, D::Error> {
    struct Chunks;

    impl<'de> serde::de::Visitor<'de> for Chunks {
        type Value = Vec<Chunk>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "at most {} chunks with {} ranges", limits::CHUNKS, limits::LIST_RANGES)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Chunk>, A::Error> {
            let mut chunks: Vec<Chunk> = Vec::new();
            let mut ranges = 0;
            while let Some(chunk) = seq.next_element::<Chunk>()? {
                ranges += chunk.encoding.ranges();
                if chunks.len() as u64 == limits::CHUNKS || ranges > limits::LIST_RANGES {
                    return Err(serde::de::Error::invalid_length(chunks.len() + 1, &self));
                }
                chunks.push(chunk);
            }
            Ok(chunks)
        }
    }
    from.deserialize_seq(Chunks)
}

impl ChunkList {
    /// Decode bytes whose digest was checked, for a volume of that many raw and data bytes.
    ///
    /// # Errors
    /// When it doesn't decode, or doesn't fit the volume exactly.
    pub fn decode(bytes: &[u8], volume_bytes: u64, data_bytes: u64) -> Result<ChunkList, DecodeError> {
        let list: ChunkList = from_postcard("chunk list", bytes, limits::CHUNK_LIST)?;
        list.check(volume_bytes, data_bytes)?;
        Ok(list)
    }

    /// The bytes to be hashed and stored.
    ///
    /// # Errors
    /// When it doesn't fit the volume, or is too large.
    pub fn encode(&self, volume_bytes: u64, data_bytes: u64) -> Result<Vec<u8>, DecodeError> {
        self.check(volume_bytes, data_bytes)?;
        to_postcard("chunk list", self, limits::CHUNK_LIST)
    }

    /// Raw bytes of chunk `index` of a volume of `volume_bytes`: all are `chunk_bytes` long but the last; none behind
    /// the end.
    pub fn raw_bytes(&self, index: usize, volume_bytes: u64) -> u32 {
        let start = (index as u64).saturating_mul(u64::from(self.chunk_bytes));
        let left = volume_bytes.saturating_sub(start).min(u64::from(self.chunk_bytes));
        u32::try_from(left).unwrap_or(self.chunk_bytes)
    }

    fn check(&self, volume_bytes: u64, data_bytes: u64) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "chunk list", problem });
        let size = self.chunk_bytes;
        if !size.is_power_of_two() || !(limits::CHUNK_MIN..=limits::CHUNK_MAX).contains(&size) {
            return invalid(format!("chunks of {size} bytes"));
        }
        let need = volume_bytes.div_ceil(u64::from(size));
        if need > limits::CHUNKS || self.chunks.len() as u64 != need {
            return invalid(format!("{} chunks where the volume has {need}", self.chunks.len()));
        }
        let ranges: usize = self.chunks.iter().map(|c| c.encoding.ranges()).sum();
        if ranges > limits::LIST_RANGES {
            return invalid(format!("{ranges} ranges of the base, more than {}", limits::LIST_RANGES));
        }
        let mut sum: u64 = 0;
        for (i, chunk) in self.chunks.iter().enumerate() {
            let encoded = chunk.encoding.data_bytes();
            let raw = self.raw_bytes(i, volume_bytes);
            if encoded > limits::encoded_chunk(size) {
                return invalid(format!("chunk {i} takes {encoded} bytes of data for {raw} raw ones"));
            }
            sum += u64::from(encoded);
            let range_fits = |r: &Range| r.bytes > 0 && r.offset.checked_add(u64::from(r.bytes)).is_some();
            let (fine, delta) = match &chunk.encoding {
                Encoding::Zero { bytes, .. } | Encoding::Zstd { bytes, .. } => (*bytes > 0, false),
                Encoding::Copy(range) => (range.bytes == raw && range_fits(range), true),
                Encoding::Patch { bytes, prefix, .. } => {
                    let total: u64 = prefix.iter().map(|r| u64::from(r.bytes)).sum();
                    let fits = prefix.len() <= limits::RANGES
                        && total <= u64::from(limits::CHUNK_MAX)
                        && prefix.iter().all(range_fits);
                    (*bytes > 0 && fits, true)
                }
            };
            if !fine || (delta && self.base.is_none()) {
                return invalid(format!("chunk {i} has an encoding that can't be right"));
            }
        }
        if sum != data_bytes {
            return invalid(format!("chunks of {sum} bytes where the volume's data has {data_bytes}"));
        }
        Ok(())
    }
}
