//! The operator's checks: programs in `/etc/bistable/check/{required,wanted}.d`, which run with the health check.
use super::trust::{self, Distrust, Owners, Why};
use bistable_format::selftest::Need;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Below the root of the configuration.
const FOLDER: &str = "etc/bistable/check";
/// Programs in one folder (I11).
const CHECKS_MAX: usize = 64;

/// A program of the operator's that runs with the health check, or a reason not to run one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCheck {
    /// Its name in reports: for example `required.d/10-database`.
    pub name: String,
    /// What a failure means.
    pub need: Need,
    /// Its path on the device.
    pub program: PathBuf,
    /// The reason why it must not be run, with the command that fixes it.
    pub refused: Option<String>,
}

/// All of them: the required ones first, in the order of their names.
pub(super) fn find(root: &Path, owners: Owners) -> Vec<OperatorCheck> {
    let both = [(Need::Required, "required.d"), (Need::Wanted, "wanted.d")];
    both.into_iter().flat_map(|(need, folder)| of_folder(root, need, folder, owners)).collect()
}

fn of_folder(root: &Path, need: Need, name: &str, owners: Owners) -> Vec<OperatorCheck> {
    let below = Path::new(FOLDER).join(name);
    let folder = root.join(&below);
    let check = |name: String, below: &Path, refused| {
        let program = Path::new("/").join(below);
        OperatorCheck { name, need, program, refused }
    };
    let refuse = |why: String| vec![check(name.into(), &below, Some(why))];
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
        Ok(names) if names.len() > CHECKS_MAX => {
            return refuse(format!("{} programs, more than {CHECKS_MAX}", names.len()));
        }
        Ok(names) => names,
    };
    let found = names.into_iter().filter_map(|file| {
        let refused = match program(root, &folder.join(&file), owners) {
            Ok(Found::Masked) => return None,
            Ok(Found::Program) => None,
            Err(why) => Some(why),
        };
        Some(check(format!("{name}/{file}"), &below.join(&file), refused))
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

/// What has the name of a check.
enum Found {
    Program,
    /// A link to `/dev/null`, which masks it as it masks a fragment.
    Masked,
}

fn program(root: &Path, path: &Path, owners: Owners) -> Result<Found, String> {
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

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    /// Folders with these programs, each with its mode; gives what is found.
    fn found(files: &[(&str, u32)]) -> Vec<(String, Option<String>)> {
        let root = tempfile::tempdir().unwrap();
        for (name, mode) in files {
            let path = root.path().join(FOLDER).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
        let prefix = format!("{}/{FOLDER}/", root.path().display());
        let checks = find(root.path(), Owners::of_process()).into_iter();
        checks.map(|c| (c.name, c.refused.map(|why| why.replace(&prefix, "")))).collect()
    }

    #[test]
    fn required_checks_come_first_and_each_folder_is_sorted_by_name() {
        let programs = [("wanted.d/10-b", 0o755), ("required.d/20-a", 0o755), ("required.d/10-c", 0o700)];
        let names: Vec<String> = found(&programs)
            .into_iter()
            .map(|(name, refused)| {
                assert_eq!(refused, None);
                name
            })
            .collect();
        assert_eq!(names, ["required.d/10-c", "required.d/20-a", "wanted.d/10-b"]);
        assert_eq!(found(&[]), []);
    }

    #[test]
    fn leftovers_of_editors_and_package_managers_are_ignored() {
        let left = [".hidden", "a~", "a.dpkg-old", "a.dpkg-new", "a.dpkg-dist"];
        let files: Vec<String> = left.iter().map(|name| format!("required.d/{name}")).collect();
        let files: Vec<(&str, u32)> = files.iter().map(|name| (name.as_str(), 0o777)).collect();
        assert_eq!(found(&files), []);
    }

    #[test]
    fn a_check_that_is_a_link_to_the_null_device_is_masked() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER).join("required.d");
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.join("10-masked")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.join("20-zero")).unwrap();
        let found = find(root.path(), Owners::of_process());
        let names: Vec<&str> = found.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["required.d/20-zero"]);
        assert!(found.iter().all(|check| check.refused.is_some()));
    }

    #[test]
    fn untrusted_files_and_non_programs_are_refused_with_the_fixing_command() {
        for (mode, why) in [
            (0o757, "writable by other users (mode 0757): chmod go-w required.d/a"),
            (0o644, "not executable (mode 0644): chmod u+x required.d/a"),
        ] {
            assert_eq!(found(&[("required.d/a", mode)]), [("required.d/a".into(), Some(why.into()))]);
        }
        let folder = found(&[("required.d/a/b", 0o755)]);
        assert_eq!(folder, [("required.d/a".into(), Some("not a regular file".into()))]);
    }

    #[test]
    fn a_folder_with_too_many_is_refused_as_a_whole() {
        let files: Vec<String> = (0..=CHECKS_MAX).map(|n| format!("wanted.d/{n}")).collect();
        let files: Vec<(&str, u32)> = files.iter().map(|name| (name.as_str(), 0o755)).collect();
        assert_eq!(found(&files), [("wanted.d".into(), Some("65 programs, more than 64".into()))]);
    }
}
