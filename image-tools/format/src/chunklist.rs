//! How a volume is cut into chunks, how each is encoded, and what it must hash to.
//!
//! A chunk list is named by its digest in the signed release, so it needs no signature. The full volume's data is the
//! chunks' zstd frames one after another: `zstd -dc` gives the raw image back.
use crate::{Artifact, DecodeError, Digest, Hasher, artifact::check_chunk_bytes, limits, open, to_postcard};
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize, Serializer};

const WHAT: &str = "chunk list";

/// A run of bytes of a base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u32,
}

/// How a chunk's raw bytes are made: an open set of kinds. A list with one that isn't known can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        prefix: Vec<Range>,
    },
}

// The kinds' numbers.
const ZERO: u16 = 1;
const ZSTD: u16 = 2;
const COPY: u16 = 3;
const PATCH: u16 = 4;

/// A patch's fields on the wire.
#[derive(Deserialize)]
struct Patch {
    bytes: u32,
    digest: Digest,
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::RANGES }>")]
    prefix: Vec<Range>,
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Encoding::Zero { bytes, digest } => open::write(to, ZERO, &(bytes, digest)),
            Encoding::Zstd { bytes, digest } => open::write(to, ZSTD, &(bytes, digest)),
            Encoding::Copy(range) => open::write(to, COPY, range),
            Encoding::Patch { bytes, digest, prefix } => open::write(to, PATCH, &(bytes, digest, prefix)),
        }
    }
}

impl Encoding {
    fn read(kind: u16, fields: &[u8]) -> Result<Encoding, DecodeError> {
        let read = match kind {
            ZERO => open::unframe(WHAT, fields).map(|(bytes, digest)| Encoding::Zero { bytes, digest }),
            ZSTD => open::unframe(WHAT, fields).map(|(bytes, digest)| Encoding::Zstd { bytes, digest }),
            COPY => open::unframe(WHAT, fields).map(Encoding::Copy),
            PATCH => open::unframe(WHAT, fields).map(|Patch { bytes, digest, prefix }| Encoding::Patch {
                bytes,
                digest,
                prefix,
            }),
            _ => return Err(DecodeError::Kind { what: "chunk encoding", kind }),
        };
        read.map_err(|_| DecodeError::Kind { what: "chunk encoding", kind })
    }

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chunk {
    /// SHA-256 of the raw bytes: what the slot must hold.
    pub digest: Digest,
    /// Where they come from.
    pub encoding: Encoding,
}

/// All chunks of one artifact.
///
/// ```
/// use bistable_format::{Chunk, ChunkList, Digest, Encoding};
///
/// let raw = vec![7; (1 << 20) + 4096];
/// let chunks = raw.chunks(1 << 20).map(|chunk| Chunk {
///     digest: Digest::of(chunk),
///     encoding: Encoding::Zstd { bytes: 64, digest: Digest::of(b"its zstd frame") },
/// });
/// let list = ChunkList { chunk_bytes: 1 << 20, base: None, chunks: chunks.collect() };
/// assert_eq!(list.raw_bytes(0, raw.len() as u64), 1 << 20);
/// assert_eq!(list.raw_bytes(1, raw.len() as u64), 4096);
///
/// // What a release says of all chunks together: a list with another order hashes to something else.
/// let mut swapped = list.clone();
/// swapped.chunks.swap(0, 1);
/// assert_ne!(swapped.chunks_digest(), list.chunks_digest());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChunkList {
    /// Raw bytes in each chunk but the last: a power of two between the limits.
    pub chunk_bytes: u32,
    /// SHA-256 of the base image's raw bytes, if this is a delta.
    pub base: Option<Digest>,
    /// In order.
    pub chunks: Vec<Chunk>,
}

impl ChunkList {
    /// Decode bytes whose digest was checked, for the whole of an artifact.
    ///
    /// # Errors
    /// When it doesn't decode, doesn't fit the artifact exactly, or describes other chunks than it names.
    pub fn decode(bytes: &[u8], artifact: &Artifact) -> Result<ChunkList, DecodeError> {
        let list = ChunkList::read(bytes)?;
        if list.base.is_some() {
            return Err(invalid("it is of a delta".into()));
        }
        list.check(artifact.bytes, artifact.data_bytes)?;
        list.check_chunks(artifact)?;
        Ok(list)
    }

    /// Decode bytes whose digest was checked, for an artifact that is made from `base` and that many bytes of data.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and when it reads outside the base.
    pub fn decode_delta(
        bytes: &[u8],
        artifact: &Artifact,
        data_bytes: u64,
        base: &Artifact,
    ) -> Result<ChunkList, DecodeError> {
        let list = ChunkList::read(bytes)?;
        if list.base != Some(base.digest) {
            return Err(invalid("it is of another base".into()));
        }
        list.check(artifact.bytes, data_bytes)?;
        let inside =
            |r: &Range| r.offset.checked_add(u64::from(r.bytes)).is_some_and(|end| end <= base.bytes);
        for (i, chunk) in list.chunks.iter().enumerate() {
            let fits = match &chunk.encoding {
                Encoding::Zero { .. } | Encoding::Zstd { .. } => true,
                Encoding::Copy(range) => inside(range),
                Encoding::Patch { prefix, .. } => prefix.iter().all(inside),
            };
            if !fits {
                return Err(invalid(format!("chunk {i} reads behind the end of the base")));
            }
        }
        list.check_chunks(artifact)?;
        Ok(list)
    }

    /// Take a list apart, chunk by chunk: limits are checked before anything is allocated for more of them.
    fn read(bytes: &[u8]) -> Result<ChunkList, DecodeError> {
        if bytes.len() > limits::CHUNK_LIST {
            return Err(DecodeError::TooLarge { what: WHAT, bytes: bytes.len(), limit: limits::CHUNK_LIST });
        }
        let malformed = |_| DecodeError::Malformed(WHAT);
        let ((chunk_bytes, base, count), mut rest) =
            postcard::take_from_bytes::<(u32, Option<Digest>, u64)>(bytes).map_err(malformed)?;
        if count > limits::CHUNKS {
            return Err(invalid(format!("{count} chunks, more than {}", limits::CHUNKS)));
        }
        let mut chunks = Vec::new();
        let mut ranges = 0;
        for _ in 0..count {
            let ((digest, kind, fields), behind) =
                postcard::take_from_bytes::<(Digest, u16, &[u8])>(rest).map_err(malformed)?;
            let encoding = Encoding::read(kind, fields)?;
            ranges += encoding.ranges();
            if ranges > limits::LIST_RANGES {
                return Err(invalid(format!("more than {} ranges of the base", limits::LIST_RANGES)));
            }
            chunks.push(Chunk { digest, encoding });
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(DecodeError::Trailing(WHAT));
        }
        Ok(ChunkList { chunk_bytes, base, chunks })
    }

    /// SHA-256 of the digests of all raw chunks, in order: [`Artifact::chunks`].
    pub fn chunks_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        self.chunks.iter().for_each(|chunk| hasher.update(&chunk.digest.0));
        hasher.finish()
    }

    /// Whether it describes the very chunks of an artifact, however they are made.
    fn check_chunks(&self, artifact: &Artifact) -> Result<(), DecodeError> {
        if self.chunk_bytes == artifact.chunk_bytes && self.chunks_digest() == artifact.chunks {
            return Ok(());
        }
        Err(DecodeError::OtherChunks)
    }

    /// The bytes to be hashed and stored.
    ///
    /// # Errors
    /// When it doesn't fit the volume, or is too large.
    pub fn encode(&self, volume_bytes: u64, data_bytes: u64) -> Result<Vec<u8>, DecodeError> {
        self.check(volume_bytes, data_bytes)?;
        to_postcard(WHAT, self, limits::CHUNK_LIST)
    }

    /// Raw bytes of chunk `index` of a volume of `volume_bytes`: all are `chunk_bytes` long but the last; none behind
    /// the end.
    pub fn raw_bytes(&self, index: usize, volume_bytes: u64) -> u32 {
        let start = (index as u64).saturating_mul(u64::from(self.chunk_bytes));
        let left = volume_bytes.saturating_sub(start).min(u64::from(self.chunk_bytes));
        u32::try_from(left).unwrap_or(self.chunk_bytes)
    }

    fn check(&self, volume_bytes: u64, data_bytes: u64) -> Result<(), DecodeError> {
        let invalid = |problem| Err(invalid(problem));
        let size = self.chunk_bytes;
        check_chunk_bytes(WHAT, size)?;
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

fn invalid(problem: String) -> DecodeError {
    DecodeError::Invalid { what: WHAT, problem }
}
