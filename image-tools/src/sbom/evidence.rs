//! The files of a tree that say what is installed in it. Where they are is for the tree to know: here come paths and bytes, which can be
//! hostile, and each file is read as soon as it comes, so that little of it stays in memory.
use super::auditable::{self, Unreadable};
use super::component::{Component, TEXT_MAX};
use super::{dpkg, python};
use bistable_format::text::printable;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// dpkg's database.
const STATUS: &str = "var/lib/dpkg/status";
/// The same with a file for each package.
const STATUS_FOLDER: &str = "var/lib/dpkg/status.d/";
/// Which files a package of dpkg has.
const LISTS: &str = "var/lib/dpkg/info/";
/// What distribution it is, in the order in which it is looked for.
const OS_RELEASE: [&str; 2] = ["usr/lib/os-release", "etc/os-release"];
/// Databases of other package managers, which are not read.
const OTHERS: [(&str, &str); 6] = [
    ("lib/apk/db/installed", "apk"),
    ("usr/lib/apk/db/installed", "apk"),
    ("var/lib/opkg/status", "opkg"),
    ("usr/lib/opkg/status", "opkg"),
    ("var/lib/rpm/rpmdb.sqlite", "rpm"),
    ("usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm"),
];
/// What npm leaves in a folder of packages.
const NPM: &str = "node_modules/.package-lock.json";

/// Bytes of dpkg's database: 64,000 packages of 500 bytes.
const STATUS_MAX: usize = 32 << 20;
/// Bytes of a list of files: 80,000 paths of 100 bytes.
const LIST_MAX: usize = 8 << 20;
/// Bytes of a file of which the beginning is enough.
const HEAD_MAX: usize = 64 << 10;
/// Bytes of a program: smaller files have no sections.
const PROGRAM_MIN: u64 = 64;

/// What one file says.
#[derive(Clone, Debug)]
enum Said {
    Debs(Vec<dpkg::Deb>),
    /// Files of packages of dpkg that say what a Python package is.
    Owned(Vec<String>),
    Distribution {
        id: String,
        version: String,
    },
    Python(String, String),
    Crates(Vec<Component>),
    /// That there is a database that isn't read.
    Other(&'static str),
    /// Nothing, though it should: why.
    Nothing(String),
}

/// The files that say what is installed, as far as they were found.
#[derive(Clone, Debug, Default)]
pub struct Evidence(BTreeMap<String, Said>);

/// What is installed.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Packages, each once.
    pub components: BTreeSet<Component>,
    /// What is missing in them, human-readable, one line each.
    pub notes: Vec<String>,
}

/// The crates of a program of that many bytes; none of a file that isn't a program with a list. `read` fills a buffer from a place on.
///
/// # Errors
/// When the file can't be read, or its list is damaged.
pub fn read_program(
    size: u64,
    read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> Result<Option<Vec<Component>>, Unreadable> {
    auditable::crates(size, read)
}

impl Evidence {
    /// How many bytes from the beginning of the file at this path say something; none if it says nothing.
    pub fn wanted(path: &str) -> Option<usize> {
        if path == STATUS {
            Some(STATUS_MAX)
        } else if path.strip_prefix(LISTS).is_some_and(|name| name.ends_with(".list")) {
            Some(LIST_MAX)
        } else if path.strip_prefix(STATUS_FOLDER).is_some_and(|name| !name.ends_with(".md5sums"))
            || OS_RELEASE.contains(&path)
            || python::is_metadata(path)
        {
            Some(HEAD_MAX)
        } else {
            other(path).map(|_| 0)
        }
    }

    /// Whether a file may be a program with a list of crates: one that can be run, or a library.
    pub fn is_program(path: &str, mode: u32, size: u64) -> bool {
        size >= PROGRAM_MIN && (mode & 0o111 != 0 || path.ends_with(".so") || path.contains(".so."))
    }

    /// Take the beginning of a [wanted](Self::wanted) file; `is_whole` says whether that is all of it.
    pub fn file(&mut self, path: &str, bytes: &[u8], is_whole: bool) {
        let text = String::from_utf8_lossy(bytes);
        let said = if let Some(manager) = other(path) {
            Said::Other(manager)
        } else if (path == STATUS || path.starts_with(LISTS)) && !is_whole {
            Said::Nothing("is larger than such a file can be".into())
        } else if path == STATUS || path.starts_with(STATUS_FOLDER) {
            Said::Debs(dpkg::installed(&text))
        } else if path.starts_with(LISTS) {
            let lines = text.lines().map(|line| line.trim_start_matches('/'));
            Said::Owned(lines.filter(|line| python::is_metadata(line)).map(Into::into).collect())
        } else if OS_RELEASE.contains(&path) {
            let value = |name: &str| {
                let of = |line: &str| line.strip_prefix(name)?.strip_prefix('=').map(unquoted);
                text.lines().find_map(of).unwrap_or_default()
            };
            Said::Distribution { id: value("ID"), version: value("VERSION_ID") }
        } else {
            match python::package(&text) {
                Some((name, version)) => Said::Python(name, version),
                None => Said::Nothing("names no Python package".into()),
            }
        };
        self.0.insert(path.into(), said);
    }

    /// Take what [`read_program`] found.
    pub fn program(&mut self, path: &str, crates: Result<Option<Vec<Component>>, Unreadable>) {
        match crates {
            Ok(None) => {}
            Ok(Some(crates)) => drop(self.0.insert(path.into(), Said::Crates(crates))),
            Err(why) => drop(self.0.insert(path.into(), Said::Nothing(why.to_string()))),
        }
    }

    /// Something else took a file's place, or it is gone, with what is below it.
    pub fn delete(&mut self, path: &str) {
        self.0.remove(path);
        self.delete_below(path);
    }

    /// All below a folder is gone; that is everything if the folder is "".
    pub fn delete_below(&mut self, folder: &str) {
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut rest = self.0.split_off(&below);
        let behind = rest.keys().find(|path| !path.starts_with(&below)).cloned();
        self.0.extend(behind.map(|path| rest.split_off(&path)).unwrap_or_default());
    }

    /// What of it is installed. A Python package that belongs to a package of dpkg is not counted again: its version is
    /// that package's, with its corrections.
    pub fn found(&self) -> Found {
        let mut found = Found::default();
        let mut owned = BTreeSet::new();
        for said in self.0.values() {
            if let Said::Owned(paths) = said {
                owned.extend(paths.iter().map(String::as_str));
            }
        }
        let (namespace, distribution) = self.distribution();
        let mut left_out = 0_u64;
        let mut add = |component: Option<Component>| match component {
            Some(component) => {
                found.components.insert(component);
            }
            None => left_out += 1,
        };
        let mut others = BTreeSet::new();
        for (path, said) in &self.0 {
            match said {
                Said::Debs(debs) => {
                    for deb in debs {
                        let architecture = deb.architecture.iter().map(|arch| ("arch", arch.clone()));
                        let qualifiers =
                            architecture.chain(distribution.clone().map(|d| ("distro", d))).collect();
                        add(Component::new(Some(namespace.clone()), &deb.name, &deb.version, qualifiers));
                    }
                }
                Said::Python(..) if owned.contains(path.as_str()) => {}
                Said::Python(name, version) => {
                    add(Component::new(Some("pypi".into()), name, version, Vec::new()));
                }
                Said::Crates(crates) => crates.iter().for_each(|c| add(Some(c.clone()))),
                Said::Other(manager) => {
                    others.insert(*manager);
                }
                Said::Nothing(why) => found
                    .notes
                    .push(format!("/{} {why}: what it should name is not in the SBOM", printable(path, &[]))),
                Said::Owned(_) | Said::Distribution { .. } => {}
            }
        }
        if left_out > 0 {
            found.notes.push(format!(
                "{left_out} entries without a name or version that can be one are not in the SBOM"
            ));
        }
        for manager in others {
            found.notes.push(format!(
                "there are packages of {manager}, which are not read: they are not in the SBOM; make one with another tool, and give \
                 it by --sbom FILE"
            ));
        }
        found
    }

    /// How package URLs of dpkg begin, and the distribution as their qualifier.
    fn distribution(&self) -> (String, Option<String>) {
        let said = OS_RELEASE.iter().find_map(|path| self.0.get(*path));
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.len() <= TEXT_MAX
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match said {
            Some(Said::Distribution { id, version }) if is_plain(id) => {
                (format!("deb/{id}"), is_plain(version).then(|| format!("{id}-{version}")))
            }
            _ => ("deb".into(), None),
        }
    }
}

/// The package manager whose database that is.
fn other(path: &str) -> Option<&'static str> {
    let is_npm = path.strip_suffix(NPM).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    let known = OTHERS.iter().find(|(other, _)| *other == path).map(|(_, manager)| *manager);
    known.or(is_npm.then_some("npm"))
}

/// A value of os-release without its quotes.
fn unquoted(value: &str) -> String {
    value.trim().trim_matches(['"', '\'']).into()
}

#[cfg(test)]
mod tests {
    use super::super::auditable::tests::{audited, program};
    use super::*;
    use bistable_format::text::is_printable;

    fn urls(evidence: &Evidence) -> Vec<String> {
        evidence.found().components.iter().map(|c| c.purl().unwrap_or_else(|| c.name.clone())).collect()
    }

    const STATUS_TEXT: &[u8] =
        b"Package: libstdc++6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1:14.2.0~rc1-2+rpt1\n";
    const REQUESTS: &[u8] = b"Name: Requests_X\nVersion: 2.31.0\n\n";

    fn files(files: &[(&str, &[u8])]) -> Evidence {
        let mut evidence = Evidence::default();
        for (path, bytes) in files {
            assert!(Evidence::wanted(path).is_some(), "{path}");
            evidence.file(path, bytes, true);
        }
        evidence
    }

    #[test]
    fn packages_have_urls_as_their_specification_says() {
        assert_eq!(
            urls(&files(&[(STATUS, STATUS_TEXT)])),
            ["pkg:deb/libstdc%2B%2B6@1:14.2.0~rc1-2%2Brpt1?arch=arm64"]
        );
        let debian: (&str, &[u8]) = ("usr/lib/os-release", b"NAME=x\nID=debian\nVERSION_ID=\"12\"\n");
        // The one in /etc is a link to it as a rule; if both are files, that of the system counts.
        let etc: (&str, &[u8]) = ("etc/os-release", b"ID=other\n");
        assert_eq!(
            urls(&files(&[(STATUS, STATUS_TEXT), debian, etc])),
            ["pkg:deb/debian/libstdc%2B%2B6@1:14.2.0~rc1-2%2Brpt1?arch=arm64&distro=debian-12"]
        );
        let hostile: (&str, &[u8]) = ("etc/os-release", b"ID=a/../b?c\n");
        assert!(urls(&files(&[(STATUS, STATUS_TEXT), hostile]))[0].starts_with("pkg:deb/libstdc"));
        assert_eq!(urls(&files(&[("opt/a.dist-info/METADATA", REQUESTS)])), ["pkg:pypi/requests-x@2.31.0"]);
        let small: (&str, &[u8]) = ("var/lib/dpkg/status.d/base", b"Package: base-files\nVersion: 12\n");
        assert_eq!(urls(&files(&[small])), ["pkg:deb/base-files@12"]);
    }

    #[test]
    fn a_python_package_of_a_package_of_dpkg_counts_once() {
        let owned = "usr/lib/python3/dist-packages/requests-2.31.0.egg-info/PKG-INFO";
        let list = format!("/.\n/usr\n/{owned}\n");
        let evidence = files(&[
            (STATUS, STATUS_TEXT),
            (owned, REQUESTS),
            ("var/lib/dpkg/info/python3-requests.list", list.as_bytes()),
            ("usr/local/lib/python3.11/dist-packages/idna-3.dist-info/METADATA", b"Name: idna\nVersion: 3\n"),
        ]);
        let urls = urls(&evidence);
        assert_eq!(urls.len(), 2, "{urls:?}");
        assert_eq!(urls[1], "pkg:pypi/idna@3");
    }

    #[test]
    fn crates_of_programs_and_what_cannot_be_read() {
        let mut evidence = Evidence::default();
        let read = |file: &[u8]| {
            read_program(file.len() as u64, &mut |at, into| {
                let at = usize::try_from(at).unwrap();
                into.copy_from_slice(&file[at..at + into.len()]);
                Ok(())
            })
        };
        evidence.program("usr/bin/app", read(&audited()));
        evidence.program("usr/bin/sh", read(b"#!/bin/sh\n"));
        evidence.program("usr/bin/broken", read(&program(true, b"x")));
        evidence.file("opt/x.dist-info/METADATA", b"", true);
        evidence.file(STATUS, STATUS_TEXT, false);
        evidence.file("lib/apk/db/installed", b"", true);
        evidence.file("opt/web/node_modules/.package-lock.json", b"", true);
        let bad = b"Package: a b\nVersion: 1\n\nPackage: \x1b[2J\nVersion: 1\n";
        evidence.file("var/lib/dpkg/status.d/bad", bad, true);
        assert_eq!(urls(&evidence), ["app", "pkg:cargo/serde@1.0.0"]);
        let notes = evidence.found().notes.join("\n");
        for words in [
            "/usr/bin/broken its list of crates (section .dep-v0) is damaged: what it should name is not in the SBOM",
            "/opt/x.dist-info/METADATA names no Python package",
            "/var/lib/dpkg/status is larger",
            "2 entries without a name or version",
            "there are packages of apk, which are not read",
            "there are packages of npm",
        ] {
            assert!(notes.contains(words), "{words}\n{notes}");
        }
        assert!(is_printable(&notes, &['\n']));
    }

    #[test]
    fn a_layer_takes_away_what_lay_below_it() {
        let all = files(&[(STATUS, STATUS_TEXT), ("opt/a.dist-info/METADATA", REQUESTS)]);
        let without = |change: &dyn Fn(&mut Evidence)| {
            let mut evidence = all.clone();
            change(&mut evidence);
            urls(&evidence).len()
        };
        assert_eq!(without(&|_| {}), 2);
        assert_eq!(without(&|e| e.delete("opt/a.dist-info")), 1);
        assert_eq!(without(&|e| e.delete("opt/a.dist-info/METADATA")), 1);
        assert_eq!(without(&|e| e.delete("opt/a")), 2);
        assert_eq!(without(&|e| e.delete_below("opt")), 1);
        assert_eq!(without(&|e| e.delete_below("")), 0);
    }

    #[test]
    fn only_programs_and_libraries_are_looked_into() {
        for (path, mode, size, is_one) in [
            ("usr/bin/app", 0o755, 64, true),
            ("usr/bin/app", 0o755, 63, false),
            ("usr/share/doc", 0o644, 999, false),
            ("opt/x/_rust.abi3.so", 0o644, 999, true),
            ("usr/lib/libx.so.1", 0o644, 999, true),
        ] {
            assert_eq!(Evidence::is_program(path, mode, size), is_one, "{path} {mode:o} {size}");
        }
    }
}
