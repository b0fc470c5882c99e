//! The metrics, in one table: the page about them is compared with it.

pub use bistable_format::exposition::{Family, Type};

macro_rules! families {
    ($($(#[$attribute:meta])* $id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Family =
            Family { name: concat!("bistable_", $name), kind: Type::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order in which they are written.
        pub const FAMILIES: &[Family] = &[$($id),*];
    };
}

families! {
    STATE = Gauge "state" ["state"] "1 for the state that the update is in, 0 for the others";
    SLOT = Gauge "slot_info" ["slot", "version", "release", "state", "booted", "default"] "1 for each slot, with what it holds";
    COMPONENT = Gauge "component_info" ["component", "version", "lifecycle"] "1 for each component that is declared, with the version that is committed";
    COMPONENT_UP = Gauge "component_up" ["component"] "1 for each component that is updated here and runs a version, 0 if it does not";
    COMPONENT_OFFERED = Gauge "component_update_available" ["component"] "1 if the channel offered another version of it when it was last checked, 0 if not";
    COMPONENT_HALTED = Gauge "component_halted" ["component"] "1 if too many updates of it were rolled back, so that it is not updated until it is reset, 0 if not";
    HEALTHY = Gauge "healthy" [] "1 if the last health check of the running release was good, 0 if not; absent before the first";
    HEALTH_SECONDS = Gauge "health_check_seconds" [] "How long the last health check took";
    UPDATES = Counter "updates_total" ["result", "component"] "Updates that ended";
    ROLLBACKS = Counter "rollbacks_total" ["reason"] "Updates that were rolled back";
    FAILED_IN_A_ROW = Gauge "rollbacks_in_a_row" [] "Updates that were rolled back since the last one that was committed";
    DURATION = Summary "update_duration_seconds" ["step"] "How long the steps of updates took";
    OVER = Counter "step_over_expected_total" ["step"] "Steps of updates that took longer than expected";
    LAST_CHECK = Gauge "last_check_timestamp_seconds" [] "When the channel was looked at last, in vain or not";
    LAST_SUCCESS = Gauge "last_success_timestamp_seconds" [] "When the channel was last read";
    EXPIRES = Gauge "channel_expires_timestamp_seconds" [] "When the channel expires, as it was read last";
    CHECK_FAILURES = Counter "check_failures_total" ["class"] "Looks at the channel that failed";
    DOWNLOADED = Counter "download_bytes_total" ["kind"] "Bytes that installations fetched";
    STORAGE = Gauge "storage_used_ratio" ["fs"] "Part of a file system that is in use, from 0 to 1";
    INHIBITED = Gauge "inhibited_seconds" [] "Since when something holds a switch off without a break; 0 if nothing does";
    DROPPED = Counter "events_dropped_total" [] "Events that could not be written into the event log";
    GIVEN_UP = Counter "webhook_given_up_total" ["target"] "Events that a webhook did not take in time";
    SYNCHRONIZED = Gauge "clock_synchronized" [] "1 if the wall clock is synchronized";
    RESIDENT = Gauge "process_resident_bytes" [] "Memory of the daemon";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PREFIX;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for Family { name, kind, labels, help } in FAMILIES.iter().copied() {
            assert!(names.insert(name), "{name} is there twice");
            let fine = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(name.starts_with(PREFIX) && fine(name), "{name}");
            assert_eq!(kind == Type::Counter, name.ends_with("_total"), "{name}");
            assert!(labels.iter().all(|label| fine(label)) && !help.is_empty(), "{name}");
        }
    }

    /// The table on the page is that of the code.
    #[test]
    fn the_page_lists_every_metric() {
        const BEGIN: &str = "<!-- metrics: `BLESS=1 cargo test -p bistable metrics` writes them -->\n";
        const END: &str = "<!-- end -->";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/metrics.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (old, after) = rest.split_once(END).unwrap();
        let mut table = String::from("| metric | type | labels | says |\n|---|---|---|---|\n");
        for Family { name, kind, labels, help } in FAMILIES {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            table += &format!("| `{name}` | {} | {} | {help} |\n", kind.name(), labels.join(", "));
        }
        if std::env::var_os("BLESS").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a page of the sources")]
            std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        } else {
            assert!(old == table, "BLESS=1 writes the table of {}:\n{table}", path.display());
        }
    }
}
