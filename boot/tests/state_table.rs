//! Every (state, event) pair: against a list written by hand, and against the table in the README.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
mod common;
use bistable_boot::{
    Boot, BySlot, Event, Evidence, Failure, Image, MAX_ATTEMPTS, Now, Reason, Record, Saved, Slot, Tries,
};
use common::{ASKED, boots, provisioned, target};
use std::{fmt::Write, fs, path::Path};

/// The update that all of this is about.
const N: u8 = 7;

fn failure() -> Failure {
    Failure::new(Reason::Health, "HTTP 500")
}

fn armed(slot: Slot, tries: Tries) -> Saved {
    Saved::Armed { target: target(slot, N), tries }
}

fn trial(slot: Slot, attempts: u8) -> Now {
    Now::Trial { target: target(slot, N), attempts }
}

fn committing(slot: Slot, attempts: u8) -> Saved {
    Saved::Committing { target: target(slot, N), attempts }
}

fn reverting(slot: Slot, reboots: u8) -> Saved {
    Saved::Reverting { target: target(slot, N), failure: failure(), reboots, asked: None }
}

fn leaving(slot: Slot, reboots: u8) -> Saved {
    Saved::Reverting { target: target(slot, N), failure: failure(), reboots, asked: Some(ASKED.boot) }
}

fn asked(attempts: u8, refused: u8) -> Tries {
    Tries { attempts, refused, asked: Some(ASKED) }
}

const REFUSED: Tries = Tries { attempts: 1, refused: MAX_ATTEMPTS, asked: None };

/// One of each kind. The number of trials matters only while armed, that of reboots while reverting.
fn states(slot: Slot) -> [Now; 12] {
    let t = || target(slot, N);
    [
        Now::Saved(Saved::Idle),
        Now::Saved(Saved::Installing(t())),
        Now::Saved(Saved::Staged(t())),
        Now::Saved(armed(slot, Tries::after(1))),
        Now::Saved(armed(slot, asked(1, 1))),
        Now::Saved(armed(slot, Tries::after(MAX_ATTEMPTS))),
        Now::Saved(armed(slot, REFUSED)),
        trial(slot, 2),
        Now::Saved(committing(slot, 2)),
        Now::Saved(reverting(slot, 0)),
        Now::Saved(leaving(slot, 0)),
        Now::Saved(reverting(slot, MAX_ATTEMPTS)),
    ]
}

fn again() -> Boot {
    Boot { id: ASKED.boot, ..boots(Slot::A) }
}

fn not_tried(slot: Slot) -> Boot {
    Boot { evidence: Evidence::NotTried, ..boots(!slot) }
}

/// What happens to an agent: it decides, or it finds out where the device is.
#[derive(Clone, Debug, PartialEq)]
enum Happens {
    Decided(Event),
    Booted(Boot),
    Unproven,
}

impl Happens {
    /// Where that leads to. `None` where it can't happen: a boot and a doubt are about what is saved.
    fn to(&self, now: &Now) -> Option<Result<Now, ()>> {
        match (self, now) {
            (Happens::Decided(event), now) => {
                Some(now.clone().on(event.clone()).map(Now::Saved).map_err(drop))
            }
            (Happens::Booted(boot), Now::Saved(saved)) => Some(Ok(saved.booted(*boot))),
            (Happens::Unproven, Now::Saved(saved)) => Some(saved.unproven().ok_or(())),
            (_, Now::Trial { .. }) => None,
        }
    }
}

/// One of each kind, with the words of the table.
fn events(slot: Slot) -> [(&'static str, Happens); 15] {
    use Happens::{Booted, Decided, Unproven};
    [
        ("an update is offered", Decided(Event::Offer(target(slot, N)))),
        ("an operator wants the other slot back", Decided(Event::Return(target(slot, N)))),
        ("written and read back", Decided(Event::Installed)),
        ("self-tests passed", Decided(Event::SelfTestsPassed)),
        ("about to reboot", Decided(Event::Rebooting(ASKED))),
        ("that reboot failed", Decided(Event::RebootCanceled)),
        ("started again in the boot that asked, old slot", Booted(Boot { slot: !slot, ..again() })),
        ("booted: the update's slot", Booted(boots(slot))),
        ("booted: the other slot", Booted(boots(!slot))),
        ("booted: the other slot, trial never began", Booted(not_tried(slot))),
        ("health check passed", Decided(Event::Healthy)),
        ("the verdict was about another boot", Unproven),
        ("the slot is the default", Decided(Event::Committed)),
        ("the old slot is back", Decided(Event::Reverted)),
        ("failed for good", Decided(Event::Failed(failure()))),
    ]
}

/// All that a decision may lead to, written by hand: (state, event, next state).
fn permitted(slot: Slot) -> Vec<(Now, Event, Saved)> {
    let t = || target(slot, N);
    let text = "3 trials ended without a verdict (crash, hang or power loss)";
    let used_up = Failure::new(Reason::OutOfAttempts, text);
    let given_up = Saved::Reverting { target: t(), failure: used_up, reboots: 0, asked: None };
    let (once, all) = (Tries::after(1), Tries::after(MAX_ATTEMPTS));
    let saved = [
        (Saved::Idle, Event::Offer(t()), Saved::Installing(t())),
        (Saved::Idle, Event::Return(t()), Saved::Staged(t())),
        (Saved::Installing(t()), Event::Installed, Saved::Staged(t())),
        (Saved::Installing(t()), Event::Failed(failure()), Saved::Idle),
        (Saved::Staged(t()), Event::SelfTestsPassed, armed(slot, Tries::default())),
        (Saved::Staged(t()), Event::Failed(failure()), Saved::Idle),
        (armed(slot, once), Event::Rebooting(ASKED), armed(slot, asked(1, 0))),
        (armed(slot, once), Event::RebootCanceled, armed(slot, once)),
        (armed(slot, asked(1, 1)), Event::Rebooting(ASKED), armed(slot, asked(1, 1))),
        (armed(slot, asked(1, 1)), Event::RebootCanceled, armed(slot, Tries { refused: 1, ..once })),
        (armed(slot, all), Event::Rebooting(ASKED), given_up),
        (armed(slot, all), Event::RebootCanceled, armed(slot, all)),
        (armed(slot, REFUSED), Event::SelfTestsPassed, armed(slot, once)),
        (armed(slot, REFUSED), Event::RebootCanceled, armed(slot, REFUSED)),
        (committing(slot, 2), Event::Committed, Saved::Idle),
        (committing(slot, 2), Event::Failed(failure()), reverting(slot, 0)),
        (reverting(slot, 0), Event::Rebooting(ASKED), leaving(slot, 0)),
        (reverting(slot, 0), Event::RebootCanceled, reverting(slot, 0)),
        (leaving(slot, 0), Event::Rebooting(ASKED), leaving(slot, 0)),
        (leaving(slot, 0), Event::RebootCanceled, reverting(slot, 0)),
        (reverting(slot, MAX_ATTEMPTS), Event::RebootCanceled, reverting(slot, MAX_ATTEMPTS)),
    ];
    let back = [reverting(slot, 0), leaving(slot, 0), reverting(slot, MAX_ATTEMPTS)];
    let back = back.map(|state| (state, Event::Reverted, Saved::Idle));
    let at_risk = [once, asked(1, 1), all, REFUSED];
    let at_risk = at_risk.map(|tries| (armed(slot, tries), Event::Failed(failure()), reverting(slot, 0)));
    let tried = [
        (trial(slot, 2), Event::Healthy, committing(slot, 2)),
        (trial(slot, 2), Event::Failed(failure()), reverting(slot, 0)),
    ];
    let saved = saved.into_iter().chain(back).chain(at_risk);
    saved.map(|(state, event, next)| (Now::Saved(state), event, next)).chain(tried).collect()
}

/// Where a boot shows the device to be, where that isn't simply as saved, written by hand: (saved, boot, now).
fn shown(slot: Slot) -> Vec<(Saved, Boot, Now)> {
    let (once, all) = (Tries::after(1), Tries::after(MAX_ATTEMPTS));
    let again = |tries| Now::Saved(armed(slot, tries));
    vec![
        // The slot on trial runs.
        (armed(slot, once), boots(slot), trial(slot, 1)),
        (armed(slot, asked(1, 1)), boots(slot), trial(slot, 2)),
        (armed(slot, all), boots(slot), trial(slot, 3)),
        (armed(slot, REFUSED), boots(slot), trial(slot, 1)),
        // The old slot runs after a reboot that was asked for.
        (armed(slot, asked(1, 1)), boots(!slot), again(Tries::after(2))),
        (armed(slot, asked(1, 1)), not_tried(slot), again(Tries { attempts: 1, refused: 2, asked: None })),
        // It runs, and the verdict was never followed.
        (committing(slot, 2), boots(!slot), again(Tries::after(2))),
        (committing(slot, 2), not_tried(slot), again(Tries::after(2))),
        (committing(slot, 2), Boot { slot: !slot, ..self::again() }, again(Tries::after(2))),
        // The slot that was to be left runs again.
        (leaving(slot, 0), boots(slot), Now::Saved(reverting(slot, 1))),
    ]
}

/// A record in that state, as the events before it would have left it. A trial is saved as armed.
fn record(now: &Now, slot: Slot) -> Record {
    let held = Some(Image::from(&target(slot, N)));
    let state = match now {
        Now::Saved(saved) => saved.clone(),
        Now::Trial { .. } => armed(slot, asked(1, 0)),
    };
    Record {
        slots: BySlot::new(|s| if s == slot { held.clone() } else { Some(Image::from(&target(s, 1))) }),
        state,
        ..provisioned()
    }
}

#[test]
fn exactly_the_listed_decisions_are_permitted() {
    for slot in Slot::ALL {
        let (list, mut used) = (permitted(slot), 0);
        for state in states(slot) {
            for (_, happens) in events(slot) {
                let Happens::Decided(event) = happens else { continue };
                let before = record(&state, slot);
                let (mut after, mut now) = (before.clone(), state.clone());
                let told = after.on(&mut now, event.clone());
                let listed = list.iter().find(|(s, e, _)| (s, e) == (&state, &event));
                let Some((_, _, want)) = listed else {
                    let refused = told.unwrap_err();
                    assert_eq!((refused.state, refused.event), (state.name(), event.name()));
                    assert_eq!((after, now), (before, state.clone()), "refused, and yet changed: {event:?}");
                    continue;
                };
                used += 1;
                let want = Now::Saved(want.clone());
                assert_eq!(now, want, "{event:?} while {state:?}");
                assert_eq!(told, Ok(want != state), "{event:?} while {state:?}: to be saved?");
                if want == state {
                    assert_eq!(after, before, "nothing to save, and yet changed: {event:?} while {state:?}");
                } else {
                    assert_eq!(Now::Saved(after.state), want, "{event:?} while {state:?}");
                }
            }
        }
        assert_eq!(used, list.len(), "each line of the list is about one of the pairs");
    }
}

#[test]
fn where_the_device_is_follows_from_what_is_saved_and_the_boot() {
    for slot in Slot::ALL {
        let (list, mut used) = (shown(slot), 0);
        for state in states(slot) {
            let Now::Saved(saved) = state.clone() else { continue };
            for (_, happens) in events(slot) {
                let Happens::Booted(boot) = happens else { continue };
                let listed = list.iter().find(|(s, b, _)| (s, b) == (&saved, &boot));
                used += usize::from(listed.is_some());
                let want = listed.map_or(&state, |(_, _, want)| want);
                assert_eq!(saved.booted(boot), *want, "{boot:?} with {saved:?}");
                // Once what a boot showed is saved, the same boot shows nothing more.
                if let Now::Saved(shown) = want {
                    assert_eq!(shown.booted(boot), *want, "{boot:?} with {shown:?}");
                }
            }
            let doubted = matches!(saved, Saved::Committing { .. }).then(|| trial(slot, 2));
            assert_eq!(saved.unproven(), doubted, "{saved:?}");
        }
        assert_eq!(used, list.len(), "each line of the list is about one of the pairs");
    }
}

fn label(now: &Now) -> String {
    match now {
        Now::Saved(Saved::Armed { tries, .. }) => {
            let asked = if tries.asked.is_some() { ", reboot asked for" } else { "" };
            let refused = match tries.refused {
                0 => String::new(),
                n => format!(", {n} of {MAX_ATTEMPTS} refused"),
            };
            format!("armed, {} of {MAX_ATTEMPTS} trials{refused}{asked}", tries.attempts)
        }
        Now::Saved(Saved::Reverting { reboots, asked, .. }) => {
            let asked = if asked.is_some() { ", reboot asked for" } else { "" };
            format!("reverting, {reboots} of {MAX_ATTEMPTS} reboots{asked}")
        }
        now => now.name().into(),
    }
}

fn table() -> String {
    let slot = Slot::B;
    let mut text = String::from("| event \\ while |");
    states(slot).iter().for_each(|s| write!(text, " {} |", label(s)).unwrap());
    text += "\n|---|";
    text += &"---|".repeat(states(slot).len());
    for (words, happens) in events(slot) {
        write!(text, "\n| {words} |").unwrap();
        for state in states(slot) {
            match happens.to(&state) {
                None => text += " – |",
                Some(Ok(next)) if next == state => text += " = |",
                Some(Ok(next)) => write!(text, " {} |", label(&next)).unwrap(),
                Some(Err(())) => text += " |",
            }
        }
    }
    text
}

const BEGIN: &str =
    "<!-- state table: `BLESS=1 cargo test -p bistable-boot --test state_table` writes it -->\n";
const END: &str = "\n<!-- end of the state table -->";

#[test]
fn the_readme_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the table's first marker");
    let (old, tail) = rest.split_once(END).expect("the table's last marker");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, [head, BEGIN, &table(), END, tail].concat()).unwrap();
    } else {
        assert_eq!(old, table(), "README.md is not what the code does; see the marker for how to renew it");
    }
}
