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
//! blobs/sha256/<sbom>                the SBOM, if the release has one
//! blobs/sha256/<data> × n            data, as the chunk lists
//! two blocks of zeros, and then nothing
//! ```
//! There is one way to write each byte of it. [`Reader`] therefore doesn't parse tar headers or JSON of strangers: once
//! the release is verified, everything around the data is a function of the release, and is compared. A bit that
//! flips anywhere is found. [`Frame::delta`] is the same for a delta.
mod entry;
mod frame;
mod reader;

pub use entry::{
    BLOB_TYPE, BLOCK, BadHeader, DATA_TYPE, DELTA_TYPE, EMPTY, END_BYTES, Header, INDEX_NAME, LAYOUT,
    LAYOUT_NAME, LIST_TYPE, PATCH_TYPE, RELEASE_TYPE, SBOM_TYPE, blob_digest, blob_name,
};
pub use frame::{Frame, Kind};
pub use reader::{Anyone, Input, Part, ReadError, Reader, Trust};
