//! How large anything may be. Checked before allocation, by writer and reader alike.

/// Bytes of a signed envelope's payload.
pub const ENVELOPE_PAYLOAD: usize = 64 << 10;
/// Signatures on one envelope.
pub const SIGNATURES: usize = 16;
/// Keys in a root.
pub const KEYS: usize = 32;
/// Bytes of a name: product, board, component, author, key label, test.
pub const NAME: usize = 64;
/// Bytes of a version's text.
pub const VERSION: usize = 64;
/// Bytes of a version requirement's text.
pub const REQUIREMENT: usize = 256;
/// Bytes of a release's description.
pub const DESCRIPTION: usize = 4 << 10;
/// Bytes of a self-test plan's or health profile's text.
pub const PLAN: usize = 16 << 10;
/// Boards that one release can name.
pub const BOARDS: usize = 32;
/// Components that one release can require.
pub const COMPONENTS: usize = 32;
/// Bytes of a raw volume: 64 GiB.
pub const VOLUME: u64 = 64 << 30;
/// Bytes of a volume's encoded data: what a tar header's size field can hold.
pub const VOLUME_DATA: u64 = (8 << 30) - 1;
/// Smallest chunk, in bytes.
pub const CHUNK_MIN: u32 = 256 << 10;
/// Largest chunk, in bytes.
pub const CHUNK_MAX: u32 = 4 << 20;
/// Chunks in a volume.
pub const CHUNKS: u64 = 1 << 16;
/// Bytes of an encoded chunk list.
pub const CHUNK_LIST: usize = 8 << 20;
/// Fewest bytes of an encoded chunk list.
pub const CHUNK_LIST_MIN: usize = 4;
/// Ranges of the base image that one chunk of a delta can name.
pub const RANGES: usize = 64;
/// Ranges in all of a chunk list: they take more memory than bytes in the list.
pub const LIST_RANGES: usize = 1 << 18;
/// Bytes of a bundle's index or manifest text.
pub const BUNDLE_TEXT: u64 = 64 << 10;
/// Tests in a self-test plan, checks in a health profile.
pub const TESTS: usize = 64;

/// Extensions of one structure.
pub const EXTENSIONS: usize = 16;
/// Artifacts that a release can consist of, or that a delta can make.
pub const ARTIFACTS: usize = LAYERS;
/// Services of one release with containers.
pub const SERVICES: usize = 16;
/// Layers of their images.
pub const LAYERS: usize = 128;
/// Manifests and configurations of their images.
pub const BLOBS: usize = 32;
/// Bytes of one manifest or configuration.
pub const BLOB: u32 = 1 << 20;
/// Bytes of an SBOM: one of a whole distribution, with all files in it, has some megabytes.
pub const SBOM: u32 = 32 << 20;
/// Bytes of a Compose file.
pub const COMPOSE: usize = 64 << 10;
/// Entries of a root for roles: root, release, and the channels'.
pub const ROLES: usize = 34;
/// Channels that one entry of a root names.
pub const ROLE_CHANNELS: usize = 32;

/// Files, folders and links of an archive.
pub const ARCHIVE_ENTRIES: u32 = 1_000_000;
/// Bytes of a path in an archive, or of a link's target.
pub const ARCHIVE_PATH: usize = 3_840;
/// Bytes of one name in a path.
pub const ARCHIVE_NAME: usize = 255;

/// Waves in a rollout.
pub const WAVES: usize = 16;
/// Groups that get a release before all waves.
pub const CANARIES: usize = 8;
/// Releases that a channel offers at a time. All that it has ever offered is in its catalog.
pub const OFFERS: usize = 64;
/// Withdrawals that a channel remembers.
pub const WITHDRAWN: usize = 128;
/// Releases that a channel keeps from being pruned.
pub const PINS: usize = 128;
/// Segments of a channel's catalog.
pub const SEGMENTS: usize = 96;
/// Attestations that a channel can demand.
pub const ATTESTATIONS: usize = 8;
/// Bytes of a reason, or of what an act was about.
pub const REASON: usize = 200;
/// Bytes of a channel's name.
pub const CHANNEL_NAME: usize = 32;

/// Most bytes that a chunk's encoding can take: what zstd promises for incompressible data, and a frame's head.
pub const fn encoded_chunk(chunk_size: u32) -> u32 {
    chunk_size + (chunk_size >> 8) + 1024
}
