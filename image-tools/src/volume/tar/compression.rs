//! How a tar is compressed.

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// By the first bytes: gzip, xz or zstd, whose file may begin with a skippable frame.
    pub(crate) fn of(bytes: &[u8]) -> Option<Compression> {
        let skippable = || matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        if bytes.starts_with(b"\x1f\x8b") {
            Some(Compression::Gzip)
        } else if bytes.starts_with(b"\xfd7zXZ\0") {
            Some(Compression::Xz)
        } else if bytes.starts_with(b"\x28\xb5\x2f\xfd") || skippable() {
            Some(Compression::Zstd)
        } else {
            None
        }
    }

    /// The format's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Compression::None => "raw",
            Compression::Gzip => "gzip",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }
}
