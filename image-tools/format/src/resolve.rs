//! Resolution: which versions of an image and of components fit together, what has to come first, and what is refused, with
//! reasons that a person can read.
//!
//! ```text
//! image (hub 1.4.0) ── binds ──► bound components, which change with it
//!     ▲  requires, conflicts: of each part, by name; an image is called like its product
//!     ▼
//! independent components ── of one that is bound as well, the bound version runs
//! ```
//! An independent component runs while what it requires is there. An offer fits if all that it requires is there and everything that
//! ran before still runs with it.
use crate::{Requires, version::meets};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use semver::{Version, VersionReq};

/// A release that is installed, bound or on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its component; the product for an image.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// What must be there, or must not.
    pub requires: Requires,
    /// Components that it brings along: of an image only.
    pub binds: Vec<Part>,
}

/// What is on a device, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The image of the booted slot, with the components that it binds.
    pub image: Part,
    /// Components that were installed by themselves. Of each name one.
    pub independent: Vec<Part>,
}

/// Where the version of a component that runs is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The image itself.
    Image,
    /// It is bound by the image.
    Bound,
    /// It was installed by itself.
    Independent,
}

/// A part of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// The part.
    pub part: &'a Part,
    /// Where it is from.
    pub origin: Origin,
    /// Why it doesn't fit; nothing if it does. An independent component that doesn't fit doesn't run.
    pub reasons: Vec<Reason>,
}

/// Why something doesn't fit. A `part` is a name and a version: `core 2.0.0`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// What it requires is missing.
    #[error("{part} requires {name} {required}, and {}", found_text(.name, .found.as_ref()))]
    Requires {
        /// What requires it.
        part: String,
        /// The component, or the product for its image.
        name: String,
        /// What is required.
        required: VersionReq,
        /// What there is.
        found: Option<Version>,
    },
    /// What it doesn't go with is there.
    #[error("{part} does not go with {name} {range}, and {name} is {found}")]
    Conflicts {
        /// What doesn't go with it.
        part: String,
        /// The component, or the product for its image.
        name: String,
        /// Versions that don't go with it.
        range: VersionReq,
        /// What there is.
        found: Version,
    },
    /// It can't follow the version that is installed.
    #[error("{part} can only follow a version {required}, and {}: install a version in between first", found_text(.name, .found.as_ref()))]
    Running {
        /// What is to be installed.
        part: String,
        /// Its name.
        name: String,
        /// What has to be installed before.
        required: VersionReq,
        /// What there is.
        found: Option<Version>,
    },
    /// The image says which version runs.
    #[error("{image} brings {part} along: this component changes with the image only")]
    Bound {
        /// The image.
        image: String,
        /// The version that it binds.
        part: String,
    },
    /// It would only fit together with others, which no update installs at once.
    #[error("{part} fits only together with {}: build an image that binds them (`bistable-image build --bind`)", .others.join(", "))]
    Together {
        /// What is to be installed.
        part: String,
        /// The others.
        others: Vec<String>,
    },
    /// An image binds a component twice, or two offers are of the same name.
    #[error("{name} is there twice")]
    Twice {
        /// The name.
        name: String,
    },
}

fn found_text(name: &str, found: Option<&Version>) -> String {
    found.map_or_else(|| format!("there is no {name}"), |version| format!("{name} is {version}"))
}

/// What to install, in this order, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The offers that fit, each after those that it needs.
    pub steps: Vec<Part>,
    /// The others, each with all reasons.
    pub refused: Vec<(Part, Vec<Reason>)>,
}

impl Part {
    /// Name and version.
    pub fn named(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What of its own terms is not met by these versions.
    fn unmet(&self, versions: &BTreeMap<&str, &Version>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (name, required) in &self.requires.components {
            let found = versions.get(name.as_str()).copied();
            if !found.is_some_and(|version| meets(required, version)) {
                reasons.push(Reason::Requires {
                    part: self.named(),
                    name: name.clone(),
                    required: required.clone(),
                    found: found.cloned(),
                });
            }
        }
        for (name, range) in &self.requires.conflicts {
            if let Some(found) = versions.get(name.as_str()).filter(|version| meets(range, version)) {
                reasons.push(Reason::Conflicts {
                    part: self.named(),
                    name: name.clone(),
                    range: range.clone(),
                    found: (*found).clone(),
                });
            }
        }
        reasons
    }
}

impl System {
    /// Every part with what of it doesn't fit. An independent component that the image binds, too, is not among them.
    pub fn statuses(&self) -> Vec<Status<'_>> {
        let bound = |name: &str| self.image.binds.iter().any(|part| part.name == name);
        let mut all: Vec<Status<'_>> = Vec::new();
        let mut push = |part, origin| all.push(Status { part, origin, reasons: Vec::new() });
        push(&self.image, Origin::Image);
        self.image.binds.iter().for_each(|part| push(part, Origin::Bound));
        let independent = self.independent.iter().filter(|part| !bound(&part.name));
        independent.for_each(|part| push(part, Origin::Independent));
        // What doesn't run is missing to others. Each round takes away at least one, or is the last.
        loop {
            let running = all.iter().filter(|s| s.origin != Origin::Independent || s.reasons.is_empty());
            let versions: BTreeMap<&str, &Version> =
                running.map(|s| (s.part.name.as_str(), &s.part.version)).collect();
            let mut changed = false;
            let now: Vec<Vec<Reason>> = all.iter().map(|s| s.part.unmet(&versions)).collect();
            for (status, reasons) in all.iter_mut().zip(now) {
                // Who stopped stays stopped, with the reasons that it had then.
                if status.reasons.is_empty() && !reasons.is_empty() {
                    status.reasons = reasons;
                    changed |= status.origin == Origin::Independent;
                }
            }
            if !changed {
                return all;
            }
        }
    }

    /// Why an image doesn't go with the components that it binds: nothing if it does.
    pub fn bind_problems(image: &Part) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = Vec::new();
        for (i, part) in image.binds.iter().enumerate() {
            if part.name == image.name || image.binds.iter().skip(i + 1).any(|p| p.name == part.name) {
                reasons.push(Reason::Twice { name: part.name.clone() });
            }
        }
        let system = System { image: image.clone(), independent: Vec::new() };
        let bound = |name: &String| *name == image.name || image.binds.iter().any(|p| p.name == *name);
        // What is not bound may be on the device, or not: only the device knows.
        reasons.extend(system.statuses().into_iter().flat_map(|s| s.reasons).filter(|reason| match reason {
            Reason::Requires { name, .. } => bound(name),
            _ => true,
        }));
        reasons
    }

    /// The system with an offer installed.
    fn with(&self, offer: &Part) -> System {
        let mut system = self.clone();
        if offer.name == self.image.name {
            system.image = offer.clone();
        } else {
            system.independent.retain(|part| part.name != offer.name);
            system.independent.push(offer.clone());
        }
        system
    }

    /// Why an offer can't be installed now: nothing if it can.
    pub fn refusal(&self, offer: &Part) -> Vec<Reason> {
        if let Some(bound) = self.image.binds.iter().find(|part| part.name == offer.name) {
            return Vec::from([Reason::Bound { image: self.image.named(), part: bound.named() }]);
        }
        let before = self.statuses();
        let mut reasons = Vec::new();
        if let Some(required) = &offer.requires.running {
            let found = before.iter().find(|s| s.part.name == offer.name).map(|s| &s.part.version);
            if !found.is_some_and(|version| meets(required, version)) {
                reasons.push(Reason::Running {
                    part: offer.named(),
                    name: offer.name.clone(),
                    required: required.clone(),
                    found: found.cloned(),
                });
            }
        }
        let after = self.with(offer);
        let ran = |name: &str| before.iter().any(|s| s.part.name == name && s.reasons.is_empty());
        for status in after.statuses() {
            let name = &status.part.name;
            // What didn't fit before may stay so.
            if *name == offer.name || offer.binds.iter().any(|part| part.name == *name) || ran(name) {
                for reason in status.reasons {
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
        }
        reasons
    }

    /// What of these offers, one of each name, can be installed, and in which order: components before the image, by name, unless
    /// one needs the other before it. Each step leaves everything running that ran before.
    pub fn plan(&self, offers: &[Part]) -> Plan {
        let mut left: Vec<&Part> = offers.iter().collect();
        left.sort_by_key(|offer| (offer.name == self.image.name, &offer.name, &offer.version));
        let (mut system, mut plan) = (self.clone(), Plan::default());
        while let Some(at) = left.iter().position(|offer| system.refusal(offer).is_empty()) {
            let offer = left.remove(at);
            system = system.with(offer);
            plan.steps.push(offer.clone());
            // Of two offers of a name only one is a step.
            left.retain(|other| {
                let is_other = other.name != offer.name;
                if !is_other {
                    let twice = Vec::from([Reason::Twice { name: other.name.clone() }]);
                    plan.refused.push(((*other).clone(), twice));
                }
                is_other
            });
        }
        for offer in &left {
            let mut reasons = system.refusal(offer);
            let others: Vec<&Part> = left.iter().filter(|other| other.name != offer.name).copied().collect();
            let all = others.iter().fold(system.with(offer), |system, other| system.with(other));
            let waits =
                |reason: &Reason| matches!(reason, Reason::Requires { .. } | Reason::Conflicts { .. });
            if !others.is_empty()
                && reasons.iter().all(waits)
                && all.statuses().iter().all(|status| status.reasons.is_empty())
            {
                let others = others.iter().map(|other| other.named()).collect();
                reasons.push(Reason::Together { part: offer.named(), others });
            }
            plan.refused.push(((*offer).clone(), reasons));
        }
        plan
    }
}
