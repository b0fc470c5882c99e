//! Where `/proc`, `/sys`, `/dev` and `/run` are: normally in `/`, in tests in a folder that stands for it.
use super::PiError;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes that a file of `/proc` or `/sys` may have: none that is read here comes near it.
const FILE_MAX: u64 = 1 << 20;

/// The folder that the running system's paths are looked up in.
///
/// Below another one than `/`, device nodes may be plain files that stand for devices, and nothing reboots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysroot(PathBuf);

impl Sysroot {
    /// That folder.
    pub fn new(path: impl Into<PathBuf>) -> Sysroot {
        Sysroot(path.into())
    }

    /// Whether this is the system that runs, and not something that stands for it.
    pub fn is_real(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// An absolute path below it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A small file's bytes; `None` if it isn't there.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, PiError> {
        let path = self.join(path);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|f| f.take(FILE_MAX).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(PiError::Read { path, source }),
        }
    }

    /// A small file's text, with what isn't UTF-8 replaced; `None` if it isn't there.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn text(&self, path: impl AsRef<Path>) -> Result<Option<String>, PiError> {
        Ok(self.bytes(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
