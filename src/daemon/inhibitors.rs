//! What holds a switch off for a while: files in a folder of this boot. The text of one is the reason, its owner is who wants
//! it, and a day after it was last changed it holds nothing any more.
use crate::{app::schedule::Inhibitor, ports::Stamp, text::shorten};
use nix::fcntl::OFlag;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

/// Where they are, below the root of the configuration.
pub(crate) const FOLDER: &str = "run/bistable/inhibit.d";
/// No file holds a switch off for longer, however its time is set.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Files that are told apart.
const FILES: usize = 64;
/// Files that are looked at: a process that may write there must not make the daemon read forever.
const LOOKED_AT: usize = 1024;
/// Bytes of a reason that are shown.
const REASON: usize = 200;

/// Those that hold now, by name. Of too many, what is left out counts as one more: a flood must not let a switch through.
pub(crate) fn read(root: &Path, now: &Stamp) -> Vec<Inhibitor> {
    let Ok(folder) = fs::read_dir(root.join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<_> = folder.filter_map(|entry| Some(entry.ok()?.path())).take(LOOKED_AT + 1).collect();
    let too_many = names.len() > LOOKED_AT;
    names.sort();
    let mut found: Vec<Inhibitor> = names.iter().filter_map(|path| one(path, now).ok().flatten()).collect();
    if too_many || found.len() > FILES {
        found.truncate(FILES);
        let reason = format!("there are more than {FILES} files that hold it off");
        found.push(Inhibitor { owner: FOLDER.into(), reason, ends: now.uptime.saturating_add(LONGEST) });
    }
    found
}

/// `None` for what is no file, and for one that is too old. Whoever may write there may put anything there at any moment: no link
/// is followed, and nothing is waited for.
fn one(path: &Path, now: &Stamp) -> io::Result<Option<Inhibitor>> {
    let flags = OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(None);
    }
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let left = left(seconds(found.mtime()), seconds(found.ctime()), now);
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

/// For how long the oldest file has held a switch off: since it was last touched, and not since before this boot.
pub(crate) fn held_for(root: &Path, now: &Stamp) -> Duration {
    let Ok(folder) = fs::read_dir(root.join(FOLDER)) else { return Duration::ZERO };
    let age = |path: &Path| {
        one(path, now).ok().flatten()?;
        let touched = u64::try_from(fs::symlink_metadata(path).ok()?.ctime()).ok()?;
        Some(Duration::from_secs(now.unix.saturating_sub(touched)).min(now.uptime))
    };
    let files = folder.filter_map(|entry| Some(entry.ok()?.path())).take(LOOKED_AT);
    files.filter_map(|path| age(&path)).max().unwrap_or_default()
}

/// How long a file still holds that says it was changed then, and that the kernel saw touched then. Its own time may only say that
/// it ends earlier, and a clock that was set forward since then makes it older than the boot is: that doesn't count.
fn left(changed: u64, touched: u64, now: &Stamp) -> Duration {
    let jump = now.unix.saturating_sub(touched).saturating_sub(now.uptime.as_secs());
    let end = changed.min(touched).saturating_add(LONGEST.as_secs()).saturating_add(jump);
    Duration::from_secs(end.saturating_sub(now.unix)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::BootId;
    use std::{os::unix::fs::symlink, time::UNIX_EPOCH};

    const HOUR: u64 = 3600;

    fn stamp(unix: u64) -> Stamp {
        let uptime = Duration::from_secs(1000 * HOUR);
        Stamp { unix, synchronized: true, boot: BootId([0; 16]), uptime }
    }

    fn now() -> u64 {
        crate::board::unix_time().unwrap()
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
    fn one_holds_for_a_day_at_most_whatever_its_time_and_the_clock_are() {
        const NOW: u64 = 1_800_000_000;
        for (what, changed, touched, hours) in [
            ("just now", NOW, NOW, 24),
            ("for one hour", NOW - 23 * HOUR, NOW, 1),
            ("since a day", NOW - 24 * HOUR, NOW - 24 * HOUR, 0),
            ("in 2099", NOW + 900_000_000, NOW - HOUR, 23),
            ("long ago", 0, NOW, 0),
            ("before the clock was set back", NOW + 900_000, NOW + 900_000, 24),
            // 40 years of which the boot saw 1000 hours.
            ("before the clock was set forward", NOW - 350_000 * HOUR, NOW - 350_000 * HOUR, 0),
        ] {
            assert_eq!(left(changed, touched, &stamp(NOW)), Duration::from_secs(hours * HOUR), "{what}");
        }
        let booted_lately = Stamp { uptime: Duration::from_secs(HOUR), ..stamp(NOW) };
        let before = NOW - 350_000 * HOUR;
        assert_eq!(left(before, before, &booted_lately), Duration::from_secs(23 * HOUR));
    }

    #[test]
    fn reason_is_the_first_line_and_the_owner_is_the_files() {
        let (root, now) = (tempfile::tempdir().unwrap(), now());
        assert!(read(root.path(), &stamp(now)).is_empty(), "there is no folder");
        put(root.path(), "a", "backup runs\nmore\n", now);
        put(root.path(), "b", "", now);
        let found = read(root.path(), &stamp(now));
        let reasons: Vec<_> = found.iter().map(|i| i.reason.as_str()).collect();
        assert_eq!(reasons, ["backup runs", "no reason is given"]);
        assert!(found[0].owner.starts_with("a (user "), "{}", found[0].owner);
    }

    #[test]
    fn what_is_no_file_holds_nothing_and_a_flood_holds_it_off() {
        let root = tempfile::tempdir().unwrap();
        let now = now();
        put(root.path(), "z", "x", now);
        let folder = root.path().join(FOLDER);
        symlink("/etc/passwd", folder.join("link")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        assert_eq!(read(root.path(), &stamp(now)).len(), 1);
        for n in 0..200 {
            put(root.path(), &format!("n{n}"), &"long ".repeat(1000), now);
        }
        let found = read(root.path(), &stamp(now));
        assert!(found.last().is_some_and(|last| last.reason.starts_with("there are more than")));
        assert!(found.len() <= FILES + 1 && found.iter().all(|i| i.reason.len() <= REASON + 4), "{found:?}");
    }
}
