//! The status of a device that lost its memory: what the card and the boot flag still say, what is lost, and the command that
//! repairs it.
use super::{RootFacts, RootStatus};
use crate::ports::Power;
use bistable_boot::{BySlot, Floors, Slot};
use serde::Serialize;

/// What can be known without a journal: gathered by the caller, which does the I/O.
#[derive(Clone, Debug)]
pub struct LostFacts<'a> {
    /// The kind of board, as releases name it.
    pub board: &'a str,
    /// Whether the board has power.
    pub power: Power,
    /// The slot that is running; without power, the one that ran last.
    pub booted: Slot,
    /// The slot that the boot flag names, or why it can't be read.
    pub default: Result<Slot, String>,
    /// The root of trust, or why there is none that may be trusted.
    pub root: Result<RootFacts, String>,
    /// The release stored for each slot, if it is signed as it must be: product and version.
    pub releases: BySlot<Option<(String, String)>>,
    /// The copy of the floors, if one can be read.
    pub floors: Option<Floors>,
    /// Why the journal can't be used.
    pub problem: String,
}

/// A slot, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LostSlot {
    /// The version that it was written from last, or begun to be: not proof that it is complete.
    pub version: Option<String>,
    /// Whether it is running.
    pub booted: bool,
    /// Whether the boot flag names it; `None` if the flag can't be read.
    pub default: Option<bool>,
}

/// The status of a device without a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lost {
    /// The product, if a stored release says so.
    pub product: Option<String>,
    /// The kind of board.
    pub board: String,
    /// Whether the board has power.
    pub power: Power,
    /// Always `lost`.
    pub state: &'static str,
    /// Why the journal can't be used.
    pub problem: String,
    /// The slot that is running; without power, the one that ran last.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub booted: Slot,
    /// The slot that boots when nothing is tried; `None` if the boot flag can't be read.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub default: Option<Slot>,
    /// What is wrong with the boot flag.
    pub default_problem: Option<String>,
    /// The two slots.
    #[cfg_attr(test, schemars(with = "bistable_schema::BySlot<LostSlot>"))]
    pub slots: BySlot<LostSlot>,
    /// The anti-rollback floors, from their copy; `None` if they are lost, too.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Floors>"))]
    pub floors: Option<Floors>,
    /// The root of trust.
    pub root: RootStatus,
    /// What to do next.
    pub advice: String,
}

impl Lost {
    /// What the facts say. Pure: the same facts give the same status.
    pub fn new(facts: LostFacts<'_>) -> Lost {
        let LostFacts { board, power, booted, default, root, releases, floors, problem } = facts;
        let product = |slot: Slot| releases[slot].as_ref().map(|(product, _)| product.clone());
        let slots = BySlot::new(|slot| LostSlot {
            version: releases[slot].as_ref().map(|(_, version)| version.clone()),
            booted: power == Power::On && booted == slot,
            default: default.as_ref().ok().map(|default| *default == slot),
        });
        let advice = advice(booted, default.as_ref().ok().copied(), root.is_ok(), &slots);
        Lost {
            product: product(booted).or(product(!booted)),
            board: board.to_owned(),
            power,
            state: "lost",
            problem,
            booted,
            default: default.as_ref().ok().copied(),
            default_problem: default.err(),
            slots,
            floors,
            root: RootStatus::new(root),
            advice,
        }
    }

    /// The same for a person, one line each.
    pub fn text(&self) -> String {
        let slot = |slot: Slot| {
            let LostSlot { version, booted, default } = &self.slots[slot];
            let version =
                version.as_deref().map_or("an unknown release".into(), |v| format!("written from {v}"));
            let running = if *booted { ", running" } else { "" };
            let default = if *default == Some(true) { ", default" } else { "" };
            format!("slot {slot}: {version}{running}{default}")
        };
        let product = self.product.as_deref().unwrap_or("unknown product");
        let mut lines = vec![format!("{product} on {}", self.board), slot(Slot::A), slot(Slot::B)];
        if let Some(problem) = &self.default_problem {
            lines.push(format!("boot flag: unreadable: {problem}"));
        }
        lines.push(format!("lost: the agent's memory: {}", self.problem));
        lines.push(match &self.floors {
            Some(floors) => format!(
                "anti-rollback floors: kept: security {}, channel {}, root {}",
                floors.security_version, floors.channel_sequence, floors.root_version
            ),
            None => "anti-rollback floors: lost".into(),
        });
        lines.push(match (&self.root.problem, self.root.version) {
            (None, Some(version)) => format!("root of trust: version {version}"),
            (problem, _) => format!("root of trust: {}", problem.as_deref().unwrap_or("none")),
        });
        lines.push(format!("next: {}", self.advice));
        lines.join("\n")
    }
}

fn advice(booted: Slot, default: Option<Slot>, has_root: bool, slots: &BySlot<LostSlot>) -> String {
    if default.is_some_and(|default| default != booted) {
        return format!(
            "slot {booted} runs and is not the default: `systemctl reboot`, or the power, boots the default; \
             then `bistable repair`"
        );
    }
    let mut command = String::from("bistable repair");
    if !has_root {
        command.push_str(" --root-file FILE");
    }
    if slots[booted].version.is_none() {
        command.push_str(" --release FILE");
    }
    format!("the system runs, and nothing is updated until `{command}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> LostFacts<'static> {
        LostFacts {
            board: "pi4",
            power: Power::On,
            booted: Slot::B,
            default: Ok(Slot::B),
            root: Ok(RootFacts { version: 2, demo: false }),
            releases: BySlot { a: None, b: Some(("hub".into(), "1.1.0".into())) },
            floors: Some(Floors { root_version: 2, channel_sequence: 7, security_version: 3, issued_at: 0 }),
            problem: "both journal copies are damaged".into(),
        }
    }

    #[test]
    fn the_advice_names_what_the_repair_needs() {
        type Change = fn(&mut LostFacts<'_>);
        let table: [(&str, Change); 5] = [
            ("until `bistable repair`", |_| {}),
            ("until `bistable repair --release FILE`", |f| f.releases.b = None),
            ("until `bistable repair --root-file FILE`", |f| f.root = Err("gone".into())),
            ("until `bistable repair --root-file FILE --release FILE`", |f| {
                f.root = Err("gone".into());
                f.releases.b = None;
            }),
            ("slot B runs and is not the default", |f| f.default = Ok(Slot::A)),
        ];
        for (words, change) in table {
            let mut facts = facts();
            change(&mut facts);
            let advice = Lost::new(facts).advice;
            assert!(advice.contains(words), "{words:?} is not in {advice}");
        }
    }

    #[test]
    fn it_shows_what_is_known_and_what_is_lost() {
        let text = Lost::new(facts()).text();
        for line in [
            "hub on pi4",
            "slot A: an unknown release",
            "slot B: written from 1.1.0, running, default",
            "anti-rollback floors: kept: security 3, channel 7, root 2",
            "root of trust: version 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in {text}");
        }
        let bare = LostFacts {
            default: Err("torn".into()),
            releases: BySlot { a: None, b: None },
            floors: None,
            root: Err("no root anywhere".into()),
            ..facts()
        };
        let text = Lost::new(bare).text();
        for line in [
            "unknown product on pi4",
            "slot B: an unknown release, running",
            "boot flag: unreadable: torn",
            "anti-rollback floors: lost",
            "root of trust: no root anywhere",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in {text}");
        }
    }
}
