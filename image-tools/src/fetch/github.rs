//! GitHub's releases: which there are, which is meant, and the file that is attached to it. The REST API as it is documented, version
//! 2022-11-28; GitHub Enterprise has the same at another address.
use super::cache::{Cache, Kept};
use super::download::{Wanted, download};
use super::error::FetchError;
use super::link;
use super::pattern;
use super::web::{Ask, Web, read, shown};
use crate::progress::Progress;
use bistable_format::tag::{self, Prereleases, TagError};
use bistable_format::{Digest, limits, text};
use semver::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use url::Url;

/// Where the API is, unless another address is given.
pub const API: &str = "https://api.github.com";
/// Pages of releases that are read: of one hundred each, GitHub gives no more.
const PAGES: usize = 100;
/// Bytes of an answer at most.
const ANSWER_MAX: u64 = 16 << 20;
/// Bytes of an asset at most: GitHub takes 2 GiB.
const ASSET_MAX: u64 = limits::VOLUME_DATA;
const HINT: &str = ": set GITHUB_TOKEN, or give --token-file";
/// What a component's tree comes as.
const TREES: [&str; 7] = ["*.tar", "*.tar.gz", "*.tgz", "*.tar.xz", "*.txz", "*.tar.zst", "*.tzst"];

/// A repository at GitHub, and a release of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    owner: String,
    repository: String,
    /// The tag; none for the newest version.
    pub tag: Option<String>,
}

impl FromStr for Source {
    type Err = String;

    /// `OWNER/REPO` or `OWNER/REPO@TAG`.
    fn from_str(text: &str) -> Result<Source, String> {
        let wrong = || "give github:OWNER/REPO or github:OWNER/REPO@TAG".to_owned();
        let (name, tag) = match text.split_once('@') {
            Some((name, tag)) => (name, Some(tag)),
            None => (text, None),
        };
        let (owner, repository) = name.split_once('/').ok_or_else(wrong)?;
        let plain = |name: &str| {
            !matches!(name, "" | "." | "..")
                && name.len() <= 100
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let is_tag = |tag: &str| {
            !tag.is_empty()
                && tag.len() <= limits::NAME
                && text::is_printable(tag, &[])
                && !tag.split('/').any(|part| matches!(part, "" | "." | ".."))
        };
        if !plain(owner) || !plain(repository) || !tag.is_none_or(is_tag) {
            return Err(wrong());
        }
        Ok(Source { owner: owner.into(), repository: repository.into(), tag: tag.map(Into::into) })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "github:{}/{}", self.owner, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, "@{tag}"))
    }
}

/// Which release and which of its files are meant.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// What comes before the version in tags, if the repository has several components.
    pub tag_prefix: String,
    /// Whether a pre-release may be taken.
    pub prereleases: Prereleases,
    /// The file's name, with `*` and `?`; a component's tree if none is given.
    pub asset: Option<String>,
}

/// A release that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// As people name it: `github:OWNER/REPO@TAG`.
    pub name: String,
    /// Its tag.
    pub tag: String,
    /// The version that the tag names.
    pub version: Result<Version, TagError>,
    asset: Asset,
}

impl Chosen {
    /// The version of the tag.
    ///
    /// # Errors
    /// A tag that names none.
    pub fn version(&self) -> Result<Version, FetchError> {
        self.version.clone().map_err(|why| FetchError::Tag { tag: self.tag.clone(), why })
    }

    /// The file's name.
    pub fn asset(&self) -> &str {
        &self.asset.name
    }

    /// The file's SHA-256, if GitHub knows it: of files that were attached before the summer of 2025 it doesn't.
    pub fn digest(&self) -> Option<Digest> {
        Digest::parse(self.asset.digest.as_deref()?.strip_prefix("sha256:")?)
    }
}

/// What the API says of a release.
#[derive(Clone, Debug, Deserialize)]
struct Release {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    #[serde(default)]
    assets: Vec<Asset>,
}

/// What the API says of a file.
#[derive(Clone, Debug, Deserialize)]
struct Asset {
    id: u64,
    name: String,
    size: u64,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// GitHub's API, for one user.
#[derive(Debug)]
pub struct Github<'a> {
    web: &'a Web,
    cache: &'a Cache,
    api: Url,
    /// The header `Authorization`.
    secret: Option<String>,
}

impl<'a> Github<'a> {
    /// At this address, with this token.
    ///
    /// # Errors
    /// An address that can't be used, or a token that can't be sent.
    pub(crate) fn new(
        web: &'a Web,
        cache: &'a Cache,
        api: &str,
        token: Option<&str>,
    ) -> Result<Github<'a>, FetchError> {
        let refused = |problem: &str| FetchError::Address { text: api.into(), problem: problem.into() };
        let mut url = Url::parse(api).map_err(|e| refused(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("give an https:// address"));
        }
        if !url.path().ends_with('/') {
            let folder = format!("{}/", url.path());
            url.set_path(&folder);
        }
        if token.is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(FetchError::Address {
                text: "the token".into(),
                problem: "it has to be one word of visible characters".into(),
            });
        }
        Ok(Github { web, cache, api: url, secret: token.map(|token| format!("Bearer {token}")) })
    }

    /// The release that is meant, and its file. Nothing large is read.
    ///
    /// # Errors
    /// None or several that could be meant; or what went wrong on the way.
    pub fn choose(&self, source: &Source, choice: &Choice) -> Result<Chosen, FetchError> {
        let release = match &source.tag {
            Some(tag) => self.tagged(source, tag, choice)?,
            None => self.newest(source, choice)?,
        };
        let name = Source { tag: Some(release.tag_name.clone()), ..source.clone() }.to_string();
        let asset = asset(&name, release.assets, choice.asset.as_deref())?;
        if asset.size > ASSET_MAX {
            return Err(FetchError::TooLarge { at: format!("{name}: {}", asset.name), limit: ASSET_MAX });
        }
        let version = tag::version_after(&choice.tag_prefix, &release.tag_name);
        Ok(Chosen { name, version, tag: release.tag_name, asset })
    }

    /// Download the file of a release to this path, in the file system of the cache. Gives its SHA-256.
    ///
    /// # Errors
    /// What went wrong on the way, or another digest than GitHub says.
    pub fn download(
        &self,
        source: &Source,
        chosen: &Chosen,
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<Digest, FetchError> {
        let url = self.url(&format!(
            "repos/{}/{}/releases/assets/{}",
            source.owner, source.repository, chosen.asset.id
        ))?;
        let open = |headers: &[(&'static str, String)]| {
            let mut ask = self.ask(&url);
            ask.headers.retain(|(name, _)| *name != "accept");
            ask.headers.push(("accept", "application/octet-stream".into()));
            ask.headers.extend_from_slice(headers);
            self.web.get(&ask)
        };
        let what = format!("{}: {}", chosen.name, text::printable(&chosen.asset.name, &[]));
        let (bytes, digest) = (chosen.asset.size, chosen.digest());
        download(self.cache, &Wanted { url: &url, open: &open, what, bytes, digest }, to, progress)
    }

    fn tagged(&self, source: &Source, tag: &str, choice: &Choice) -> Result<Release, FetchError> {
        let mut url = self.url(&format!("repos/{}/{}/releases/tags", source.owner, source.repository))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(tag.split('/'));
        }
        let (release, _) = self.page::<Release>(&url)?;
        let named = Source { tag: Some(release.tag_name.clone()), ..source.clone() };
        if release.tag_name != tag {
            let problem = format!("it answers with the release of another tag: {named}");
            return Err(FetchError::Protocol { at: shown(&url), problem });
        }
        if release.draft {
            return Err(FetchError::Draft { release: named.to_string() });
        }
        if release.prerelease && choice.prereleases == Prereleases::Skip {
            return Err(FetchError::Prerelease { release: named.to_string() });
        }
        Ok(release)
    }

    /// The newest version, whatever was published last.
    fn newest(&self, source: &Source, choice: &Choice) -> Result<Release, FetchError> {
        let mut url = self.url(&format!("repos/{}/{}/releases", source.owner, source.repository))?;
        url.set_query(Some("per_page=100"));
        let (mut found, mut others) = (Vec::new(), Vec::new());
        let (mut drafts, mut prereleases) = (0_u32, 0_u32);
        let mut next = Some(url);
        for _ in 0..PAGES {
            let Some(url) = next else { break };
            let (page, after) = self.page::<Vec<Release>>(&url)?;
            for release in page {
                match tag::version_after(&choice.tag_prefix, &release.tag_name) {
                    _ if release.draft => drafts += 1,
                    Ok(version) => {
                        let step = release.prerelease || !version.pre.is_empty();
                        if step && choice.prereleases == Prereleases::Skip {
                            prereleases += 1;
                        } else {
                            found.push((version, release));
                        }
                    }
                    Err(why) => others.push((release.tag_name, why)),
                }
            }
            next = after;
        }
        let newest = tag::newest(found, Prereleases::Take);
        newest.map(|(_, release)| release).ok_or_else(|| {
            let why = match (others.first(), drafts, prereleases) {
                (_, _, 1..) => "all of its versions are pre-releases: give --prereleases to take them".into(),
                (Some((tag, why)), ..) => {
                    let tag = text::printable(tag, &[]);
                    format!("tag {tag:?} {why}: give --tag-prefix, or the tag and --version")
                }
                (None, 1.., _) => "all of its releases are drafts: publish one".into(),
                (None, 0, _) => "it has none at all".into(),
            };
            FetchError::NoRelease { repository: source.to_string(), why }
        })
    }

    fn url(&self, path: &str) -> Result<Url, FetchError> {
        self.api.join(path).map_err(|e| FetchError::Address { text: path.into(), problem: e.to_string() })
    }

    fn ask<'b>(&'b self, url: &'b Url) -> Ask<'b> {
        let headers = vec![
            ("accept", "application/vnd.github+json".to_owned()),
            ("x-github-api-version", "2022-11-28".to_owned()),
        ];
        Ask {
            url,
            headers,
            secret: self.secret.as_deref(),
            hint: if self.secret.is_none() { HINT } else { "" },
        }
    }

    /// One answer, and where the next is. The answer of an earlier call is used if the server says that it has not changed (304).
    fn page<T: DeserializeOwned>(&self, url: &Url) -> Result<(T, Option<Url>), FetchError> {
        let mut ask = self.ask(url);
        // Another user may see something else.
        let who = self.secret.as_ref().map(|secret| Digest::of(secret.as_bytes()).to_string());
        let question = format!("{url} {}", who.unwrap_or_default());
        let before = self.cache.answer(&question);
        if let Some(kept) = &before {
            ask.headers.push(("if-none-match", kept.etag.clone()));
        }
        let mut reply = self.web.get(&ask)?;
        let wrong = |problem: String| FetchError::Protocol { at: shown(url), problem };
        let kept = match (reply.status, before) {
            (304, Some(kept)) => kept,
            (200, _) => {
                let header = |name: &str| reply.header(name).unwrap_or_default().to_owned();
                let (etag, link) = (header("etag"), header("link"));
                let body = read(url, &mut reply.body, ANSWER_MAX)?;
                let kept = Kept { etag, link, body };
                if !kept.etag.is_empty() {
                    self.cache.keep(&question, &kept)?;
                }
                kept
            }
            (401, _) => {
                return Err(FetchError::Refused { at: shown(url), status: 401, hint: ask.hint });
            }
            (status, _) => return Err(wrong(format!("the server answers {status}"))),
        };
        let parsed = serde_json::from_slice(&kept.body)
            .map_err(|e| wrong(format!("the answer is not what GitHub's API says: {e}")))?;
        let next = link::next(&kept.link, url);
        // The token goes there, too.
        match next.filter(|next| next.origin() != self.api.origin()) {
            Some(other) => Err(wrong(format!("the next page is on another server, {}", shown(&other)))),
            None => Ok((parsed, link::next(&kept.link, url))),
        }
    }
}

/// The one file that is meant.
fn asset(release: &str, assets: Vec<Asset>, wanted: Option<&str>) -> Result<Asset, FetchError> {
    let uploaded = |asset: &Asset| asset.state.as_deref().is_none_or(|state| state == "uploaded");
    let assets: Vec<Asset> = assets.into_iter().filter(uploaded).collect();
    let names = |assets: &[Asset]| assets.iter().map(|asset| text::printable(&asset.name, &[])).collect();
    let all = names(&assets);
    let fits = |asset: &Asset| match wanted {
        Some(wanted) => pattern::matches(wanted, &asset.name),
        None => TREES.iter().any(|tree| pattern::matches(tree, &asset.name)),
    };
    let mut found: Vec<Asset> = assets.into_iter().filter(fits).collect();
    match (found.len(), found.pop()) {
        (1, Some(asset)) => Ok(asset),
        (_, None) => {
            Err(FetchError::NoAsset { release: release.into(), pattern: wanted.map(Into::into), names: all })
        }
        (_, Some(last)) => {
            found.push(last);
            Err(FetchError::Assets { release: release.into(), names: names(&found) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_tags() {
        for text in ["acme/core", "acme/core@v1.2.0", "a-b/c.d_e@core/v1.2.0"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), format!("github:{text}"));
        }
        for text in [
            "",
            "core",
            "acme/",
            "/core",
            "acme/core/x",
            "acme/..",
            "a b/c",
            "acme/core@",
            "acme/core@a/../b",
            "acme/c%2e",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text:?}");
        }
    }
}
