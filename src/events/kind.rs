//! The types of events: one table of what follows from a type.
use super::{Class, Priority};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The device as a whole.
    Device,
    /// One request.
    Job,
    /// One component: its name is in the data.
    Component,
}

/// A type of events. What isn't listed here was written by a newer agent: it is kept and shown, and nothing follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The preflight ran.
    Preflight,
    /// A release was verified and fits this device.
    Accepted,
    /// Its volumes are about to be written.
    Writing,
    /// Something about how a release is fetched.
    Remark,
    /// All of it is on the card and was read back.
    Written,
    /// The channel was looked at.
    Check,
    /// It offers a release that this device takes.
    Available,
    /// It offers nothing new.
    UpToDate,
    /// The inactive slot is being written.
    Installing,
    /// The inactive slot holds a verified release.
    Staged,
    /// The self-tests ran.
    SelfTest,
    /// The release is armed, or another attempt of it was counted or asked for.
    Armed,
    /// The new slot runs, on trial.
    Trial,
    /// The health check ran.
    Health,
    /// The trial was passed; the flag is about to be written.
    Committing,
    /// A step took longer than expected.
    Slow,
    /// The new slot is the default.
    Committed,
    /// The update was given up before anything was armed.
    Failed,
    /// The machine reboots into a slot.
    Rebooting,
    /// The old slot is about to be the default again.
    RollbackStarted,
    /// The old slot is the default and runs.
    RollbackCompleted,
    /// The way back failed: the old slot doesn't boot.
    RollbackFailed,
    /// The log didn't have the state that the journal has: a power cut came between the two.
    Reconciled,
    /// The boot flag was written whole again.
    FlagRepaired,
    /// The partition `persistent` can't be used, so events only last until the next boot.
    Fallback,
    /// Lines of the log are damaged.
    Damaged,
    /// Events couldn't be written.
    Dropped,
    /// A source reported more than it may.
    Throttled,
    /// A request was made.
    Request,
    /// The daemon began a job.
    JobStarted,
    /// A job of the daemon's ended.
    JobEnded,
    /// The configuration isn't what it was.
    ConfigChanged,
    /// The configuration has a problem: the daemon continues with the one that was good last.
    ConfigRejected,
    /// The running release isn't as healthy as it was, or is again.
    HealthChanged,
    /// The running release was unhealthy for too long: the device goes back.
    HealthRevert,
    /// Events for a webhook are given up.
    WebhookGivenUp,
    /// A hook failed, or must not be run.
    HookFailed,
    /// Something holds a switch off from now on.
    InhibitorStarted,
    /// It does no more.
    InhibitorEnded,
    /// It has for longer than is usual.
    InhibitorOverdue,
    /// The partition `persistent` can be used again, and has the events that were in memory.
    Restored,
    /// A component is in another state.
    ComponentState,
    /// A step of a component's update ended.
    ComponentStep,
    /// A component runs another version for good.
    ComponentCommitted,
    /// An older version of a component runs again.
    ComponentRolledBack,
    /// A component's update was given up before its trial, or no version of it is healthy.
    ComponentFailed,
    /// The log didn't have the state that the record of the components has.
    ComponentReconciled,
    /// Something about a component that an operator should know.
    ComponentRemark,
    /// The channel offers a version of a component that this device takes.
    ComponentAvailable,
    /// It offers nothing new of a component.
    ComponentUpToDate,
    /// Too many updates of a component were rolled back.
    ComponentHalted,
}

/// What follows from a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub stream: StreamKind,
    /// Where it lies.
    pub class: Class,
    /// Whether it is on the card before what it reports has consequences.
    pub durable: bool,
    /// How much it matters.
    pub priority: Priority,
    /// Whether its data says where the update is: the fold follows these, and they are never throttled.
    pub state: bool,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 51] = [
        Kind::Check,
        Kind::Available,
        Kind::UpToDate,
        Kind::Preflight,
        Kind::Accepted,
        Kind::Installing,
        Kind::Writing,
        Kind::Remark,
        Kind::Written,
        Kind::Staged,
        Kind::SelfTest,
        Kind::Armed,
        Kind::Rebooting,
        Kind::Trial,
        Kind::Health,
        Kind::Slow,
        Kind::Committing,
        Kind::Committed,
        Kind::Failed,
        Kind::RollbackStarted,
        Kind::RollbackCompleted,
        Kind::RollbackFailed,
        Kind::Reconciled,
        Kind::FlagRepaired,
        Kind::Fallback,
        Kind::Damaged,
        Kind::Dropped,
        Kind::Throttled,
        Kind::Request,
        Kind::JobStarted,
        Kind::JobEnded,
        Kind::ConfigChanged,
        Kind::ConfigRejected,
        Kind::HealthChanged,
        Kind::HealthRevert,
        Kind::WebhookGivenUp,
        Kind::HookFailed,
        Kind::InhibitorStarted,
        Kind::InhibitorEnded,
        Kind::InhibitorOverdue,
        Kind::Restored,
        Kind::ComponentState,
        Kind::ComponentStep,
        Kind::ComponentCommitted,
        Kind::ComponentRolledBack,
        Kind::ComponentFailed,
        Kind::ComponentReconciled,
        Kind::ComponentRemark,
        Kind::ComponentAvailable,
        Kind::ComponentUpToDate,
        Kind::ComponentHalted,
    ];

    /// What follows from it.
    pub const fn traits(self) -> Traits {
        use Priority::{Error, Info, Warning};
        match self {
            Kind::Check => job("update.check", Info),
            Kind::Available => device("update.available", Info),
            Kind::UpToDate => device("update.up_to_date", Info),
            Kind::Preflight => job("update.preflight", Info),
            Kind::Accepted => job("update.accepted", Info),
            Kind::Installing => state("update.installing", Info),
            Kind::Writing => job("update.writing", Info),
            Kind::Remark => job("update.remark", Info),
            Kind::Written => job("update.written", Info),
            Kind::Staged => state("update.staged", Info),
            Kind::SelfTest => verdict("update.self_test", Info),
            Kind::Armed => state("update.armed", Info),
            Kind::Rebooting => verdict("update.rebooting", Info),
            Kind::Trial => state("update.trial", Info),
            Kind::Health => verdict("update.health", Info),
            Kind::Slow => job("update.slow", Warning),
            Kind::Committing => state("update.committing", Info),
            Kind::Committed => state("update.committed", Info),
            Kind::Failed => state("update.failed", Error),
            Kind::RollbackStarted => state("rollback.started", Warning),
            Kind::RollbackCompleted => state("rollback.completed", Warning),
            Kind::RollbackFailed => verdict("rollback.failed", Priority::Critical),
            Kind::Reconciled => state("reconciled", Warning),
            Kind::FlagRepaired => verdict("boot_flag.repaired", Warning),
            Kind::Fallback => device("storage.fallback", Warning),
            Kind::Damaged => device("storage.damaged", Warning),
            Kind::Dropped => device("storage.dropped", Warning),
            Kind::Throttled => device("storage.throttled", Warning),
            Kind::ConfigChanged => Traits { class: Class::Audit, ..verdict("config.changed", Info) },
            Kind::ConfigRejected => {
                Traits { class: Class::Audit, ..verdict("config.rejected", Priority::Error) }
            }
            Kind::Request => Traits { class: Class::Audit, ..verdict("audit.request", Info) },
            Kind::JobStarted => job("job.started", Info),
            Kind::JobEnded => job("job.ended", Info),
            Kind::HealthChanged => verdict("health.changed", Warning),
            Kind::HealthRevert => verdict("health.revert", Error),
            Kind::WebhookGivenUp => verdict("webhook.given_up", Error),
            Kind::HookFailed => device("hook.failed", Warning),
            Kind::InhibitorStarted => verdict("inhibitor.started", Info),
            Kind::InhibitorEnded => verdict("inhibitor.ended", Info),
            Kind::InhibitorOverdue => verdict("inhibitor.overdue", Warning),
            Kind::Restored => device("storage.restored", Info),
            Kind::ComponentState => component("component.state", Info),
            Kind::ComponentStep => Traits { state: false, ..component("component.step", Info) },
            Kind::ComponentCommitted => component("component.committed", Info),
            Kind::ComponentRolledBack => component("component.rolled_back", Warning),
            Kind::ComponentFailed => component("component.failed", Error),
            Kind::ComponentHalted => component("component.halted", Priority::Critical),
            Kind::ComponentReconciled => component("component.reconciled", Warning),
            Kind::ComponentRemark => {
                Traits { state: false, durable: false, ..component("component.remark", Info) }
            }
            Kind::ComponentAvailable => {
                Traits { state: false, durable: false, ..component("component.available", Info) }
            }
            Kind::ComponentUpToDate => {
                Traits { state: false, durable: false, ..component("component.up_to_date", Info) }
            }
        }
    }

    /// What it says, for the page about events.
    pub const fn means(self) -> &'static str {
        match self {
            Kind::Check => "the channel could not be read: `problem`, `code`, `class`, `severity`",
            Kind::Available => {
                "the channel offers a release that this device takes: `channel`, `sequence`, `expires`, `version`"
            }
            Kind::UpToDate => "the channel offers nothing that this device takes",
            Kind::Preflight => "the preflight ran: `problem`",
            Kind::Accepted => "a release was verified and fits this device",
            Kind::Writing => "its volumes are about to be written",
            Kind::Remark => "something about how a release is fetched",
            Kind::Written => "all of it is on the card and was read back: `stats`",
            Kind::Installing => "the inactive slot is being written",
            Kind::Staged => "the inactive slot holds a verified release",
            Kind::SelfTest => "the self-tests ran: `passed`, `report`",
            Kind::Armed => "the release is armed, or an attempt of it was counted or asked for",
            Kind::Trial => "the new slot runs, on trial",
            Kind::Health => "the health check ran: `reason` if unhealthy, `report`",
            Kind::Slow => "a step took longer than expected: `step`, `took_s`, `expected_s`",
            Kind::Committing => "the trial was passed; the boot flag is written next",
            Kind::Committed => "the new slot is the default",
            Kind::Failed => "the update was given up before anything was armed",
            Kind::Rebooting => "the machine reboots into `slot`",
            Kind::RollbackStarted => "the release failed; the way back begins",
            Kind::RollbackCompleted => "the old slot is the default and runs",
            Kind::RollbackFailed => "the old slot does not boot: the device stays where it is",
            Kind::Reconciled => {
                "the log did not have the state that the journal has: the first event, or after a power cut between the two"
            }
            Kind::FlagRepaired => "the boot flag was written whole again after a power cut in its write",
            Kind::Fallback => {
                "`persistent` can't be used: events go into memory and last until the next boot"
            }
            Kind::Damaged => "lines of a file of the log are damaged and are passed over: `segment`, `lines`",
            Kind::Dropped => "events could not be written: `events`, `reason`",
            Kind::Throttled => {
                "a source exceeded its quota; this many events were left out: `source`, `events`"
            }
            Kind::ConfigChanged => {
                "the configuration is not what it was: `keys` that differ, `files` that count, `by` whose program found that, and of each value that is set a digest"
            }
            Kind::ConfigRejected => {
                "the configuration has a problem, and the daemon continues with the one that was good last: `problems`, each with `file`, `line`, `text`"
            }
            Kind::HealthChanged => {
                "the running release is healthy, or is not, and was otherwise before: `healthy`, `reason`, `version`"
            }
            Kind::HealthRevert => {
                "the running release was unhealthy for `health.revert_after`: the device tries the other slot's release: `version`, `release`, `reason`"
            }
            Kind::WebhookGivenUp => "a webhook did not take events in time: `target`, `events`",
            Kind::HookFailed => {
                "a hook failed, or is not run because others can write it: `hook`, `seq`, `reason`"
            }
            Kind::InhibitorStarted => {
                "something holds off the switch into a trial: `id`, `owner`, `reason`, `left_s` until it ends by itself"
            }
            Kind::InhibitorEnded => {
                "it does no more: `id`, `owner`, `reason`, `held_s` if that is known, `why`: `removed` or `expired`"
            }
            Kind::InhibitorOverdue => "it has for 12 h: `id`, `owner`, `reason`, `held_s`",
            Kind::Restored => {
                "`persistent` can be used again: this many events were moved there from memory, each with its `id` and a new number: `events`"
            }
            Kind::ComponentState => {
                "a component is in another state: `lifecycle`, `state`, `version` that is committed, `target` of its update, `attempts`, `reason`"
            }
            Kind::ComponentStep => {
                "a step of its update ended: `step`, `took_ms`, `problem` if it did not end well"
            }
            Kind::ComponentCommitted => {
                "another version is the current one: as `component.state`, and `ended`"
            }
            Kind::ComponentRolledBack => {
                "an older version runs again: as `component.state`, and `ended` with the reason"
            }
            Kind::ComponentFailed => {
                "its update was given up before the trial, or no version is healthy: as `component.state`, and `ended` with the reason"
            }
            Kind::ComponentReconciled => {
                "the log did not have what the record of the components has: the first event, or after a power cut between the two"
            }
            Kind::ComponentRemark => "something that an operator should know: `text`",
            Kind::ComponentAvailable => {
                "the channel offers a version of it that this device takes: `channel`, `version`, `release`, `bytes` to be fetched, `urgent`, `refused` if it is only fetched when it is named"
            }
            Kind::ComponentUpToDate => "the channel offers nothing of it that this device takes",
            Kind::ComponentHalted => {
                "an older version runs again, and no update follows until an operator resets it, because `update.max_rollbacks` were rolled back within an hour: as `component.rolled_back`"
            }
            Kind::JobStarted => "the daemon began a job: `operation`, `via`, `uid`",
            Kind::JobEnded => {
                "a job ended: `exit` as of the same verb on a command line, of a failure `error`, `class`, `severity`"
            }
            Kind::Request => "a request was made: `operation`, `what`, `forced`, `uid`, `user`, `token`",
        }
    }

    /// The type of that name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.traits().name == name)
    }
}

const fn device(name: &'static str, priority: Priority) -> Traits {
    let (stream, class) = (StreamKind::Device, Class::Operational);
    Traits { name, stream, class, durable: false, priority, state: false }
}

const fn job(name: &'static str, priority: Priority) -> Traits {
    Traits { stream: StreamKind::Job, ..device(name, priority) }
}

const fn verdict(name: &'static str, priority: Priority) -> Traits {
    Traits { durable: true, ..device(name, priority) }
}

const fn state(name: &'static str, priority: Priority) -> Traits {
    Traits { state: true, ..verdict(name, priority) }
}

const fn component(name: &'static str, priority: Priority) -> Traits {
    Traits { stream: StreamKind::Component, ..state(name, priority) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_type_has_a_name_of_its_own_and_is_listed() {
        let names: BTreeSet<_> = Kind::ALL.map(|kind| kind.traits().name).into();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.traits().name), Some(kind));
        }
        assert_eq!(Kind::named("update.teleported"), None);
    }

    /// The table of types on the page is that of the code.
    #[test]
    fn the_page_lists_every_type() {
        const BEGIN: &str = "<!-- types: `BLESS=1 cargo test -p bistable events` writes them -->\n";
        const END: &str = "<!-- end -->";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/events.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (old, after) = rest.split_once(END).unwrap();
        let mut table =
            String::from("| type | stream | durable | kept as | means |\n|---|---|---|---|---|\n");
        for kind in Kind::ALL {
            let Traits { name, stream, class, durable, state, .. } = kind.traits();
            let stream = match stream {
                StreamKind::Device => "device",
                StreamKind::Job => "job",
                StreamKind::Component => "component",
            };
            let class = if class == Class::Audit { "audit" } else { "operational" };
            let durable = if durable { "yes" } else { "30 s" };
            let state = if state && stream == "device" { "; `update`" } else { "" };
            table += &format!("| `{name}` | {stream} | {durable} | {class} | {}{state} |\n", kind.means());
        }
        if std::env::var_os("BLESS").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a page of the sources")]
            std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert!(old == table, "BLESS=1 writes the table of {}:\n{table}", path.display());
        }
    }

    #[test]
    fn what_says_where_the_update_is_is_durable() {
        for kind in Kind::ALL.map(Kind::traits).into_iter().filter(|kind| kind.state) {
            assert!(kind.durable && kind.class == Class::Operational, "{}", kind.name);
        }
    }
}
