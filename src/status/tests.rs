//! Golden pictures, and what holds for every picture.
#![allow(clippy::disallowed_methods, reason = "golden files need no durable write")]
use super::*;
use bistable_boot::{
    Asked, Boot, BootId, Entry, Event, Evidence, Failure, Image, Outcome, Reason, Record, Saved, Target,
};
use proptest::prelude::*;
use semver::Version;
use sha2::{Digest as _, Sha256};
use std::{fs, path::PathBuf};
use unicode_width::UnicodeWidthStr as _;

const OLD: &str = "1.2.0";
const NEW: &str = "1.3.0";

fn release(version: &str) -> ReleaseId {
    ReleaseId(Sha256::digest(version).into())
}

fn image(version: &str) -> Image {
    Image {
        release: release(version),
        version: Version::parse(version).unwrap(),
        security_version: 3,
        durable: 1,
    }
}

fn target() -> Target {
    image(NEW).in_slot(Slot::B)
}

/// What happens to a device.
#[derive(Clone, Debug)]
enum Happens {
    Decided(Event),
    Booted(Boot),
}
use Happens::Decided;

/// A device that all that happened to, as the state machine has it.
fn after(events: &[Happens]) -> (Record, Now) {
    let mut record = Record::provision("greenhouse", image(OLD), 1);
    record.floors.channel_sequence = 42;
    record.floors.issued_at = 1_793_700_000;
    let mut now = Now::Saved(record.state.clone());
    for event in events {
        match event {
            Decided(event) => {
                record.on(&mut now, event.clone()).unwrap();
            }
            Happens::Booted(boot) => now = record.state.booted(*boot),
        }
        record.seq += 1;
    }
    (record, now)
}

fn unhealthy() -> Failure {
    Failure::new(Reason::Health, "GET http://127.0.0.1:8080/health answered 503, 200 was expected")
}

fn facts<'a>((record, now): &'a (Record, Now), booted: Slot, default: Slot) -> Facts<'a> {
    Facts {
        record,
        now,
        board: "pi4",
        power: Power::On,
        booted,
        default: Ok(default),
        foreign_flag: None,
        root: Ok(RootFacts { version: 1, demo: false }),
        system_root: SystemRootState::Present,
        waits: None,
        journal_copies: [Some(record.seq), Some(record.seq.saturating_sub(1))],
        components: Vec::new(),
    }
}

fn status_of(events: &[Happens], booted: Slot, default: Slot) -> Status {
    Status::new(facts(&after(events), booted, default))
}

const ASKED: Asked = Asked { boot: BootId([1; 16]), counter: 0 };

/// Another boot than the one that asked.
fn booted(slot: Slot) -> Happens {
    Happens::Booted(Boot { slot, id: BootId([2; 16]), evidence: Evidence::Unknown })
}

/// What happens up to each point of a good update.
fn good() -> Vec<Happens> {
    vec![
        Decided(Event::Offer(target())),
        Decided(Event::Installed),
        Decided(Event::SelfTestsPassed),
        Decided(Event::Rebooting(ASKED)),
        booted(Slot::B),
        Decided(Event::Healthy),
        Decided(Event::Committed),
    ]
}

fn on_trial() -> Status {
    status_of(&good()[..5], Slot::B, Slot::A)
}

/// Compare with a golden file; `BLESS=1` writes it again.
fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert!(want == text, "{} differs; BLESS=1 accepts this:\n{text}", path.display());
}

const STYLES: [(&str, Style); 4] = [
    ("80 columns", Style::plain(Charset::Unicode, 80)),
    ("60 columns", Style::plain(Charset::Unicode, 60)),
    ("80 columns, ASCII", Style::plain(Charset::Ascii, 80)),
    ("60 columns, ASCII", Style::plain(Charset::Ascii, 60)),
];

fn golden_pictures(name: &str, status: &Status) {
    let mut text = String::new();
    for (title, style) in STYLES {
        let drawn = picture(status, style);
        assert_drawable(&drawn, style);
        text.push_str(&format!("== {title}\n{drawn}\n"));
    }
    golden(&format!("status-{name}.txt"), &text);
}

fn assert_drawable(text: &str, style: Style) {
    for line in text.lines() {
        assert!(line.width() <= style.columns(), "{} columns: {line:?}", line.width());
        assert!(!line.chars().any(char::is_control), "{line:?}");
        // They would draw the frame backwards.
        assert!(
            !line.contains(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
            "{line:?}"
        );
        assert!(style.charset == Charset::Unicode || line.is_ascii(), "{line:?}");
        assert!(!line.ends_with(' '), "{line:?}");
    }
}

#[test]
fn a_fresh_card() {
    golden_pictures("fresh", &status_of(&[], Slot::A, Slot::A));
}

#[test]
fn installing() {
    golden_pictures("installing", &status_of(&good()[..1], Slot::A, Slot::A));
}

#[test]
fn staged() {
    let device = after(&good()[..2]);
    let mut facts = facts(&device, Slot::A, Slot::A);
    let goes_on = Status::new(facts.clone());
    assert!(goes_on.waits.is_none() && goes_on.advice.contains("the next boot tests it"), "{goes_on:?}");
    facts.waits = Some("staged; waits for `bistable arm`, since update.mode is \"stage\"".into());
    golden_pictures("staged", &Status::new(facts));
}

#[test]
fn armed() {
    golden_pictures("armed", &status_of(&good()[..3], Slot::A, Slot::A));
}

#[test]
fn tried_once_in_vain_and_armed_again() {
    let mut events = good()[..5].to_vec();
    events.push(booted(Slot::A));
    golden_pictures("armed-again", &status_of(&events, Slot::A, Slot::A));
}

#[test]
fn trial() {
    golden_pictures("on-trial", &on_trial());
}

#[test]
fn committed() {
    golden_pictures("committed", &status_of(&good(), Slot::B, Slot::B));
}

#[test]
fn reverted_for_health() {
    let mut events = good()[..5].to_vec();
    events.push(Decided(Event::Failed(unhealthy())));
    golden_pictures("reverting", &status_of(&events, Slot::B, Slot::A));
    events.push(Decided(Event::Reverted));
    golden_pictures("reverted", &status_of(&events, Slot::A, Slot::A));
}

#[test]
fn refused_by_a_self_test() {
    let why = Failure::new(Reason::SelfTest, "fan: 0 rising edges in 500 ms, at least 20 were expected");
    let mut events = good()[..2].to_vec();
    events.push(Decided(Event::Failed(why)));
    golden_pictures("refused", &status_of(&events, Slot::A, Slot::A));
}

#[test]
fn an_unreadable_flag_and_what_else_can_be_wrong() {
    let device = after(&good()[..2]);
    let mut facts = facts(&device, Slot::A, Slot::A);
    facts.default = Err("autoboot.txt: sector 2056 holds none of the known texts".into());
    facts.root = Err("the signature of key 0 is wrong".into());
    facts.journal_copies = [Some(device.0.seq), None];
    golden_pictures("unreadable-flag", &Status::new(facts));
}

/// It names a slot, so that everything looks right, and no update begins.
#[test]
fn a_foreign_flag_is_shown_with_the_command_in_each_state() {
    for events in 0..good().len() {
        let device = after(&good()[..events]);
        let mut facts = facts(&device, Slot::A, Slot::A);
        facts.foreign_flag = Some("autoboot.txt was edited".into());
        let status = Status::new(facts);
        assert_eq!(status.default, Some(Slot::A));
        assert_eq!(status.default_problem.as_deref(), Some("autoboot.txt was edited"));
        assert!(status.advice.ends_with("`bistable repair`"), "{}", status.advice);
    }
}

#[test]
fn without_power_and_with_demo_keys() {
    let device = after(&[]);
    let mut facts = facts(&device, Slot::A, Slot::A);
    facts.power = Power::Off;
    facts.root = Ok(RootFacts { version: 1, demo: true });
    golden_pictures("power-off", &Status::new(facts));
}

#[test]
fn as_json() {
    let mut json = serde_json::to_string_pretty(&on_trial()).unwrap();
    json.push('\n');
    golden("status-on-trial.json", &json);
}

#[test]
fn in_color() {
    let status = on_trial();
    let plain = Style::plain(Charset::Unicode, 80);
    let colored = picture(&status, Style { color: Color::Ansi, ..plain });
    assert!(colored.contains("\x1b["));
    assert_eq!(without_colors(&colored), picture(&status, plain));
}

fn without_colors(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        kept.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    kept + rest
}

#[test]
fn the_past() {
    let (mut record, _) = after(&good());
    record.history.push(Entry {
        version: Version::parse("1.4.0-rc.1+build.20261103.nightly").unwrap(),
        release: release("x"),
        slot: Slot::A,
        outcome: Outcome::Reverted(unhealthy()),
        attempts: 1,
    });
    record.history.push(Entry {
        version: Version::parse("1.4.0").unwrap(),
        release: release("y"),
        slot: Slot::A,
        outcome: Outcome::Abandoned(Failure::new(Reason::Install, "chunk 17: connection reset")),
        attempts: 0,
    });
    let date = |time: &str, synchronized| Some(Date { time: time.into(), synchronized });
    let dates = [None, date("2026-11-29T12:00:00Z", true), date("1970-01-02T00:00:10Z", false), None];
    let history = history(&record, &dates);
    let mut text = String::new();
    for (title, style) in STYLES {
        let table = history_text(&history, style);
        assert_drawable(&table, style);
        text.push_str(&format!("== {title}\n{table}\n"));
    }
    golden("history.txt", &text);
    golden("history.json", &format!("{}\n", serde_json::to_string_pretty(&history).unwrap()));
}

#[test]
fn what_a_newer_agent_wrote_is_shown_as_unknown() {
    let (mut record, _) = after(&good());
    let entry = record.history.last().unwrap().clone();
    record.history.push(Entry { outcome: Outcome::Unknown { kind: 9, content: vec![1] }, ..entry.clone() });
    let failure = Failure::new(Reason::Unknown(9), "quota exceeded");
    record.history.push(Entry { outcome: Outcome::Reverted(failure), ..entry });
    let [.., newest, last] = &history(&record, &[]).updates[..] else { panic!("two were added") };
    assert_eq!((newest.outcome, newest.reason.as_deref()), (Ending::Unknown, None));
    assert_eq!(
        (last.outcome, last.reason.as_deref()),
        (Ending::Reverted, Some("unknown reason 9: quota exceeded"))
    );
    let text = history_text(&history(&record, &[]), STYLES[0].1);
    assert!(text.contains(" unknown "), "{text}");
}

/// The step that each reason is shown at.
#[test]
fn a_failure_is_marked_at_its_step() {
    use StepName as S;
    let cases: [(usize, Reason, S, S); 9] = [
        // events before it, reason, the failed step, the last step
        (1, Reason::Install, S::Install, S::Commit),
        (1, Reason::Operator, S::Install, S::Commit),
        (2, Reason::SelfTest, S::SelfTest, S::Commit),
        (2, Reason::Operator, S::SelfTest, S::Commit),
        (3, Reason::Operator, S::Arm, S::Revert),
        (4, Reason::OutOfAttempts, S::TrialBoot, S::Revert),
        (5, Reason::Health, S::Health, S::Revert),
        (5, Reason::Operator, S::Health, S::Revert),
        (5, Reason::OutOfAttempts, S::TrialBoot, S::Revert),
    ];
    for (upto, reason, at, last) in cases {
        let mut events = good()[..upto].to_vec();
        events.push(Decided(Event::Failed(Failure::new(reason, "why"))));
        let reverting = last == S::Revert;
        if reverting {
            let update = status_of(&events, Slot::B, Slot::A).update.unwrap();
            assert_eq!(update.steps.last().map(|s| (s.step, s.mark)), Some((S::Revert, Mark::Running)));
            assert_eq!(failed(&update), [at], "{reason:?} after {upto}");
            events.push(Decided(Event::Reverted));
        }
        let update = status_of(&events, Slot::A, Slot::A).update.unwrap();
        assert_eq!(failed(&update), [at], "{reason:?} after {upto}");
        let mark = if reverting { Mark::Done } else { Mark::NotReached };
        assert_eq!(update.steps.last().map(|s| (s.step, s.mark)), Some((last, mark)));
        assert_eq!(update.steps.iter().filter(|s| s.reason.is_some()).count(), 1);
    }
}

fn failed(update: &Update) -> Vec<StepName> {
    update.steps.iter().filter(|s| s.mark == Mark::Failed).map(|s| s.step).collect()
}

/// At most one step runs, all before it are done, and there are always seven.
#[test]
fn steps_are_in_order_in_every_state() {
    for upto in 1..=good().len() {
        let update = status_of(&good()[..upto], Slot::A, Slot::A).update.unwrap();
        let marks: Vec<_> = update.steps.iter().map(|s| s.mark).collect();
        assert_eq!(marks.len(), 7);
        let done = marks.iter().take_while(|m| **m == Mark::Done).count();
        assert_eq!(done < 7, upto < good().len());
        assert!(marks.get(done).is_none_or(|m| *m == Mark::Running));
        assert!(marks.iter().skip(done + 1).all(|m| *m == Mark::NotReached));
    }
}

#[test]
fn the_words_for_both_slots() {
    use SlotState as W;
    // events, running, default → A, B
    let cases = [
        (0, Slot::A, Slot::A, W::Running, W::Empty),
        (1, Slot::A, Slot::A, W::Running, W::Installing),
        (2, Slot::A, Slot::A, W::Running, W::Staged),
        (3, Slot::A, Slot::A, W::Running, W::Armed),
        (5, Slot::B, Slot::A, W::Default, W::OnTrial),
        (6, Slot::B, Slot::A, W::Default, W::Committing),
        (6, Slot::B, Slot::B, W::Previous, W::Committing),
        (7, Slot::B, Slot::B, W::Previous, W::Running),
    ];
    for (upto, booted, default, a, b) in cases {
        let status = status_of(&good()[..upto], booted, default);
        assert_eq!((status.slots.a.state, status.slots.b.state), (a, b), "after {upto}");
        assert_eq!(status.pending, Some(booted != default));
        assert!(status.slots[booted].booted && !status.slots[!booted].booted);
    }
}

#[test]
fn what_to_do_next() {
    use Slot::{A, B};
    let failed = |upto: usize, reason| {
        let mut events = good()[..upto].to_vec();
        events.push(Decided(Event::Failed(Failure::new(reason, "why"))));
        events
    };
    let mut used_up = good()[..3].to_vec();
    for _ in 0..3 {
        used_up.extend([Decided(Event::Rebooting(ASKED)), booted(A)]);
    }
    let mut reverted = failed(5, Reason::Health);
    reverted.push(Decided(Event::Reverted));
    // events, running, default, what the advice names
    let cases = [
        (vec![], A, A, "bistable update"),
        (vec![], B, A, "bistable reboot"),
        (good()[..1].to_vec(), A, A, "bistable install"),
        (good()[..2].to_vec(), A, A, "bistable arm"),
        (good()[..3].to_vec(), A, A, "bistable reboot"),
        (good()[..4].to_vec(), B, A, "bistable resume"),
        (good()[..5].to_vec(), B, A, "bistable resume"),
        (good()[..5].to_vec(), A, A, "bistable resume"),
        (good()[..6].to_vec(), B, A, "bistable resume"),
        (good(), B, B, "bistable update"),
        (used_up, A, A, "bistable resume"),
        (failed(1, Reason::Install), A, A, "bistable install"),
        (failed(2, Reason::SelfTest), A, A, "rejected"),
        (failed(5, Reason::Health), B, A, "slot A is booted again"),
        (failed(5, Reason::Health), A, A, "slot B is cleared"),
        (reverted, A, A, "rejected"),
    ];
    for (events, booted, default, names) in cases {
        let advice = status_of(&events, booted, default).advice;
        assert!(advice.contains(names), "{advice:?} does not name {names:?}");
    }
}

/// The arrows: solid to the default, dashed to the slot that is tried next, and no dashed one once it was.
#[test]
fn the_one_shot_is_drawn_only_while_it_is_ahead() {
    for upto in 0..=good().len() {
        let booted = if upto >= 5 { Slot::B } else { Slot::A };
        let status = status_of(&good()[..upto], booted, Slot::A);
        let ahead = matches!(upto, 3 | 4);
        assert_eq!(status.once.is_some(), ahead, "after {upto}");
        assert_eq!(picture(&status, Style::plain(Charset::Unicode, 80)).contains(" once "), ahead);
    }
    // Power loss forgets it.
    let device = after(&good()[..4]);
    let mut facts = facts(&device, Slot::A, Slot::A);
    facts.power = Power::Off;
    assert_eq!(Status::new(facts).once, None);
    // Booted, but the agent did not start yet.
    assert_eq!(status_of(&good()[..4], Slot::B, Slot::A).once, None);
}

#[test]
fn what_a_terminal_can_show() {
    let detect = |terminal, vars: &[(&str, &str)]| {
        Style::detect(terminal, |name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    };
    use Charset::{Ascii, Unicode};
    type Case<'a> = (bool, &'a [(&'a str, &'a str)], Charset, Color, usize);
    let cases: [Case<'_>; 11] = [
        (true, &[("LANG", "en_US.UTF-8")], Unicode, Color::Ansi, 80),
        (true, &[("LANG", "de_DE.utf8"), ("COLUMNS", "61")], Unicode, Color::Ansi, 61),
        (false, &[("LANG", "en_US.UTF-8")], Unicode, Color::None, 80),
        (true, &[("LANG", "en_US.UTF-8"), ("NO_COLOR", "1")], Unicode, Color::None, 80),
        (true, &[("LANG", "en_US.UTF-8"), ("NO_COLOR", "")], Unicode, Color::Ansi, 80),
        (true, &[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], Ascii, Color::Ansi, 80),
        (true, &[("LANG", "C"), ("LC_ALL", "C.UTF-8")], Unicode, Color::Ansi, 80),
        (true, &[("LANG", "en_US.UTF-8"), ("TERM", "dumb")], Ascii, Color::None, 80),
        (true, &[("LANG", "en_US.UTF-8"), ("TERM", "linux")], Ascii, Color::Ansi, 80),
        (true, &[], Ascii, Color::Ansi, 80),
        (true, &[("COLUMNS", "wide")], Ascii, Color::Ansi, 80),
    ];
    for (terminal, vars, charset, color, width) in cases {
        assert_eq!(detect(terminal, vars), Style { charset, color, width }, "{vars:?}");
    }
}

/// Text of all kinds: wide, combining, joined, right to left, control characters, long words.
fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[ -~]{0,30}",
        Just("日本語".to_owned()),
        Just("e\u{301}".to_owned()),
        Just("👩\u{200d}👩\u{200d}👧 #\u{fe0f}\u{20e3}🇩🇪".to_owned()),
        Just("\u{202e}שלום سلام\u{644}\u{627}".to_owned()),
        Just("\x1b[31m\n\t\0".to_owned()),
        Just("x".repeat(90)),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_version() -> impl Strategy<Value = Version> {
    "[0-9]{1,9}\\.0\\.[1-9]{1,9}(-[a-z]{1,30})?(\\+[0-9a-z]{1,40}(\\.[0-9a-z]{1,40})?)?"
        .prop_filter_map("semver", |v| Version::parse(&v).ok())
}

fn style() -> impl Strategy<Value = Style> {
    (prop_oneof![Just(Charset::Unicode), Just(Charset::Ascii)], 0usize..130)
        .prop_map(|(charset, width)| Style::plain(charset, width))
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_breaks_the_frame(
        detail in odd_text(), product in odd_text(), problem in odd_text(), version in any_version(),
        why in reason(), upto in 1usize..=6, gone in any::<bool>(), readable in any::<bool>(), style in style(),
    ) {
        let mut events = good()[..upto].to_vec();
        if let Some(Decided(Event::Offer(target))) = events.first_mut() {
            target.version = version.clone();
        }
        let too_long = version.to_string().len() > bistable_boot::NAME_BYTES;
        let (mut record, mut now) = if too_long { after(&[]) } else { after(&events) };
        record.product = product;
        let failure = Failure::new(why, &detail);
        record.rejected.push(bistable_boot::Rejected {
            release: release("r"), version: version.clone(), failure: failure.clone(),
        });
        record.history.push(Entry {
            version, release: release("r"), slot: Slot::B, outcome: Outcome::Reverted(failure), attempts: 2,
        });
        if gone {
            now = Now::Saved(Saved::Idle);
        }
        let device = (record, now);
        let mut facts = facts(&device, Slot::A, Slot::A);
        if !readable {
            facts.default = Err(problem.clone());
            facts.root = Err(problem);
        }
        let status = Status::new(facts);
        let drawn = picture(&status, style);
        assert_drawable(&drawn, style);
        assert_drawable(&history_text(&history(&device.0, &[]), style), style);
        assert_frames(&drawn, style);
    }

    #[test]
    fn wrapping_keeps_every_letter(text in odd_text(), width in 2usize..90) {
        let text = text::printable(&text, Charset::Unicode);
        let lines = text::wrap(&text, width);
        prop_assert!(lines.iter().all(|line| line.width() <= width));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(letters(&lines.concat()), letters(&text));
    }
}

/// Every row of the boxes has its four sides, at the same columns.
fn assert_frames(drawn: &str, style: Style) {
    let (top, sides, bottom) = match style.charset {
        Charset::Unicode => ("┏━ A ━", ['┃', '│'], "┗━━"),
        Charset::Ascii => ("#= A =", ['#', '|'], "#=="),
    };
    let mut rows = drawn.lines().skip_while(|line| !line.trim_start().starts_with(top));
    let width = rows.next().unwrap().width();
    let mut height = 0;
    for row in rows {
        assert_eq!(row.width(), width, "{row:?}\n{drawn}");
        if row.trim_start().starts_with(bottom) {
            break;
        }
        assert!(row.trim_start().starts_with(sides[0]) && row.ends_with(sides[1]), "{row:?}");
        height += 1;
    }
    assert!(height >= 2, "{drawn}");
}
