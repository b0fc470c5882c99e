//! Programs of the operator's in a folder: which are there, and which may be run. One rule for checks and for hooks.
use super::trust::{self, Distrust, Owners, Why};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Programs in one folder (I11).
const PROGRAMS_MAX: usize = 64;

/// A program of the operator's, or a reason not to run one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name in reports, with that of its folder: for example `required.d/10-database`.
    pub name: String,
    /// Its path on the device.
    pub program: PathBuf,
    /// The reason why it must not be run, with the command that fixes it.
    pub refused: Option<String>,
}

/// The programs in a folder below the root of the configuration, in the order of their names.
pub(super) fn find(root: &Path, below: &Path, owners: Owners) -> Vec<Program> {
    let name = below.file_name().unwrap_or_default().to_string_lossy();
    let folder = root.join(below);
    let program = |name: String, below: &Path, refused| {
        let program = Path::new("/").join(below);
        Program { name, program, refused }
    };
    let refuse = |why: String| vec![program(name.clone().into(), below, Some(why))];
    match fs::symlink_metadata(&folder) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Vec::new();
        }
        _ => {}
    }
    let listed = trust::follow(root, &folder, owners)
        .and_then(|(at, _)| names(&at).map_err(|e| Distrust::unreadable(&folder, &e)));
    let names = match listed {
        Err(distrust) => return refuse(distrust.about(&folder)),
        Ok(names) if names.len() > PROGRAMS_MAX => {
            return refuse(format!("{} programs, more than {PROGRAMS_MAX}", names.len()));
        }
        Ok(names) => names,
    };
    let found = names.into_iter().filter_map(|file| {
        let refused = match check(root, &folder.join(&file), owners) {
            Ok(Found::Masked) => return None,
            Ok(Found::Program) => None,
            Err(why) => Some(why),
        };
        Some(program(format!("{name}/{file}"), &below.join(&file), refused))
    });
    found.collect()
}

/// As `run-parts` does, without the leftovers of editors and package managers.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !name.ends_with('~') && !name.contains(".dpkg-") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What has the name of a program.
enum Found {
    Program,
    /// A link to `/dev/null`, which masks it as it masks a fragment.
    Masked,
}

fn check(root: &Path, path: &Path, owners: Owners) -> Result<Found, String> {
    let (at, found) = trust::file(root, path, owners).map_err(|distrust| distrust.about(path))?;
    let mode = std::os::unix::fs::MetadataExt::mode(&found) & 0o7777;
    // Anything else that is no file was refused.
    if !found.is_file() {
        return Ok(Found::Masked);
    }
    let why = if mode & 0o100 == 0 {
        Why::NotExecutable { mode }
    } else {
        return Ok(Found::Program);
    };
    Err(Distrust { path: at, why }.about(path))
}
