//! Every key there is, in one table: files are read by it, `config show` and the reference are made from it.
use super::{
    Mode, Template,
    component::ComponentKind,
    key::{Key, Of, OfComponent, OfWebhook, One},
    kind::{Choice, Flag, MIRRORS, Number, Optional, WEB, WINDOWS},
    name,
    texts::{
        BOARD, CHANNEL, DISK, FOLDER, GROUP, ID, LOCK_GROUP, PATH, PROJECT, SECRETS, SERVICE, TIME_ZONE,
        TREE, TYPES, UNIT, VERSION, WITHIN, time,
    },
    web,
};

/// A limit of rollbacks can't be higher than what the record of a component remembers.
const ROLLBACKS_MAX: u32 = 5;
const _: () = assert!(bistable_boot::component::ROLLBACKS_LEN == ROLLBACKS_MAX as usize);

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
        if name::is_of(key.table(), table) {
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
    KEYS.iter().any(|key| name::is_of(key.table(), name) || below(name, key.table()).is_some())
}

/// Whether the names of a table's keys are the owner's.
pub(super) fn is_owners(table: &str) -> bool {
    KEYS.iter().any(|key| key.table().strip_prefix(table) == Some(".NAME"))
}

/// What to write instead of a key that once was, or that people expect.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    (name == "components").then_some("write [component.NAME] with installed = \"1.2.3\" for each")
}

// The first table on the way from one down to another, which is a pattern.
fn below(table: &str, inner: &str) -> Option<String> {
    let depth = name::parts(table).count();
    let mut parts = inner.split('.');
    let way: Vec<&str> = parts.by_ref().take(depth).collect();
    let next = parts.next().filter(|next| !next.is_empty())?;
    let leads = depth == 0 || name::is_of(&way.join("."), table);
    leads.then(|| if table.is_empty() { next.into() } else { format!("{table}.{next}") })
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
    &OfComponent {
        name: "component.NAME.kind", of: Of::Any, kind: Optional(Choice(ComponentKind::ALL)), field: |c| &mut c.kind,
        help: "what the component is made of; not set if something else updates it",
    },
    &OfComponent {
        name: "component.NAME.unit", of: Of::Kind(ComponentKind::Directory), kind: Optional(UNIT), field: |c| &mut c.unit,
        help: "directory: the service that runs from it",
    },
    &OfComponent {
        name: "component.NAME.path", of: Of::Kind(ComponentKind::Directory), kind: Optional(TREE), field: |c| &mut c.path,
        help: "directory: where people and programs find it",
    },
    &OfComponent {
        name: "component.NAME.version_file", of: Of::Kind(ComponentKind::Directory), kind: WITHIN,
        field: |c| &mut c.version_file,
        help: "directory: the file in it that says its version",
    },
    &OfComponent {
        name: "component.NAME.project", of: Of::Kind(ComponentKind::Containers), kind: Optional(PROJECT),
        field: |c| &mut c.project,
        help: "containers: the Compose project that it belongs to",
    },
    &OfComponent {
        name: "component.NAME.service", of: Of::Kind(ComponentKind::Containers), kind: Optional(SERVICE),
        field: |c| &mut c.service,
        help: "containers: its service in that project",
    },
    &OfComponent {
        name: "component.NAME.health", of: Of::Managed, kind: Optional(PATH), field: |c| &mut c.health,
        help: "a health profile instead of the one of its release",
    },
    &OfComponent {
        name: "component.NAME.mode", of: Of::Managed, kind: Choice(Mode::ALL), field: |c| &mut c.mode,
        help: "what an offer leads to: a report; staging it; also a switch at the next reboot; or in a window",
    },
    &OfComponent {
        name: "component.NAME.start_wait", of: Of::Managed, kind: Optional(time(0, 300)), field: |c| &mut c.start_wait,
        help: "from its start to the first health check; by default \"10s\" for a directory, \"5s\" for containers",
    },
    &OfComponent {
        name: "component.NAME.installed", of: Of::Any, kind: Optional(VERSION), field: |c| &mut c.installed,
        help: "its version, for releases that require it",
    },
    &OfComponent {
        name: "component.NAME.backup.path", of: Of::Managed, kind: FOLDER, field: |c| &mut c.backup.path,
        help: "where backups are kept",
    },
    &OfComponent {
        name: "component.NAME.backup.keep", of: Of::Managed, field: |c| &mut c.backup.keep,
        kind: Number { what: "a number of backups", least: 1, most: 100 },
        help: "how many backups are kept",
    },
    &OfComponent {
        name: "component.NAME.backup.days", of: Of::Managed, field: |c| &mut c.backup.days,
        kind: Number { what: "a number of days", least: 1, most: 3650 },
        help: "how long a backup is kept",
    },
    &One {
        name: "health.profile", kind: Optional(PATH), field: |i| &mut i.health_profile,
        help: "instead of the release's health profile and of `/etc/bistable/health.toml`",
    },
    &One {
        name: "health.interval", kind: time(10, 86_400), field: |i| &mut i.settings.health.interval,
        help: "how often the daemon runs the health checks of the running release; `command` checks every 5 minutes at most",
    },
    &One {
        name: "health.revert_after", kind: Optional(time(60, 30 * 86_400)), field: |i| &mut i.settings.health.revert_after,
        help: "unhealthy for this long, the device tries the other slot's release again, once for each release; not set: never",
    },
    &One {
        name: "hooks.timeout", kind: time(1, 600), field: |i| &mut i.settings.hooks.timeout,
        help: "how long a hook may take before it and all that it started are ended",
    },
    &One {
        name: "install.flush_bytes", field: |i| &mut i.settings.flush_bytes,
        kind: Number { what: "a number of bytes", least: FLUSH_BYTES_MIN, most: FLUSH_BYTES_MAX },
        help: "written to the card between two flushes",
    },
    &One {
        name: "metrics.push", kind: Optional(WEB), field: |i| &mut i.settings.metrics.push,
        help: "a Prometheus Pushgateway to which the daemon sends what it measures",
    },
    &One {
        name: "metrics.push_interval", kind: time(15, 86_400), field: |i| &mut i.settings.metrics.push_interval,
        help: "how often it sends that",
    },
    &One {
        name: "self_test.plan", kind: Optional(PATH), field: |i| &mut i.self_test_plan,
        help: "instead of the release's self-test plan and of `/etc/bistable/self-test.toml`",
    },
    &One {
        name: "source.urls", kind: MIRRORS, field: |i| &mut i.settings.source.urls,
        help: "the same repository in several places; the first that answers is used",
    },
    &One {
        name: "source.channel", kind: CHANNEL, field: |i| &mut i.settings.source.channel,
        help: "the repository's channel that this device follows",
    },
    &One {
        name: "source.proxy", kind: Optional(WEB), field: |i| &mut i.settings.source.proxy,
        help: "an HTTP proxy for repositories and bundles on web servers; `http_proxy` and `https_proxy` are not read",
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
        help: "time allowed to establish a connection",
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
        name: "timeout.install", kind: time(600, 7 * 86_400), field: |i| &mut i.settings.timeouts.install,
        help: "an installation that takes longer is stopped; what is written stays, and the next attempt continues there",
    },
    &One {
        name: "timeout.expected.install", kind: time(1, 7 * 86_400), field: |i| &mut i.settings.timeouts.expected_install,
        help: "an installation that takes longer is reported as slow, and continues",
    },
    &One {
        name: "timeout.expected.self_test", kind: time(1, 86_400), field: |i| &mut i.settings.timeouts.expected_self_test,
        help: "the same for the self-tests before the switch",
    },
    &One {
        name: "timeout.expected.health", kind: time(1, 86_400), field: |i| &mut i.settings.timeouts.expected_health,
        help: "the same for the health check of a trial; its own `deadline_s` ends it",
    },
    &One {
        name: "update.group", kind: Optional(GROUP), field: |i| &mut i.settings.update.group,
        help: "this device's label in rollouts that name groups, like \"canary\"",
    },
    &One {
        name: "update.id", kind: Optional(ID), field: |i| &mut i.settings.update.id,
        help: "what its place in rollouts is drawn from, instead of the board's serial number, or of the machine's id where there is none",
    },
    &One {
        name: "update.mode", kind: Choice(Mode::ALL), field: |i| &mut i.settings.update.mode,
        help: "what the device does with a release without being asked: report it; stage it; also try it at the next boot; or in a window",
    },
    &One {
        name: "update.check_interval", kind: time(300, 30 * 86_400), field: |i| &mut i.settings.update.check_interval,
        help: "how often the daemon asks the channel what is on offer",
    },
    &One {
        name: "update.windows", kind: WINDOWS, field: |i| &mut i.settings.update.windows,
        help: "mode \"auto\": when the device may switch by itself; an empty list: at any time",
    },
    &One {
        name: "update.time_zone", kind: TIME_ZONE, field: |i| &mut i.settings.update.time_zone,
        help: "the time zone of `windows`",
    },
    &One {
        name: "update.windows_need_clock", kind: Flag, field: |i| &mut i.settings.update.windows_need_clock,
        help: "`windows` are closed until the clock is synchronized; false: they go by the clock as it is",
    },
    &One {
        name: "update.force_after", kind: Optional(time(3600, 365 * 86_400)), field: |i| &mut i.settings.update.force_after,
        help: "a release that was staged this long ago no longer waits for `windows`",
    },
    &One {
        name: "update.security_force_after", kind: Optional(time(0, 365 * 86_400)), field: |i| &mut i.settings.update.security_force_after,
        help: "the same for a release whose urgency is \"security\", if that is shorter",
    },
    &One {
        name: "update.max_rollbacks", field: |i| &mut i.settings.update.max_rollbacks,
        kind: Number { what: "a number of rollbacks", least: 1, most: ROLLBACKS_MAX },
        help: "after this many rollbacks within an hour, the image waits, and a component is not updated until it is reset",
    },
    &One {
        name: "update.metered", kind: Flag, field: |i| &mut i.settings.update.metered,
        help: "the network costs by the byte: as `deltas_only`, unless `max_download` says how much an update may cost",
    },
    &One {
        name: "update.max_download", field: |i| &mut i.settings.update.max_download,
        kind: Optional(Number { what: "a number of bytes", least: 1, most: 64 << 30 }),
        help: "most that is fetched for an update whose version was not named",
    },
    &One {
        name: "update.deltas_only", kind: Flag, field: |i| &mut i.settings.update.deltas_only,
        help: "without a delta, install nothing that was not named",
    },
    &One {
        name: "update.fleet_lock", kind: Optional(WEB), field: |i| &mut i.settings.update.fleet_lock,
        help: "a FleetLock server that is asked before a reboot into a trial",
    },
    &One {
        name: "update.fleet_lock_group", kind: LOCK_GROUP, field: |i| &mut i.settings.update.fleet_lock_group,
        help: "this device's group on that server",
    },
    &OfWebhook {
        name: "webhook.NAME.url", of: Of::Any, kind: Optional(WEB), field: |w| &mut w.url,
        help: "where events are sent by POST",
    },
    &OfWebhook {
        name: "webhook.NAME.url_file", of: Of::Any, kind: Optional(PATH), field: |w| &mut w.url_file,
        help: "instead of `url`, a file whose first line is the address: for one that is a secret",
    },
    &OfWebhook {
        name: "webhook.NAME.types", of: Of::Any, kind: TYPES, field: |w| &mut w.types,
        help: "which types of events; an empty list: all",
    },
    &OfWebhook {
        name: "webhook.NAME.secret_files", of: Of::Any, kind: SECRETS, field: |w| &mut w.secret_files,
        help: "files whose first lines are secrets that messages are signed with: two while one replaces the other",
    },
    &OfWebhook {
        name: "webhook.NAME.template", of: Of::Any, kind: Choice(Template::ALL), field: |w| &mut w.template,
        help: "the form of a message: the event as it is, or a line of text in the form that Slack takes",
    },
    &OfWebhook {
        name: "webhook.NAME.retry_max", of: Of::Any, kind: time(1, 86_400), field: |w| &mut w.retry_max,
        help: "the longest wait between two attempts, unless the receiver asks for a longer one",
    },
    &OfWebhook {
        name: "webhook.NAME.give_up_after", of: Of::Any, kind: time(60, 30 * 86_400), field: |w| &mut w.give_up_after,
        help: "after this time without success, the events that wait are given up",
    },
    &One {
        name: "web.listen", kind: web::LISTEN, field: |i| &mut i.settings.web.listen,
        help: "where the web page listens; beyond this device only with a certificate",
    },
    &One {
        name: "web.names", kind: web::NAMES, field: |i| &mut i.settings.web.names,
        help: "names by which the web page is reached, beside IP addresses and localhost",
    },
    &One {
        name: "web.read", kind: web::READ, field: |i| &mut i.settings.web.read,
        help: "who may read on the web page: whoever has a token, or whoever reaches it",
    },
    &One {
        name: "web.certificate", kind: Optional(PATH), field: |i| &mut i.settings.web.certificate,
        help: "the web page's certificate with its chain (PEM), if not in `/etc/bistable/web`",
    },
    &One {
        name: "web.key", kind: Optional(PATH), field: |i| &mut i.settings.web.key,
        help: "the key of that certificate (PEM)",
    },
];
