//! Self-test plans and health profiles: what they mean, and how they are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::health::{self, DEADLINE_MAX_S, Profile, SelfTests};
use bistable_format::selftest::{self, At, Level, Need, Pin, Plan, Pull, TIMEOUT_MAX_MS, Test};
use bistable_format::{DecodeError, limits};
use common::{BUSES, PLAN, PROFILE, problem};

#[test]
fn a_plan_of_each_kind() {
    use selftest::Kind::{Command, Level as Lvl, Loopback, Pulse};
    let plan = Plan::parse(PLAN).unwrap();
    let test =
        |name: &str, need, timeout_ms, kind| Test { name: name.into(), need, at: At::Both, timeout_ms, kind };
    let run = vec!["/usr/bin/modem-check".into(), "--quick".into()];
    let expected = [
        test("relay", Need::Required, 5000, Loopback { out: Pin(17), input: Pin(27) }),
        test("door-contact", Need::Wanted, 5000, Lvl { pin: Pin(22), pull: Pull::Up, expect: Level::Low }),
        test("fan", Need::Required, 5000, Pulse { pin: Pin(24), min_hz: 20, max_hz: 200, window_ms: 500 }),
        test("modem", Need::Required, 10000, Command { run }),
    ];
    assert_eq!(plan.tests, expected);
    let names: Vec<&str> = plan.tests.iter().map(|t| t.kind.name()).collect();
    assert_eq!(names, ["loopback", "level", "pulse", "command"]);
    assert_eq!(plan.tests[0].kind.pins(), [Pin(17), Pin(27)]);
    assert_eq!(Plan::parse(""), Ok(Plan::default()));
    assert_eq!(Plan::parse("# nothing but a comment\n"), Ok(Plan::default()));
}

#[test]
fn a_plan_of_buses() {
    use selftest::Kind::{I2c, Spi, Uart};
    let plan = Plan::parse(BUSES).unwrap();
    let test =
        |name: &str, need, timeout_ms, kind| Test { name: name.into(), need, at: At::Both, timeout_ms, kind };
    let expected = [
        test("thermometer", Need::Required, 5000, I2c { bus: 1, address: 0x48 }),
        test("spi-header", Need::Wanted, 5000, Spi { bus: 0, select: 1, hz: 1_000_000 }),
        test("radio", Need::Required, 5000, Spi { bus: 6, select: 15, hz: 500_000 }),
        test("rs232", Need::Required, 900, Uart { device: "/dev/serial0".into(), baud: 115_200 }),
        test("meter", Need::Required, 5000, Uart { device: "/dev/ttyAMA3".into(), baud: 9600 }),
    ];
    assert_eq!(plan.tests, expected);
    let names: Vec<&str> = plan.tests.iter().map(|t| t.kind.name()).collect();
    assert_eq!(names, ["i2c", "spi", "spi", "uart", "uart"]);
    assert!(plan.tests.iter().all(|t| t.kind.pins().is_empty()), "buses are no pins");
}

#[test]
fn edges_of_a_plan_are_allowed() {
    let good = [
        "kind = 'i2c'\nbus = 0\naddress = 8",
        "kind = 'i2c'\nbus = 255\naddress = 0x77",
        "kind = 'spi'\nbus = 0\nselect = 0\nhz = 10000",
        "kind = 'spi'\nbus = 6\nselect = 15\nhz = 125000000",
        "kind = 'uart'\ndevice = '/dev/ttyUSB0'\nbaud = 300",
        "kind = 'uart'\ndevice = '/dev/serial/by-id/usb-FTDI_A.b:1+2@3-if00'\nbaud = 4000000",
        "kind = 'level'\npin = 0\nexpect = 'high'",
        "kind = 'level'\npin = 57\nexpect = 'low'\npull = 'none'",
        "kind = 'level'\npin = 5\nexpect = 'low'\npull = 'down'\nneed = 'required'",
        "kind = 'pulse'\npin = 5\nmin_hz = 0\nmax_hz = 0\nwindow_ms = 1",
        "kind = 'pulse'\npin = 5\nmin_hz = 7\nmax_hz = 4294967295\nwindow_ms = 300000\ntimeout_ms = 300000",
        "kind = 'command'\nrun = ['/bin/true']\ntimeout_ms = 1",
        "kind = 'command'\nrun = ['/bin/echo', '', '; rm -rf /', \"\\u001b\"]",
    ];
    for text in good {
        let parsed = Plan::parse(&format!("[[test]]\nname = 'x'\n{text}"));
        assert!(parsed.is_ok(), "{text}: {parsed:?}");
    }
    let many: String =
        (0..64).map(|i| format!("[[test]]\nname='t{i}'\nkind='command'\nrun=['/x']\n")).collect();
    assert_eq!(Plan::parse(&many).unwrap().tests.len(), limits::TESTS);
}

#[test]
fn each_problem_of_a_plan_is_named() {
    let command = "kind = 'command'\nrun = ['/x']";
    #[rustfmt::skip]
    let entries = [
        // One entry called x, and what is said about it.
        ("", "\"x\": kind is missing"),
        ("kind = 5", "\"x\": kind is missing"),
        ("kind = 'magic'", "\"x\": unknown kind \"magic\""),
        ("kind = 'Level'", "\"x\": unknown kind \"Level\""),
        ("kind = \"\\u001b[2J\"", r#"unknown kind "\u{1b}[2J""#),
        ("kind = 'loopback'\nout = 1", "\"x\": missing field `in`"),
        ("kind = 'loopback'\nin = 1", "\"x\": missing field `out`"),
        ("kind = 'loopback'\nout = 1\nin = 1", "GPIO1 is named twice, by \"x\" and by \"x\""),
        ("kind = 'loopback'\nout = 1\nin = 2\npull = 'up'", "\"x\": a loopback has no key pull; it has out, in"),
        ("kind = 'level'\npin = 1", "\"x\": missing field `expect`"),
        ("kind = 'level'\npin = 58\nexpect = 'low'", "test \"x\": there is no GPIO58"),
        ("kind = 'level'\npin = 256\nexpect = 'low'", "\"x\": "),
        ("kind = 'level'\npin = -1\nexpect = 'low'", "\"x\": "),
        ("kind = 'level'\npin = '1'\nexpect = 'low'", "\"x\": "),
        ("kind = 'level'\npin = 1\nexpect = 'LOW'", "\"x\": unknown variant `LOW`"),
        ("kind = 'level'\npin = 1\nexpect = 'low'\npull = 'sideways'", "\"x\": unknown variant `sideways`"),
        ("kind = 'level'\npin = 1\nexpect = 'low'\nexpected = 'low'", "\"x\": unknown key \"expected\""),
        ("kind = 'level'\npin = 1\nexpect = 'low'\nmin_hz = 3", "\"x\": a level has no key min_hz"),
        ("kind = 'pulse'\npin = 1\nmin_hz = 3\nmax_hz = 2\nwindow_ms = 9", "test \"x\": min_hz 3 is above max_hz 2"),
        ("kind = 'pulse'\npin = 1\nmin_hz = 1\nmax_hz = 2", "\"x\": missing field `window_ms`"),
        ("kind = 'pulse'\npin = 1\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 0", "test \"x\": window_ms 0 must be at least 1"),
        ("kind = 'pulse'\npin = 1\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 5001", "window_ms 5001 must be at least 1 and within timeout_ms 5000"),
        ("kind = 'pulse'\npin = 1\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 99\ntimeout_ms = 98", "within timeout_ms 98"),
        ("kind = 'pulse'\npin = 58\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 9", "there is no GPIO58"),
        ("kind = 'command'", "\"x\": missing field `run`"),
        ("kind = 'command'\nrun = []", "test \"x\": run is empty"),
        ("kind = 'command'\nrun = ['true']", "test \"x\": \"true\" is not an absolute path"),
        ("kind = 'command'\nrun = ['./true']", "\"./true\" is not an absolute path"),
        ("kind = 'command'\nrun = ['']", "\"\" is not an absolute path"),
        ("kind = 'command'\nrun = '/bin/true'", "\"x\": "),
        ("kind = 'command'\nrun = [\"/bin/true\", \"a\\u0000b\"]", "an argument has a NUL"),
        ("kind = 'command'\nrun = ['/x']\nshell = true", "\"x\": unknown key \"shell\""),
        ("kind = 'command'\nrun = ['/x']\n\"\\u001b[2J\" = 1", r#"unknown key "\u{1b}[2J""#),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = 0", "test \"x\": timeout_ms is a number of milliseconds from 1 to 300000"),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = 300001", "from 1 to 300000"),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = -5", "from 1 to 300000"),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = 4294967297", "from 1 to 300000"),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = 1.5", "from 1 to 300000"),
        ("kind = 'command'\nrun = ['/x']\nneed = 'maybe'", "test \"x\": need is \"required\" or \"wanted\""),
        ("kind = 'command'\nrun = ['/x']\nneed = true", "need is \"required\" or \"wanted\""),
        ("kind = 'command'\nrun = ['/x']\nat = 'after'", "test \"x\": at is \"both\", \"before\" or \"trial\""),
        ("kind = 'command'\nrun = ['/x']\nat = 1", "at is \"both\", \"before\" or \"trial\""),
        ("kind = 'command'\nrun = ['/x']\nat = 'trial'", "no test runs before the boot flag is touched"),
        ("kind = 'i2c'\nbus = 1", "\"x\": missing field `address`"),
        ("kind = 'i2c'\naddress = 8", "\"x\": missing field `bus`"),
        ("kind = 'i2c'\nbus = 1\naddress = 7", "test \"x\": address 0x07 must be from 0x08 to 0x77"),
        ("kind = 'i2c'\nbus = 1\naddress = 0x78", "address 0x78 must be from 0x08 to 0x77"),
        ("kind = 'i2c'\nbus = 1\naddress = 0x148", "\"x\": "),
        ("kind = 'i2c'\nbus = 1\naddress = '0x48'", "\"x\": "),
        ("kind = 'i2c'\nbus = 256\naddress = 0x48", "\"x\": "),
        ("kind = 'i2c'\nbus = 1\naddress = 0x48\nselect = 0", "\"x\": a i2c has no key select; it has bus, address"),
        ("kind = 'I2C'\nbus = 1\naddress = 0x48", "\"x\": unknown kind \"I2C\""),
        ("kind = 'spi'\nbus = 1", "\"x\": missing field `select`"),
        ("kind = 'spi'\nbus = 7\nselect = 0", "test \"x\": bus 7 must be from 0 to 6"),
        ("kind = 'spi'\nbus = 0\nselect = 16", "test \"x\": select 16 must be from 0 to 15"),
        ("kind = 'spi'\nbus = 0\nselect = 0\nhz = 9999", "test \"x\": hz 9999 must be from 10000 to 125000000"),
        ("kind = 'spi'\nbus = 0\nselect = 0\nhz = 125000001", "hz 125000001 must be from"),
        ("kind = 'spi'\nbus = 0\nselect = 0\nspeed = 1", "\"x\": unknown key \"speed\""),
        ("kind = 'spi'\nbus = 0\nselect = 0\nbaud = 9600", "\"x\": a spi has no key baud; it has bus, select, hz"),
        ("kind = 'uart'", "\"x\": missing field `device`"),
        ("kind = 'uart'\ndevice = '/dev/serial0'\nbaud = 115201", "test \"x\": baud 115201 is not a usual rate"),
        ("kind = 'uart'\ndevice = '/dev/serial0'\nbaud = 0", "test \"x\": baud 0 is not a usual rate"),
        ("kind = 'uart'\ndevice = '/dev/serial0'\nparity = 'even'", "\"x\": unknown key \"parity\""),
        ("kind = 'uart'\ndevice = 'serial0'", "test \"x\": \"serial0\" is not a device such as /dev/serial0"),
        ("kind = 'uart'\ndevice = '/dev/'", "\"/dev/\" is not a device"),
        ("kind = 'uart'\ndevice = '/dev/../etc/passwd'", "is not a device"),
        ("kind = 'uart'\ndevice = '/dev/./x'", "is not a device"),
        ("kind = 'uart'\ndevice = '/dev//x'", "is not a device"),
        ("kind = 'uart'\ndevice = '/dev/x/'", "is not a device"),
        ("kind = 'uart'\ndevice = '/dev/a b'", "is not a device"),
        ("kind = 'uart'\ndevice = \"/dev/\\u001b[2J\"", r#""/dev/\u{1b}[2J" is not a device"#),
        ("kind = 'uart'\ndevice = '/dev/ttyaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "is not a device"),
    ];
    assert_eq!(TIMEOUT_MAX_MS, 300_000);
    for (entry, expected) in entries {
        let text = problem(Plan::parse_known(&format!("[[test]]\nname = 'x'\n{entry}")));
        assert!(text.starts_with("self-test plan: ") && text.contains(expected), "{entry}: {text}");
    }
    let level =
        |name: &str, pin: u8| format!("[[test]]\nname='{name}'\nkind='level'\npin={pin}\nexpect='low'\n");
    #[rustfmt::skip]
    let plans = [
        (format!("[[test]]\n{command}"), "test 1 has no name"),
        (format!("[[test]]\nname='x'\n{command}\n[[test]]\nname=7\n{command}"), "test 2 has no name"),
        (format!("[[test]]\nname='X y'\n{command}"), "\"X y\" is not a name"),
        (format!("[[test]]\nname='x'\n{command}\n[[test]]\nname='x'\n{command}"), "two tests are called \"x\""),
        (format!("{}{}", level("a", 9), level("b", 9)), "GPIO9 is named twice, by \"a\" and by \"b\""),
        (format!("[[test]]\nname='a'\nkind='loopback'\nout=4\nin=9\n{}", level("b", 9)), "GPIO9 is named twice, by \"a\" and by \"b\""),
        ((0..65).map(|i| format!("[[test]]\nname='t{i}'\n{command}\n")).collect(), "65 tests, more than 64"),
        ("test = 5".into(), "line 1: "),
        ("\n\n[[tests]]\nname='x'".into(), "line 3: unknown field `tests`"),
        ("[[test]]\nname = 'x'\n\nkind = \n".into(), "line 4: "),
        ("[[test]]\nname = 'x'\nname = 'y'".into(), "line 3: duplicate key"),
        ("[[test]]\r\nname = 'x'\r\nkind".into(), "line 3: "),
        ("# \u{e4}\u{f6}\u{fc} \u{1f98a}\n\n\u{1f98a} = ".into(), "line 3: "),
        ("[test]\nname='x'".into(), "line 1: "),
        ("\"\\u001b[2J\" = 1".into(), r"unknown field `\u{1b}[2J`"),
        ("[[test]]\nname='x'\nkind='level'\npin=1\nexpect=\"\\n\\u0007\"".into(), r"unknown variant `\n\u{7}`"),
    ];
    for (text, expected) in plans {
        let said = problem(Plan::parse(&text));
        assert!(said.starts_with("self-test plan: ") && said.contains(expected), "{text}: {said}");
        assert!(!said.contains(char::is_control), "safe to print, and one line: {said}");
    }
}

#[test]
fn text_is_limited() {
    let text = "#".repeat(limits::PLAN);
    assert!(Plan::parse(&text).is_ok() && Profile::parse(&text).is_ok());
    let text = "#".repeat(limits::PLAN + 1);
    let expected = |what| DecodeError::TooLarge { what, bytes: limits::PLAN + 1, limit: limits::PLAN };
    assert_eq!(Plan::parse(&text), Err(expected("self-test plan")));
    assert_eq!(Profile::parse(&text), Err(expected("health profile")));
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let n = limits::PLAN / 2 - 100;
    let texts = [
        format!("a = {}", "[".repeat(2 * n)),
        format!("a = {}{}", "[".repeat(n), "]".repeat(n)),
        format!("a{} = 1", ".a".repeat(n)),
        format!("[a{}]", ".a".repeat(n)),
        format!("[[test]]\nname = 'x'\nkind = 'level'\na{} = 1", ".a".repeat(n)),
        format!("[[test{}]]\nname = 'x'", ".a".repeat(n)),
        format!("a = {}", "{a=".repeat(n / 2)),
        // Short keys, each one level deeper than the one before: no single one is long.
        (0..180).map(|i| format!("[a{}]\n", ".a".repeat(i / 4))).collect(),
    ];
    for text in texts {
        assert!(text.len() <= limits::PLAN);
        assert!(Plan::parse(&text).is_err());
        assert!(Profile::parse(&text).is_err());
    }
}

#[test]
fn a_profile_of_each_kind() {
    use health::Kind::{Command, Http, Unit};
    let profile = Profile::parse(PROFILE).unwrap();
    assert_eq!((profile.deadline_s, profile.settle_s, profile.self_tests), (90, 5, SelfTests::Skip));
    let web = Http {
        url: "http://127.0.0.1:8080/health".into(),
        status: 204,
        contains: "ok".into(),
        expect_version: false,
        version: None,
    };
    let expected = [
        ("application", Need::Required, 5000, Unit { unit: "app.service".into() }),
        ("web", Need::Wanted, 5000, web),
        ("database", Need::Required, 10000, Command { run: vec!["/usr/bin/db-check".into()] }),
    ];
    for (check, (name, need, timeout_ms, kind)) in profile.checks.iter().zip(expected) {
        assert_eq!(*check, health::Check { name: name.into(), need, at: At::Trial, timeout_ms, kind });
    }
    let names: Vec<&str> = profile.checks.iter().map(|c| c.kind.name()).collect();
    assert_eq!(names, ["unit", "http", "command"]);
    let default = Profile::parse("").unwrap();
    assert_eq!(default, Profile::default());
    assert_eq!((default.deadline_s, default.settle_s, default.self_tests), (120, 10, SelfTests::Again));
}

#[test]
fn times_of_a_profile_fit_one_another() {
    assert_eq!(DEADLINE_MAX_S, 3600);
    for (text, expected) in [
        ("deadline_s = 1", Some((1, 0))),
        ("deadline_s = 8", Some((8, 4))),
        ("deadline_s = 3600\nsettle_s = 3599", Some((3600, 3599))),
        ("settle_s = 0", Some((120, 0))),
        ("deadline_s = 0", None),
        ("deadline_s = 3601", None),
        ("deadline_s = 10\nsettle_s = 10", None),
        ("settle_s = 120", None),
        ("deadline_s = -1", None),
        ("deadline_s = 5000000000", None),
        ("self_tests = 'no'", None),
    ] {
        let parsed = Profile::parse(text);
        assert_eq!(parsed.as_ref().ok().map(|p| (p.deadline_s, p.settle_s)), expected, "{text}: {parsed:?}");
    }
    let text = problem(Profile::parse("deadline_s = 5\nsettle_s = 6"));
    assert!(text.contains("deadline_s 5 must be from 1 to 3600 and longer than settle_s 6"), "{text}");
}

#[test]
fn addresses_and_units_are_checked() {
    let http = |url: &str| Profile::parse(&format!("[[check]]\nname='x'\nkind='http'\nurl=\"{url}\""));
    for good in ["http://localhost", "http://127.0.0.1:80/a?b=c#d", "http://[::1]:8080/", "http://a/%20"] {
        let profile = http(good).unwrap();
        let expected = health::Kind::Http {
            url: good.into(),
            status: 200,
            contains: String::new(),
            expect_version: false,
            version: None,
        };
        assert_eq!(profile.checks[0].kind, expected);
    }
    for bad in [
        "",
        "localhost",
        "https://a/",
        "HTTP://a/",
        "http:/a",
        "http://",
        "http:///a",
        "http://?a",
        "http://#a",
        "http://:80/",
        "http://a b/",
        "http://a/\\r\\nX: y",
        "http://a/\\t",
        "http://\u{e4}/",
        "ftp://a",
        " http://a",
    ] {
        let text = problem(http(bad));
        assert!(
            text.contains("check \"x\": ") && text.contains("is not an http:// address"),
            "{bad}: {text}"
        );
    }
    let unit = |unit: &str| Profile::parse(&format!("[[check]]\nname='x'\nkind='unit'\nunit='{unit}'"));
    for good in
        ["app.service", "app@1.service", "dev-mmcblk0\\x2dp1.device", "a.b.timer", "multi-user.target"]
    {
        assert!(unit(good).is_ok(), "{good}");
    }
    let long = format!("{}.service", "a".repeat(248));
    for bad in [
        "",
        "app",
        "--now.service",
        "a b.service",
        "a/b.service",
        "app.",
        ".service",
        "\u{e4}.service",
        &long,
    ] {
        let text = problem(unit(bad));
        assert!(text.contains("is not a unit name with its suffix"), "{bad}: {text}");
    }
}

#[test]
fn each_problem_of_a_profile_is_named() {
    #[rustfmt::skip]
    let entries = [
        ("", "\"x\": kind is missing"),
        ("kind = 'level'\npin = 1\nexpect = 'low'", "\"x\": unknown kind \"level\""),
        ("kind = 'unit'", "\"x\": missing field `unit`"),
        ("kind = 'unit'\nunit = 'a.service'\nurl = 'http://a'", "\"x\": a unit has no key url; it has unit"),
        ("kind = 'unit'\nunit = 'a.service'\nstate = 'active'", "\"x\": unknown key \"state\""),
        ("kind = 'http'", "\"x\": missing field `url`"),
        ("kind = 'http'\nurl = 'http://a'\nstatus = 99", "check \"x\": 99 is not an HTTP status"),
        ("kind = 'http'\nurl = 'http://a'\nstatus = 600", "check \"x\": 600 is not an HTTP status"),
        ("kind = 'http'\nurl = 'http://a'\nstatus = 70000", "\"x\": "),
        ("kind = 'http'\nurl = 'http://a'\nrun = ['/x']", "\"x\": a http has no key run"),
        ("kind = 'command'\nrun = ['x']", "check \"x\": \"x\" is not an absolute path"),
        ("kind = 'command'\nrun = ['/x']\ntimeout_ms = 0", "check \"x\": timeout_ms is"),
        ("kind = 'command'\nrun = ['/x']\nneed = ''", "check \"x\": need is"),
        ("kind = 'command'\nrun = ['/x']\nat = ''", "check \"x\": at is"),
        ("kind = 'command'\nrun = ['/x']\nat = 'before'", "\"x\": health checks run on the trial: at is \"trial\""),
        ("kind = 'command'\nrun = ['/x']\n[[check]]\nname = 'x'\nkind = 'command'\nrun = ['/x']", "two checks are called \"x\""),
        ("kind = 'command'\nrun = ['/x']\n[[check]]\nkind = 'command'\nrun = ['/x']", "check 2 has no name"),
        ("kind = 'command'\nrun = ['/x']\n[[test]]", "line 5: unknown field `test`"),
    ];
    for (entry, expected) in entries {
        let text = problem(Profile::parse_known(&format!("[[check]]\nname = 'x'\n{entry}")));
        assert!(text.starts_with("health profile: ") && text.contains(expected), "{entry}: {text}");
    }
    let many: String =
        (0..65).map(|i| format!("[[check]]\nname='c{i}'\nkind='command'\nrun=['/x']\n")).collect();
    assert!(problem(Profile::parse(&many)).contains("65 checks, more than 64"));
}
