//! Which versions of an image and of components fit together, what comes first, and what is refused and why.
#![allow(clippy::unwrap_used, reason = "tests")]
use bistable_format::Requires;
use bistable_format::resolve::{Origin, Part, Plan, System};
use proptest::prelude::*;
use semver::{Version, VersionReq};
use std::collections::BTreeSet;

/// `core 2.0.0 requires hub >=2, conflicts radio <1, follows ^1`.
fn part(text: &str) -> Part {
    let (named, terms) = text.split_once(' ').map_or((text, ""), |(name, rest)| {
        let end = rest.find(' ').unwrap_or(rest.len());
        (&text[..name.len() + 1 + end], rest[end..].trim_start())
    });
    let (name, version) = named.split_once(' ').unwrap();
    let mut requires = Requires::default();
    for term in terms.split(", ").filter(|term| !term.is_empty()) {
        let (word, rest) = term.split_once(' ').unwrap();
        let req = |text: &str| VersionReq::parse(text).unwrap();
        match (word, rest.split_once(' ')) {
            ("requires", Some((name, range))) => requires.components.push((name.into(), req(range))),
            ("conflicts", Some((name, range))) => requires.conflicts.push((name.into(), req(range))),
            ("follows", None) => requires.running = Some(req(rest)),
            _ => unreachable!("{term}"),
        }
    }
    Part { name: name.into(), version: Version::parse(version).unwrap(), requires, binds: Vec::new() }
}

fn parts(texts: &[&str]) -> Vec<Part> {
    texts.iter().map(|text| part(text)).collect()
}

fn binding(image: &str, bound: &[&str]) -> Part {
    Part { binds: parts(bound), ..part(image) }
}

fn system(image: Part, independent: &[&str]) -> System {
    System { image, independent: parts(independent) }
}

/// Steps, and each refused offer with its reasons.
fn shown(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let refused = plan
        .refused
        .iter()
        .flat_map(|(part, reasons)| reasons.iter().map(move |reason| format!("{}: {reason}", part.named())));
    (plan.steps.iter().map(Part::named).collect(), refused.collect())
}

type Row<'a> = (&'a str, System, Vec<Part>, &'a [&'a str], &'a [&'a str]);

#[test]
fn plans() {
    let hub = |text: &str| system(part(text), &[]);
    let table: &[Row<'_>] = &[
        ("nothing on offer", hub("hub 1.0.0"), vec![], &[], &[]),
        (
            "what needs nothing",
            hub("hub 1.0.0"),
            parts(&["hub 2.0.0", "core 1.0.0"]),
            &["core 1.0.0", "hub 2.0.0"],
            &[],
        ),
        (
            "the image first",
            hub("hub 1.0.0"),
            parts(&["core 2.0.0 requires hub >=2", "hub 2.0.0"]),
            &["hub 2.0.0", "core 2.0.0"],
            &[],
        ),
        (
            "the component first",
            system(part("hub 1.0.0"), &["core 1.0.0"]),
            parts(&["hub 2.0.0 requires core >=2", "core 2.0.0"]),
            &["core 2.0.0", "hub 2.0.0"],
            &[],
        ),
        (
            "one component after another, whatever their names",
            hub("hub 1.0.0"),
            parts(&["a 1.0.0 requires b ^1", "b 1.0.0 requires c ^1", "c 1.0.0"]),
            &["c 1.0.0", "b 1.0.0", "a 1.0.0"],
            &[],
        ),
        (
            "what is missing",
            hub("hub 1.4.0"),
            parts(&["core 2.0.0 requires hub >=2, requires radio ^1"]),
            &[],
            &[
                "core 2.0.0: core 2.0.0 requires hub >=2, and hub is 1.4.0",
                "core 2.0.0: core 2.0.0 requires radio ^1, and there is no radio",
            ],
        ),
        (
            "what is there doesn't go with it",
            system(part("hub 1.0.0"), &["core 1.9.0 requires hub ^1"]),
            parts(&["hub 2.0.0"]),
            &[],
            &["hub 2.0.0: core 1.9.0 requires hub ^1, and hub is 2.0.0"],
        ),
        (
            "conflicts both ways",
            system(part("hub 1.0.0"), &["radio 1.0.0 conflicts panel >=2"]),
            parts(&["core 2.0.0 conflicts radio <2", "panel 2.0.0"]),
            &[],
            &[
                "core 2.0.0: core 2.0.0 does not go with radio <2, and radio is 1.0.0",
                "panel 2.0.0: radio 1.0.0 does not go with panel >=2, and panel is 2.0.0",
            ],
        ),
        (
            "an update of what is in the way comes first",
            system(part("hub 1.0.0"), &["radio 1.0.0"]),
            parts(&["core 2.0.0 conflicts radio <2", "radio 2.0.0"]),
            &["radio 2.0.0", "core 2.0.0"],
            &[],
        ),
        (
            "a step in between",
            system(part("hub 1.0.0"), &["core 1.0.0"]),
            parts(&["core 3.0.0 follows ^2"]),
            &[],
            &[
                "core 3.0.0: core 3.0.0 can only follow a version ^2, and core is 1.0.0: install a version in between first",
            ],
        ),
        (
            "a component that the image binds",
            system(binding("hub 1.0.0", &["core 1.0.0"]), &[]),
            parts(&["core 2.0.0"]),
            &[],
            &["core 2.0.0: hub 1.0.0 brings core 1.0.0 along: this component changes with the image only"],
        ),
        (
            "an image with its components",
            system(part("hub 1.0.0"), &["core 1.0.0 requires hub ^1"]),
            vec![binding("hub 2.0.0 requires core ^2", &["core 2.0.0 requires hub ^2"])],
            &["hub 2.0.0"],
            &[],
        ),
        (
            "an image that binds too little",
            system(part("hub 1.0.0"), &["radio 1.0.0 requires core ^1", "core 1.0.0"]),
            vec![binding("hub 2.0.0", &["core 2.0.0"])],
            &[],
            &["hub 2.0.0: radio 1.0.0 requires core ^1, and core is 2.0.0"],
        ),
        (
            "an image that no longer binds what another needs",
            system(binding("hub 1.0.0", &["core 1.0.0"]), &["radio 1.0.0 requires core ^1"]),
            parts(&["hub 2.0.0"]),
            &[],
            &["hub 2.0.0: radio 1.0.0 requires core ^1, and there is no core"],
        ),
        (
            "two that need each other",
            system(part("hub 1.0.0"), &["core 1.0.0 requires hub ^1"]),
            parts(&["hub 2.0.0 requires core ^2", "core 2.0.0 requires hub ^2"]),
            &[],
            &[
                "core 2.0.0: core 2.0.0 requires hub ^2, and hub is 1.0.0",
                "core 2.0.0: core 2.0.0 fits only together with hub 2.0.0: build an image that binds them (`bistable-image build --bind`)",
                "hub 2.0.0: hub 2.0.0 requires core ^2, and core is 1.0.0",
                "hub 2.0.0: core 1.0.0 requires hub ^1, and hub is 2.0.0",
                "hub 2.0.0: hub 2.0.0 fits only together with core 2.0.0: build an image that binds them (`bistable-image build --bind`)",
            ],
        ),
        (
            "two offers of a name: the older is taken, and the newer another time",
            hub("hub 1.0.0"),
            parts(&["core 2.0.0", "core 1.0.0"]),
            &["core 1.0.0"],
            &["core 2.0.0: core is there twice"],
        ),
        (
            "what didn't fit before stops nothing else",
            system(part("hub 1.0.0"), &["radio 1.0.0 requires modem ^1"]),
            parts(&["core 1.0.0", "hub 1.1.0"]),
            &["core 1.0.0", "hub 1.1.0"],
            &[],
        ),
    ];
    for (name, system, offers, steps, refused) in table {
        let plan = system.plan(offers);
        let (found_steps, found_refused) = shown(&plan);
        assert_eq!(
            (&found_steps[..], &found_refused[..]),
            (&to_strings(steps)[..], &to_strings(refused)[..]),
            "{name}"
        );
        let mut turned = offers.clone();
        turned.reverse();
        assert_eq!(system.plan(&turned), plan, "{name}: in any order");
    }
}

fn to_strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn an_independent_component_runs_while_the_booted_image_has_what_it_requires() {
    let image = binding("hub 2.0.0", &["core 2.0.0"]);
    let system = system(
        image,
        &[
            "core 1.9.0",
            "radio 1.0.0 requires hub ^1",
            "panel 1.0.0 requires radio ^1",
            "scheduler 1.0.0 requires core ^2",
        ],
    );
    let found: Vec<(String, Origin, Vec<String>)> = system
        .statuses()
        .into_iter()
        .map(|s| (s.part.named(), s.origin, s.reasons.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(
        found,
        [
            ("hub 2.0.0".into(), Origin::Image, vec![]),
            // The bound version, and not the independent one.
            ("core 2.0.0".into(), Origin::Bound, vec![]),
            (
                "radio 1.0.0".into(),
                Origin::Independent,
                to_strings(&["radio 1.0.0 requires hub ^1, and hub is 2.0.0"])
            ),
            // What doesn't run is not there for others.
            (
                "panel 1.0.0".into(),
                Origin::Independent,
                to_strings(&["panel 1.0.0 requires radio ^1, and there is no radio"])
            ),
            ("scheduler 1.0.0".into(), Origin::Independent, vec![]),
        ]
    );
}

#[test]
fn an_image_and_what_it_binds_fit_together_or_are_not_built() {
    let problems = |image: &Part| -> Vec<String> {
        System::bind_problems(image).iter().map(ToString::to_string).collect()
    };
    for (image, wrong) in [
        (
            binding(
                "hub 2.0.0 requires core ^2",
                &["core 2.0.0 requires hub ^2", "radio 1.0.0 requires core >=1"],
            ),
            &[][..],
        ),
        // What is not bound may be on the device.
        (binding("hub 2.0.0 requires modem ^1", &["core 2.0.0 requires bootloader >=3"]), &[]),
        (
            binding("hub 2.0.0", &["core 2.0.0 requires hub ^3"]),
            &["core 2.0.0 requires hub ^3, and hub is 2.0.0"],
        ),
        (
            binding("hub 2.0.0 requires core ^3", &["core 2.0.0"]),
            &["hub 2.0.0 requires core ^3, and core is 2.0.0"],
        ),
        (
            binding("hub 2.0.0 conflicts core <3", &["core 2.0.0"]),
            &["hub 2.0.0 does not go with core <3, and core is 2.0.0"],
        ),
        (
            binding("hub 2.0.0", &["core 2.0.0", "radio 1.0.0 conflicts core ^2"]),
            &["radio 1.0.0 does not go with core ^2, and core is 2.0.0"],
        ),
        (binding("hub 2.0.0", &["core 2.0.0", "core 2.1.0"]), &["core is there twice"]),
        (binding("hub 2.0.0", &["hub 2.0.0"]), &["hub is there twice"]),
    ] {
        assert_eq!(problems(&image), wrong, "{image:?}");
    }
}

fn any_requires() -> impl Strategy<Value = Requires> {
    let name = || prop::sample::select(vec!["hub", "core", "radio", "panel"]);
    let range = || prop::sample::select(vec!["=1", "=2", ">=2", "<3", "=3"]);
    let term = move || {
        (name(), range()).prop_map(|(name, range)| (name.to_owned(), VersionReq::parse(range).unwrap()))
    };
    let terms = move || prop::collection::vec(term(), 0..2);
    (terms(), terms(), prop::option::weighted(0.2, range())).prop_map(|(components, conflicts, running)| {
        Requires { components, conflicts, running: running.map(|range| VersionReq::parse(range).unwrap()) }
    })
}

fn any_part(name: &'static str) -> impl Strategy<Value = Part> {
    (1_u64..4, any_requires()).prop_map(move |(major, requires)| Part {
        name: name.into(),
        version: Version::new(major, 0, 0),
        requires,
        binds: Vec::new(),
    })
}

/// Some of these components.
fn any_parts() -> impl Strategy<Value = Vec<Part>> {
    let one = |name| prop::option::of(any_part(name));
    (one("core"), one("radio"), one("panel")).prop_map(|(a, b, c)| [a, b, c].into_iter().flatten().collect())
}

fn any_image() -> impl Strategy<Value = Part> {
    let binds = prop_oneof![3 => Just(Vec::new()), 1 => any_parts()];
    (any_part("hub"), binds).prop_map(|(image, binds)| Part { binds, ..image })
}

fn any_system() -> impl Strategy<Value = System> {
    (any_image(), any_parts()).prop_map(|(image, independent)| System { image, independent })
}

/// What runs.
fn running(system: &System) -> BTreeSet<String> {
    system.statuses().into_iter().filter(|s| s.reasons.is_empty()).map(|s| s.part.name.clone()).collect()
}

fn install(system: &System, step: &Part) -> System {
    let mut next = system.clone();
    if step.name == next.image.name {
        next.image = step.clone();
    } else {
        next.independent.retain(|part| part.name != step.name);
        next.independent.push(step.clone());
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_plan_keeps_everything_running_and_refuses_with_a_reason(
        start in any_system(), image in prop::option::of(any_image()), components in any_parts(),
    ) {
        let offers: Vec<Part> = components.into_iter().chain(image).collect();
        let plan = start.plan(&offers);
        prop_assert_eq!(plan.steps.len() + plan.refused.len(), offers.len(), "each offer has an answer");
        let mut at = start;
        for step in &plan.steps {
            let before = running(&at);
            let next = install(&at, step);
            let after = running(&next);
            let unbound: BTreeSet<String> = at.image.binds.iter().map(|part| part.name.clone()).collect();
            prop_assert!(after.contains(&step.name), "{:?} runs", step);
            for name in before.difference(&after) {
                // An image may leave a component out that it brought along; then none of it is there at all.
                prop_assert!(unbound.contains(name) && next.statuses().iter().all(|s| s.part.name != *name), "{}", name);
            }
            let from = at.statuses().into_iter().find(|s| s.part.name == step.name).map(|s| s.part.version.clone());
            if let Some(required) = &step.requires.running {
                prop_assert!(from.is_some_and(|from| required.matches(&from)));
            }
            at = next;
        }
        for (offer, reasons) in &plan.refused {
            prop_assert!(!reasons.is_empty());
            prop_assert!(!at.refusal(offer).is_empty(), "{:?} would fit", offer);
            for reason in reasons {
                prop_assert!(bistable_format::text::is_printable(&reason.to_string(), &[]));
            }
        }
        // Nothing is left to do.
        let refused: Vec<Part> = plan.refused.iter().map(|(part, _)| part.clone()).collect();
        prop_assert!(at.plan(&refused).steps.is_empty());
    }

    #[test]
    fn what_runs_has_all_that_it_requires(mut system in any_system()) {
        // An image runs, whatever it requires.
        let image = std::iter::once(&mut system.image.requires);
        image.chain(system.image.binds.iter_mut().map(|p| &mut p.requires)).for_each(|r| *r = Requires::default());
        let runs: Vec<Part> =
            system.statuses().into_iter().filter(|s| s.reasons.is_empty()).map(|s| s.part.clone()).collect();
        for part in &runs {
            for (name, required) in &part.requires.components {
                prop_assert!(runs.iter().any(|p| p.name == *name && required.matches(&p.version)), "{:?}", part);
            }
        }
    }
}
