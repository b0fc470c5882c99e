//! What holds a switch off for a while: files in a folder of this boot. The text of one is the reason, its owner is the user that
//! wants it, and a day after it was last changed it holds nothing any more.
//!
//! Whoever asks over the API gets a file, too: the daemon's own, with a second line that says who asked.
use crate::{
    app::{Asker, Holding, Inhibit, LONGEST, NotInhibited, schedule::Inhibitor},
    ports::Stamp,
    text::{printable, shorten},
};
use nix::{fcntl::OFlag, unistd::geteuid};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, UNIX_EPOCH},
};

/// Where they are, below the root of the configuration.
pub(crate) const FOLDER: &str = "run/bistable/inhibit.d";
/// One that has held for so long was forgotten, perhaps.
pub(crate) const OVERDUE: Duration = Duration::from_secs(12 * 3600);
/// Files that are told apart, and inhibitors that there may be.
pub(crate) const FILES: usize = 64;
/// Inhibitors that one owner may have over the API.
const FILES_OF_ONE: usize = 8;
/// Files that are looked at: a user who may write there must not make the daemon read forever.
const LOOKED_AT: usize = 1024;
/// Bytes of a reason that are shown.
const REASON: usize = 200;
/// Names of files that the daemon makes begin with this.
pub(crate) const PREFIX: &str = "api-";

/// A file that holds a switch off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The file's name; none for all those that are too many.
    pub id: String,
    /// Who wants it.
    pub owner: String,
    /// What for.
    pub reason: String,
    /// Since when, in time since the boot.
    pub began: Duration,
    /// Until when, likewise.
    pub ends: Duration,
}

impl Held {
    /// As the schedule knows it.
    pub fn inhibitor(&self) -> Inhibitor {
        Inhibitor { owner: self.owner.clone(), reason: self.reason.clone(), ends: self.ends }
    }

    fn shown(&self, now: Duration) -> Holding {
        let age = now.saturating_sub(self.began);
        Holding {
            id: self.id.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            age_s: age.as_secs(),
            left_s: self.ends.saturating_sub(now).as_secs(),
            overdue: age >= OVERDUE,
        }
    }
}

/// Those that hold now, by name. Of too many, what is left out counts as one more: a flood must not let a switch through.
pub(crate) fn read(root: &Path, now: &Stamp) -> Vec<Held> {
    let Ok(folder) = fs::read_dir(root.join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<_> = folder.filter_map(|entry| Some(entry.ok()?.path())).take(LOOKED_AT + 1).collect();
    let too_many = names.len() > LOOKED_AT;
    names.sort();
    let mut found: Vec<Held> = names.iter().filter_map(|path| one(path, now).ok().flatten()).collect();
    if too_many || found.len() > FILES {
        found.truncate(FILES);
        found.push(Held {
            id: String::new(),
            owner: FOLDER.into(),
            reason: format!("there are more than {FILES} files that hold it off"),
            began: now.uptime,
            ends: now.uptime.saturating_add(LONGEST),
        });
    }
    found
}

/// `None` for what is no file, and for one that is too old. Whoever may write there may put anything there at any moment: no link
/// is followed, and nothing is waited for.
fn one(path: &Path, now: &Stamp) -> io::Result<Option<Held>> {
    let flags = OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(None);
    }
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let touched = seconds(found.ctime());
    let left = left(seconds(found.mtime()), touched, now);
    if left.is_zero() {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(REASON as u64 * 4).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim);
    let reason = lines.next().filter(|line| !line.is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Others can write that line into files of their own only.
    let is_ours = name.starts_with(PREFIX) && found.uid() == geteuid().as_raw();
    let owner = match lines.next().filter(|_| is_ours) {
        Some(owner) => shorten(&printable(owner), REASON),
        None => format!("{} (user {})", shorten(&printable(&name), REASON), found.uid()),
    };
    // Not since before this boot.
    let age = Duration::from_secs(now.unix.saturating_sub(touched)).min(now.uptime);
    Ok(Some(Held {
        id: printable(&name),
        owner,
        reason: shorten(&printable(reason.unwrap_or("no reason is given")), REASON),
        began: now.uptime.saturating_sub(age),
        ends: now.uptime.saturating_add(left),
    }))
}

/// For how long the oldest file has held a switch off: since it was last touched, and not since before this boot.
pub(crate) fn held_for(root: &Path, now: &Stamp) -> Duration {
    read(root, now).iter().map(|held| now.uptime.saturating_sub(held.began)).max().unwrap_or_default()
}

/// Those that hold now, as they are shown.
pub(crate) fn shown(root: &Path, now: &Stamp) -> Vec<Holding> {
    read(root, now).iter().map(|held| held.shown(now.uptime)).collect()
}

/// Hold a switch off for whoever asks.
///
/// # Errors
/// When there are too many, or it is not as it must be.
pub(crate) fn add(root: &Path, now: &Stamp, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited> {
    let (time, owner) = (asked.time()?, owner(by));
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    sweep(&folder, now);
    let held = read(root, now);
    if held.len() >= FILES {
        return Err(NotInhibited::TooMany(FILES));
    }
    if held.iter().filter(|held| held.owner == owner).count() >= FILES_OF_ONE {
        return Err(NotInhibited::TooManyOfOne { owner, count: FILES_OF_ONE });
    }
    let path = folder.join(name());
    let mut file = File::options().write(true).create_new(true).mode(0o640).open(&path)?;
    let written = write(&mut file, &format!("{}\n{owner}\n", asked.line()), now.unix, time);
    let held = written.and_then(|()| one(&path, now));
    match held {
        Ok(Some(held)) => Ok(held.shown(now.uptime)),
        // What holds nothing must not stay.
        failed => {
            let _ = fs::remove_file(&path);
            let why = io::Error::other("the clock was set meanwhile: ask again");
            Err(failed.err().unwrap_or(why).into())
        }
    }
}

/// Write a file that holds for so long.
pub(crate) fn write(file: &mut File, text: &str, unix: u64, time: Duration) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    let changed = Duration::from_secs(unix).saturating_add(time.min(LONGEST)).saturating_sub(LONGEST);
    file.set_modified(UNIX_EPOCH + changed)
}

/// End one: its owner may, and whoever may end `any`.
///
/// # Errors
/// When there is none of that name, or it is another owner's.
pub(crate) fn remove(
    root: &Path,
    now: &Stamp,
    id: &str,
    by: &Asker,
    any: bool,
) -> Result<Holding, NotInhibited> {
    // What is found has a name of one part.
    let found = read(root, now).into_iter().find(|held| held.id == id && !id.is_empty());
    let held = found.ok_or_else(|| NotInhibited::Unknown(id.into()))?;
    if !any && held.owner != owner(by) {
        return Err(NotInhibited::NotYours { id: held.id, owner: held.owner });
    }
    fs::remove_file(root.join(FOLDER).join(id))?;
    Ok(held.shown(now.uptime))
}

/// Who asks, as one word more than the way: tokens and users are apart.
fn owner(by: &Asker) -> String {
    match (&by.token, by.uid) {
        (Some(token), _) => format!("token {token}"),
        (None, Some(uid)) => format!("user {uid}"),
        (None, None) => "an unknown user".into(),
    }
}

/// A name that no other file of this boot has.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{PREFIX}{}-{}", crate::logging::session(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Remove our own files that hold nothing any more: no other process does.
fn sweep(folder: &Path, now: &Stamp) {
    let Ok(files) = fs::read_dir(folder) else { return };
    for path in files.filter_map(|entry| Some(entry.ok()?.path())).take(LOOKED_AT) {
        let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_ours && matches!(one(&path, now), Ok(None)) {
            let _ = fs::remove_file(&path);
        }
    }
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
    use crate::app::Via;
    use bistable_boot::BootId;
    use std::os::unix::fs::symlink;

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

    fn kim() -> Asker {
        Asker { token: Some("kim".into()), ..Asker::new(Via::Web, Some(33)) }
    }

    fn asked(why: &str, hours: u64) -> Inhibit {
        Inhibit { why: why.into(), for_s: hours * HOUR }
    }

    #[test]
    fn one_that_is_asked_for_holds_as_long_as_it_says_and_its_owner_ends_it() {
        let (root, now) = (tempfile::tempdir().unwrap(), stamp(now()));
        let held = add(root.path(), &now, &asked("the press runs", 2), &kim()).unwrap();
        assert_eq!((held.owner.as_str(), held.reason.as_str()), ("token kim", "the press runs"));
        assert!((7195..=7200).contains(&held.left_s) && held.age_s < 5 && !held.overdue, "{held:?}");
        assert_eq!(shown(root.path(), &now).len(), 1);
        // A day later it is long over, and its file goes with the next one.
        let later = Stamp { unix: now.unix + 25 * HOUR, uptime: now.uptime + LONGEST * 2, ..now };
        assert_eq!(shown(root.path(), &later), []);
        add(root.path(), &later, &asked("x", 1), &kim()).unwrap_err();
        assert_eq!(fs::read_dir(root.path().join(FOLDER)).unwrap().count(), 0);
        let held = add(root.path(), &now, &asked("x", 1), &kim()).unwrap();
        let jo = Asker { token: Some("jo".into()), ..kim() };
        let of_jo = remove(root.path(), &now, &held.id, &jo, false).unwrap_err();
        assert!(matches!(of_jo, NotInhibited::NotYours { .. }), "{of_jo}");
        remove(root.path(), &now, &held.id, &jo, true).unwrap();
        let held = add(root.path(), &now, &asked("x", 1), &kim()).unwrap();
        remove(root.path(), &now, &held.id, &kim(), false).unwrap();
        for id in [held.id.as_str(), "", ".", "..", "../config.d", "a/b"] {
            let none = remove(root.path(), &now, id, &kim(), true).unwrap_err();
            assert!(matches!(none, NotInhibited::Unknown(_)), "{id}: {none}");
        }
    }

    #[test]
    fn one_without_an_end_is_refused_and_so_are_too_many() {
        let (root, now) = (tempfile::tempdir().unwrap(), stamp(now()));
        for hours in [0, 25, 1_000_000] {
            assert!(add(root.path(), &now, &asked("x", hours), &kim()).is_err(), "{hours} h");
        }
        for _ in 0..FILES_OF_ONE {
            add(root.path(), &now, &asked("x", 1), &kim()).unwrap();
        }
        let more = add(root.path(), &now, &asked("x", 1), &kim()).unwrap_err();
        assert!(matches!(more, NotInhibited::TooManyOfOne { .. }), "{more}");
        for n in 0..FILES {
            put(root.path(), &format!("n{n}"), "x", now.unix);
        }
        let jo = Asker { token: Some("jo".into()), ..kim() };
        let more = add(root.path(), &now, &asked("x", 1), &jo).unwrap_err();
        assert!(matches!(more, NotInhibited::TooMany(_)), "{more}");
    }

    #[test]
    fn file_of_another_name_does_not_choose_its_owner() {
        let (root, now) = (tempfile::tempdir().unwrap(), now());
        put(root.path(), "mine", "reason\ntoken admin\n", now);
        let found = read(root.path(), &stamp(now));
        assert!(found[0].owner.starts_with("mine (user "), "{}", found[0].owner);
    }
}
