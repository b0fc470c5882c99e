//! The profile of the boot health check, as TOML.
//!
//! ```toml
//! deadline_s = 120           # all of it must be done by then, counted from the start of the check
//! settle_s = 10              # how long everything must stay good before the commit
//! self_tests = true          # run the self-tests again, on the new system
//!
//! [[check]]
//! name = "application"
//! kind = "unit"              # the service manager calls it active
//! unit = "app.service"
//!
//! [[check]]
//! name = "web"
//! kind = "http"              # GET, from this device
//! url = "http://127.0.0.1:8080/health"
//! status = 200
//! contains = "ok"            # in the first 64 KiB of the body
//! expect_version = true      # the body is JSON, and its "version" is that of the release: an old process does not pass
//! need = "wanted"            # a failure is reported, and the commit continues; `required` is the default
//!
//! [[check]]
//! name = "database"
//! kind = "command"           # must end with exit code 0
//! run = ["/usr/bin/db-check"]
//! timeout_ms = 10000         # each check has one; 5000 is the default
//! ```
//!
//! Checks run on the trial: `at = "trial"`. As in a self-test plan, what a later version may know is [`Kind::Unknown`].
use crate::selftest::{At, Common, Known, Need, check_command, invalid, kind_of, parse_toml};
use crate::{DecodeError, limits};
use alloc::{format, string::String, vec::Vec};
use semver::Version;
use serde::Deserialize;

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A program ends with exit code 0.
    Command {
        /// Absolute path, then arguments; no shell.
        run: Vec<String>,
    },
    /// A web server answers.
    Http {
        /// `http://…`: what is healthy is on this device, so there is nothing to encrypt.
        url: String,
        /// Status code that must come back.
        #[serde(default = "ok")]
        status: u16,
        /// Text that the first 64 KiB of the body must contain.
        #[serde(default)]
        contains: String,
        /// Whether the body has to be JSON whose `version` is that of the release.
        #[serde(default)]
        expect_version: bool,
        /// That version, once it is known: see [`Profile::expecting`].
        #[serde(skip)]
        version: Option<Version>,
    },
    /// The service manager calls a unit active.
    Unit {
        /// With its suffix, for example `app.service`.
        unit: String,
    },
    /// Something that this version doesn't know: it can't run here.
    #[serde(skip)]
    Unknown {
        /// The kind as the profile names it.
        kind: String,
        /// What isn't known.
        why: String,
    },
}

impl Kind {
    /// The kind's name, as in the profile.
    pub fn name(&self) -> &str {
        match self {
            Kind::Command { .. } => "command",
            Kind::Http { .. } => "http",
            Kind::Unit { .. } => "unit",
            Kind::Unknown { kind, .. } => kind,
        }
    }

    /// What of it isn't known here, if anything is.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Kind::Unknown { why, .. } => Some(why),
            Kind::Command { .. } | Kind::Http { .. } | Kind::Unit { .. } => None,
        }
    }
}

fn ok() -> u16 {
    200
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What reports call it.
    pub name: String,
    /// What a failure means.
    pub need: Need,
    /// When it runs. This version runs checks on the trial only, so one that it knows says so.
    pub at: At,
    /// Longest time for one try, in milliseconds.
    pub timeout_ms: u32,
    /// What it looks at.
    pub kind: Kind,
}

/// Whether the self-tests are part of the health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTests {
    /// They run again on the new system, first.
    Again,
    /// They don't.
    Skip,
}

/// What makes a boot healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Seconds until everything must be done.
    pub deadline_s: u32,
    /// Seconds that everything must stay good before the commit.
    pub settle_s: u32,
    /// Whether the self-tests run again.
    pub self_tests: SelfTests,
    /// The checks; all are asked again and again.
    pub checks: Vec<Check>,
}

impl Default for Profile {
    fn default() -> Self {
        Profile { deadline_s: 120, settle_s: 10, self_tests: SelfTests::Again, checks: Vec::new() }
    }
}

/// Longest deadline, in seconds.
pub const DEADLINE_MAX_S: u32 = 60 * 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    deadline_s: Option<u32>,
    settle_s: Option<u32>,
    self_tests: Option<bool>,
    #[serde(default, rename = "check")]
    checks: Vec<toml::Table>,
}

impl Profile {
    /// Read and check a profile. Empty text is the default: self-tests again, no checks.
    ///
    /// # Errors
    /// [`DecodeError`], naming the check and what is wrong with it.
    pub fn parse(text: &str) -> Result<Profile, DecodeError> {
        const WHAT: &str = "health profile";
        let raw: RawProfile = parse_toml(WHAT, text)?;
        let default = Profile::default();
        let deadline_s = raw.deadline_s.unwrap_or(default.deadline_s);
        let settle_s = raw.settle_s.unwrap_or(default.settle_s.min(deadline_s / 2));
        if !(1..=DEADLINE_MAX_S).contains(&deadline_s) || settle_s >= deadline_s {
            let problem = format!(
                "deadline_s {deadline_s} must be from 1 to {DEADLINE_MAX_S} and longer than settle_s {settle_s}"
            );
            return Err(invalid(WHAT, problem));
        }
        if raw.checks.len() > limits::TESTS {
            return Err(invalid(WHAT, format!("{} checks, more than {}", raw.checks.len(), limits::TESTS)));
        }
        let mut checks: Vec<Check> = Vec::new();
        for (i, mut table) in raw.checks.into_iter().enumerate() {
            let Common { name, need, at, timeout_ms } = Common::take(WHAT, "check", i, &mut table)?;
            if checks.iter().any(|c| c.name == name) {
                return Err(invalid(WHAT, format!("two checks are called \"{name}\"")));
            }
            let at = at.unwrap_or(At::Trial);
            let known = kind_of(
                WHAT,
                &name,
                table,
                &["run", "url", "status", "contains", "expect_version", "unit"],
                allowed_keys,
            )?;
            let kind = match known {
                Known::Kind(kind) if at == At::Trial => kind,
                Known::Kind(kind) => Kind::Unknown {
                    kind: Kind::name(&kind).into(),
                    why: "health checks run on the trial: at is \"trial\"".into(),
                },
                Known::No { kind, why } => Kind::Unknown { kind, why },
            };
            check_kind(&kind).map_err(|p| invalid(WHAT, format!("check \"{name}\": {p}")))?;
            checks.push(Check { name, need, at, timeout_ms, kind });
        }
        let self_tests = match raw.self_tests {
            Some(false) => SelfTests::Skip,
            _ => SelfTests::Again,
        };
        Ok(Profile { deadline_s, settle_s, self_tests, checks })
    }

    /// The profile for a release of that version: checks that expect it know it.
    #[must_use]
    pub fn expecting(mut self, release: &Version) -> Profile {
        for check in &mut self.checks {
            if let Kind::Http { expect_version: true, version, .. } = &mut check.kind {
                *version = Some(release.clone());
            }
        }
        self
    }

    /// Read and check a profile of which this version must know everything: a person just wrote it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and for a kind or key that isn't known.
    pub fn parse_known(text: &str) -> Result<Profile, DecodeError> {
        let profile = Profile::parse(text)?;
        match profile.checks.iter().find_map(|c| Some((&c.name, c.kind.unknown()?))) {
            Some((name, why)) => Err(invalid("health profile", format!("\"{name}\": {why}"))),
            None => Ok(profile),
        }
    }
}

fn allowed_keys(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "command" => &["run"],
        "http" => &["url", "status", "contains", "expect_version"],
        "unit" => &["unit"],
        _ => return None,
    })
}

fn check_kind(kind: &Kind) -> Result<(), String> {
    match kind {
        Kind::Command { run } => check_command(run),
        Kind::Http { url, status, .. } => {
            let rest = url.strip_prefix("http://").unwrap_or_default();
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if host.is_empty() || host.starts_with(':') || !url.chars().all(|c| c.is_ascii_graphic()) {
                return Err(format!("\"{}\" is not an http:// address", url.escape_debug()));
            }
            if !(100..600).contains(status) {
                return Err(format!("{status} is not an HTTP status"));
            }
            Ok(())
        }
        Kind::Unit { unit } => {
            let fine = |c: char| c.is_ascii_alphanumeric() || "@._:-\\".contains(c);
            let named =
                unit.rsplit_once('.').is_some_and(|(stem, suffix)| !stem.is_empty() && !suffix.is_empty());
            if named && unit.len() < 256 && !unit.starts_with('-') && unit.chars().all(fine) {
                return Ok(());
            }
            Err(format!("\"{}\" is not a unit name with its suffix", unit.escape_debug()))
        }
        Kind::Unknown { .. } => Ok(()),
    }
}
