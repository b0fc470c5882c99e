//! What a user writes: a registry, a name in it, and a tag or digest.
use bistable_format::Digest;
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// Which image of a name is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// What the tag names now.
    Tag(String),
    /// This one, whatever tags name.
    Digest(Digest),
    /// The newest version of all tags.
    Newest,
}

/// `oci://HOST/NAME`, with `:TAG` or `@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host, and port if it isn't the usual one.
    pub host: String,
    /// With slashes in it.
    pub name: String,
    /// Which of its images.
    pub which: Which,
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Reference, String> {
        let wrong =
            |why: &str| Err(format!("{text:?} {why}: give oci://HOST/NAME, with :TAG or @sha256:DIGEST"));
        let Some((host, rest)) = text.strip_prefix("oci://").and_then(|rest| rest.split_once('/')) else {
            return wrong("is not an image of a registry");
        };
        let (name, which) = match rest.split_once('@') {
            Some((name, digest)) => {
                let Some(digest) = digest.strip_prefix("sha256:").and_then(Digest::parse) else {
                    return wrong("has no SHA-256 digest");
                };
                // What the tag names doesn't matter then.
                (name.split(':').next().unwrap_or_default(), Which::Digest(digest))
            }
            None => match rest.split_once(':') {
                Some((_, tag)) if !is_tag(tag) => return wrong("has a tag that can't be"),
                Some((name, tag)) => (name, Which::Tag(tag.into())),
                None => (rest, Which::Newest),
            },
        };
        if !is_host(host) {
            return wrong("has a host that can't be");
        }
        if !is_name(name) {
            return wrong("has a name that can't be; names have small letters only");
        }
        // As Docker's own tools do it.
        let (host, name) = match (host, name.contains('/')) {
            ("docker.io" | "index.docker.io", false) => ("docker.io", format!("library/{name}")),
            ("index.docker.io", true) => ("docker.io", name.into()),
            _ => (host, name.into()),
        };
        Ok(Reference { host: host.into(), name, which })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.host, self.name)?;
        match &self.which {
            Which::Tag(tag) => write!(f, ":{tag}"),
            Which::Digest(digest) => write!(f, "@sha256:{digest}"),
            Which::Newest => Ok(()),
        }
    }
}

impl Reference {
    /// This image and no other.
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference { which: Which::Digest(digest), ..self.clone() }
    }

    /// Where the registry's API is: without encryption only on this machine.
    pub(super) fn base(&self) -> Option<Url> {
        let host = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        let url = Url::parse(&format!("https://{host}/v2/{}/", self.name)).ok()?;
        if !super::super::web::is_this_machine(&url) {
            return Some(url);
        }
        Url::parse(&format!("http://{host}/v2/{}/", self.name)).ok()
    }
}

fn is_host(text: &str) -> bool {
    let Ok(url) = Url::parse(&format!("https://{text}/")) else { return false };
    let plain =
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    let known = matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)));
    plain && known && url.path() == "/" && url.username().is_empty()
}

/// As the specification of OCI's registries has it.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        ends(bytes.first())
            && ends(bytes.last())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
    };
    text.len() <= 255 && text.split('/').all(part)
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 128
        && bytes.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    #[test]
    fn images_of_registries() {
        let pinned = format!("oci://ghcr.io/acme/scheduler@sha256:{DIGEST}");
        let both = format!("oci://ghcr.io/acme/scheduler:1.0@sha256:{DIGEST}");
        for (text, wanted, base) in [
            (
                "oci://ghcr.io/acme/scheduler:1.0",
                "oci://ghcr.io/acme/scheduler:1.0",
                "https://ghcr.io/v2/acme/scheduler/",
            ),
            ("oci://localhost:5000/a", "oci://localhost:5000/a", "http://localhost:5000/v2/a/"),
            (
                "oci://127.0.0.1:5000/a/b_c.d-e",
                "oci://127.0.0.1:5000/a/b_c.d-e",
                "http://127.0.0.1:5000/v2/a/b_c.d-e/",
            ),
            (
                "oci://docker.io/alpine:3",
                "oci://docker.io/library/alpine:3",
                "https://registry-1.docker.io/v2/library/alpine/",
            ),
            ("oci://[::1]:5000/a", "oci://[::1]:5000/a", "http://[::1]:5000/v2/a/"),
            (&pinned, &pinned, "https://ghcr.io/v2/acme/scheduler/"),
            (&both, &pinned, "https://ghcr.io/v2/acme/scheduler/"),
        ] {
            let found: Reference = text.parse().unwrap();
            assert_eq!((found.to_string().as_str(), found.base().unwrap().as_str()), (wanted, base));
        }
        for text in [
            "",
            "ghcr.io/acme/scheduler",
            "oci:/tmp/x",
            "oci://ghcr.io",
            "oci://ghcr.io/",
            "oci://ghcr.io/Acme/x",
            "oci://ghcr.io/a//b",
            "oci://ghcr.io/../b",
            "oci://ghcr.io/a:",
            "oci://ghcr.io/a:b/c",
            "oci://ghcr.io/a@sha256:12",
            "oci://ghcr.io/a@md5:12",
            "oci://user@ghcr.io/a",
            "oci://ghcr.io?x/a",
            "oci:///a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
