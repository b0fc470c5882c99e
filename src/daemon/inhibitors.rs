//! What holds a switch off for a while: files in a folder of this boot. The text of one is the reason, its owner is who wants
//! it, and a day after it was last changed it holds nothing any more.
use crate::{app::schedule::Inhibitor, ports::Stamp, text::shorten};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

/// Where they are, below the root of the configuration.
pub(crate) const FOLDER: &str = "run/bistable/inhibit.d";
/// No file holds a switch off for longer, however its time is set.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Files that count: who may write there may not make the daemon read for ever.
const FILES: usize = 64;
/// Bytes of a reason that are shown.
const REASON: usize = 200;

/// Those that hold now, by name.
pub(crate) fn read(root: &Path, now: &Stamp) -> Vec<Inhibitor> {
    let Ok(folder) = fs::read_dir(root.join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<_> = folder.filter_map(|entry| Some(entry.ok()?.path())).take(FILES).collect();
    names.sort();
    names.iter().filter_map(|path| one(path, now).ok().flatten()).collect()
}

/// `None` for what is no file, and for one that is too old.
fn one(path: &Path, now: &Stamp) -> io::Result<Option<Inhibitor>> {
    // What a link leads to is somebody else's, and a pipe may be waited for without an end.
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let found = file.metadata()?;
    let changed = u64::try_from(found.mtime()).unwrap_or(0);
    let end = changed.saturating_add(LONGEST.as_secs());
    let left = Duration::from_secs(end.saturating_sub(now.unix)).min(LONGEST);
    if left.is_zero() {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(REASON as u64 * 4).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let reason = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Some(Inhibitor {
        owner: format!("{} (user {})", shorten(&name, REASON), found.uid()),
        reason: shorten(reason.unwrap_or("no reason is given"), REASON),
        ends: now.uptime.saturating_add(left),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::BootId;
    use std::{os::unix::fs::symlink, time::UNIX_EPOCH};

    const NOW: u64 = 1_800_000_000;

    fn stamp() -> Stamp {
        Stamp { unix: NOW, synchronized: true, boot: BootId([0; 16]), uptime: Duration::from_secs(1000) }
    }

    fn put(root: &Path, name: &str, text: &str, changed: u64) {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        fs::File::create(folder.join(name)).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file of a test")]
        fs::write(folder.join(name), text).unwrap();
        let file = File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(changed)).unwrap();
    }

    #[test]
    fn one_holds_for_a_day_at_most_whatever_its_time_is() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path(), &stamp()).is_empty(), "there is no folder");
        put(root.path(), "a-hour", "backup runs\nmore\n", NOW - 23 * 3600);
        put(root.path(), "b-ahead", "", NOW + 900_000);
        put(root.path(), "c-over", "x", NOW - 24 * 3600);
        put(root.path(), "d-old", "x", 0);
        let found = read(root.path(), &stamp());
        let ends: Vec<_> = found.iter().map(|i| (i.reason.as_str(), i.ends.as_secs())).collect();
        assert_eq!(ends, [("backup runs", 1000 + 3600), ("no reason is given", 1000 + 24 * 3600)]);
        assert!(found[0].owner.starts_with("a-hour (user "), "{}", found[0].owner);
    }

    #[test]
    fn what_is_no_file_holds_nothing_and_a_flood_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "z", "x", NOW);
        let folder = root.path().join(FOLDER);
        symlink("/etc/passwd", folder.join("link")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        assert_eq!(read(root.path(), &stamp()).len(), 1);
        for n in 0..200 {
            put(root.path(), &format!("n{n}"), &"long ".repeat(1000), NOW);
        }
        let found = read(root.path(), &stamp());
        assert!(found.len() <= FILES && found.iter().all(|i| i.reason.len() <= REASON + 4), "{found:?}");
    }
}
