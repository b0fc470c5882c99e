//! The facts as samples.
use super::{Facts, Live, Storage, family as f};
use crate::{
    config::Component,
    events::{TIMED, Tally},
    status::Status,
};
use bistable_boot::{Slot, component::Lifecycle};
use bistable_format::exposition::{Family, Format, Sample, write};
use std::collections::BTreeMap;

/// The states that an update can be in.
const STATES: [&str; 7] = ["idle", "installing", "staged", "armed", "on trial", "committing", "reverting"];
/// How an update ends.
const RESULTS: [&str; 3] = ["committed", "rolled_back", "failed"];
/// The classes of failures.
pub(crate) const CHECK_CLASSES: [&str; 8] =
    ["usage", "policy", "configuration", "network", "repository", "trust", "release", "device"];
/// What an update is of that is not a component's.
const IMAGE: &str = "image";

/// The text of a scrape.
pub fn scrape(facts: &Facts<'_>, format: Format) -> String {
    let tally = &facts.fold.tally;
    let Live { resident, healthy, checked_in } = &facts.live;
    let samples: [(&Family, Vec<Sample>); f::FAMILIES.len()] = [
        (&f::STATE, facts.status.map_or_else(Vec::new, states)),
        (&f::SLOT, facts.status.map_or_else(Vec::new, slots)),
        (&f::COMPONENT, components(facts)),
        (&f::COMPONENT_UP, components_up(facts)),
        (&f::COMPONENT_OFFERED, components_offered(facts)),
        (&f::COMPONENT_HALTED, components_halted(facts)),
        (&f::HEALTHY, maybe(healthy.map(flag))),
        (&f::HEALTH_SECONDS, maybe(checked_in.map(|time| time.as_secs_f64()))),
        (&f::UPDATES, updates(facts)),
        (&f::ROLLBACKS, words(&tally.rollbacks, &["health", "out_of_attempts", "operator"])),
        (&f::FAILED_IN_A_ROW, vec![Sample::one(number(tally.failed_in_a_row))]),
        (&f::DURATION, durations(tally)),
        (&f::OVER, TIMED.map(|(step, _)| Sample::labeled([step], number(took(tally, step).over))).into()),
        (&f::LAST_CHECK, maybe(tally.last_check.map(number))),
        (&f::LAST_SUCCESS, maybe(tally.last_success.map(number))),
        (&f::EXPIRES, maybe(tally.expires.map(number))),
        (&f::CHECK_FAILURES, words(&tally.check_failures, &CHECK_CLASSES)),
        (&f::DOWNLOADED, downloaded(tally)),
        (
            &f::STORAGE,
            facts.storage.iter().map(|Storage { name, used }| Sample::labeled([*name], *used)).collect(),
        ),
        (&f::INHIBITED, vec![Sample::one(facts.inhibited.as_secs_f64())]),
        (&f::DROPPED, vec![Sample::one(number(facts.fold.dropped))]),
        (&f::GIVEN_UP, words(&tally.given_up, &[])),
        (&f::SYNCHRONIZED, vec![Sample::one(flag(facts.synchronized))]),
        (&f::RESIDENT, maybe(resident.map(number))),
    ];
    write(format, samples)
}

fn states(status: &Status) -> Vec<Sample> {
    STATES.map(|state| Sample::labeled([state], flag(status.state == state))).into()
}

fn slots(status: &Status) -> Vec<Sample> {
    let slot = |slot: Slot| {
        let found = &status.slots[slot];
        let word = |known: Option<bool>| known.map_or("unknown".into(), |is| is.to_string());
        let release = found.release.as_ref().map(|release| release.short.clone());
        Sample::labeled(
            [
                slot.to_string(),
                found.version.clone().unwrap_or_default(),
                release.unwrap_or_default(),
                found.state.to_string(),
                found.booted.to_string(),
                word(found.default),
            ],
            1.0,
        )
    };
    vec![slot(Slot::A), slot(Slot::B)]
}

// As many as the configuration may declare.
fn components(facts: &Facts<'_>) -> Vec<Sample> {
    let one = |component: &Component| {
        let shown = facts.fold.components.get(&component.name);
        let version = shown.and_then(|shown| shown.version.clone());
        let declared = || component.installed.as_ref().map(ToString::to_string);
        let lifecycle = match (shown, &component.managed) {
            (Some(shown), _) => shown.lifecycle.clone(),
            (None, Some(_)) => Lifecycle::Registered.name().into(),
            (None, None) => String::new(),
        };
        Sample::labeled(
            [component.name.clone(), version.or_else(declared).unwrap_or_default(), lifecycle],
            1.0,
        )
    };
    facts.components.iter().map(one).collect()
}

fn components_up(facts: &Facts<'_>) -> Vec<Sample> {
    let up = [Lifecycle::Running.name(), Lifecycle::Updating.name()];
    let one = |component: &Component| {
        let shown = facts.fold.components.get(&component.name);
        let is_up = shown.is_some_and(|shown| up.contains(&shown.lifecycle.as_str()));
        Sample::labeled([component.name.clone()], flag(is_up))
    };
    managed(facts).map(one).collect()
}

fn components_offered(facts: &Facts<'_>) -> Vec<Sample> {
    let one = |component: &Component| {
        let version = facts.fold.components.get(&component.name).and_then(|shown| shown.version.as_ref());
        let offered = facts.fold.remembered.offered.get(&component.name);
        let is_other = offered.is_some_and(|offered| Some(&offered.version) != version);
        Sample::labeled([component.name.clone()], flag(is_other))
    };
    managed(facts).map(one).collect()
}

fn components_halted(facts: &Facts<'_>) -> Vec<Sample> {
    let one = |component: &Component| {
        let is_halted = facts.fold.components.get(&component.name).is_some_and(|shown| shown.halted);
        Sample::labeled([component.name.clone()], flag(is_halted))
    };
    managed(facts).map(one).collect()
}

fn managed<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Component> {
    facts.components.iter().filter(|component| component.managed.is_some())
}

fn updates(facts: &Facts<'_>) -> Vec<Sample> {
    let tally = &facts.fold.tally;
    let of = |counts: Option<&BTreeMap<String, u64>>, component: &str| {
        RESULTS.map(|result| {
            let times = counts.and_then(|counts| counts.get(result)).copied().unwrap_or(0);
            Sample::labeled([result, component], number(times))
        })
    };
    let mut all: Vec<Sample> = of(Some(&tally.updates), IMAGE).into();
    all.extend(
        managed(facts).flat_map(|component| of(tally.components.get(&component.name), &component.name)),
    );
    all
}

fn took(tally: &Tally, step: &str) -> crate::events::Took {
    tally.steps.get(step).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "of milliseconds, a few in centuries")]
fn durations(tally: &Tally) -> Vec<Sample> {
    let of = |(step, _): (&str, _)| {
        let took = took(tally, step);
        let labels = || vec![step.to_owned()];
        [
            Sample { suffix: "_sum", labels: labels(), value: took.millis as f64 / 1000.0 },
            Sample { suffix: "_count", labels: labels(), value: number(took.count) },
        ]
    };
    TIMED.into_iter().flat_map(of).collect()
}

fn downloaded(tally: &Tally) -> Vec<Sample> {
    vec![
        Sample::labeled(["full"], number(tally.full_bytes)),
        Sample::labeled(["delta"], number(tally.delta_bytes)),
    ]
}

/// Totals by word. Those that always are there begin at 0, so that the first one is an increase.
fn words(totals: &BTreeMap<String, u64>, always: &[&str]) -> Vec<Sample> {
    let mut all: BTreeMap<&str, u64> = always.iter().map(|word| (*word, 0)).collect();
    all.extend(totals.iter().map(|(word, total)| (word.as_str(), *total)));
    all.into_iter().map(|(word, total)| Sample::labeled([word], number(total))).collect()
}

fn maybe(value: Option<f64>) -> Vec<Sample> {
    value.map(Sample::one).into_iter().collect()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Backup, Managed, Mode, Target},
        event::ComponentShown,
        events::Fold,
    };
    use semver::Version;
    use std::time::Duration;

    fn text(fold: &Fold, live: Live) -> String {
        with_components(fold, live, &[])
    }

    fn with_components(fold: &Fold, live: Live, components: &[Component]) -> String {
        let storage = vec![Storage { name: "persistent", used: 0.5 }];
        let facts = Facts {
            fold,
            status: None,
            components,
            storage,
            synchronized: true,
            inhibited: Duration::from_secs(90),
            live,
        };
        scrape(&facts, Format::Prometheus)
    }

    fn value(text: &str, sample: &str) -> Option<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map(ToOwned::to_owned)
    }

    #[test]
    fn samples_are_in_the_order_of_the_table_and_have_all_its_labels() {
        let live =
            Live { resident: Some(7), healthy: Some(false), checked_in: Some(Duration::from_millis(1500)) };
        let text = text(&Fold::default(), live);
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let of_status = [
            "bistable_state",
            "bistable_slot_info",
            "bistable_component_info",
            "bistable_component_up",
            "bistable_component_update_available",
            "bistable_component_halted",
        ];
        let in_vain = [
            "bistable_last_check_timestamp_seconds",
            "bistable_last_success_timestamp_seconds",
            "bistable_channel_expires_timestamp_seconds",
            "bistable_webhook_given_up_total",
        ];
        let all: Vec<&str> = f::FAMILIES
            .iter()
            .map(|family| family.name)
            .filter(|name| !of_status.contains(name) && !in_vain.contains(name))
            .collect();
        assert_eq!(names, all);
        for (sample, expected) in [
            ("bistable_healthy", "0"),
            ("bistable_health_check_seconds", "1.5"),
            ("bistable_process_resident_bytes", "7"),
            ("bistable_inhibited_seconds", "90"),
            ("bistable_storage_used_ratio{fs=\"persistent\"}", "0.5"),
            ("bistable_updates_total{result=\"committed\",component=\"image\"}", "0"),
            ("bistable_rollbacks_total{reason=\"health\"}", "0"),
        ] {
            assert_eq!(value(&text, sample).as_deref(), Some(expected), "{sample}");
        }
    }

    #[test]
    fn component_is_there_from_its_declaration_on_and_up_while_a_version_runs() {
        let managed = Managed {
            target: Target::Directory {
                unit: "core.service".into(),
                path: "/opt/core".into(),
                version_file: "VERSION".into(),
            },
            health: None,
            mode: Mode::Stage,
            start_wait: Duration::ZERO,
            backup: Backup::default(),
        };
        let core = Component { name: "core".into(), installed: None, managed: Some(managed) };
        let modem = Component { name: "modem".into(), installed: Some(Version::new(1, 2, 3)), managed: None };
        let components = [core, modem];
        let mut fold = Fold::default();
        let before = with_components(&fold, Live::default(), &components);
        let shown = |lifecycle: &str| ComponentShown {
            bound: None,
            halted: lifecycle == "stopped",
            component: "core".into(),
            lifecycle: lifecycle.into(),
            state: "idle".into(),
            version: Some("2.0.0".into()),
            target: None,
            attempts: 0,
            reason: None,
            ended: None,
        };
        fold.components.insert("core".into(), shown("running"));
        fold.tally.components.insert("core".into(), BTreeMap::from([("committed".into(), 3)]));
        let after = with_components(&fold, Live::default(), &components);
        fold.components.insert("core".into(), shown("stopped"));
        let stopped = with_components(&fold, Live::default(), &components);
        let up = "bistable_component_up{component=\"core\"}";
        let committed = "bistable_updates_total{result=\"committed\",component=\"core\"}";
        let info = |version: &str, lifecycle: &str| {
            format!(
                "bistable_component_info{{component=\"core\",version=\"{version}\",lifecycle=\"{lifecycle}\"}}"
            )
        };
        let modem = "bistable_component_info{component=\"modem\",version=\"1.2.3\",lifecycle=\"\"}";
        for (text, sample, expected) in [
            (&before, up, "0"),
            (&before, committed, "0"),
            (&before, &info("", "registered"), "1"),
            (&before, modem, "1"),
            (&after, up, "1"),
            (&after, committed, "3"),
            (&after, &info("2.0.0", "running"), "1"),
            (&stopped, up, "0"),
        ] {
            assert_eq!(value(text, sample).as_deref(), Some(expected), "{sample}\n{text}");
        }
        assert!(!before.contains("bistable_component_up{component=\"modem\"}"), "something else updates it");
    }

    #[test]
    fn what_only_the_daemon_knows_is_absent_without_it() {
        let text = text(&Fold::default(), Live::default());
        assert!(!text.contains("bistable_healthy") && !text.contains("process_resident"), "{text}");
    }

    #[test]
    fn number_of_samples_is_bounded_whatever_the_log_holds() {
        let mut fold = Fold::default();
        for n in 0..33 {
            fold.tally.check_failures.insert(format!("c{n}"), 1);
            fold.tally.rollbacks.insert(format!("r{n}"), 1);
        }
        let samples = text(&fold, Live::default()).lines().filter(|line| !line.starts_with('#')).count();
        assert!(samples < 120, "{samples}");
    }
}
