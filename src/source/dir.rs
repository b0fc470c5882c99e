//! A folder: a USB stick, a network drive, what a web server serves.
use super::{Source, SourceError, Span, is_plain};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// A folder with a repository.
#[derive(Debug)]
pub struct Dir {
    /// Without links.
    folder: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    at: u64,
    to: u64,
}

impl Dir {
    /// This folder.
    ///
    /// # Errors
    /// When it isn't there, or is no folder.
    pub fn new(folder: &Path) -> Result<Dir, SourceError> {
        let failed = |source| SourceError::File { path: folder.into(), source };
        let real = folder.canonicalize().map_err(failed)?;
        if !real.is_dir() {
            return Err(failed(io::Error::new(io::ErrorKind::NotADirectory, "this is not a folder")));
        }
        Ok(Dir { folder: real, open: None })
    }

    /// An ordinary file in the folder, with its length; `None` when it isn't there.
    fn file(&self, path: &str) -> Result<Option<(File, u64, PathBuf)>, SourceError> {
        let full = self.folder.join(path);
        // Asking again gives the same answer, so none of this is transport.
        let refused = |problem| SourceError::Refused { path: full.clone(), problem };
        let failed = |source| SourceError::File { path: full.clone(), source };
        if !is_plain(path) {
            return Err(refused("this is not a path in a repository"));
        }
        let real = match full.canonicalize() {
            Ok(real) => real,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        if !real.starts_with(&self.folder) {
            return Err(refused("this leads out of the repository"));
        }
        // Before it is opened: opening a pipe would wait for a writer.
        let metadata = real.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(refused("this is not an ordinary file"));
        }
        let file = File::open(&real).map_err(failed)?;
        Ok(Some((file, metadata.len(), full)))
    }
}

impl Source for Dir {
    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let Some((file, _, path)) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let limit = limit as u64;
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|source| SourceError::File { path: path.clone(), source })?;
        if bytes.len() as u64 > limit {
            return Err(SourceError::TooLarge { at: path.display().to_string(), limit });
        }
        Ok(Some(bytes))
    }

    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        self.open = None;
        let Some((mut file, bytes, full)) = self.file(path)? else {
            return Err(SourceError::NotThere { at: self.folder.join(path).display().to_string() });
        };
        let to = span.to.unwrap_or(bytes);
        if to > bytes || span.from > to {
            return Err(SourceError::Short {
                at: full.display().to_string(),
                bytes,
                wanted: to.max(span.from),
            });
        }
        file.seek(SeekFrom::Start(span.from))
            .map_err(|source| SourceError::File { path: full.clone(), source })?;
        self.open = Some(Open { file, path: full, at: span.from, to });
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        let Some(open) = &mut self.open else { return Ok(0) };
        let left = usize::try_from(open.to - open.at).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let into = &mut into[..most];
        let read = loop {
            match open.file.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let at = open.path.display().to_string();
        let failed = match read {
            Ok(0) if most > 0 => SourceError::Short { at, bytes: open.at, wanted: open.to },
            Ok(n) => {
                open.at += n as u64;
                return Ok(n);
            }
            Err(source) => SourceError::File { path: open.path.clone(), source },
        };
        self.open = None;
        Err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn nothing_outside_is_read_and_nothing_blocks() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("repository");
        fs::create_dir_all(folder.join("sub")).unwrap();
        File::create(outer.path().join("secret")).unwrap();
        symlink(outer.path().join("secret"), folder.join("link")).unwrap();
        symlink("../..", folder.join("sub/up")).unwrap();
        let mut dir = Dir::new(&folder).unwrap();
        for path in ["../secret", "link", "sub/up/secret", "sub", "/etc/passwd", ""] {
            let refused = dir.get(path, 100);
            assert!(matches!(refused, Err(SourceError::Refused { .. })), "{path}: {refused:?}");
            assert!(dir.open_range(path, Span::WHOLE).is_err(), "{path}");
        }
        assert!(matches!(dir.get("nothing", 9), Ok(None)));
        assert!(matches!(Dir::new(&outer.path().join("secret")), Err(SourceError::File { .. })));
    }
}
