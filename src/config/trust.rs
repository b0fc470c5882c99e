//! Whether a file may be trusted, by its owner and its mode. One rule for configuration, for the plans and profiles that it
//! names, and for the operator's checks.
//!
//! **Rule.** The file, each folder on the way from the root of the configuration down to it, and each link on that way belong
//! to root or to the user that this program runs as. No other user can write the file or a folder; a folder with the sticky bit
//! is allowed, because users can't replace each other's files in it. Where the program runs as root, neither group nor others may
//! write. Another user only runs it on a simulated card, and may share that with the group (umask 002).
//!
//! Folders above the root of the configuration are not looked at: on a device there are none.
use nix::unistd::geteuid;
use std::{
    collections::VecDeque,
    fmt, fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Component, Path, PathBuf},
};

/// As many as the kernel follows (path_resolution(7)).
const LINKS_MAX: u32 = 40;
const STICKY: u32 = 0o1000;

/// The owners and the modes that are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    users: [u32; 2],
    /// Permission bits that must not be set.
    others: u32,
}

impl Owners {
    /// Root, and the user of this process.
    pub(crate) fn of_process() -> Owners {
        let user = geteuid();
        Owners { users: [0, user.as_raw()], others: if user.is_root() { 0o022 } else { 0o002 } }
    }

    fn check(self, path: &Path, of: &fs::Metadata) -> Result<(), Distrust> {
        let distrust = |why| Distrust { path: path.into(), why };
        if !self.users.contains(&of.uid()) {
            return Err(distrust(Why::Owner { found: of.uid() }));
        }
        let mode = of.mode() & 0o7777;
        // A link has no mode of its own.
        let shielded = of.is_symlink() || of.is_dir() && mode & STICKY != 0;
        if !shielded && mode & self.others != 0 {
            return Err(distrust(Why::Writable { mode }));
        }
        Ok(())
    }
}

/// Why a file isn't trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub(crate) struct Distrust {
    /// The file, or the folder or link on the way to it.
    pub(crate) path: PathBuf,
    /// The problem with it.
    pub(crate) why: Why,
}

/// A problem with a file, a folder or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It belongs to another user.
    Owner {
        /// The user's number.
        found: u32,
    },
    /// Others can write it.
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// It is a device, a socket, …
    NotAFile,
    /// It should be a program.
    NotExecutable {
        /// Its permission bits.
        mode: u32,
    },
    /// The links lead in a circle.
    Links,
    /// It can't be read.
    Unreadable {
        /// The system's words.
        problem: String,
    },
}

impl Distrust {
    pub(super) fn unreadable(path: &Path, e: &io::Error) -> Distrust {
        Distrust { path: path.into(), why: Why::Unreadable { problem: e.to_string() } }
    }

    /// The problem and the command that fixes it, for a text that names the file already.
    pub(crate) fn about(&self, file: &Path) -> String {
        let path = self.path.display();
        let fix = match self.why {
            Why::Owner { .. } => format!(": chown root {path}"),
            Why::Writable { .. } => format!(": chmod go-w {path}"),
            Why::NotExecutable { .. } => format!(": chmod u+x {path}"),
            Why::NotAFile | Why::Links | Why::Unreadable { .. } => String::new(),
        };
        if self.path == file { format!("{}{fix}", self.why) } else { format!("{self}{fix}") }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Owner { found } => write!(f, "owned by user {found}, expected root"),
            Why::Writable { mode } => write!(f, "writable by other users (mode {mode:04o})"),
            Why::NotAFile => f.write_str("not a regular file"),
            Why::NotExecutable { mode } => write!(f, "not executable (mode {mode:04o})"),
            Why::Links => f.write_str("too many symbolic links"),
            Why::Unreadable { problem } => f.write_str(problem),
        }
    }
}

/// Follow a path below `root` to its file or folder, and check everything on the way. Gives its path without links.
///
/// # Errors
/// The first thing on the way that isn't trusted.
pub(super) fn follow(root: &Path, path: &Path, owners: Owners) -> Result<(PathBuf, fs::Metadata), Distrust> {
    let look = |path: &Path| fs::metadata(path).map_err(|e| Distrust::unreadable(path, &e));
    let mut at = root.to_owned();
    let mut found = look(&at)?;
    owners.check(&at, &found)?;
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut ahead: VecDeque<PathBuf> = parts(below).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        found = fs::symlink_metadata(&next).map_err(|e| Distrust::unreadable(&next, &e))?;
        if is_null(&next, &found) {
            return Ok((next, found));
        }
        owners.check(&next, &found)?;
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Distrust { path: next, why: Why::Links });
        }
        let target = fs::read_link(&next).map_err(|e| Distrust::unreadable(&next, &e))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
            found = look(&at)?;
            owners.check(&at, &found)?;
        }
        for part in parts(&target).rev() {
            ahead.push_front(part);
        }
    }
    Ok((at, found))
}

/// A trusted file with its path without links. `/dev/null` is one: it masks a fragment, and it is always empty.
///
/// # Errors
/// As for [`follow`], or when it is no regular file.
pub(super) fn file(root: &Path, path: &Path, owners: Owners) -> Result<(PathBuf, fs::Metadata), Distrust> {
    let (at, found) = follow(root, path, owners)?;
    if found.is_file() || is_null(&at, &found) {
        return Ok((at, found));
    }
    Err(Distrust { path: at, why: Why::NotAFile })
}

fn is_null(path: &Path, of: &fs::Metadata) -> bool {
    of.file_type().is_char_device() && path == Path::new("/dev/null") && has_number_of_null(of)
}

#[cfg(target_os = "linux")]
fn has_number_of_null(of: &fs::Metadata) -> bool {
    use nix::sys::stat::{major, minor};
    (major(of.rdev()), minor(of.rdev())) == (1, 3)
}

/// Devices have other numbers there, and only a simulated Pi runs.
#[cfg(not(target_os = "linux"))]
const fn has_number_of_null(_: &fs::Metadata) -> bool {
    true
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod tests {
    use super::*;
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, symlink},
    };
    use tempfile::TempDir;

    /// A tree in which everything belongs to the user of the test.
    struct Tree(TempDir);

    impl Tree {
        fn new() -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            fs::create_dir_all(tree.at("etc/conf")).unwrap();
            fs::write(tree.at("etc/conf/a"), "").unwrap();
            for (name, mode) in [("etc", 0o755), ("etc/conf", 0o755), ("etc/conf/a", 0o644)] {
                tree.mode(name, mode);
            }
            tree
        }
        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.at(name), Permissions::from_mode(mode)).unwrap();
        }
        /// The problem with a file, if the user of the test were root.
        fn said(&self, name: &str) -> Option<String> {
            self.seen(name, geteuid().as_raw())
        }
        fn seen(&self, name: &str, user: u32) -> Option<String> {
            let owners = Owners { users: [user, user], others: 0o022 };
            let path = self.at(name);
            let distrust = file(self.0.path(), &path, owners).err()?;
            Some(distrust.about(&path).replace(&format!("{}/", self.0.path().display()), ""))
        }
    }

    #[test]
    fn files_that_only_their_owner_can_write_are_trusted() {
        let tree = Tree::new();
        assert_eq!(tree.said("etc/conf/a"), None);
        tree.mode("etc/conf/a", 0o600);
        assert_eq!(tree.said("etc/conf/a"), None);
        // Users can't replace each other's files there.
        tree.mode("etc/conf", 0o1777);
        assert_eq!(tree.said("etc/conf/a"), None);
    }

    #[test]
    fn files_that_others_can_write_are_refused_with_the_fixing_command() {
        for (name, mode, said) in [
            ("etc/conf/a", 0o666, "writable by other users (mode 0666): chmod go-w etc/conf/a"),
            ("etc/conf/a", 0o664, "writable by other users (mode 0664): chmod go-w etc/conf/a"),
            ("etc/conf", 0o775, "etc/conf: writable by other users (mode 0775): chmod go-w etc/conf"),
            ("etc", 0o757, "etc: writable by other users (mode 0757): chmod go-w etc"),
        ] {
            let tree = Tree::new();
            tree.mode(name, mode);
            assert_eq!(tree.said("etc/conf/a").as_deref(), Some(said));
        }
    }

    #[test]
    fn files_of_another_user_are_refused() {
        let tree = Tree::new();
        let own = geteuid().as_raw();
        let said = tree.seen("etc/conf/a", own + 1).unwrap();
        assert!(said.contains(&format!("owned by user {own}, expected root: chown root ")), "{said}");
    }

    #[test]
    fn links_are_followed_and_everything_on_the_way_is_checked() {
        let tree = Tree::new();
        fs::create_dir(tree.at("data")).unwrap();
        fs::write(tree.at("data/b"), "").unwrap();
        tree.mode("data/b", 0o644);
        symlink("../../data/b", tree.at("etc/conf/link")).unwrap();
        symlink("link", tree.at("etc/conf/second")).unwrap();
        for (mode, trusted) in [(0o755, true), (0o777, false)] {
            tree.mode("data", mode);
            for name in ["etc/conf/link", "etc/conf/second"] {
                assert_eq!(tree.said(name).is_none(), trusted, "{name} {mode:o}");
            }
        }
        let said = tree.said("etc/conf/link").unwrap();
        assert_eq!(said, "data: writable by other users (mode 0777): chmod go-w data");
        symlink("circle", tree.at("etc/conf/circle")).unwrap();
        assert!(tree.said("etc/conf/circle").unwrap().contains("too many symbolic links"));
        symlink("nowhere", tree.at("etc/conf/broken")).unwrap();
        assert!(tree.said("etc/conf/broken").unwrap().contains("No such file"));
    }

    #[test]
    fn only_files_and_the_null_device_are_files() {
        let tree = Tree::new();
        symlink("/dev/null", tree.at("etc/conf/null")).unwrap();
        symlink("/dev/zero", tree.at("etc/conf/zero")).unwrap();
        // As the user of the test, and trusting the system's own folders on the way, whose owner is root.
        let own = geteuid().as_raw();
        let owners = Owners { users: [0, own], others: 0o022 };
        let (at, found) = file(tree.0.path(), &tree.at("etc/conf/null"), owners).unwrap();
        assert!(at == Path::new("/dev/null") && !found.is_file());
        assert!(tree.said("etc/conf/zero").is_some());
        assert_eq!(tree.said("etc/conf").as_deref(), Some("not a regular file"));
    }
}
