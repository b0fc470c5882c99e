//! What was found, as tables for people and as JSON.
use super::{broken_card::Tally, explore::Row, mutant::Fate, mutation::Catch, oracle::Wrong};
use bistable_boot::{Flow, Slot};
use bistable_kit::hex::grouped;
use serde_json::{Value, json};

/// The table of scenarios, both slots of one in a line.
pub fn scenarios(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<18}{:>6}{:>14}{:>11}{:>8}{:>9}{:>11}{:>10}{:>9}{:>8}\n",
        "scenario",
        "ops",
        "crash states",
        "distinct",
        "bricks",
        "commits",
        "unhealthy",
        "good ones",
        "by hand",
        "worst"
    );
    text += &format!(
        "{:<18}{:>6}{:>14}{:>11}{:>8}{:>9}{:>11}{:>10}{:>9}{:>8}\n",
        "", "", "", "", "", "lost", "commits", "rejected", "", "boots"
    );
    for row in rows {
        text += &format!(
            "{:<18}{:>6}{:>14}{:>11}{:>8}{:>9}{:>11}{:>10}{:>9}{:>8}\n",
            row.name,
            row.accesses,
            grouped(row.states()),
            grouped(row.distinct),
            row.count(Wrong::Brick),
            row.count(Wrong::LostCommit),
            row.count(Wrong::Unhealthy),
            row.count(Wrong::RejectedGood),
            row.count(Wrong::NeedsHands),
            row.boots
        );
        for example in row.examples.iter().filter(|_| !row.holds()) {
            text += &format!("    {example}\n");
        }
    }
    text
}

/// The table of broken cards.
pub fn broken_cards(tallies: &[(Flow, Slot, Tally)]) -> String {
    let mut text = format!(
        "{:<40}{:>14}{:>9}{:>6}{:>8}{:>10}{:>8}\n",
        "a card that fails without a power cut", "scenario", "flow", "slot", "runs", "noticed", "wrong"
    );
    for (flow, slot, t) in tallies {
        text += &format!(
            "{:<40}{:>14}{:>9}{:>6}{:>8}{:>10}{:>8}\n",
            t.name,
            t.scenario,
            flow.to_string(),
            slot.to_string(),
            t.cases,
            t.noticed,
            t.wrong.len()
        );
        for wrong in t.wrong.iter().take(3) {
            text += &format!("    {wrong}\n");
        }
    }
    text
}

/// The table of mutants.
pub fn mutants(catches: &[Catch]) -> String {
    let mut text = format!("{:<22}{}\n", "wrong on purpose", "given away by");
    for c in catches {
        let name = format!("{:?}", c.mutant);
        let what = match (&c.by, c.mutant.fate()) {
            (Some(by), _) => by.clone(),
            (None, Fate::Harmless(why)) => format!("nothing: {why}"),
            (None, _) => "NOTHING: the harness is blind to it".into(),
        };
        text += &format!("{name:<22}{}\n", shortened(&what));
    }
    text
}

/// All of it for programs.
pub fn json(
    proofs: &[(Flow, Vec<Row>)],
    tallies: &[(Flow, Slot, Tally)],
    catches: &[Catch],
    held: bool,
) -> Value {
    json!({
        "schema": 1,
        "held": held,
        "scenarios": proofs.iter().flat_map(|(flow, rows)| rows.iter().map(move |r| (flow, r))).map(|(flow, r)| json!({
            "flow": flow.to_string(),
            "name": r.name,
            "operations": r.accesses,
            "single": r.single,
            "pairs": r.pairs,
            "distinct": r.distinct,
            "bricks": r.count(Wrong::Brick),
            "lost_commits": r.count(Wrong::LostCommit),
            "unhealthy_commits": r.count(Wrong::Unhealthy),
            "rejected_good": r.count(Wrong::RejectedGood),
            "by_hand": r.count(Wrong::NeedsHands),
            "other": r.count(Wrong::Broken),
            "worst_boots": r.boots,
            "examples": r.examples,
        })).collect::<Vec<_>>(),
        "broken_cards": tallies.iter().map(|(flow, slot, t)| json!({
            "flow": flow.to_string(), "name": t.name, "scenario": t.scenario, "slot": slot.to_string(), "runs": t.cases, "noticed": t.noticed, "wrong": t.wrong,
        })).collect::<Vec<_>>(),
        "mutants": catches.iter().map(|c| json!({
            "name": format!("{:?}", c.mutant), "given_away_by": c.by,
        })).collect::<Vec<_>>(),
    })
}

fn shortened(text: &str) -> String {
    const MOST: usize = 130;
    if text.chars().count() <= MOST {
        return text.into();
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}
