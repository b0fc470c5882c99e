//! What changed between two releases. A pure function.
use super::{Package, Sbom};
use std::collections::{BTreeMap, BTreeSet};

/// A package that both have, in other versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its kind: see [`Package::kind`].
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The versions that the first has. Several, if it has the package several times.
    pub from: Vec<String>,
    /// The versions that the second has.
    pub to: Vec<String>,
}

/// All changes, each list in the order of kinds and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Packages that only the second has.
    pub added: Vec<Package>,
    /// Packages that only the first has.
    pub removed: Vec<Package>,
    /// Packages that both have, in other versions.
    pub changed: Vec<Changed>,
}

/// From one to the other.
pub fn compare(from: &Sbom, to: &Sbom) -> Changes {
    let (from, to) = (by_id(from), by_id(to));
    let mut changes = Changes::default();
    let ids: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    for id in ids {
        match (from.get(id), to.get(id)) {
            (Some(old), Some(new)) => {
                let (old_versions, new_versions) = (versions(old), versions(new));
                if old_versions != new_versions
                    && let Some(package) = new.first()
                {
                    changes.changed.push(Changed {
                        kind: package.kind.clone(),
                        name: package.name.clone(),
                        from: old_versions,
                        to: new_versions,
                    });
                }
            }
            (Some(old), None) => changes.removed.extend(old.iter().map(|p| (*p).clone())),
            (None, Some(new)) => changes.added.extend(new.iter().map(|p| (*p).clone())),
            (None, None) => {}
        }
    }
    changes.added.sort();
    changes.removed.sort();
    changes.changed.sort_by(|a, b| (&a.kind, &a.name, &a.from).cmp(&(&b.kind, &b.name, &b.from)));
    changes
}

fn by_id(sbom: &Sbom) -> BTreeMap<&str, Vec<&Package>> {
    let mut packages: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in &sbom.packages {
        packages.entry(&package.id).or_default().push(package);
    }
    packages
}

/// Each version once, in order.
fn versions(packages: &[&Package]) -> Vec<String> {
    let versions: BTreeSet<&String> = packages.iter().map(|package| &package.version).collect();
    versions.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sbom(packages: &[(&str, &str, &str)]) -> Sbom {
        let package = |(purl, name, version): &(&str, &str, &str)| {
            let purl = (!purl.is_empty()).then_some(*purl);
            Package::new((*name).into(), (*version).into(), purl)
        };
        Sbom { spec: "1.6".into(), packages: packages.iter().map(package).collect() }
    }

    fn text(from: &[(&str, &str, &str)], to: &[(&str, &str, &str)]) -> Vec<String> {
        let changes = compare(&sbom(from), &sbom(to));
        let kind = |kind: &Option<String>| kind.clone().unwrap_or_default();
        let one = |word: &'static str| {
            move |p: &Package| format!("{word} {} {} {}", kind(&p.kind), p.name, p.version)
        };
        let changed = changes
            .changed
            .iter()
            .map(|c| format!("~ {} {} {} to {}", kind(&c.kind), c.name, c.from.join(","), c.to.join(",")));
        let (added, removed) = (changes.added.iter().map(one("+")), changes.removed.iter().map(one("-")));
        added.chain(removed).chain(changed).collect()
    }

    #[test]
    fn changes_by_package() {
        let curl = |version| ("pkg:deb/debian/curl?arch=arm64", "curl", version);
        let none: [&str; 0] = [];
        assert_eq!(text(&[], &[]), none);
        assert_eq!(text(&[curl("1")], &[curl("1")]), none);
        assert_eq!(text(&[], &[curl("1")]), ["+ deb curl 1"]);
        assert_eq!(text(&[curl("1")], &[]), ["- deb curl 1"]);
        assert_eq!(text(&[curl("1")], &[curl("2")]), ["~ deb curl 1 to 2"]);
        // The same package for two architectures counts as one.
        assert_eq!(text(&[curl("1")], &[("pkg:deb/debian/curl?arch=armhf", "curl", "1")]), none);
        // The same name of another kind is.
        let pip = ("pkg:pypi/curl@1", "curl", "1");
        assert_eq!(text(&[curl("1")], &[pip]), ["+ pypi curl 1", "- deb curl 1"]);
        // Several versions at a time, as crates and kernels have them.
        let syn = |version| ("pkg:cargo/syn", "syn", version);
        assert_eq!(text(&[syn("1"), syn("2")], &[syn("2"), syn("3")]), ["~ cargo syn 1,2 to 2,3"]);
        assert_eq!(text(&[], &[syn("1"), syn("2")]), ["+ cargo syn 1", "+ cargo syn 2"]);
        // Without package URLs, names decide.
        assert_eq!(text(&[("", "own", "")], &[("", "own", "2")]), ["~  own  to 2"]);
    }
}
