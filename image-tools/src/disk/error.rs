//! Why a disk image can't be taken apart.
use crate::output::OutputError;
use crate::volume::VolumeError;
use std::io;
use std::path::PathBuf;

/// Each text says which image, what was found in it, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// It can't be read.
    #[error("can't {action} {path}", path = path.display())]
    Read {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no file that could be an image.
    #[error("{path} is {found}; give an image of a whole card: .img, or compressed .img.xz, .img.zst, .img.gz", path = path.display())]
    NotAnImage {
        /// The input.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is a file system, not a disk.
    #[error("{path} is {found} without a partition table, not an image of a whole card; give it as {option}", path = path.display())]
    PlainVolume {
        /// The input.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// How to use it.
        option: &'static str,
    },
    /// It doesn't decompress.
    #[error(transparent)]
    Damaged(VolumeError),
    /// It would be larger than any card is taken to be.
    #[error("{path} has more than {limit} bytes when it is decompressed: that is not a card image", path = path.display())]
    TooLarge {
        /// The input.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// There is no partition table, or it can't be right.
    #[error("{path}: {why}; is it cut off, or not an image of a card?", path = path.display())]
    Table {
        /// The input.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Which partition is meant can't be told.
    #[error("{path}: {why}\nit has these partitions:\n{found}", path = path.display())]
    Choice {
        /// The input.
        path: PathBuf,
        /// What is missing, and what to do.
        why: String,
        /// The partitions, one for each line.
        found: String,
    },
    /// A partition's file system can't be read.
    #[error("{path}: partition {number}: {why}", path = path.display())]
    Partition {
        /// The input.
        path: PathBuf,
        /// Its number in the table.
        number: u32,
        /// What is wrong.
        why: String,
    },
    /// A file in the image can't be edited.
    #[error("{path}: {file} can't be changed: {why}", path = path.display())]
    Edit {
        /// The input.
        path: PathBuf,
        /// The file in the image.
        file: String,
        /// Why.
        why: String,
    },
    /// The overlay can't be taken.
    #[error("the overlay {path}: {entry}: {why}", path = path.display())]
    Overlay {
        /// The folder.
        path: PathBuf,
        /// What in it.
        entry: String,
        /// Why.
        why: String,
    },
    /// A program of e2fsprogs isn't there or failed.
    #[error("{program}: {why}")]
    Tool {
        /// Its name.
        program: &'static str,
        /// What it said.
        why: String,
    },
    /// A boot volume or overlay can't be read or changed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The temporary copy can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl DiskError {
    /// For `map_err`.
    pub(super) fn read(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| DiskError::Read { action, path, source }
    }
}
