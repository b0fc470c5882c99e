//! What the owner configured, as the rest of the program sees it; and every default.
use super::{Component, Mirror, Mode, OperatorCheck, WebSettings, Webhook, Window, load};
use bistable_format::{
    health::Profile,
    selftest::{Need, Plan},
};
use semver::Version;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the owner said about the board, because the board doesn't say it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardSettings {
    /// How releases name it.
    pub name: Option<String>,
    /// The disk that the system runs from: a path below `/dev`.
    pub disk: Option<PathBuf>,
}

/// Where releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// Repositories with the same content, at most 16, none twice; the first that answers is used.
    pub urls: Vec<Mirror>,
    /// The channel: 1 to 32 of a-z 0-9 -.
    pub channel: String,
    /// The HTTP proxy that web servers are asked through: it connects to them (CONNECT).
    pub proxy: Option<String>,
    /// When to give up.
    pub limits: SourceLimits,
}

/// When a source is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// Bytes per second, over [`rate_window`](Self::rate_window), below which a transfer has failed; at least 1.
    pub minimum_rate_bytes: u64,
    /// How long a transfer may be slower than that.
    pub rate_window: Duration,
    /// Longest time to establish a connection, its encryption included.
    pub connect_timeout: Duration,
    /// Longest time from a request to the first byte of its answer.
    pub answer_timeout: Duration,
    /// How often one thing is asked for, of all mirrors together; at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; it is doubled before each further one.
    pub retry_wait: Duration,
}

/// How this device takes part in rollouts, and when it acts by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSettings {
    /// What the device does with a release without being asked.
    pub mode: Mode,
    /// Its label in rollouts that name groups: 1 to 32 of a-z 0-9 -.
    pub group: Option<String>,
    /// What its place in a rollout is drawn from, instead of the board's serial number; 1 to 64 of A-Z a-z 0-9 . _ : -.
    pub id: Option<String>,
    /// How often the channel is checked: 5 minutes to 30 days.
    pub check_interval: Duration,
    /// When the device may switch by itself, at most 32, none twice; at any time if empty.
    pub windows: Vec<Window>,
    /// The windows' time zone: a name as the zone database has them; this device may not have it.
    pub time_zone: String,
    /// Whether the windows are closed until the clock is synchronized.
    pub windows_need_clock: bool,
    /// How long a staged release waits for the windows: 1 hour to 365 days; without a limit if `None`.
    pub force_after: Option<Duration>,
    /// The same of one whose urgency is `security`, if that is shorter: up to 365 days.
    pub security_force_after: Option<Duration>,
    /// This many rollbacks within an hour end what the device does by itself: 1 to 5.
    pub max_rollbacks: u32,
    /// Whether the network costs by the byte.
    pub metered: bool,
    /// Most bytes that are fetched for an update whose version was not named.
    pub max_download: Option<u64>,
    /// Whether such an update needs a delta.
    pub deltas_only: bool,
    /// The `FleetLock` server to ask before a reboot into a trial: an http or https address without a slash at its end.
    pub fleet_lock: Option<String>,
    /// This device's group there: 1 to 64 of A-Z a-z 0-9 . -.
    pub fleet_lock_group: String,
}

/// Where what is measured goes without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// A push gateway: an http or https address without a slash at its end.
    pub push: Option<String>,
    /// How often it is sent there: 15 seconds to a day.
    pub push_interval: Duration,
}

/// How the health of the running release is watched after its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// How often its checks run: 10 seconds to a day.
    pub interval: Duration,
    /// How long it may be unhealthy until the device goes back by itself; never if `None`.
    pub revert_after: Option<Duration>,
}

/// How long steps of an update may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutSettings {
    /// When an installation is stopped, to be resumed later: 10 minutes to 7 days.
    pub install: Duration,
    /// How long an installation takes at most if nothing is unusual.
    pub expected_install: Duration,
    /// How long the self-tests do.
    pub expected_self_test: Duration,
    /// How long the health check of a trial does.
    pub expected_health: Duration,
}

/// How the operator's hooks are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// How long one may take: 1 second to 10 minutes.
    pub timeout: Duration,
}

/// What the owner configured, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a root with demo keys is trusted. Not unless the owner says so.
    pub allow_demo_keys: bool,
    /// Bytes written between two flushes, from [`FLUSH_BYTES_MIN`](super::FLUSH_BYTES_MIN) to
    /// [`FLUSH_BYTES_MAX`](super::FLUSH_BYTES_MAX).
    pub flush_bytes: u64,
    /// Threads that decompress, at most 4; `None` for as many as there are cores. With one, all writes come in the
    /// order of the bundle, each time the same. No file sets it.
    pub workers: Option<NonZeroUsize>,
    /// The self-test plan to use instead of the release's.
    pub self_test_plan: Option<Plan>,
    /// The health profile to use instead of the release's.
    pub health_profile: Option<Profile>,
    /// Programs of the operator's that run with the health check.
    pub checks: Vec<OperatorCheck>,
    /// The folder that all this was read below, to read it again before a trial; `None` if it comes from no file.
    pub root: Option<PathBuf>,
    /// What is updated beside the slots, and what releases may require; sorted by name.
    pub components: Vec<Component>,
    /// Who is told of events; sorted by name.
    pub webhooks: Vec<Webhook>,
    /// How health is watched.
    pub health: HealthSettings,
    /// How hooks are run.
    pub hooks: HookSettings,
    /// How long steps may take.
    pub timeouts: TimeoutSettings,
    /// Where what is measured goes.
    pub metrics: MetricsSettings,
    /// About the board.
    pub board: BoardSettings,
    /// Where releases come from.
    pub source: SourceSettings,
    /// How this device takes part in rollouts.
    pub update: UpdateSettings,
    /// How the web page is reached.
    pub web: WebSettings,
}

impl UpdateSettings {
    /// Whether an update whose version was not named needs a delta: because the owner says so, or because the network costs and
    /// nothing says how much may be fetched.
    pub fn needs_delta(&self) -> bool {
        self.deltas_only || self.metered && self.max_download.is_none()
    }
}

impl Settings {
    /// That it was read below this folder.
    #[must_use]
    pub fn read_below(self, root: &Path) -> Settings {
        Settings { root: Some(root.into()), ..self }
    }

    /// The versions of components that releases are compared with, sorted by name.
    pub fn installed(&self) -> Vec<(String, Version)> {
        let version = |c: &Component| Some((c.name.clone(), c.installed.clone()?));
        self.components.iter().filter_map(version).collect()
    }

    /// The problem that would fail every trial, in the configuration as it is on the disk by now.
    pub fn problem_now(&self) -> Option<String> {
        let checks = match &self.root {
            Some(root) => match load(root) {
                Ok(now) => now.checks,
                Err(e) => return Some(e.to_string()),
            },
            None => self.checks.clone(),
        };
        let required = checks.into_iter().filter(|check| check.need == Need::Required);
        let refused = |c: OperatorCheck| Some(format!("check {} is not trusted: {}", c.name, c.refused?));
        required.filter_map(refused).next()
    }

    /// Run the operator's checks where they are on this machine: below the root of the configuration.
    #[must_use]
    pub fn with_checks_below(mut self, root: &Path) -> Settings {
        for check in &mut self.checks {
            check.program = root.join(check.program.strip_prefix("/").unwrap_or(&check.program));
        }
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            allow_demo_keys: false,
            flush_bytes: 32 << 20,
            workers: None,
            self_test_plan: None,
            health_profile: None,
            checks: Vec::new(),
            root: None,
            components: Vec::new(),
            webhooks: Vec::new(),
            health: HealthSettings { interval: Duration::from_secs(30), revert_after: None },
            hooks: HookSettings { timeout: Duration::from_secs(60) },
            timeouts: TimeoutSettings {
                install: Duration::from_secs(6 * 3600),
                expected_install: Duration::from_secs(300),
                expected_self_test: Duration::from_secs(60),
                expected_health: Duration::from_secs(120),
            },
            metrics: MetricsSettings { push: None, push_interval: Duration::from_secs(60) },
            board: BoardSettings::default(),
            source: SourceSettings {
                urls: Vec::new(),
                channel: "production".into(),
                proxy: None,
                limits: SourceLimits {
                    minimum_rate_bytes: 1024,
                    rate_window: Duration::from_secs(30),
                    connect_timeout: Duration::from_secs(10),
                    answer_timeout: Duration::from_secs(30),
                    attempts: 5,
                    retry_wait: Duration::from_secs(2),
                },
            },
            update: UpdateSettings {
                mode: Mode::default(),
                group: None,
                id: None,
                check_interval: Duration::from_secs(86_400),
                windows: Vec::new(),
                time_zone: "UTC".into(),
                windows_need_clock: true,
                force_after: None,
                security_force_after: None,
                max_rollbacks: 3,
                metered: false,
                fleet_lock: None,
                max_download: None,
                deltas_only: false,
                fleet_lock_group: "default".into(),
            },
            web: WebSettings::default(),
        }
    }
}
