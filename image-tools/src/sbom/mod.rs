//! The SBOM of a release: which packages are in it, as a CycloneDX file in JSON. A pure room: bytes in, bytes out.
//!
//! ```text
//! a file of the user's ──► document ──┐
//!                                     ├──► the release's blob ──► document ──► compare
//! a tree ──► evidence ──► make ───────┘
//! ```
//! | file | noun |
//! |---|---|
//! | `document` | reads CycloneDX: what Bistable relies on, and nothing else of it |
//! | `compare` | packages added, removed and changed between two releases |
//! | `component` | a package that was found, and its package URL |
//! | `evidence` | the files of a tree that say what is installed in it |
//! | `dpkg`, `python`, `auditable` | reads one kind of such files |
//! | `make` | writes CycloneDX |
mod auditable;
mod compare;
mod component;
mod document;
mod dpkg;
mod evidence;
mod make;
mod python;

pub use auditable::Unreadable;
pub use compare::{Changed, Changes, compare};
pub use component::Component;
pub use document::{Sbom, SbomError};
pub use evidence::{Evidence, Found, read_program};
pub use make::{Described, make};

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its kind, as package URLs have it: `deb`, `pypi`, `cargo`. None of what has no package URL.
    pub kind: Option<String>,
    /// Its name, with the group that it is in, if there is one.
    pub name: String,
    /// Its version; empty if it says none.
    pub version: String,
    /// What names it in every version: its package URL without version, qualifiers and subpath, or its name.
    id: String,
}

impl Package {
    /// One that is named by a package URL, or by its name alone.
    fn new(name: String, version: String, purl: Option<&str>) -> Package {
        let Some((id, of_url)) = purl.and_then(split) else {
            return Package { kind: None, id: name.clone(), name, version };
        };
        let kind = id.split('/').next().map(str::to_ascii_lowercase);
        let version = if version.is_empty() { of_url.into() } else { version };
        Package { kind, id: id.into(), name, version }
    }
}

/// A package URL without its scheme, version, qualifiers and subpath; and its version, as it is written there.
fn split(purl: &str) -> Option<(&str, &str)> {
    let rest = purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let name = rest.rfind('/').map_or(0, |slash| slash + 1);
    // An `@` before the last slash belongs to a namespace: npm has such.
    match rest.get(name..)?.rfind('@') {
        Some(at) => Some((rest.get(..name + at)?, rest.get(name + at + 1..)?)),
        None => Some((rest, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_names_a_package_in_every_version() {
        for (purl, id, version) in [
            ("pkg:deb/debian/curl@8.5.0-2?arch=arm64&distro=debian-12", "deb/debian/curl", "8.5.0-2"),
            ("pkg:pypi/requests@2.31.0", "pypi/requests", "2.31.0"),
            ("pkg:pypi/requests", "pypi/requests", ""),
            ("pkg:npm/%40angular/core@17.0.0#src/a@b", "npm/%40angular/core", "17.0.0"),
            ("pkg:npm/@angular/core@17.0.0", "npm/@angular/core", "17.0.0"),
            ("pkg:npm/@angular/core", "npm/@angular/core", ""),
            ("pkg://cargo/serde@1.0.0", "cargo/serde", "1.0.0"),
        ] {
            assert_eq!(split(purl), Some((id, version)), "{purl}");
        }
        assert_eq!(split("https://example.com"), None);
        let package = Package::new("curl".into(), String::new(), Some("pkg:Deb/debian/curl@8?arch=arm64"));
        assert_eq!((package.kind.as_deref(), &*package.version), (Some("deb"), "8"));
    }
}
