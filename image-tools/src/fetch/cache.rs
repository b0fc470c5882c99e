//! What is kept of servers' answers: small ones with their ETags, so that asking again costs nothing, and large files as far as they
//! came.
use crate::interrupt::Temporary;
use crate::output::{self, Access, Existing, OutputError};
use bistable_format::Digest;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes of a kept answer at most.
const ANSWER_MAX: usize = 16 << 20;

/// An answer that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) etag: String,
    /// The header that leads to the next page; empty if there was none.
    pub(super) link: String,
    pub(super) body: Vec<u8>,
}

/// A folder of this user. Only its owner can read it: answers about private repositories are private.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In this folder, which is made if it isn't there.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(folder: &Path) -> Result<Cache, OutputError> {
        for name in ["answers", "files"] {
            let path = folder.join(name);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(OutputError::io("create", &path))?;
        }
        Ok(Cache { folder: folder.into() })
    }

    /// `$XDG_CACHE_HOME/bistable-image`, or `~/.cache/bistable-image`; none without a home.
    pub fn default_folder() -> Option<PathBuf> {
        let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
        Some(folder.join("bistable-image"))
    }

    /// What a server answered to this question, for whoever asked.
    pub(super) fn answer(&self, question: &str) -> Option<Kept> {
        let bytes = output::read_limited(&self.answer_path(question), ANSWER_MAX + 4096).ok()?;
        let mut lines = bytes.splitn(3, |b| *b == b'\n');
        let (etag, link) = (lines.next()?, lines.next()?);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Kept { etag: text(etag)?, link: text(link)?, body: lines.next()?.to_vec() })
    }

    /// Keep an answer. One that can't be kept is asked for again.
    pub(super) fn keep(&self, question: &str, kept: &Kept) -> Result<(), OutputError> {
        let head = format!("{}\n{}\n", kept.etag, kept.link);
        if kept.body.len() > ANSWER_MAX || head.len() > 4096 || head.matches('\n').count() != 2 {
            return Ok(());
        }
        let bytes = [head.as_bytes(), &kept.body].concat();
        output::write(&self.answer_path(question), &bytes, Existing::Replace, Access::Secret)
    }

    fn answer_path(&self, question: &str) -> PathBuf {
        self.folder.join("answers").join(Digest::of(question.as_bytes()).to_string())
    }

    /// A folder that is removed with what is returned.
    pub(crate) fn temporary(&self, prefix: &str) -> Result<Temporary<TempDir>, OutputError> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(&self.folder);
        Ok(Temporary::folder(made.map_err(OutputError::io("create a folder in", &self.folder))?))
    }

    /// The file for something large, with as much of it as came before; waits for another process that downloads the same.
    pub(super) fn file(&self, what: &str) -> Result<(File, PathBuf), OutputError> {
        let path = self.folder.join("files").join(Digest::of(what.as_bytes()).to_string());
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path);
            let file = file.map_err(OutputError::io("create", &path))?;
            file.lock().map_err(OutputError::io("lock", &path))?;
            // The other process may have removed it after it was done.
            if is_same(&file, &path).map_err(OutputError::io("read", &path))? {
                return Ok((file, path));
            }
        }
    }
}

fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path));
    Ok(named.is_ok_and(|named| (open.dev(), open.ino()) == (named.dev(), named.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("a/b")).unwrap();
        let kept =
            |body: &[u8]| Kept { etag: "W/\"1\"".into(), link: "<x>; rel=next".into(), body: body.into() };
        assert_eq!(cache.answer("q"), None);
        cache.keep("q", &kept(b"[\n\n]")).unwrap();
        assert_eq!(cache.answer("q"), Some(kept(b"[\n\n]")));
        cache.keep("q", &kept(b"")).unwrap();
        assert_eq!(cache.answer("q"), Some(kept(b"")));
        assert_eq!(cache.answer("other"), None);
        // A header with a line end would shift the rest.
        cache.keep("q", &Kept { etag: "\n".into(), ..kept(b"x") }).unwrap();
        assert_eq!(cache.answer("q"), Some(kept(b"")));
    }
}
