//! Small files with their validators, for the server's answer that they have not changed.

/// Number of files.
const FILES: usize = 32;
/// Largest file, in bytes.
const BYTES: usize = 64 << 10;

/// Small files with their validators.
#[derive(Debug, Default)]
pub(super) struct Cached(Vec<File>);

#[derive(Debug)]
struct File {
    path: String,
    etag: String,
    bytes: Vec<u8>,
}

impl Cached {
    fn find(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }

    pub(super) fn etag(&self, path: &str) -> Option<&str> {
        Some(&self.find(path)?.etag)
    }

    pub(super) fn bytes(&self, path: &str) -> Option<&[u8]> {
        Some(&self.find(path)?.bytes)
    }

    /// Keep a file instead of what it was. The oldest one goes if there are too many.
    pub(super) fn keep(&mut self, path: &str, etag: Option<&str>, bytes: &[u8]) {
        self.0.retain(|file| file.path != path);
        let Some(etag) = etag.filter(|_| bytes.len() <= BYTES) else { return };
        if self.0.len() >= FILES {
            self.0.remove(0);
        }
        self.0.push(File { path: path.into(), etag: etag.into(), bytes: bytes.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_large_files_are_kept() {
        let mut kept = Cached::default();
        for n in 0..100 {
            kept.keep(&n.to_string(), Some("\"a\""), &[n]);
        }
        assert_eq!((kept.bytes("67"), kept.bytes("68")), (None, Some(&[68][..])));
        kept.keep("99", Some("\"b\""), &[1; BYTES]);
        assert_eq!((kept.etag("99"), kept.bytes("99").map(<[u8]>::len)), (Some("\"b\""), Some(BYTES)));
        kept.keep("99", Some("\"c\""), &[1; BYTES + 1]);
        kept.keep("98", None, &[1]);
        assert_eq!((kept.etag("99"), kept.etag("98")), (None, None));
        assert_eq!(kept.0.len(), FILES - 2);
    }
}
