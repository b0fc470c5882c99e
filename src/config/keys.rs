//! Every key there is, in one table: files are read by it, `config show` and the reference are made from it.
use super::{
    key::{Each, Key, One},
    kind::{Flag, Mirrors, Number, Optional, Text, Time, WEB},
};
use bistable_format::{channel::check_channel_name, release::check_name};
use semver::Version;
use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// Fewest bytes between two flushes.
pub const FLUSH_BYTES_MIN: u64 = 16 << 20;
/// Most bytes between two flushes: as much as the installer may hold in memory.
pub const FLUSH_BYTES_MAX: u64 = 64 << 20;

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static dyn Key> {
    KEYS.iter().find(|key| key.is(name)).copied()
}

/// What there is in a table, for messages.
pub(super) fn known(table: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut tables: Vec<String> = Vec::new();
    for key in KEYS {
        if key.table() == table {
            names.push(key.name().rsplit('.').next().unwrap_or_default().into());
        } else if let Some(next) = below(table, key.table()) {
            let next = format!("[{next}]");
            if !tables.contains(&next) {
                tables.push(next);
            }
        }
    }
    names.extend(tables);
    names.join(", ")
}

/// Whether there is such a table.
pub(super) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.table() == name || below(name, key.table()).is_some())
}

// The first table on the way from one down to another.
fn below<'t>(table: &str, inner: &'t str) -> Option<&'t str> {
    if table.is_empty() {
        return inner.split('.').next().filter(|t| !t.is_empty());
    }
    let rest = inner.strip_prefix(table)?.strip_prefix('.')?;
    let more = rest.find('.').map_or(0, |dot| rest.len() - dot);
    inner.get(..inner.len() - more)
}

const BOARD: Text<String> = Text {
    allowed: "a board's name in quotes, like \"pi4\"",
    read: |s| check_name("", s).map(|()| s.into()).map_err(|_| "use 1 to 64 of a-z 0-9 . _ -".into()),
    show: String::clone,
};

const DISK: Text<PathBuf> = Text {
    allowed: "a disk in quotes, like \"/dev/mmcblk0\"",
    read: |s| {
        // Below /dev, and not by a way around.
        let mut below = Path::new(s).strip_prefix("/dev").into_iter().flat_map(Path::components).peekable();
        let fine = below.peek().is_some() && below.all(|c| matches!(c, Component::Normal(_)));
        if fine && !s.contains(char::is_control) { Ok(s.into()) } else { Err(String::new()) }
    },
    show: |path| path.display().to_string(),
};

const PATH: Text<PathBuf> = Text {
    allowed: "an absolute path in quotes",
    read: |s| {
        if s.starts_with('/') && !s.contains(char::is_control) { Ok(s.into()) } else { Err(String::new()) }
    },
    show: |path| path.display().to_string(),
};

const VERSION: Text<Version> = Text {
    allowed: "a version in quotes, like \"1.2.3\"",
    read: |s| Version::parse(s).map_err(|e| e.to_string()),
    show: Version::to_string,
};

// As the host has them.
const CHANNEL: Text<String> = Text {
    allowed: "1 to 32 of a-z 0-9 _ - in quotes",
    read: |s| check_channel_name(s).map(|()| s.into()).map_err(|_| String::new()),
    show: String::clone,
};

const GROUP: Text<String> = Text {
    allowed: "1 to 64 of a-z 0-9 . _ - in quotes",
    read: |s| check_name("group", s).map(|()| s.into()).map_err(|_| String::new()),
    show: String::clone,
};

const ID: Text<String> = Text {
    allowed: "1 to 64 of A-Z a-z 0-9 . _ : - in quotes",
    read: |s| made_of(s, 64, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')),
    show: String::clone,
};

// As the protocol has it.
const LOCK_GROUP: Text<String> = Text {
    allowed: "1 to 64 of A-Z a-z 0-9 . - in quotes",
    read: |s| made_of(s, 64, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')),
    show: String::clone,
};

fn made_of(text: &str, most: usize, fine: fn(char) -> bool) -> Result<String, String> {
    let good = (1..=most).contains(&text.len()) && text.chars().all(fine);
    if good { Ok(text.into()) } else { Err(String::new()) }
}

const fn time(least_s: u64, most_s: u64) -> Time {
    Time { least: Duration::from_secs(least_s), most: Duration::from_secs(most_s) }
}

/// The keys: first those in no table, then table by table.
#[rustfmt::skip]
pub(super) static KEYS: &[&dyn Key] = &[
    &One {
        name: "allow_demo_keys", kind: Flag, field: |i| &mut i.settings.allow_demo_keys,
        help: "trust a root with the public demo keys: never on a product",
    },
    &One {
        name: "board.name", kind: Optional(BOARD), field: |i| &mut i.settings.board.name,
        help: "how releases name this board, if the device tree doesn't say it",
    },
    &One {
        name: "board.disk", kind: Optional(DISK), field: |i| &mut i.settings.board.disk,
        help: "the disk that the system runs from, if / is on none that can be seen",
    },
    &Each {
        name: "components.NAME", kind: VERSION, field: |i| &mut i.settings.components,
        help: "version of something that isn't in the image, for releases that require it",
    },
    &One {
        name: "health.profile", kind: Optional(PATH), field: |i| &mut i.health_profile,
        help: "instead of the release's health profile and of `/etc/bistable/health.toml`",
    },
    &One {
        name: "install.flush_bytes", field: |i| &mut i.settings.flush_bytes,
        kind: Number { what: "a number of bytes", least: FLUSH_BYTES_MIN, most: FLUSH_BYTES_MAX },
        help: "written to the card between two flushes",
    },
    &One {
        name: "self_test.plan", kind: Optional(PATH), field: |i| &mut i.self_test_plan,
        help: "instead of the release's self-test plan and of `/etc/bistable/self-test.toml`",
    },
    &One {
        name: "source.urls", kind: Mirrors, field: |i| &mut i.settings.source.urls,
        help: "the same repository in several places; the first that answers is used",
    },
    &One {
        name: "source.channel", kind: CHANNEL, field: |i| &mut i.settings.source.channel,
        help: "the repository's channel that this device follows",
    },
    &One {
        name: "source.limits.minimum_rate_bytes", field: |i| &mut i.settings.source.limits.minimum_rate_bytes,
        kind: Number { what: "a number of bytes per second", least: 1, most: 16 << 20 },
        help: "a transfer that is slower for `rate_window` has failed",
    },
    &One {
        name: "source.limits.rate_window", kind: time(1, 3600), field: |i| &mut i.settings.source.limits.rate_window,
        help: "how long a transfer may be slower than `minimum_rate_bytes`",
    },
    &One {
        name: "source.limits.connect_timeout", kind: time(1, 300), field: |i| &mut i.settings.source.limits.connect_timeout,
        help: "until a connection stands",
    },
    &One {
        name: "source.limits.answer_timeout", kind: time(1, 600), field: |i| &mut i.settings.source.limits.answer_timeout,
        help: "from a request to the first byte of its answer",
    },
    &One {
        name: "source.limits.attempts", field: |i| &mut i.settings.source.limits.attempts,
        kind: Number { what: "a number", least: 1, most: 100 },
        help: "how often one thing is asked for, of all mirrors together",
    },
    &One {
        name: "source.limits.retry_wait", kind: time(1, 3600), field: |i| &mut i.settings.source.limits.retry_wait,
        help: "before the second attempt; doubled before each further one",
    },
    &One {
        name: "update.group", kind: Optional(GROUP), field: |i| &mut i.settings.update.group,
        help: "this device's label in rollouts that name groups, like \"canary\"",
    },
    &One {
        name: "update.id", kind: Optional(ID), field: |i| &mut i.settings.update.id,
        help: "what its place in rollouts is drawn from, instead of the board's serial number",
    },
    &One {
        name: "update.fleet_lock", kind: Optional(WEB), field: |i| &mut i.settings.update.fleet_lock,
        help: "a FleetLock server that is asked before a reboot into a trial",
    },
    &One {
        name: "update.fleet_lock_group", kind: LOCK_GROUP, field: |i| &mut i.settings.update.fleet_lock_group,
        help: "this device's group on that server",
    },
];
