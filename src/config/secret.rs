//! Secrets: each is the first line of a file, which is read when it is used and never shown.
use super::trust::{self, Owners};
use std::{fs::File, io::Read, path::Path};

/// Bytes of a secret.
const SECRET_MAX: u64 = 4096;

/// The secret in a file whose path is that on the device, below the root of the configuration.
///
/// # Errors
/// Why it can't be used, without what it holds.
pub fn secret(root: &Path, path: &Path) -> Result<String, String> {
    let path = root.join(path.strip_prefix("/").unwrap_or(path));
    let (at, _) = trust::file(root, &path, Owners::of_process()).map_err(|distrust| distrust.to_string())?;
    let mut text = String::new();
    let file = File::open(&at).map_err(|e| format!("{}: {e}", path.display()))?;
    let read = file.take(SECRET_MAX + 1).read_to_string(&mut text);
    if read.is_err() || text.len() as u64 > SECRET_MAX {
        return Err(format!("{} has no text of at most {SECRET_MAX} bytes", path.display()));
    }
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(format!("the first line of {} is empty", path.display())),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    #[test]
    fn secret_is_the_first_line_of_a_trusted_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etc/secret");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let read = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            secret(root.path(), Path::new("/etc/secret"))
        };
        assert_eq!(read(b" s3cret \nmore"), Ok("s3cret".into()));
        for bad in [b"".as_slice(), b"\nx", &[0xff], &[b'x'; 5000]] {
            let why = read(bad).unwrap_err();
            assert!(!why.contains("xxx"), "{why}");
        }
        read(b"x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            secret(root.path(), Path::new("/etc/secret")).unwrap_err().contains("writable by other users")
        );
        symlink("/dev/null", root.path().join("etc/null")).unwrap();
        assert!(secret(root.path(), Path::new("/etc/null")).is_err());
        assert!(secret(root.path(), Path::new("/etc/none")).is_err());
    }
}
