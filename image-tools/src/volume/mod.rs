//! The two raw volume images of a slot, made from what the user has, without root and deterministically.
//!
//! ```text
//!  directory ──┐                       ┌── ext4 (built in) ── streamed, no temporary file
//!  tar, .gz,   ├── Tree (in memory) ───┼── ext4 (mke2fs) ──── temporary file
//!  .xz, .zst ──┘                       └── FAT ────────────── temporary file
//!  ready image ── checked ───────────────────────────────────  as it is
//! ```
//!
//! [`open_system`] and [`open_boot`] read the input's structure and decide everything; the [`VolumePlan`] they
//! return knows its size and writes the image as one sequential stream, as often as it is asked to.
//!
//! **The same input gives the same bytes** on every machine: entries are taken in the byte order of their
//! names, file systems get ids derived from a name, times later than SOURCE_DATE_EPOCH are set to it, and
//! access, change and creation times are the modification time.
//!
//! **Input is hostile**: a tar is never unpacked; it becomes a [`tree::Tree`] in memory, and its symlinks are
//! never followed. Nothing is allocated by a size that the archive merely claims.
//!
//! **Sparse files**: in files of 1 MiB and more, aligned 64 KiB pieces that are all zero become holes,
//! whether or not they were holes in the source: that is the only rule by which a tar, a directory and a copy
//! of it give equal images. A swap file, which may have no holes, should be made on the device.

pub(crate) mod cmdline;
pub(crate) mod config_txt;
mod content;
pub mod data;
mod detect;
mod dir;
mod error;
mod ext4;
pub(crate) mod fat;
mod firmware;
pub(crate) mod formats;
#[doc(hidden)]
pub mod fuzz;
pub(crate) mod kernels;
pub(crate) mod lacks;
mod load_ext4;
mod mke2fs;
mod options;
pub(crate) mod packages;
mod plain;
mod plan;
pub(crate) mod raw_text;
pub(crate) mod ready;
pub(crate) mod system_root;
mod tar;
pub mod tree;
pub(crate) mod uboot;

pub(crate) use content::Reader;
pub use detect::InputKind;
pub(crate) use dir::read as read_dir;
pub use error::{EntryProblem, VolumeError};
pub(crate) use load_ext4::{Last, has_file_types, load_ext4, read_link, real_path};
pub use options::{BLOCK, BootOptions, Ext4Backend, Owner, Reading, SystemOptions, VolumeId, VolumeSize};
pub use plan::{VolumePlan, open_boot, open_system};
pub(crate) use plan::{open_layer, open_tree, plan_boot};
pub(crate) use tar::{Compression, ZSTD_WINDOW, decoder, decoder_failed, looks_like_header};
