//! Self-tests and health checks that this version may not know: which release is refused for them, and which isn't.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::Release;
use bistable_format::compat::{Incompatible, check_release};
use bistable_format::health::{self, Profile};
use bistable_format::selftest::{At, Need, Plan};
use common::{PLAN, PROFILE, problem, release};

const KNOWN_TEST: &str = "kind = 'command'\nrun = ['/x']";
const UNKNOWN_TEST: &str = "kind = 'camera'\nlens = 2";
const KNOWN_CHECK: &str = "kind = 'unit'\nunit = 'a.service'";
const UNKNOWN_CHECK: &str = "kind = 'dbus'\nname_of = 'a.b'";
const GATE: &str = "[[test]]\nname = 'gate'\nkind = 'command'\nrun = ['/gate']\n";

fn entry(table: &str, kind: &str, need: &str, at: &str) -> String {
    let at = if at.is_empty() { String::new() } else { format!("at = '{at}'\n") };
    format!("[[{table}]]\nname = 'x'\nneed = '{need}'\n{at}{kind}\n")
}

/// An image without components, with these texts.
fn of(self_tests: &str, health: &str) -> Release {
    let release =
        Release { self_tests: self_tests.into(), health: health.into(), bound: vec![].into(), ..release() };
    Release::decode(&release.encode().unwrap()).unwrap()
}

fn unknown(why: &str) -> Incompatible {
    Incompatible::UnknownCheck { name: "x".into(), why: why.into() }
}

#[test]
fn a_required_test_that_would_gate_the_switch_must_be_known() {
    let camera = || vec![unknown("unknown kind \"camera\"")];
    let ungated = || vec![Incompatible::Ungated];
    #[rustfmt::skip]
    let table = [
        // Kind, need, at; reasons beside a known test that gates, and alone.
        (KNOWN_TEST, "required", "", vec![], vec![]),
        (KNOWN_TEST, "required", "both", vec![], vec![]),
        (KNOWN_TEST, "required", "before", vec![], vec![]),
        (KNOWN_TEST, "required", "trial", vec![], ungated()),
        (KNOWN_TEST, "wanted", "both", vec![], vec![]),
        (KNOWN_TEST, "wanted", "before", vec![], vec![]),
        (KNOWN_TEST, "wanted", "trial", vec![], ungated()),
        (UNKNOWN_TEST, "required", "", camera(), camera()),
        (UNKNOWN_TEST, "required", "both", camera(), camera()),
        (UNKNOWN_TEST, "required", "before", camera(), camera()),
        (UNKNOWN_TEST, "required", "trial", vec![], ungated()),
        (UNKNOWN_TEST, "wanted", "both", vec![], ungated()),
        (UNKNOWN_TEST, "wanted", "before", vec![], ungated()),
        (UNKNOWN_TEST, "wanted", "trial", vec![], ungated()),
    ];
    for (kind, need, at, beside, alone) in table {
        let name = format!("{kind:?} {need} {at}");
        let text = entry("test", kind, need, at);
        assert_eq!(check_release(&of(&format!("{GATE}{text}"), "")), beside, "{name}");
        assert_eq!(check_release(&of(&text, "")), alone, "{name} alone");
        let plan = Plan::parse(&text).unwrap();
        let gates = kind == KNOWN_TEST && at != "trial";
        assert_eq!(plan.is_ungated(), !gates, "{name}");
        assert!(!Plan::parse(&format!("{GATE}{text}")).unwrap().is_ungated(), "{name}");
        // The author of a plan gets each mistake.
        let written = Plan::parse_known(&format!("{GATE}{text}"));
        match kind {
            KNOWN_TEST => assert!(written.is_ok(), "{name}"),
            _ => assert_eq!(problem(written), "self-test plan: \"x\": unknown kind \"camera\"", "{name}"),
        }
        assert_eq!(Plan::parse_known(&text).is_ok(), gates, "{name} alone");
    }
}

#[test]
fn a_plan_without_tests_gates_nothing_and_is_allowed() {
    for text in ["", "# none\n"] {
        assert!(!Plan::parse(text).unwrap().is_ungated());
        assert!(Plan::parse_known(text).is_ok());
        assert_eq!(check_release(&of(text, "")), []);
    }
}

#[test]
fn a_required_health_check_before_the_switch_must_be_known() {
    let dbus = || vec![unknown("unknown kind \"dbus\"")];
    let trial_only = || vec![unknown("health checks run on the trial: at is \"trial\"")];
    #[rustfmt::skip]
    let table = [
        // Kind, need, at, reasons, whether its author may write it.
        (KNOWN_CHECK, "required", "", vec![], true),
        (KNOWN_CHECK, "required", "trial", vec![], true),
        (KNOWN_CHECK, "required", "both", trial_only(), false),
        (KNOWN_CHECK, "required", "before", trial_only(), false),
        (KNOWN_CHECK, "wanted", "trial", vec![], true),
        (KNOWN_CHECK, "wanted", "both", vec![], false),
        (KNOWN_CHECK, "wanted", "before", vec![], false),
        (UNKNOWN_CHECK, "required", "", vec![], false),
        (UNKNOWN_CHECK, "required", "trial", vec![], false),
        (UNKNOWN_CHECK, "required", "both", dbus(), false),
        (UNKNOWN_CHECK, "required", "before", dbus(), false),
        (UNKNOWN_CHECK, "wanted", "trial", vec![], false),
        (UNKNOWN_CHECK, "wanted", "both", vec![], false),
        (UNKNOWN_CHECK, "wanted", "before", vec![], false),
    ];
    for (kind, need, at, reasons, may_be_written) in table {
        let text = entry("check", kind, need, at);
        assert_eq!(check_release(&of("", &text)), reasons, "{text}");
        assert_eq!(Profile::parse_known(&text).is_ok(), may_be_written, "{text}");
    }
}

#[test]
fn an_unknown_key_of_a_known_kind_is_an_unknown_kind() {
    let plan =
        Plan::parse(&entry("test", "kind = 'level'\npin = 3\nexpect = 'low'\ndebounce_ms = 3", "wanted", ""));
    let test = plan.unwrap().tests.remove(0);
    assert_eq!((test.kind.name(), test.kind.unknown()), ("level", Some("unknown key \"debounce_ms\"")));
    assert_eq!((test.need, test.at), (Need::Wanted, At::Both));
    assert!(test.kind.pins().is_empty(), "it doesn't run, so it takes no pin");
    let profile =
        Profile::parse(&entry("check", "kind = 'unit'\nunit = 'a.b'\nstate = 'active'", "required", ""));
    let check = profile.unwrap().checks.remove(0);
    assert_eq!((check.kind.name(), check.kind.unknown()), ("unit", Some("unknown key \"state\"")));
    assert_eq!((check.need, check.at), (Need::Required, At::Trial));
    // But a known kind that makes no sense is still refused, and so is a broken frame around an unknown one.
    assert!(Plan::parse("[[test]]\nname = 'x'\nkind = 'level'\npin = 99\nexpect = 'low'").is_err());
    assert!(Plan::parse("[[test]]\nname = 'x'\nkind = 'camera'\nneed = 'perhaps'").is_err());
    assert!(Plan::parse("[[test]]\nname = 'x'\nkind = 'camera'\ntimeout_ms = 0").is_err());
    assert!(Plan::parse("[[test]]\nkind = 'camera'").is_err());
}

#[test]
fn names_of_unknown_kinds_are_short_and_safe_to_print() {
    let kind = format!("\\u001b[2J{}", "k".repeat(500));
    for parsed in [
        Plan::parse(&format!("[[test]]\nname = 'x'\nkind = \"{kind}\"")).unwrap().tests[0]
            .kind
            .unknown()
            .map(String::from),
        Profile::parse(&format!("[[check]]\nname = 'x'\nkind = \"{kind}\"")).unwrap().checks[0]
            .kind
            .unknown()
            .map(String::from),
        Plan::parse(&format!("[[test]]\nname = 'x'\nkind = 'uart'\n\"{kind}\" = 1")).unwrap().tests[0]
            .kind
            .unknown()
            .map(String::from),
    ] {
        let why = parsed.unwrap();
        assert!(why.starts_with("unknown k") && why.len() < 100, "{why}");
        assert!(!why.contains(char::is_control), "{why}");
    }
}

#[test]
fn every_reason_of_a_release_is_given_at_once() {
    let all = Release {
        self_tests: entry("test", UNKNOWN_TEST, "wanted", ""),
        health: entry("check", UNKNOWN_CHECK, "required", "before"),
        ..release()
    };
    let texts: Vec<String> = check_release(&all).iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "its check \"x\" is required before the switch and not known here (unknown kind \"dbus\"): update Bistable first",
            "none of its self-tests can run before the switch here: update Bistable first",
        ]
    );
    assert_eq!(check_release(&of(PLAN, PROFILE)), []);
}

#[test]
fn the_documented_health_kinds_are_all_known() {
    let profile = Profile::parse(PROFILE).unwrap();
    assert!(profile.checks.iter().all(|c| c.kind.unknown().is_none() && c.at == At::Trial));
    assert!(matches!(profile.checks[0].kind, health::Kind::Unit { .. }));
}
