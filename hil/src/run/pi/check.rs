//! A look at the bench that switches nothing: what is there, what is missing, and what would run.
use super::{
    bench::{Bench, Switch},
    card, program, relay, serial,
};
use crate::run::{
    CUTS,
    scenario::{Needs, Scenario},
};
use anyhow::{Result, anyhow};
use serde_json::{Value, json};

/// The scenario that takes the jig's wire off.
const UNWIRED: &str = "self-test refused";

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name in `bench.toml`.
    pub what: String,
    /// How it is, or what is wrong with it.
    pub is: Result<String, String>,
}

/// A scenario or the power cuts, and why they can't run here.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name.
    pub name: &'static str,
    /// None are the power cuts.
    pub scenario: Option<Scenario>,
    /// None if it runs.
    pub skipped: Option<&'static str>,
}

/// Look at everything.
pub fn look(bench: &Bench, hands: bool) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |what: &str, is: Result<String>| {
        all.push(Found { what: what.into(), is: is.map_err(|e| format!("{e:#}")) });
    };
    let port = &bench.serial.port;
    let open = serial::try_open(port);
    add("serial.port", open.map(|_| format!("{} opens, {} baud", port.display(), bench.serial.baud)));
    for (name, words) in bench.programs() {
        let found = words.first().map_or_else(|| Err(anyhow!("no program")), |word| program::find(word));
        add(&name, found.map(|path| path.display().to_string()));
    }
    for (name, switch) in [("power.line", Some(&bench.power)), ("jig.line", bench.jig.as_ref())] {
        if let Some(Switch::Line { chip, line, .. }) = switch {
            add(name, relay::look(chip, *line));
        }
    }
    let by_hand =
        |yes: &str| if hands { Ok(yes.to_owned()) } else { Err(anyhow!("{yes}, and --no-hands is given")) };
    if bench.card.write.is_none() {
        add("card.by_hand", by_hand("a person flashes the card before each scenario"));
    }
    add("card.image", card::look(&bench.card, bench.device.flow));
    all
}

/// Which of the scenarios run on this bench.
pub fn plan(bench: &Bench, hands: bool, scenarios: &[Scenario], part: Option<&str>) -> Vec<Planned> {
    let all = scenarios.iter().map(|s| (s.name, Some(*s))).chain([(CUTS, None)]);
    let chosen = all.filter(|(name, _)| part.is_none_or(|part| name.contains(part)));
    chosen
        .map(|(name, scenario)| {
            let skipped = if scenario.is_some_and(|s| s.needs == Needs::WriteLog) {
                Some("nothing logs what is written to a real card")
            } else if scenario.is_some_and(|s| s.needs == Needs::Repository) {
                Some("the bench has no repository in the Pi's reach")
            } else if scenario.is_some_and(|s| s.needs == Needs::Components) {
                Some("the bench's product has no components")
            } else if name == UNWIRED && bench.jig.is_none() && !hands {
                Some("nobody takes the jig's wire off")
            } else {
                None
            };
            Planned { name, scenario, skipped }
        })
        .collect()
}

/// Human-readable.
pub fn table(found: &[Found], planned: &[Planned]) -> String {
    let mut text = String::new();
    for Found { what, is } in found {
        text += &match is {
            Ok(is) => format!("{what:14} ok       {is}\n"),
            Err(why) => format!("{what:14} MISSING  {why}\n"),
        };
    }
    text.push('\n');
    for Planned { name, skipped, .. } in planned {
        text += &match skipped {
            None => format!("{name:22} would run\n"),
            Some(why) => format!("{name:22} skipped: {why}\n"),
        };
    }
    text
}

/// For programs.
pub fn json(found: &[Found], planned: &[Planned]) -> Value {
    json!({
        "schema": 1,
        "ready": ready(found),
        "bench": found.iter().map(|f| json!({
            "what": f.what,
            "is": f.is.as_ref().ok(),
            "problem": f.is.as_ref().err(),
        })).collect::<Vec<_>>(),
        "scenarios": planned.iter().map(|p| json!({
            "scenario": p.name,
            "skipped": p.skipped,
        })).collect::<Vec<_>>(),
    })
}

/// Whether nothing is missing.
pub fn ready(found: &[Found]) -> bool {
    found.iter().all(|f| f.is.is_ok())
}
