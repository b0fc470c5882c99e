//! Which files count, and in which order.
use super::{
    Problem,
    environment::Environment,
    trust::{self, Owners},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Folders of fragments below the root, weakest first: the image's, the device's, this boot's.
pub const FOLDERS: [&str; 3] =
    ["usr/lib/bistable/config.d", "etc/bistable/config.d", "run/bistable/config.d"];

const FILE_MAX: u64 = 64 << 10;

/// The fragments of all folders.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// Those that count, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// Those that don't, each with the one that masks it.
    pub(super) masked: Vec<(PathBuf, PathBuf)>,
}

/// Find the fragments: one in a stronger folder masks its namesakes in weaker ones. The credentials are the strongest folder.
pub(super) fn fragments(
    root: &Path,
    environment: &Environment,
    owners: Owners,
    problems: &mut Vec<Problem>,
) -> Fragments {
    let mut files: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
    let folders = FOLDERS.into_iter().map(|folder| root.join(folder));
    for folder in folders.chain(environment.credentials.clone()) {
        if folder.symlink_metadata().is_ok()
            && let Err(distrust) = trust::follow(top(root, &folder), &folder, owners)
        {
            problems.push(Problem::new(&folder, None, &distrust.about(&folder)));
            continue;
        }
        match names(&folder) {
            Ok(names) => names.into_iter().for_each(|n| {
                let path = folder.join(&n);
                files.entry(n).or_default().push(path);
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => problems.push(Problem::new(folder, None, &e.to_string())),
        }
    }
    let mut found = Fragments::default();
    for mut namesakes in files.into_values() {
        if let Some(strongest) = namesakes.pop() {
            found.masked.extend(namesakes.into_iter().map(|weaker| (weaker, strongest.clone())));
            found.files.push(strongest);
        }
    }
    found
}

// From where a file is followed: credentials are not below the root of the configuration.
fn top<'a>(root: &'a Path, path: &Path) -> &'a Path {
    if path.starts_with(root) { root } else { Path::new("/") }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension().is_some_and(|e| e == "toml") {
            names.push(name);
        }
    }
    Ok(names)
}

/// The text of a file that is there and trusted.
pub(super) fn text(root: &Path, path: &Path, owners: Owners, problems: &mut Vec<Problem>) -> Option<String> {
    let mut problem = |text: String| {
        problems.push(Problem::new(path, None, &text));
        None
    };
    let at = match trust::file(top(root, path), path, owners) {
        Ok((at, _)) => at,
        Err(distrust) => return problem(distrust.about(path)),
    };
    let mut text = String::new();
    match File::open(at).and_then(|f| f.take(FILE_MAX + 1).read_to_string(&mut text)) {
        Ok(_) if text.len() as u64 > FILE_MAX => problem(format!("larger than {} KiB", FILE_MAX >> 10)),
        Ok(_) => Some(text),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => problem("is not UTF-8".into()),
        Err(e) => problem(e.to_string()),
    }
}
