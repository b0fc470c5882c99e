//! What an owner writes: an address or a path.
use super::{
    Dir, Guarded, Http, Limits, Mirrors, Retry, RetryPolicy, Source, SourceError, http::Address, random,
};
use crate::{clock::SystemClock, http_client::Scheme};
use std::path::{Path, PathBuf};

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A web server.
    Web(Address),
    /// A folder.
    Folder(PathBuf),
}

impl Location {
    /// Read `https://…`, `http://…`, `file:///path` or an absolute path.
    ///
    /// # Errors
    /// [`SourceError::Address`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Location, SourceError> {
        let refused =
            |problem: &str| Err(SourceError::Address { text: text.into(), problem: problem.into() });
        if Scheme::of(text).is_some() {
            return Ok(Location::Web(Address::parse(text)?));
        }
        let path = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
                match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => path,
                    _ => return refused("a file's address has three slashes: file:///path"),
                }
            }
            Some((_, _)) => return refused("only http, https and file are understood"),
            None => text,
        };
        if path.contains('\0') || !Path::new(path).is_absolute() {
            return refused("it has to be https://…, http://…, file:///… or an absolute path");
        }
        Ok(Location::Folder(path.into()))
    }

    /// A source that is there, patient with its network; a web server through this proxy, if there is one.
    ///
    /// # Errors
    /// When it is a folder that isn't there.
    pub fn open(&self, proxy: Option<String>) -> Result<Box<dyn Source>, SourceError> {
        let one = self.impatient(&Limits { proxy, ..Limits::default() })?;
        Ok(match self {
            Location::Folder(_) => one,
            Location::Web(_) => patient(one, RetryPolicy::default()),
        })
    }

    /// Several places with the same files, as one source: it has patience once all of them have failed. Folders that
    /// aren't there, as of a USB stick that isn't, are left out.
    ///
    /// # Errors
    /// When none is left.
    pub fn open_all(
        locations: &[Location],
        limits: &Limits,
        patience: RetryPolicy,
    ) -> Result<Box<dyn Source>, SourceError> {
        let mut mirrors = Vec::new();
        let mut failed = None;
        for location in locations {
            match location.impatient(limits) {
                // A stick that was pulled out is put back at any time.
                Ok(source) if matches!(location, Location::Folder(_)) => mirrors.push(source),
                Ok(source) => mirrors.push(Box::new(Guarded::new(source, Box::new(SystemClock)))),
                Err(e) => {
                    log::info!(location:?, reason:% = e; "mirror_left_out");
                    failed = Some(e);
                }
            }
        }
        match failed {
            Some(e) if mirrors.is_empty() => Err(e),
            _ => Ok(patient(Mirrors::new(mirrors), patience)),
        }
    }

    fn impatient(&self, limits: &Limits) -> Result<Box<dyn Source>, SourceError> {
        Ok(match self {
            Location::Folder(path) => Box::new(Dir::new(path)?),
            Location::Web(address) => {
                Box::new(Http::new(address.clone(), limits.clone(), Box::new(SystemClock)))
            }
        })
    }
}

fn patient(source: impl Source + 'static, patience: RetryPolicy) -> Box<dyn Source> {
    Box::new(Retry::new(source, patience, Box::new(SystemClock), random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths() {
        let folder = |path: &str| Location::Folder(path.into());
        for (text, location) in [
            ("/media/stick", folder("/media/stick")),
            ("file:///media/stick", folder("/media/stick")),
            ("FILE://localhost/media/stick", folder("/media/stick")),
            ("https://example.org/r/", Location::Web(Address::parse("https://example.org/r/").unwrap())),
        ] {
            assert_eq!(Location::parse(text).unwrap(), location, "{text}");
        }
        for text in [
            "",
            "media",
            "./x",
            "file://host/x",
            "file://",
            "ftp://example.org/",
            "s3://bucket",
            "/a\0b",
            "https://",
            "http:///x",
            "http://a b/",
        ] {
            assert!(matches!(Location::parse(text), Err(SourceError::Address { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let both = [folder.path().into(), folder.path().join("gone")].map(Location::Folder);
        let [_, gone] = &both;
        let open = |all: &[Location]| Location::open_all(all, &Limits::default(), RetryPolicy::default());
        assert!(open(&both).unwrap().get("x", 1).unwrap().is_none());
        assert!(matches!(open(&both[1..]), Err(SourceError::File { .. })));
        assert!(matches!(gone.open(None), Err(SourceError::File { .. })));
        assert!(open(&[]).unwrap().get("x", 1).is_err());
    }
}
