//! A file's bytes: where they are, and which of them are holes.
use std::path::Path;

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It has none.
    Empty,
    /// In a file of the host.
    Disk(Box<Path>),
    /// In the (uncompressed) archive, from this byte on.
    Archive(u64),
    /// In the temporary file, from this byte on.
    Spool(u64),
}

/// A run of bytes in a file: offset and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// The contents of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileData {
    /// Size in bytes, holes included.
    pub size: u64,
    /// Where the bytes are.
    pub source: Source,
    /// The runs that hold data; all else is a hole. `None`: no holes.
    pub data: Option<Box<[Range]>>,
}
