//! The operator's checks: programs in `/etc/bistable/check/{required,wanted}.d`, which run with the health check.
use super::{
    programs::{self, Program},
    trust::Owners,
};
use bistable_format::selftest::Need;
use std::path::{Path, PathBuf};

/// Below the root of the configuration.
const FOLDER: &str = "etc/bistable/check";

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
    let found = programs::find(root, &Path::new(FOLDER).join(name), owners).into_iter();
    let check = |Program { name, program, refused }| OperatorCheck { name, need, program, refused };
    found.map(check).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

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
        let files: Vec<String> = (0..=64).map(|n| format!("wanted.d/{n}")).collect();
        let files: Vec<(&str, u32)> = files.iter().map(|name| (name.as_str(), 0o755)).collect();
        assert_eq!(found(&files), [("wanted.d".into(), Some("65 programs, more than 64".into()))]);
    }
}
