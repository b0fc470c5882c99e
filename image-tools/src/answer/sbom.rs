//! SBOMs.
use crate::repository::manifest::Stored;
use crate::sbom::{self, Sbom};
use bistable_format::content::Blob;
use serde::Serialize;

/// The SBOM of a release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SbomInfo {
    /// SHA-256 of the file, by which a repository and a bundle have it.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: u32,
    /// Version of CycloneDX; null if the file can't be read.
    pub cyclonedx: Option<String>,
    /// Packages in it; null if the file can't be read.
    pub packages: Option<usize>,
    /// `show`: why the file can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl SbomInfo {
    /// Of this file, which says this, or can't be read.
    pub(crate) fn new(file: &Blob, sbom: Result<&Sbom, String>) -> SbomInfo {
        SbomInfo {
            sha256: file.digest.to_string(),
            bytes: file.bytes,
            cyclonedx: sbom.as_ref().ok().map(|sbom| sbom.spec.clone()),
            packages: sbom.as_ref().ok().map(|sbom| sbom.packages.len()),
            problem: sbom.err(),
        }
    }
}

/// What changed between two releases.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Compared {
    /// The first.
    pub from: ComparedRelease,
    /// The second.
    pub to: ComparedRelease,
    /// Packages that only the second has.
    pub added: Vec<Package>,
    /// Packages that only the first has.
    pub removed: Vec<Package>,
    /// Packages that both have, in other versions.
    pub changed: Vec<ChangedPackage>,
}

/// One of two releases that were compared.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComparedRelease {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// Its SBOM.
    pub sbom: SbomInfo,
}

/// A package.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Package {
    /// Its kind, as package URLs have it: deb, pypi, cargo; null without a package URL.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version; empty if the SBOM says none.
    pub version: String,
}

/// A package in other versions.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangedPackage {
    /// Its kind, as package URLs have it: deb, pypi, cargo; null without a package URL.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// Its versions in the first release.
    pub from: Vec<String>,
    /// Its versions in the second release.
    pub to: Vec<String>,
}

impl Compared {
    /// Of these two.
    pub(crate) fn new(from: ComparedRelease, to: ComparedRelease, changes: &sbom::Changes) -> Compared {
        let packages = |list: &[sbom::Package]| list.iter().map(Package::from).collect();
        Compared {
            from,
            to,
            added: packages(&changes.added),
            removed: packages(&changes.removed),
            changed: changes.changed.iter().map(ChangedPackage::from).collect(),
        }
    }
}

impl ComparedRelease {
    /// Of a release with this SBOM.
    pub(crate) fn new(stored: &Stored, file: &Blob, sbom: &Sbom) -> ComparedRelease {
        ComparedRelease {
            product: stored.release.product().into(),
            component: stored.release.component.clone(),
            version: stored.release.version.to_string(),
            release: stored.identity.to_string(),
            sbom: SbomInfo::new(file, Ok(sbom)),
        }
    }
}

impl From<&sbom::Package> for Package {
    fn from(package: &sbom::Package) -> Package {
        let sbom::Package { kind, name, version, .. } = package.clone();
        Package { kind, name, version }
    }
}

impl From<&sbom::Changed> for ChangedPackage {
    fn from(changed: &sbom::Changed) -> ChangedPackage {
        let sbom::Changed { kind, name, from, to } = changed.clone();
        ChangedPackage { kind, name, from, to }
    }
}
