//! What kind of failure it was: for programs, which must not read words for people.
use crate::{
    Error,
    board::CardError,
    error::{BundleError, CheckError, ComponentError},
    events::Priority,
};
use bistable_boot::Reason;
use bistable_format::freshness::Stale;
use serde::{Deserialize, Serialize};

/// The kind of a failure. Kinds may be added; whoever doesn't know one goes by the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Code {
    /// Whoever asked for it took it back.
    Cancelled,
    /// A step took too long and was stopped.
    TimedOut,
    /// There is nothing to do.
    NothingToDo,
    /// The command line can't be understood, or lacks something.
    Usage,
    /// Something else has to happen first.
    NotNow,
    /// Another process works on the card.
    Busy,
    /// The configuration has problems.
    Config,
    /// The card, or what lies on it, can't be used.
    Card,
    /// The journal can't be used.
    Journal,
    /// A port to the machine failed.
    Machine,
    /// A file can't be opened.
    Open,
    /// The device has no root of trust.
    NoRoot,
    /// The stored root, or that of the running system, is not to be trusted.
    UntrustedRoot,
    /// A bundle, a release or a channel has no valid signature of this device's keys.
    Untrusted,
    /// Bytes aren't those that were signed.
    Damaged,
    /// A file isn't what it should be.
    NotABundle,
    /// Something could not be fetched.
    Unreachable,
    /// A repository lacks something that a signed file names.
    Missing,
    /// The delta takes another release than the one that runs.
    OtherBase,
    /// The delta doesn't make all volumes.
    PartialDelta,
    /// Parts of the running system changed, and no source has their full data.
    StaleBase,
    /// `update.max_download` allows less.
    TooMuch,
    /// `update.deltas_only` is set, and there is no usable delta.
    NoDelta,
    /// The release is not for this device.
    Incompatible,
    /// This device rejected the release before.
    Rejected,
    /// The channel withdrew the release.
    Withdrawn,
    /// What the channel says has expired.
    Expired,
    /// What the channel says is older than what this device saw.
    Replayed,
    /// The newest root has expired.
    RootExpired,
    /// What the channel offers is older than the update in flight.
    Older,
    /// Only a newer version of this program can read it.
    NeedsNewerAgent,
    /// Two files of the channel with one number were signed.
    Equivocation,
    /// The channel doesn't exist.
    NoChannel,
    /// No repository is configured or named.
    NoSource,
    /// An offer lacks an attestation that its channel demands.
    NotAttested,
    /// The preflight found a reason not to begin.
    Preflight,
    /// A self-test failed.
    SelfTest,
    /// The health check failed.
    Health,
    /// A check must not be run: others could change its file.
    UntrustedCheck,
    /// The device can't test any release as it is.
    Environment,
    /// The boot loader did not begin the trial.
    NotTried,
    /// The reboot did not take place.
    NotRebooted,
    /// What is stored of a slot's release is missing or damaged.
    StoredRelease,
    /// There is no component of that name.
    NoComponent,
    /// The verb doesn't fit the state of the update.
    WrongState,
    /// The simulated Pi can't continue.
    Simulator,
}

/// What a failure is about, and so whose it is to look at. Classes may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// Whoever asked.
    Usage,
    /// Nothing is wrong: the owner's rules say no, or not now.
    Policy,
    /// The configuration.
    Configuration,
    /// The way to the repository.
    Network,
    /// The repository, or how it is kept.
    Repository,
    /// Keys and signatures.
    Trust,
    /// The release.
    Release,
    /// The device and its card.
    Device,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 46] = [
        Code::NoComponent,
        Code::Cancelled,
        Code::TimedOut,
        Code::NothingToDo,
        Code::Usage,
        Code::NotNow,
        Code::Busy,
        Code::Config,
        Code::Card,
        Code::Journal,
        Code::Machine,
        Code::Open,
        Code::NoRoot,
        Code::UntrustedRoot,
        Code::Untrusted,
        Code::Damaged,
        Code::NotABundle,
        Code::Unreachable,
        Code::Missing,
        Code::OtherBase,
        Code::PartialDelta,
        Code::StaleBase,
        Code::TooMuch,
        Code::NoDelta,
        Code::Incompatible,
        Code::Rejected,
        Code::Withdrawn,
        Code::Expired,
        Code::Replayed,
        Code::RootExpired,
        Code::Older,
        Code::NeedsNewerAgent,
        Code::Equivocation,
        Code::NoChannel,
        Code::NoSource,
        Code::NotAttested,
        Code::Preflight,
        Code::SelfTest,
        Code::Health,
        Code::UntrustedCheck,
        Code::Environment,
        Code::NotTried,
        Code::NotRebooted,
        Code::StoredRelease,
        Code::WrongState,
        Code::Simulator,
    ];

    /// Whether the release or the device was found wrong before anything was switched.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Code::Untrusted
                | Code::Damaged
                | Code::NotABundle
                | Code::Incompatible
                | Code::Rejected
                | Code::Withdrawn
                | Code::Expired
                | Code::NeedsNewerAgent
                | Code::Preflight
                | Code::SelfTest
        )
    }

    /// What a failure of this kind is about, and how much it matters: for events, logs, metrics and alerts.
    pub fn traits(self) -> (Class, Priority) {
        use Priority::{Critical, Error, Info, Warning};
        match self {
            Code::Usage | Code::NoComponent | Code::NotABundle | Code::WrongState => (Class::Usage, Warning),
            Code::Simulator => (Class::Usage, Error),
            Code::Cancelled
            | Code::NothingToDo
            | Code::NotNow
            | Code::Busy
            | Code::TooMuch
            | Code::NoDelta => (Class::Policy, Info),
            Code::NoSource => (Class::Configuration, Info),
            Code::Config | Code::NoChannel | Code::UntrustedCheck | Code::Environment => {
                (Class::Configuration, Error)
            }
            Code::TimedOut | Code::Unreachable => (Class::Network, Warning),
            Code::Missing | Code::OtherBase | Code::PartialDelta | Code::Older | Code::NotAttested => {
                (Class::Repository, Warning)
            }
            Code::Damaged | Code::Expired | Code::RootExpired => (Class::Repository, Error),
            Code::Untrusted | Code::Replayed => (Class::Trust, Error),
            Code::NoRoot | Code::UntrustedRoot | Code::Equivocation => (Class::Trust, Critical),
            Code::Rejected => (Class::Release, Info),
            Code::Incompatible | Code::Withdrawn => (Class::Release, Warning),
            Code::NeedsNewerAgent | Code::SelfTest | Code::Health => (Class::Release, Error),
            Code::StaleBase | Code::Preflight => (Class::Device, Warning),
            Code::Machine | Code::Open | Code::NotRebooted => (Class::Device, Error),
            Code::Card | Code::Journal | Code::NotTried | Code::StoredRelease => (Class::Device, Critical),
        }
    }

    /// The kind of an error.
    pub fn of(e: &Error) -> Code {
        match e {
            Error::NothingToDo(_) => Code::NothingToDo,
            Error::Usage(_) => Code::Usage,
            Error::NotNow(_) => Code::NotNow,
            Error::Card(CardError::Busy { .. }) => Code::Busy,
            Error::Card(_) => Code::Card,
            Error::Config(_) | Error::NotReloaded(_) => Code::Config,
            Error::Journal(_) => Code::Journal,
            Error::Fault(_) => Code::Machine,
            #[cfg(target_os = "linux")]
            Error::Pi(_) => Code::Machine,
            Error::Open { .. } | Error::Events(_) => Code::Open,
            Error::Cancelled => Code::Cancelled,
            Error::TimedOut { .. } => Code::TimedOut,
            Error::Daemon(_) | Error::Listen { .. } | Error::Program { .. } => Code::Machine,
            Error::NoRoot(_) => Code::NoRoot,
            Error::Root(_) | Error::ForeignRoot { .. } | Error::SystemRoot(_) => Code::UntrustedRoot,
            Error::Bundle(e) => Code::of_bundle(e),
            Error::Check(e) => Code::of_check(e),
            Error::Incompatible { .. } => Code::Incompatible,
            Error::Rejected(_) => Code::Rejected,
            Error::Withdrawn { .. } => Code::Withdrawn,
            Error::Environment(_) => Code::Environment,
            Error::NotTried { .. } => Code::NotTried,
            Error::NotRebooted(_) => Code::NotRebooted,
            Error::Refused(_) => Code::WrongState,
            #[cfg(feature = "sim")]
            Error::Sim(_) => Code::Simulator,
            Error::SelfTest(_) => Code::SelfTest,
            Error::Health(_) => Code::Health,
            Error::UntrustedCheck { .. } => Code::UntrustedCheck,
            Error::Preflight(_) | Error::PreflightWaits(_) => Code::Preflight,
            Error::StoredRelease { .. } => Code::StoredRelease,
            Error::Component(e) => Code::of_component(e),
        }
    }

    fn of_component(e: &ComponentError) -> Code {
        match e {
            ComponentError::Unknown { .. } => Code::NoComponent,
            ComponentError::Configuration { is_update: false, .. }
            | ComponentError::NotConfigurable { .. } => Code::Usage,
            ComponentError::NotManaged { .. }
            | ComponentError::OtherRelease { .. }
            | ComponentError::Archive { .. }
            | ComponentError::VersionFile { .. }
            | ComponentError::Image { .. }
            | ComponentError::ImageName { .. }
            | ComponentError::Engine { .. }
            | ComponentError::Compose { .. }
            | ComponentError::Bound { .. }
            | ComponentError::BoundUnfit { .. }
            | ComponentError::Configuration { is_update: true, .. }
            | ComponentError::Migrates { .. }
            | ComponentError::TooMany { .. } => Code::Incompatible,
            ComponentError::NotBrought { source, .. } => {
                source.as_ref().map_or(Code::Missing, |source| Code::of(source))
            }
            ComponentError::NotShown { .. } | ComponentError::Logs { .. } => Code::Machine,
            ComponentError::Values { .. } => Code::Preflight,
            ComponentError::Path { .. }
            | ComponentError::Unit { .. }
            | ComponentError::Space { .. }
            | ComponentError::ImageDamaged { .. }
            | ComponentError::ImageGone { .. }
            | ComponentError::NoComposeFile { .. } => Code::Preflight,
            ComponentError::StoredRelease { .. } => Code::StoredRelease,
            ComponentError::Refused { .. }
            | ComponentError::Halted { .. }
            | ComponentError::StillWanted { .. } => Code::WrongState,
            ComponentError::GivenUp { failure, .. } => match failure.reason {
                Reason::SelfTest => Code::SelfTest,
                Reason::Environment => Code::Environment,
                _ => Code::Health,
            },
            ComponentError::Failed { .. } => Code::Health,
            ComponentError::Record { .. } => Code::Journal,
        }
    }

    fn of_bundle(e: &BundleError) -> Code {
        match e {
            BundleError::Read { .. } | BundleError::Source(_) | BundleError::Truncated { .. } => {
                Code::Unreachable
            }
            BundleError::Missing { .. } => Code::Missing,
            BundleError::Untrusted(e) if e.needs_update() => Code::NeedsNewerAgent,
            BundleError::Untrusted(_) => Code::Untrusted,
            BundleError::NotAnImage => Code::NeedsNewerAgent,
            BundleError::NotAComponent => Code::Incompatible,
            BundleError::Blob { .. }
            | BundleError::Damaged { .. }
            | BundleError::List { .. }
            | BundleError::PartList { .. }
            | BundleError::PartChunk { .. }
            | BundleError::Chunk { .. }
            | BundleError::Content { .. }
            | BundleError::DeltaList { .. }
            | BundleError::DeltaOfOthers(_)
            | BundleError::Trailing { .. } => Code::Damaged,
            BundleError::NotABundle { .. } => Code::NotABundle,
            BundleError::OtherBase { .. } => Code::OtherBase,
            BundleError::Partial { .. } => Code::PartialDelta,
            BundleError::Stale { .. } => Code::StaleBase,
            BundleError::TooMuch { .. } => Code::TooMuch,
            BundleError::NoDelta { .. } => Code::NoDelta,
        }
    }

    fn of_check(e: &CheckError) -> Code {
        match e {
            e if e.needs_update() => Code::NeedsNewerAgent,
            CheckError::Source(_) => Code::Unreachable,
            CheckError::Untrusted { .. } | CheckError::Offer { .. } => Code::Untrusted,
            CheckError::Stale { problem: Stale::Expired { .. }, .. } => Code::Expired,
            CheckError::Stale { .. } => Code::Replayed,
            CheckError::Older { .. } => Code::Older,
            CheckError::Equivocation { .. } => Code::Equivocation,
            CheckError::RootExpired { .. } => Code::RootExpired,
            CheckError::Demand(_) => Code::NotAttested,
            CheckError::Unusable { forged: true, .. } => Code::Untrusted,
            CheckError::Unusable { forged: false, .. } => Code::Missing,
            CheckError::NoChannel { .. } => Code::NoChannel,
            CheckError::NoSource => Code::NoSource,
            CheckError::NoId(_) => Code::Machine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn word(of: impl Serialize) -> String {
        serde_json::to_value(of).unwrap().as_str().unwrap().to_owned()
    }

    /// The table of failures on the page is that of the code.
    #[test]
    fn the_page_lists_every_code_with_its_class_and_severity() {
        const BEGIN: &str = "<!-- codes: `BLESS=1 cargo test -p bistable code` writes them -->\n";
        const END: &str = "<!-- end -->";
        let words: BTreeSet<String> = Code::ALL.map(word).into();
        assert_eq!(words.len(), Code::ALL.len());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/cli.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (old, after) = rest.split_once(END).unwrap();
        let mut codes = Code::ALL;
        codes.sort_by_key(|code| (code.traits().0, word(code.traits().1), word(*code)));
        let mut table = String::from("| `class` | `severity` | `code` |\n|---|---|---|\n");
        for codes in codes.chunk_by(|a, b| a.traits() == b.traits()) {
            let (class, severity) = codes[0].traits();
            let words: Vec<String> = codes.iter().map(|code| format!("`{}`", word(*code))).collect();
            table += &format!("| `{}` | {} | {} |\n", word(class), word(severity), words.join(", "));
        }
        if std::env::var_os("BLESS").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a page of the sources")]
            std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert!(old == table, "BLESS=1 writes the table of {}:\n{table}", path.display());
        }
    }

    /// A counter that begins with its first failure does not rise by it.
    #[test]
    fn metrics_count_each_class_from_zero() {
        let classes: BTreeSet<Class> = Code::ALL.map(|code| code.traits().0).into();
        let words: Vec<String> = classes.into_iter().map(word).collect();
        assert_eq!(words, crate::metrics::CHECK_CLASSES);
    }

    #[test]
    fn what_waits_is_no_alarm_and_what_a_person_has_to_look_at_is_one() {
        for code in Code::ALL {
            let (class, severity) = code.traits();
            assert!(class != Class::Policy || severity == Priority::Info, "{code:?}");
            assert!(
                severity != Priority::Critical || matches!(class, Class::Trust | Class::Device),
                "{code:?}"
            );
        }
    }
}
