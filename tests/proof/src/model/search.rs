//! The search, and the shortest way to what must not be.
use super::{Model, machine::Machine, steps::Step};
use bistable_boot::Slot;
use stateright::{Checker, Expectation, HasDiscoveries, Model as _, Path};
use std::{collections::HashMap, fmt};

/// What a property came to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The property.
    pub name: &'static str,
    /// Whether it must always hold, or only be possible.
    pub must: Expectation,
    /// The slot that the factory filled, on that way.
    pub from: Option<Slot>,
    /// The way to a state that shows it: a counterexample, or an example. The shortest, for a counterexample.
    pub way: Option<Vec<Step>>,
}

impl Finding {
    /// Whether it is as it must be.
    pub fn holds(&self) -> bool {
        match self.must {
            Expectation::Always => self.way.is_none(),
            Expectation::Sometimes | Expectation::Eventually => self.way.is_some(),
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Different states.
    pub unique: usize,
    /// Transitions taken.
    pub generated: usize,
    /// Steps to the farthest state.
    pub depth: usize,
    /// One for each property.
    pub findings: Vec<Finding>,
}

impl Found {
    /// Whether all properties hold.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

type Ways = HashMap<&'static str, Path<Machine, Step>>;

/// Look at every state that can be reached.
pub fn search(model: Model, threads: usize) -> Found {
    // Never done before all was seen: counterexamples must not end it, and examples can't.
    let checker = model.checker().threads(threads.max(1)).spawn_bfs().join();
    let mut ways = checker.discoveries();
    let findings = model
        .properties()
        .iter()
        .map(|property| {
            let way = ways.remove(property.name);
            let way = match property.expectation {
                Expectation::Always => way.map(|way| shortest(model, property.name, way)),
                Expectation::Sometimes | Expectation::Eventually => way,
            };
            Finding {
                name: property.name,
                must: property.expectation.clone(),
                from: way.as_ref().and_then(|way| way.clone().into_states().first()?.flag().default_slot()),
                way: way.map(Path::into_actions),
            }
        })
        .collect();
    Found {
        unique: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth().saturating_sub(1),
        findings,
    }
}

/// The checker reports the last counterexample that it met: search again, less deep, until there is none.
fn shortest(model: Model, name: &'static str, mut way: Path<Machine, Step>) -> Path<Machine, Step> {
    loop {
        let states = way.clone().into_states().len();
        // States at that depth are not looked at any more.
        let shallow = model.checker().threads(1).target_max_depth(states);
        let mut ways: Ways =
            shallow.finish_when(HasDiscoveries::AnyOf([name].into())).spawn_bfs().join().discoveries();
        match ways.remove(name) {
            Some(shorter) => way = shorter,
            None => return way,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds() { '✓' } else { '✗' };
        match self.must {
            Expectation::Always => write!(f, "{mark} always: {}", self.name)?,
            Expectation::Sometimes | Expectation::Eventually => write!(f, "{mark} can be: {}", self.name)?,
        }
        match (&self.way, self.from) {
            (Some(way), Some(slot)) if !self.holds() => {
                write!(f, "\n       a new device, whose system is in slot {slot}")?;
                (1..).zip(way).try_for_each(|(n, step): (usize, _)| write!(f, "\n  {n:>3}. {step}"))
            }
            _ => Ok(()),
        }
    }
}
