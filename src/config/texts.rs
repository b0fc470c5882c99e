//! What is allowed in quotes, key by key.
use super::kind::{List, Text, Time};
use bistable_format::name::{check_channel_name, check_name};
use semver::Version;
use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// What Bistable itself writes on a device: nothing that a component brings may lie there.
const OURS: [&str; 2] = ["/persistent/bistable", "/run/bistable"];

/// Longest path and longest name of a unit, in bytes: `NAME_MAX` holds for the drop-in's folder, `UNIT.d`.
const PATH_MAX: usize = 1024;
const UNIT_MAX: usize = 200;

pub(super) const BOARD: Text<String> = Text {
    allowed: "a board's name in quotes, like \"pi4\"",
    read: |s| check_name("", s).map(|()| s.into()).map_err(|_| "use 1 to 64 of a-z 0-9 . _ -".into()),
    show: String::clone,
};

pub(super) const DISK: Text<PathBuf> = Text {
    allowed: "a disk in quotes, like \"/dev/mmcblk0\"",
    read: |s| {
        // Below /dev, and not by a way around.
        let mut below = Path::new(s).strip_prefix("/dev").into_iter().flat_map(Path::components).peekable();
        let fine = below.peek().is_some() && below.all(|c| matches!(c, Component::Normal(_)));
        if fine && !s.contains(char::is_control) { Ok(s.into()) } else { Err(String::new()) }
    },
    show: |path| path_text(path),
};

pub(super) const PATH: Text<PathBuf> = Text {
    allowed: "an absolute path in quotes",
    read: |s| {
        if s.starts_with('/') && !s.contains(char::is_control) { Ok(s.into()) } else { Err(String::new()) }
    },
    show: |path| path_text(path),
};

/// Where people and programs find a component.
pub(super) const TREE: Text<PathBuf> = Text {
    allowed: "an absolute path without .. in quotes, like \"/opt/app/core\"",
    read: |s| {
        let path = absolute(s)?;
        for ours in OURS.map(Path::new) {
            if path.starts_with(ours) {
                return Err(format!("{} belongs to Bistable", ours.display()));
            }
            if ours.starts_with(&path) {
                return Err(format!("it would hide {}", ours.display()));
            }
        }
        Ok(path)
    },
    show: |path| path_text(path),
};

pub(super) const FOLDER: Text<PathBuf> =
    Text { allowed: "an absolute path without .. in quotes", read: absolute, show: |path| path_text(path) };

/// A file within a component.
pub(super) const WITHIN: Text<PathBuf> = Text {
    allowed: "a path within the component in quotes, like \"VERSION\"",
    read: |s| {
        let mut parts = Path::new(s).components().peekable();
        let fine = parts.peek().is_some() && parts.all(|c| matches!(c, Component::Normal(_)));
        if !fine || s.len() > PATH_MAX || s.ends_with('/') || s.contains(char::is_control) {
            return Err(String::new());
        }
        Ok(Path::new(s).components().collect())
    },
    show: |path| path_text(path),
};

/// As systemd has them (`systemd.unit(5)`), but for templates, of which none can be restarted.
pub(super) const UNIT: Text<String> = Text {
    allowed: "a service of systemd in quotes, like \"app.service\"",
    read: |s| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
        match s.strip_suffix(".service") {
            Some(name) if name.ends_with('@') => {
                Err("a template can't be restarted: name one instance".into())
            }
            Some(name) if !name.starts_with('@') && !name.starts_with('.') => made_of(name, UNIT_MAX, fine),
            _ => Err(String::new()),
        }?;
        Ok(s.into())
    },
    show: String::clone,
};

/// As Compose has them; it is also the name of a folder.
pub(super) const PROJECT: Text<String> = Text {
    allowed: "the name of a Compose project in quotes: 1 to 64 of a-z 0-9 _ -",
    read: |s| {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        made_of(s, 64, fine).and_then(|_| not_first(s, &['_', '-']))
    },
    show: String::clone,
};

pub(super) const SERVICE: Text<String> = Text {
    allowed: "the name of a Compose service in quotes: 1 to 64 of A-Z a-z 0-9 . _ -",
    read: |s| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        // With a dash first, it would be an option of the command line.
        made_of(s, 64, fine).and_then(|_| not_first(s, &['.', '_', '-']))
    },
    show: String::clone,
};

pub(super) const VERSION: Text<Version> = Text {
    allowed: "a version in quotes, like \"1.2.3\"",
    read: |s| Version::parse(s).map_err(|e| e.to_string()),
    show: Version::to_string,
};

// As the host has them.
pub(super) const CHANNEL: Text<String> = Text {
    allowed: "1 to 32 of a-z 0-9 _ - in quotes",
    read: |s| check_channel_name(s).map(|()| s.into()).map_err(|_| String::new()),
    show: String::clone,
};

pub(super) const GROUP: Text<String> = Text {
    allowed: "1 to 64 of a-z 0-9 . _ - in quotes",
    read: |s| check_name("group", s).map(|()| s.into()).map_err(|_| String::new()),
    show: String::clone,
};

pub(super) const ID: Text<String> = Text {
    allowed: "1 to 64 of A-Z a-z 0-9 . _ : - in quotes",
    read: |s| made_of(s, 64, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')),
    show: String::clone,
};

/// As the zone database has its names. Whether the device has that zone shows when it is used: the database may be missing.
pub(super) const TIME_ZONE: Text<String> = Text {
    allowed: "a time zone's IANA name in quotes, like \"Europe/Berlin\"",
    read: |s| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
        // Names are looked up as paths.
        let good =
            |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(letter);
        if s.len() <= 64 && s.split('/').all(good) { Ok(s.into()) } else { Err(String::new()) }
    },
    show: String::clone,
};

// As the protocol has it.
pub(super) const LOCK_GROUP: Text<String> = Text {
    allowed: "1 to 64 of A-Z a-z 0-9 . - in quotes",
    read: |s| made_of(s, 64, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')),
    show: String::clone,
};

/// Types of events.
pub(super) const TYPES: List<String> = List {
    allowed: "a list of types of events, like [\"update.*\", \"rollback.completed\"]",
    most: 32,
    read: |text| {
        let fine = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_' | '*');
        let good = (1..=64).contains(&text.len()) && text.chars().all(fine);
        if good { Ok(text.into()) } else { Err(String::new()) }
    },
    show: |text| text.clone(),
};

/// Files with secrets.
pub(super) const SECRETS: List<PathBuf> =
    List { allowed: "a list of at most two absolute paths", most: 2, read: PATH.read, show: PATH.show };

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let winding = path.components().any(|c| c == Component::ParentDir);
    if !text.starts_with('/') || winding || text.len() > PATH_MAX || text.contains(char::is_control) {
        return Err(String::new());
    }
    // Its components again: two ways to write one path must not look like two paths.
    Ok(path.components().collect())
}

fn made_of(text: &str, most: usize, fine: fn(char) -> bool) -> Result<String, String> {
    let good = (1..=most).contains(&text.len()) && text.chars().all(fine);
    if good { Ok(text.into()) } else { Err(String::new()) }
}

fn not_first(text: &str, odd: &[char]) -> Result<String, String> {
    if text.starts_with(odd) { Err("begin with a letter or a digit".into()) } else { Ok(text.into()) }
}

pub(super) const fn time(least_s: u64, most_s: u64) -> Time {
    Time { least: Duration::from_secs(least_s), most: Duration::from_secs(most_s) }
}
