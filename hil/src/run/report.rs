//! What came of it: a table for people, JSON for programs.
use super::course::Outcome;
use serde_json::{Value, json};
use std::time::Duration;

/// One scenario on one machine in one boot flow.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario.
    pub scenario: String,
    /// The kind of machine.
    pub machine: String,
    /// The boot flow.
    pub flow: String,
    /// Boots in all, as far as boot loaders are seen.
    pub boots: usize,
    /// All of it, in real time.
    pub took: Duration,
    /// What is told of it, or what is wrong.
    pub ended: Result<Outcome, String>,
}

/// The table's head.
pub fn head() -> String {
    format!(
        "{:22} {:6} {:8} {:>5} {:>8} {:8} {:>7} {:>6}  verdict",
        "scenario", "on", "flow", "boots", "took", "", "s", "bar"
    )
}

/// A row of the table.
pub fn line(row: &Row) -> String {
    let told = match &row.ended {
        Ok(told) => {
            let bar = told.bar.map_or_else(|| "-".into(), |bar| format!("{:.0}", bar.as_secs_f64()));
            let note = if told.note.is_empty() { String::new() } else { format!(": {}", told.note) };
            format!("{:8} {:>7.1} {bar:>6}  passed{note}", told.what, told.time.as_secs_f64())
        }
        Err(why) => format!("{:8} {:>7} {:>6}  FAILED: {why}", "", "-", "-"),
    };
    format!(
        "{:22} {:6} {:8} {:>5} {:>7.0}s {told}",
        row.scenario,
        row.machine,
        row.flow,
        row.boots,
        row.took.as_secs_f64()
    )
}

/// For programs.
pub fn json(rows: &[Row]) -> Value {
    let seconds = |d: Duration| (d.as_secs_f64() * 10.0).round() / 10.0;
    json!({
        "schema": 1,
        "held": rows.iter().all(|r| r.ended.is_ok()),
        "scenarios": rows.iter().map(|r| json!({
            "scenario": r.scenario,
            "machine": r.machine,
            "flow": r.flow,
            "boots": r.boots,
            "took_s": seconds(r.took),
            "passed": r.ended.is_ok(),
            "timed": r.ended.as_ref().ok().map(|t| t.what),
            "seconds": r.ended.as_ref().ok().map(|t| seconds(t.time)),
            "bar_s": r.ended.as_ref().ok().and_then(|t| t.bar).map(seconds),
            "note": r.ended.as_ref().ok().map(|t| t.note.as_str()),
            "problem": r.ended.as_ref().err(),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_both_forms() {
        let row = |ended| Row {
            scenario: "update".into(),
            machine: "virt".into(),
            flow: "uboot".into(),
            boots: 2,
            took: Duration::from_millis(61_240),
            ended,
        };
        let good = row(Ok(Outcome {
            what: "commit",
            time: Duration::from_millis(1260),
            bar: None,
            note: String::new(),
        }));
        let bad = row(Err("no".into()));
        assert!(line(&good).contains("passed") && line(&bad).contains("FAILED: no"));
        assert_eq!(json(std::slice::from_ref(&good))["held"], true);
        let both = json(&[good, bad]);
        assert_eq!((&both["held"], &both["scenarios"][0]["seconds"]), (&false.into(), &1.3.into()));
        assert_eq!(both["scenarios"][1]["problem"], "no");
    }
}
