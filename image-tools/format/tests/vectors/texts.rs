//! Self-test plans and health profiles, as their authors get to see it.
use crate::common;
use crate::errors::{Section, section};
use bistable_format::health::Profile;
use bistable_format::limits;
use bistable_format::selftest::Plan;

pub(crate) fn plan() -> Section {
    let good = common::PLAN.to_owned();
    let test = |text: &str| format!("[[test]]\nname = 'x'\n{text}");
    section(
        "self-test plan",
        &good,
        |text: &String| Plan::parse_known(text).map(drop),
        &[&["Decode::TooLarge", "Decode::Invalid"]],
        vec![
            ("over-the-limit", "#".repeat(limits::PLAN + 1)),
            ("not-TOML", "[[test".into()),
            ("unknown-table", "[[tests]]\nname = 'x'".into()),
            ("without-a-name", "[[test]]\nkind = 'command'\nrun = ['/x']".into()),
            ("without-a-kind", test("")),
            ("unknown-kind", test("kind = 'camera'")),
            ("unknown-key", test("kind = 'level'\npin = 1\nexpect = 'low'\ndebounce = 3")),
            ("key-of-another-kind", test("kind = 'level'\npin = 1\nexpect = 'low'\nhz = 3")),
            ("missing-key", test("kind = 'level'\npin = 1")),
            ("need-of-an-unknown-word", test("kind = 'command'\nrun = ['/x']\nneed = 'maybe'")),
            ("at-of-an-unknown-word", test("kind = 'command'\nrun = ['/x']\nat = 'after'")),
            ("timeout-zero", test("kind = 'command'\nrun = ['/x']\ntimeout_ms = 0")),
            ("pin-that-no-board-has", test("kind = 'level'\npin = 58\nexpect = 'low'")),
            ("pin-twice", test("kind = 'loopback'\nout = 4\nin = 4")),
            (
                "pulse-window-longer-than-its-timeout",
                test("kind = 'pulse'\npin = 4\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 9000"),
            ),
            ("command-relative", test("kind = 'command'\nrun = ['x']")),
            ("address-reserved", test("kind = 'i2c'\nbus = 1\naddress = 3")),
            ("device-outside-dev", test("kind = 'uart'\ndevice = '/dev/../etc/passwd'")),
            ("baud-unusual", test("kind = 'uart'\ndevice = '/dev/serial0'\nbaud = 7")),
            ("nothing-gates-the-flag", test("kind = 'command'\nrun = ['/x']\nat = 'trial'")),
        ],
    )
}

pub(crate) fn profile() -> Section {
    let good = common::PROFILE.to_owned();
    let check = |text: &str| format!("[[check]]\nname = 'x'\n{text}");
    section(
        "health profile",
        &good,
        |text: &String| Profile::parse_known(text).map(drop),
        &[&["Decode::TooLarge", "Decode::Invalid"]],
        vec![
            ("over-the-limit", "#".repeat(limits::PLAN + 1)),
            ("not-TOML", "deadline_s =".into()),
            ("unknown-key", "deadlines = 4".into()),
            ("deadline-zero", "deadline_s = 0".into()),
            ("deadline-over-an-hour", "deadline_s = 3601".into()),
            ("settles-after-the-deadline", "deadline_s = 5\nsettle_s = 5".into()),
            ("unknown-kind", check("kind = 'dbus'")),
            ("unknown-key-of-a-check", check("kind = 'unit'\nunit = 'a.b'\nstate = 'active'")),
            ("before-the-switch", check("kind = 'unit'\nunit = 'a.b'\nat = 'before'")),
            (
                "name-twice",
                check("kind = 'unit'\nunit = 'a.b'\n[[check]]\nname = 'x'\nkind = 'unit'\nunit = 'a.b'"),
            ),
            ("address-of-another-scheme", check("kind = 'http'\nurl = 'https://a'")),
            ("status-of-none", check("kind = 'http'\nurl = 'http://a'\nstatus = 99")),
            ("unit-without-a-suffix", check("kind = 'unit'\nunit = 'app'")),
            ("command-of-nothing", check("kind = 'command'\nrun = []")),
        ],
    )
}
