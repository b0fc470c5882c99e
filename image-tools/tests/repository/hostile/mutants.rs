//! Repositories with one thing wrong.
use super::kit::{Kit, SECRET, files, hostile_names};
use nix::sys::stat::Mode;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Something done to a good repository.
pub(super) struct Mutant {
    pub(super) name: String,
    mutate: Box<dyn Fn(&Kit)>,
}

impl Mutant {
    fn new(name: impl Into<String>, mutate: impl Fn(&Kit) + 'static) -> Mutant {
        Mutant { name: name.into(), mutate: Box::new(mutate) }
    }

    /// Make the kit's repository this one.
    pub(super) fn make(&self, kit: &Kit) {
        kit.restore();
        (self.mutate)(kit);
    }
}

/// Of each kind of file one that verbs read, relative to the repository. Patterns: the first file that begins and ends so.
const KINDS: [(&str, &str); 15] = [
    ("oci-layout", ""),
    ("index.json", ""),
    ("roots/1.root", ""),
    ("channels/staging/latest", ""),
    ("channels/staging/00000001.channel", ""),
    ("channels/staging/00000002.channel", ""),
    ("channels/production/00000002.channel", ""),
    ("audit/latest", ""),
    ("audit/00000001.json", ""),
    ("audit/00000007.json", ""),
    ("versions/hub/1.1.0", ""),
    ("attestations/", ".attestation"),
    // A signed release, a chunk list or catalog, and a volume's data, by their first bytes.
    ("blobs/sha256/", "release"),
    ("blobs/sha256/", "catalog"),
    ("blobs/sha256/", "data"),
];

const FOLDERS: [&str; 11] = [
    "attestations",
    "attestations/*",
    "audit",
    "blobs",
    "blobs/sha256",
    "channels",
    "channels/staging",
    "channels/production",
    "roots",
    "versions",
    "versions/hub",
];

fn find(kit: &Kit, (begin, end): (&str, &str)) -> PathBuf {
    let repository = kit.repository();
    if end.is_empty() {
        let path = repository.join(begin);
        assert!(path.is_file(), "{}", path.display());
        return path;
    }
    let fits = |path: &Path, bytes: &[u8]| match end {
        "release" => {
            bytes.starts_with(b"BISTABLE")
                || bytes.get(..4) == Some(b"BIST") && !bytes.starts_with(b"BISTCAT")
        }
        "catalog" => bytes.starts_with(b"BISTCAT"),
        "data" => bytes.starts_with(b"\x28\xb5\x2f\xfd"),
        end => path.to_string_lossy().ends_with(end),
    };
    let below = files(&repository.join(begin));
    below
        .into_iter()
        .find(|(path, bytes)| fits(path, bytes))
        .map(|(path, _)| path)
        .unwrap_or_else(|| panic!("{begin} {end}"))
}

fn folder(kit: &Kit, name: &str) -> PathBuf {
    match name.strip_suffix("/*") {
        Some(parent) => fs::read_dir(kit.repository().join(parent)).unwrap().next().unwrap().unwrap().path(),
        None => kit.repository().join(name),
    }
}

/// Each file and folder in turn is a link to something outside.
pub(super) fn links() -> Vec<Mutant> {
    let mut all = Vec::new();
    for kind in KINDS {
        all.push(Mutant::new(format!("{kind:?} is a link to the secret"), move |kit| {
            let path = find(kit, kind);
            fs::remove_file(&path).unwrap();
            symlink(kit.path("outside/secret"), path).unwrap();
        }));
    }
    for name in FOLDERS {
        all.push(Mutant::new(format!("{name} is a link to a folder outside"), move |kit| {
            let (path, moved) = (folder(kit, name), kit.path("outside/moved"));
            fs::rename(&path, &moved).unwrap();
            for secret in ["y.attestation", "00000099.channel", "00000099.json", "9.9.9", "99.root"] {
                fs::write(moved.join(secret), SECRET).unwrap();
            }
            symlink(moved, path).unwrap();
        }));
    }
    for new in
        ["attestations/*/y.attestation", "versions/hub/9.9.9", "mirror", "partial-copy", "single-writer"]
            .into_iter()
            .chain([
                "channels/evil",
                "channels/staging/00000003.channel",
                "roots/2.root",
                "audit/00000009.json",
            ])
            .chain([
                "holds/0123456789abcdef",
                "prune/1.pending",
                "versions/evil",
                "oci-layout#1",
                "index.html",
            ])
    {
        all.push(Mutant::new(format!("{new} is a new link to the secret"), move |kit| {
            let path = match new.split_once("/*/") {
                Some((parent, name)) => folder(kit, &format!("{parent}/*")).join(name),
                None => kit.repository().join(new),
            };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(kit.path("outside/secret"), path).unwrap();
        }));
    }
    all
}

/// Each kind of file is cut, and has either the bytes of another kind or more than its limit.
pub(super) fn contents() -> Vec<Mutant> {
    let mut all = Vec::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        all.push(Mutant::new(format!("{kind:?} is cut"), move |kit| {
            let path = find(kit, kind);
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }));
        if number % 2 == 0 {
            all.push(Mutant::new(format!("{kind:?} is another file"), move |kit| {
                let other = find(kit, KINDS[(number + 5) % KINDS.len()]);
                fs::copy(other, find(kit, kind)).unwrap();
            }));
        } else {
            all.push(Mutant::new(format!("{kind:?} is too large"), move |kit| {
                let path = find(kit, kind);
                let mut bytes = fs::read(&path).unwrap();
                // More than any of them can have; the index can have the most.
                let more = if kind.0 == "index.json" { 9 << 20 } else { 200 << 10 };
                bytes.resize(bytes.len() + more, b' ');
                fs::write(path, bytes).unwrap();
            }));
        }
    }
    all
}

/// A pipe, which would wait for a writer, or a folder in the place of a file.
pub(super) fn special_files() -> Vec<Mutant> {
    let mut all = Vec::new();
    for kind in [KINDS[0], KINDS[3], KINDS[5], KINDS[10], KINDS[11], KINDS[14]] {
        all.push(Mutant::new(format!("{kind:?} is a pipe"), move |kit| {
            let path = find(kit, kind);
            fs::remove_file(&path).unwrap();
            nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        }));
        all.push(Mutant::new(format!("{kind:?} is a folder"), move |kit| {
            let path = find(kit, kind);
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }));
    }
    all
}

/// Files and folders with impossible names in each folder.
pub(super) fn names() -> Mutant {
    Mutant::new("impossible names", |kit| {
        for name in FOLDERS.into_iter().chain(["."]) {
            for hostile in hostile_names() {
                // A plain name is a foreign file of another kind: tested by fsck's own tests.
                let plain = hostile.as_os_str().len() == 255;
                if plain && !["channels", "."].contains(&name) {
                    continue;
                }
                let path = folder(kit, name).join(&hostile);
                fs::create_dir(&path).unwrap();
                fs::write(path.join("latest"), "1\n").unwrap();
                fs::write(path.join("00000001.channel"), "x").unwrap();
            }
        }
    })
}

/// The end of a channel is gone, with all that tells of it.
pub(super) fn lost_tail() -> Mutant {
    Mutant::new("the newest file of staging is gone, with its hint and its audit", |kit| {
        let path = |name: &str| kit.repository().join(name);
        fs::remove_file(path("channels/staging/00000002.channel")).unwrap();
        fs::write(path("channels/staging/latest"), "1\n").unwrap();
        for number in 3..=7 {
            fs::remove_file(path(&format!("audit/{number:08}.json"))).unwrap();
        }
        fs::write(path("audit/latest"), "2\n").unwrap();
        fs::remove_dir_all(path("channels/production")).unwrap();
    })
}

/// The first root is another product's, whose channels the same key may sign.
pub(super) fn swapped_root() -> Mutant {
    Mutant::new("the root is a stranger's", |kit| {
        fs::write(kit.repository().join("roots/1.root"), kit.strangers_root()).unwrap();
    })
}

/// The newest file of a channel is another one of the same number, signed by the right key.
pub(super) fn equivocation() -> Mutant {
    Mutant::new("number 2 of staging is another one", |kit| {
        let path = |name: &str| kit.repository().join(name);
        // What the key signs after the tail was lost, on a machine that doesn't remember it.
        for name in ["channels/staging/00000002.channel", "versions/hub/1.2.0"] {
            fs::remove_file(path(name)).unwrap();
        }
        fs::write(path("channels/staging/latest"), "1\n").unwrap();
        fs::remove_dir_all(path("audit")).unwrap();
        let home = kit.path("home");
        fs::rename(&home, kit.path("remembered")).unwrap();
        fs::create_dir(&home).unwrap();
        let ended = kit.run(&["publish", "{3.bundle}", "--key", "{channel.key}"]);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        fs::remove_dir_all(&home).unwrap();
        fs::rename(kit.path("remembered"), &home).unwrap();
    })
}
