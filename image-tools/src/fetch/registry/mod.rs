//! Images of a registry, by OCI's distribution specification 1.1: a tag is resolved once, and everything after that is asked for by
//! digest and compared with it.
//!
//! ```text
//! oci://HOST/NAME ──► tags (pages, version table) ──► manifest or index ──► the platform's manifest ──► configuration, layers
//!                                                     its digest is pinned                              an OCI layout in a folder
//! ```
mod challenge;
mod credentials;
mod reference;

pub use reference::{Reference, Which};

use super::cache::Cache;
use super::download::{Wanted, download};
use super::error::FetchError;
use super::link;
use super::web::{Ask, Reply, Web, read, shown};
use crate::interrupt::Temporary;
use crate::oci::{Candidates, Part, Platform, candidates, parts};
use crate::output::OutputError;
use crate::progress::Progress;
use bistable_format::tag::{self, Prereleases};
use bistable_format::{Digest, bundle, limits, text};
use challenge::Challenge;
use semver::Version;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use url::Url;

/// Pages of tags that are read.
const PAGES: usize = 100;
/// Bytes of a document at most.
const DOCUMENT: u64 = limits::BLOB as u64;
/// Bytes of a page of tags at most.
const TAGS_MAX: u64 = 4 << 20;
/// Bytes of a compressed layer at most.
const LAYER_MAX: u64 = 8 << 30;
/// Indexes that name each other at most.
const DEPTH: usize = 3;
const HINT: &str = ": log in with `podman login`, `docker login` or `skopeo login`";
/// What a manifest can be.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// An image that was found, by its digest.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What it is, whatever the tag names later.
    pub pinned: Reference,
    /// The tag by which it was found.
    pub tag: Option<String>,
    /// The digest of its manifest, or of the index of its platforms.
    pub digest: Digest,
    document: Vec<u8>,
}

/// Images as OCI layouts in a temporary folder, which is removed with this value. Layers that several images share are downloaded once.
#[derive(Debug)]
pub struct Layouts {
    folder: Temporary<TempDir>,
    made: u32,
}

impl Layouts {
    /// None so far, in a folder of the cache.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn new(cache: &Cache) -> Result<Layouts, FetchError> {
        let folder = cache.temporary("images.")?;
        folder_at(&folder.path().join("blobs"))?;
        Ok(Layouts { folder, made: 0 })
    }

    /// A blob that was downloaded, or will be.
    fn blob(&self, digest: Digest) -> PathBuf {
        self.folder.path().join("blobs").join(digest.to_string())
    }

    /// The folder of the next layout.
    fn next(&mut self) -> Result<PathBuf, OutputError> {
        self.made += 1;
        let layout = self.folder.path().join(self.made.to_string());
        folder_at(&layout.join("blobs/sha256"))?;
        Ok(layout)
    }
}

/// A name of a registry.
#[derive(Debug)]
pub struct Registry<'a> {
    web: &'a Web,
    cache: &'a Cache,
    base: Url,
    reference: Reference,
    /// What this user has stored.
    basic: Option<String>,
    /// The header that was accepted last.
    accepted: RefCell<Option<String>>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Registry<'a> {
    /// The registry of an image, for this user.
    ///
    /// # Errors
    /// A host that has no address.
    pub(crate) fn new(
        web: &'a Web,
        cache: &'a Cache,
        reference: &Reference,
    ) -> Result<Registry<'a>, FetchError> {
        let base = reference.base().ok_or_else(|| FetchError::Address {
            text: reference.to_string(),
            problem: "the host is not one".into(),
        })?;
        let basic = credentials::basic(&credentials::files(), &reference.host, &reference.name);
        Ok(Registry { web, cache, base, reference: reference.clone(), basic, accepted: RefCell::new(None) })
    }

    /// Find out which image is meant. A tag that is moved after this changes nothing.
    ///
    /// # Errors
    /// No image that fits; or what went wrong on the way.
    pub fn resolve(&self, prefix: &str, prereleases: Prereleases) -> Result<Resolved, FetchError> {
        let (tag, name) = match &self.reference.which {
            Which::Digest(digest) => (None, format!("sha256:{digest}")),
            Which::Tag(tag) => (Some(tag.clone()), tag.clone()),
            Which::Newest => {
                let tag = self.newest(prefix, prereleases)?;
                (Some(tag.clone()), tag)
            }
        };
        let (url, document, said) = self.manifest(&name)?;
        let digest = Digest::of(&document);
        let wanted = match &self.reference.which {
            Which::Digest(wanted) => Some(*wanted),
            _ => said.as_deref().and_then(|text| Digest::parse(text.strip_prefix("sha256:")?)),
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
            return Err(FetchError::Digest { what: shown(&url), wanted, found: digest });
        }
        Ok(Resolved { pinned: self.reference.pinned(digest), tag, digest, document })
    }

    /// The tag with the newest version.
    fn newest(&self, prefix: &str, prereleases: Prereleases) -> Result<String, FetchError> {
        let mut tags = BTreeSet::new();
        let mut url = self.url("tags/list")?;
        url.set_query(Some("n=1000"));
        let mut next = Some(url);
        for _ in 0..PAGES {
            let Some(url) = next else { break };
            let mut reply = self.get(&url, &[("accept", "application/json".into())])?;
            let link = reply.header("link").unwrap_or_default().to_owned();
            let bytes = read(&url, &mut reply.body, TAGS_MAX)?;
            let page: Tags = serde_json::from_slice(&bytes).map_err(|e| FetchError::Protocol {
                at: shown(&url),
                problem: format!("the answer is not a list of tags: {e}"),
            })?;
            tags.extend(page.tags.unwrap_or_default());
            next = link::next(&link, &url).filter(|next| next.origin() == self.base.origin());
        }
        let versions = tags.iter().filter_map(|tag| Some((tag::version_after(prefix, tag).ok()?, tag)));
        let all: Vec<(Version, &String)> = versions.collect();
        let none = all.is_empty();
        tag::newest(all, prereleases).map(|(_, tag)| tag.clone()).ok_or_else(|| {
            let why = match tags.first() {
                _ if !none => "all of its versions are pre-releases: give --prereleases to take them".into(),
                Some(tag) => {
                    let tag = text::printable(tag, &[]);
                    format!(
                        "no tag names a version, such as {tag:?}: give --tag-prefix, or the tag and --version"
                    )
                }
                None => "it has no tags".into(),
            };
            FetchError::NoRelease { repository: self.reference.to_string(), why }
        })
    }

    /// Download the image for a platform, as far as it isn't there. Gives the folder of its layout.
    ///
    /// # Errors
    /// Another platform, or what went wrong on the way.
    pub fn pull(
        &self,
        resolved: &Resolved,
        platform: &Platform,
        layouts: &mut Layouts,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        let (manifest, kind) = self.choose(resolved, platform)?;
        let layout = layouts.next()?;
        let blobs = layout.join("blobs/sha256");
        let digest = Digest::of(&manifest);
        scratch(&blobs.join(digest.to_string()), &manifest)?;
        let wrong = |problem: String| FetchError::Protocol { at: self.reference.to_string(), problem };
        for part in parts(&manifest).map_err(wrong)? {
            let (whole, here) = (layouts.blob(part.digest), blobs.join(part.digest.to_string()));
            if !whole.exists() {
                self.blob(&part, &whole, progress)?;
            }
            if !here.exists() {
                fs::hard_link(&whole, &here).map_err(OutputError::io("create", &here))?;
            }
        }
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{}}}]}}"#,
            manifest.len()
        );
        scratch(&layout.join("index.json"), index.as_bytes())?;
        scratch(&layout.join("oci-layout"), bundle::LAYOUT.as_bytes())?;
        Ok(layout)
    }

    /// The platform's manifest, and its kind.
    fn choose(
        &self,
        resolved: &Resolved,
        platform: &Platform,
    ) -> Result<(Vec<u8>, &'static str), FetchError> {
        let wrong = |problem: String| FetchError::Protocol { at: self.reference.to_string(), problem };
        let mut document = resolved.document.clone();
        for _ in 0..DEPTH {
            match candidates(&document, platform).map_err(wrong)? {
                Candidates::Manifest(kind) => return Ok((document, kind)),
                Candidates::One(digest) => {
                    let (url, bytes, _) = self.manifest(&format!("sha256:{digest}"))?;
                    let found = Digest::of(&bytes);
                    if found != digest {
                        return Err(FetchError::Digest { what: shown(&url), wanted: digest, found });
                    }
                    document = bytes;
                }
                Candidates::None(found) => {
                    let (image, wanted) = (resolved.pinned.to_string(), platform.clone());
                    return Err(FetchError::Platform { image, wanted, found });
                }
                Candidates::Several => {
                    return Err(wrong(format!(
                        "it has several images for {platform}: give the digest of one"
                    )));
                }
            }
        }
        Err(wrong("indexes name each other without an end".into()))
    }

    fn blob(&self, part: &Part, to: &Path, progress: &dyn Progress) -> Result<(), FetchError> {
        let url = self.url(&format!("blobs/sha256:{}", part.digest))?;
        if part.bytes > LAYER_MAX {
            return Err(FetchError::TooLarge { at: shown(&url), limit: LAYER_MAX });
        }
        let wanted = Wanted {
            url: &url,
            open: &|headers: &[(&'static str, String)]| self.get(&url, headers),
            what: format!("{}: {}", self.reference, part.digest),
            bytes: part.bytes,
            digest: Some(part.digest),
        };
        download(self.cache, &wanted, to, progress)?;
        Ok(())
    }

    /// A manifest or an index; where it is, and the digest that the server says.
    fn manifest(&self, name: &str) -> Result<(Url, Vec<u8>, Option<String>), FetchError> {
        let url = self.url(&format!("manifests/{name}"))?;
        let mut reply = self.get(&url, &[("accept", MANIFESTS.into())])?;
        let said = reply.header("docker-content-digest").map(Into::into);
        let bytes = read(&url, &mut reply.body, DOCUMENT)?;
        Ok((url, bytes, said))
    }

    fn url(&self, path: &str) -> Result<Url, FetchError> {
        // A colon in front would be a scheme.
        self.base
            .join(&format!("./{path}"))
            .map_err(|e| FetchError::Address { text: path.into(), problem: e.to_string() })
    }

    /// Ask; if the registry wants to know who asks, again with a token.
    fn get(&self, url: &Url, headers: &[(&'static str, String)]) -> Result<Reply, FetchError> {
        let ask =
            |secret: Option<&str>| self.web.get(&Ask { url, headers: headers.to_vec(), secret, hint: HINT });
        let accepted = self.accepted.borrow().clone();
        let reply = ask(accepted.as_deref())?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let refused = || FetchError::Refused { at: shown(url), status: 401, hint: HINT };
        let secret = match reply.header("www-authenticate").and_then(Challenge::parse) {
            Some(Challenge::Basic) => self.basic.clone().ok_or_else(refused)?,
            Some(Challenge::Bearer { realm, service, scope }) => {
                format!("Bearer {}", self.token(&realm, service.as_deref(), scope.as_deref())?)
            }
            None => return Err(refused()),
        };
        let reply = ask(Some(&secret))?;
        if reply.status == 401 {
            return Err(refused());
        }
        *self.accepted.borrow_mut() = Some(secret);
        Ok(reply)
    }

    /// A token from where the registry says.
    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String, FetchError> {
        let wrong = |problem: &str| FetchError::Protocol { at: shown(&self.base), problem: problem.into() };
        let mut url = Url::parse(realm).map_err(|_| wrong("it names no address for its tokens"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it names no address for its tokens"));
        }
        let pull = format!("repository:{}:pull", self.reference.name);
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.append_pair("scope", scope.unwrap_or(&pull));
        }
        let headers = vec![("accept", "application/json".to_owned())];
        let mut reply =
            self.web.get(&Ask { url: &url, headers, secret: self.basic.as_deref(), hint: HINT })?;
        if reply.status != 200 {
            return Err(FetchError::Refused { at: shown(&url), status: reply.status, hint: HINT });
        }
        let bytes = read(&url, &mut reply.body, DOCUMENT)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let visible = |token: &String| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        token.filter(visible).ok_or_else(|| FetchError::Protocol {
            at: shown(&url),
            problem: "the answer has no token".into(),
        })
    }
}

/// A file of the temporary folder: it needs to survive nothing.
fn scratch(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    use std::io::Write;
    fs::File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(OutputError::io("write", path))
}

fn folder_at(path: &Path) -> Result<(), OutputError> {
    fs::create_dir_all(path).map_err(OutputError::io("create", path))
}
