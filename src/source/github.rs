//! A bundle that is attached to a release at GitHub.
//!
//! GitHub only says where the bundle is: what it is, and whether this device takes it, its signatures say. The releases are public, and
//! nothing that is secret is sent.
use super::{Location, SourceError, http::Address, is_plain};
use crate::http_client::Scheme;
use serde::Deserialize;
use std::{fmt, str::FromStr};

/// Where GitHub says which releases there are.
const API: &str = "https://api.github.com";
/// Bytes of what it says of one release at most.
const ANSWER_MAX: usize = 4 << 20;
/// What an address begins with.
const SCHEME: &str = "github:";
/// How a bundle is called.
const BUNDLE: &str = ".bundle";

/// `github:OWNER/REPO`, with `@TAG` and `#FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Github {
    owner: String,
    repository: String,
    /// None for the release that GitHub calls the latest one: no draft, no pre-release.
    tag: Option<String>,
    /// None for the only bundle of the release.
    file: Option<String>,
}

#[derive(Deserialize)]
struct Release {
    tag_name: String,
    #[serde(default)]
    assets: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
}

impl Github {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Ask GitHub where the bundle is.
    ///
    /// # Errors
    /// No such release, none or several bundles in it, or what went wrong on the way.
    pub fn find(&self, proxy: Option<String>) -> Result<Address, SourceError> {
        self.find_at(&Address::parse(API)?, proxy)
    }

    /// The same at another address that has GitHub's API.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_at(&self, api: &Address, proxy: Option<String>) -> Result<Address, SourceError> {
        let releases = format!("repos/{}/{}/releases", self.owner, self.repository);
        let path = match &self.tag {
            Some(tag) => format!("{releases}/tags/{tag}"),
            None => format!("{releases}/latest"),
        };
        let answer = Location::Web(api.clone()).open(proxy)?.get(&path, ANSWER_MAX)?;
        let answer = answer.ok_or_else(|| SourceError::NotThere { at: self.to_string() })?;
        self.choose(&answer, api.scheme)
    }

    /// The bundle that is meant, of what GitHub says of a release.
    fn choose(&self, answer: &[u8], least: Scheme) -> Result<Address, SourceError> {
        let wrong = |problem: String| SourceError::Protocol { at: self.to_string(), problem };
        let release: Release = serde_json::from_slice(answer)
            .map_err(|e| wrong(format!("the answer is not what GitHub's API says: {e}")))?;
        let bundles = release.assets.iter().filter(|asset| match &self.file {
            Some(file) => asset.name == *file,
            None => asset.name.ends_with(BUNDLE),
        });
        let bundles: Vec<&Asset> = bundles.collect();
        let names = |assets: &[&Asset]| {
            let names = assets.iter().map(|asset| bistable_format::text::printable(&asset.name, &[]));
            names.collect::<Vec<_>>().join(", ")
        };
        let tag = bistable_format::text::printable(&release.tag_name, &[]);
        match bundles.as_slice() {
            [one] => {
                let address = Address::parse(&one.browser_download_url)?;
                match (least, address.scheme) {
                    (Scheme::Https, Scheme::Http) => {
                        Err(wrong("the bundle is at an address without encryption".into()))
                    }
                    _ => Ok(address),
                }
            }
            [] => {
                let all: Vec<&Asset> = release.assets.iter().collect();
                let there = if all.is_empty() { "no files".into() } else { names(&all) };
                Err(wrong(format!("release {tag} has no such bundle: it has {there}")))
            }
            several => {
                Err(wrong(format!("release {tag} has several bundles: add #FILE, one of {}", names(several))))
            }
        }
    }
}

impl FromStr for Github {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Github, SourceError> {
        let refused = || {
            SourceError::Address {
            text: text.into(),
            problem: "give github:OWNER/REPO, with @TAG for another release than the latest, and #FILE for one of several bundles"
                .into(),
        }
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(refused)?;
        let (rest, file) = match rest.split_once('#') {
            Some((rest, file)) => (rest, Some(file)),
            None => (rest, None),
        };
        let (name, tag) = match rest.split_once('@') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        let (owner, repository) = name.split_once('/').ok_or_else(refused)?;
        let is_name = |name: &str| is_plain(name) && !name.contains('/');
        let all_plain = is_name(owner) && is_name(repository) && tag.is_none_or(is_plain);
        if !all_plain || file.is_some_and(str::is_empty) {
            return Err(refused());
        }
        Ok(Github {
            owner: owner.into(),
            repository: repository.into(),
            tag: tag.map(Into::into),
            file: file.map(Into::into),
        })
    }
}

impl fmt::Display for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.owner, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, "@{tag}"))?;
        self.file.as_ref().map_or(Ok(()), |file| write!(f, "#{file}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, assets: &[(&str, &str)]) -> Result<String, String> {
        let assets: Vec<String> = assets
            .iter()
            .map(|(name, url)| format!(r#"{{"name":"{name}","browser_download_url":"{url}"}}"#))
            .collect();
        let answer = format!(r#"{{"tag_name":"v1","assets":[{}]}}"#, assets.join(","));
        let github: Github = text.parse().unwrap();
        let found = github.choose(answer.as_bytes(), Scheme::Https);
        found.map(|address| address.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn repositories_tags_and_files() {
        for text in [
            "github:acme/hub",
            "github:acme/hub@v1.2.0",
            "github:a-b/c.d@core/v1#x.bundle",
            "github:a/b#x.bundle",
        ] {
            assert_eq!(text.parse::<Github>().unwrap().to_string(), text);
        }
        for text in [
            "acme/hub",
            "github:acme",
            "github:/hub",
            "github:acme/",
            "github:acme/hub/x",
            "github:acme/..",
            "github:acme/hub@",
            "github:acme/hub@../x",
            "github:acme/hub@a b",
            "github:acme/hub#",
        ] {
            assert!(text.parse::<Github>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_bundle_is_the_only_one_or_the_one_that_is_named() {
        let (hub, core) = (("hub.bundle", "https://h/hub.bundle"), ("core.bundle", "https://h/core.bundle"));
        let sums = ("SHA256SUMS", "https://h/sums");
        assert_eq!(chosen("github:a/b", &[sums, hub]).unwrap(), "https://h/hub.bundle");
        assert_eq!(chosen("github:a/b#core.bundle", &[hub, core]).unwrap(), "https://h/core.bundle");
        for (text, assets, says) in [
            ("github:a/b", &[hub, core][..], "several bundles: add #FILE, one of hub.bundle, core.bundle"),
            ("github:a/b", &[sums], "has no such bundle: it has SHA256SUMS"),
            ("github:a/b", &[], "it has no files"),
            ("github:a/b#x", &[hub], "has no such bundle: it has hub.bundle"),
            ("github:a/b", &[("x.bundle", "http://h/x.bundle")], "without encryption"),
            ("github:a/b", &[("x.bundle", "file:///etc/passwd")], "not an address"),
        ] {
            let refused = chosen(text, assets).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
        let github: Github = "github:a/b".parse().unwrap();
        for answer in ["", "[]", "{}", r#"{"tag_name":1}"#] {
            assert!(github.choose(answer.as_bytes(), Scheme::Https).is_err(), "{answer}");
        }
    }
}
