//! Random walks over the record: what holds after any events in any order.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]
mod common;
use bistable_boot::{
    Asked, Boot, BootId, COPY_BYTES, Event, Evidence, Failure, HISTORY_LEN, Image, Journal, JournalError,
    MAX_ATTEMPTS, NAME_BYTES, Now, Origin, Outcome, PayloadDigest, REJECTED_LEN, Reason, Record, ReleaseId,
    Saved, Slot, Target, WITHDRAWN_LEN,
};
use common::{ASKED, Agent, TwoCopies, boots, largest_record, longest_version, provisioned, target};
use proptest::prelude::*;
use semver::Version;

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::A), Just(Slot::B)]
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        4 => (0..3u64, 0..4u64).prop_map(|(a, b)| Version::new(a, b, 0)),
        1 => "[a-z]{1,58}".prop_map(|pre| format!("1.0.0-{pre}").parse().unwrap()),
        1 => Just(longest_version()),
    ]
}

fn any_target() -> impl Strategy<Value = Target> {
    (slot(), 0..24u8, version(), 0..9u32).prop_map(|(slot, id, version, security_version)| Target {
        slot,
        release: ReleaseId([id; 32]),
        version,
        security_version,
        durable: 1,
    })
}

fn failure() -> impl Strategy<Value = Failure> {
    (0..Reason::ALL.len(), ".{0,120}").prop_map(|(i, detail)| Failure::new(Reason::ALL[i], &detail))
}

fn any_asked() -> impl Strategy<Value = Asked> {
    (0..4u64, 0..9u32).prop_map(|(boot, counter)| Asked { boot: BootId::numbered(boot), counter })
}

fn any_boot() -> impl Strategy<Value = Boot> {
    let evidence = [Evidence::Tried, Evidence::NotTried, Evidence::Unknown];
    (slot(), 0..4u64, 0..evidence.len()).prop_map(move |(slot, id, at)| Boot {
        slot,
        id: BootId::numbered(id),
        evidence: evidence[at],
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any_target().prop_map(Event::Offer),
        any_target().prop_map(Event::Return),
        Just(Event::Installed),
        Just(Event::SelfTestsPassed),
        any_asked().prop_map(Event::Rebooting),
        Just(Event::RebootCanceled),
        Just(Event::Healthy),
        Just(Event::Committed),
        Just(Event::Reverted),
        failure().prop_map(Event::Failed),
    ]
}

/// One step of a walk: anything, or something that leads on, or else no walk would get far.
#[derive(Clone, Debug)]
enum Step {
    Any(Event),
    Boot(Boot),
    Forward { offer: Target, back: bool },
    Fail(Failure),
    Interrupted,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_event().prop_map(Step::Any),
        1 => any_boot().prop_map(Step::Boot),
        6 => (any_target(), any::<bool>()).prop_map(|(offer, back)| Step::Forward { offer, back }),
        1 => failure().prop_map(Step::Fail),
        1 => Just(Step::Interrupted),
    ]
}

/// What a step comes to: a decision, or the agent's start in a boot.
fn happens(agent: &Agent, step: Step) -> Result<Event, Boot> {
    Ok(match (step, &agent.now) {
        (Step::Any(event), _) => event,
        (Step::Boot(boot), _) => return Err(boot),
        (Step::Fail(why), _) => Event::Failed(why),
        (Step::Interrupted, now) => return Err(boots(now.target().map_or(Slot::A, |t| !t.slot))),
        (Step::Forward { offer, back: true }, Now::Saved(Saved::Idle)) => {
            match &agent.record.slots[offer.slot] {
                Some(i) => Event::Return(i.clone().in_slot(offer.slot)),
                None => Event::Offer(offer),
            }
        }
        (Step::Forward { offer, .. }, Now::Saved(Saved::Idle)) => Event::Offer(offer),
        (Step::Forward { .. }, Now::Saved(Saved::Installing(_))) => Event::Installed,
        (Step::Forward { .. }, Now::Saved(Saved::Staged(_))) => Event::SelfTestsPassed,
        (Step::Forward { back: false, .. }, Now::Saved(Saved::Armed { .. })) => Event::Rebooting(ASKED),
        (Step::Forward { .. }, Now::Saved(Saved::Armed { target, .. })) => return Err(boots(target.slot)),
        (Step::Forward { .. }, Now::Trial { .. }) => Event::Healthy,
        (Step::Forward { .. }, Now::Saved(Saved::Committing { .. })) => Event::Committed,
        (Step::Forward { .. }, Now::Saved(Saved::Reverting { .. })) => Event::Reverted,
    })
}

/// What holds of every agent, however it came about.
fn check(Agent { record: r, now }: &Agent) {
    match now {
        Now::Saved(Saved::Idle | Saved::Reverting { .. }) => {}
        Now::Saved(Saved::Installing(t)) => {
            assert_eq!(r.slots[t.slot], None, "a slot being written holds nothing");
        }
        Now::Saved(Saved::Staged(t) | Saved::Committing { target: t, .. }) => {
            assert_eq!(r.slots[t.slot], Some(Image::from(t)));
        }
        Now::Saved(Saved::Armed { target: t, tries: bistable_boot::Tries { attempts, refused, asked } }) => {
            assert_eq!(r.slots[t.slot], Some(Image::from(t)), "only what is complete is tried");
            assert!(*attempts <= MAX_ATTEMPTS && *refused <= MAX_ATTEMPTS);
            assert!(asked.is_none() || attempts.max(refused) < &MAX_ATTEMPTS, "asked once too often");
        }
        Now::Trial { target: t, attempts } => {
            assert_eq!(r.slots[t.slot], Some(Image::from(t)), "only what is complete is tried");
            assert!(*attempts <= MAX_ATTEMPTS);
        }
    }
    if let Saved::Armed { tries, .. } = &r.state {
        assert_eq!(tries.attempts, r.attempts);
    }
    assert!(r.attempts <= MAX_ATTEMPTS);
    assert!(r.history.len() <= HISTORY_LEN && r.rejected.len() <= REJECTED_LEN);
    assert!(r.history.iter().all(|e| e.attempts <= MAX_ATTEMPTS));
    for (i, a) in r.rejected.iter().enumerate() {
        assert!(r.rejected[..i].iter().all(|b| b.release != a.release), "rejected twice");
    }
}

/// What holds between a record and the next.
fn check_step(Agent { record: before, now: from }: &Agent, event: &Event, after: &Record) {
    assert_eq!((before.seq, &before.product), (after.seq, &after.product));
    let (f, g) = (before.floors, after.floors);
    assert!(g.security_version >= f.security_version, "a floor fell");
    assert_eq!(
        (g.root_version, g.channel_sequence, g.issued_at),
        (f.root_version, f.channel_sequence, f.issued_at),
        "what is not the table's business"
    );
    if g != f {
        assert_eq!(*event, Event::Committed, "only a commit raises the security version");
    }
    let about = from.target().or(after.state.target());
    if let Some(t) = about {
        assert_eq!(before.slots[!t.slot], after.slots[!t.slot], "the other slot is not touched");
    }
    match (from, &after.state) {
        (Now::Saved(Saved::Committing { .. }), Saved::Committing { .. }) => {}
        (from, Saved::Committing { target: t, .. }) => {
            assert!(matches!(from, Now::Trial { target, .. } if target == t), "a commit without a trial");
            assert_eq!(*event, Event::Healthy);
        }
        (Now::Saved(Saved::Reverting { target: t, failure: why, .. }), Saved::Idle) => {
            if before.origin == Origin::Bundle {
                if why.reason.rejects() {
                    assert_eq!(after.rejection(&t.release).map(|r| &r.failure), Some(why));
                } else {
                    assert_eq!(after.rejected, before.rejected);
                }
                assert_eq!(after.slots[t.slot], None, "a failed slot holds nothing");
            } else {
                assert_eq!(
                    (&after.slots, &after.rejected),
                    (&before.slots, &before.rejected),
                    "the way back stays"
                );
            }
            assert_eq!(after.history.last().map(|e| &e.outcome), Some(&Outcome::Reverted(why.clone())));
        }
        (Now::Saved(Saved::Committing { target: t, .. }), Saved::Idle) => {
            assert!(after.rejection(&t.release).is_none());
            assert!(after.floors.security_version >= t.security_version);
            assert_eq!(after.history.last().map(|e| &e.outcome), Some(&Outcome::Committed));
        }
        (Now::Saved(Saved::Installing(t) | Saved::Staged(t)), Saved::Idle) => {
            let Event::Failed(why) = event else { panic!("{event:?} ended an update that wasn't tried") };
            if before.origin == Origin::Bundle {
                let rejected = after.rejection(&t.release).is_some_and(|r| r.failure == *why);
                assert_eq!(rejected, why.reason.rejects());
            } else {
                assert_eq!(
                    (&after.slots, &after.rejected),
                    (&before.slots, &before.rejected),
                    "the way back stays"
                );
            }
            assert_eq!(after.history.last().map(|e| &e.outcome), Some(&Outcome::Abandoned(why.clone())));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_events_in_any_order_keep_the_record_sound(steps in prop::collection::vec(step(), 1..120)) {
        let mut agent = Agent::new(provisioned());
        let mut trials = 0;
        for step in steps {
            let before = agent.clone();
            let happens = happens(&agent, step);
            match &happens {
                Ok(event) => match agent.on(event.clone()) {
                    Err(_) | Ok(false) => prop_assert_eq!(&agent, &before),
                    Ok(true) => {
                        prop_assert_ne!(&agent.record, &before.record);
                        prop_assert_eq!(&agent.now, &Now::Saved(agent.record.state.clone()));
                        check_step(&before, event, &agent.record);
                    }
                },
                Err(boot) => {
                    agent.booted(*boot);
                    prop_assert_eq!(&agent.record, &before.record, "a boot changes nothing that is saved");
                    // The trials that happened: asked for, and the next boot is another one, of the slot on trial or
                    // without evidence against it. Until the next decision, the same request is judged again.
                    if let Saved::Armed { target, tries } = &agent.record.state {
                        let asked = tries.asked.filter(|a| boot.slot == target.slot || a.boot != boot.id);
                        let began = boot.slot == target.slot || boot.evidence != Evidence::NotTried;
                        trials = tries.attempts + u8::from(asked.is_some() && began);
                    }
                }
            }
            check(&agent);
            if matches!(agent.now, Now::Saved(Saved::Idle | Saved::Staged(_))) {
                trials = 0;
            }
            prop_assert!(trials <= MAX_ATTEMPTS, "a release gets at most three trials");
            if let Now::Saved(Saved::Armed { tries, .. }) = &agent.now {
                prop_assert_eq!(tries.attempts, trials, "exactly the trials that happened count");
            }
        }
        let record = agent.record;
        let mut journal = Journal::new(TwoCopies::new());
        journal.format(&record).unwrap();
        prop_assert_eq!(journal.load().unwrap(), record);
    }
}

#[test]
fn the_largest_record_fits_a_copy() {
    let mut record = largest_record();
    let mut journal = Journal::new(TwoCopies::new());
    journal.format(&record).unwrap();
    assert_eq!(journal.load().unwrap(), record);
    journal.save(&mut record).unwrap();
    assert_eq!(record.seq, u64::MAX);
    let copy = &journal.into_inner().copies[1];
    let used = usize::from(u16::from_le_bytes([copy[6], copy[7]]));
    println!("the largest record takes {used} of {} bytes", COPY_BYTES - 12);
    assert!(used + 12 <= COPY_BYTES);
    assert!(used > 3500, "is it still the largest?");
}

#[test]
fn names_that_are_too_long_are_refused_at_the_door() {
    let mut long = target(Slot::B, 2);
    long.version = format!("1.0.0-{}", "a".repeat(NAME_BYTES - 5)).parse().unwrap();
    let mut agent = Agent::new(provisioned());
    let refused = agent.on(Event::Offer(long.clone())).unwrap_err();
    assert_eq!(refused.to_string(), "a version of more than 64 bytes does not apply while idle");
    assert_eq!(agent, Agent::new(provisioned()));

    let too_large =
        |r: &Record| matches!(Journal::new(TwoCopies::new()).format(r), Err(JournalError::TooLarge { .. }));
    assert!(too_large(&Record::provision("acme", Image::from(&long), 1)));
    assert!(too_large(&Record::provision(&"x".repeat(NAME_BYTES + 1), Image::from(&target(Slot::A, 1)), 1)));
    assert!(!too_large(&Record::provision(&"x".repeat(NAME_BYTES), Image::from(&target(Slot::A, 1)), 1)));
}

#[test]
fn going_back_needs_a_slot_that_holds_it() {
    let mut agent = Agent::new(provisioned());
    assert!(agent.on(Event::Return(target(Slot::B, 1))).is_err(), "slot B is empty");
    assert!(agent.on(Event::Return(target(Slot::A, 2))).is_err(), "slot A holds another release");
    assert_eq!(agent, Agent::new(provisioned()));
    assert_eq!(agent.on(Event::Return(target(Slot::A, 1))), Ok(true));
}

/// From staged to the end of the commit.
fn prove(agent: &mut Agent, slot: Slot) {
    agent.on(Event::SelfTestsPassed).unwrap();
    agent.on(Event::Rebooting(ASKED)).unwrap();
    assert!(agent.booted(boots(slot)));
    agent.on(Event::Healthy).unwrap();
    agent.on(Event::Committed).unwrap();
}

#[test]
fn what_was_left_on_purpose_does_not_come_back_by_itself() {
    let mut agent = Agent::new(provisioned());
    agent.on(Event::Offer(target(Slot::B, 2))).unwrap();
    agent.on(Event::Installed).unwrap();
    prove(&mut agent, Slot::B);
    assert_eq!(agent.record.floors.security_version, 2);
    assert!(agent.record.rejected.is_empty(), "an upgrade rejects nothing");

    agent.on(Event::Return(target(Slot::A, 1))).unwrap();
    prove(&mut agent, Slot::A);
    let mut record = agent.record;
    let left = record.rejection(&target(Slot::B, 2).release).unwrap();
    assert_eq!(left.failure.reason, Reason::Operator);
    assert_eq!(record.floors.security_version, 2, "the floor stays where it was");
    record.pardon(&left.release.clone());
    assert!(record.rejected.is_empty());
}

#[test]
fn the_oldest_is_forgotten_first() {
    let mut agent = Agent::new(provisioned());
    for n in 10..40 {
        agent.on(Event::Offer(target(Slot::B, n))).unwrap();
        agent.on(Event::Failed(Failure::new(Reason::SelfTest, ""))).unwrap();
    }
    let Agent { record, .. } = agent;
    let ids: Vec<u8> = record.rejected.iter().map(|r| r.release.0[0]).collect();
    let want = u8::try_from(REJECTED_LEN).unwrap();
    assert_eq!(ids, (40 - want..40).collect::<Vec<_>>());
    let ids: Vec<u8> = record.history.iter().map(|e| e.release.0[0]).collect();
    let want = u8::try_from(HISTORY_LEN).unwrap();
    assert_eq!(ids, (40 - want..40).collect::<Vec<_>>());
}

fn armed() -> Agent {
    let mut agent = Agent::new(provisioned());
    for e in [Event::Offer(target(Slot::B, 2)), Event::Installed, Event::SelfTestsPassed] {
        agent.on(e).unwrap();
    }
    agent
}

fn tries(agent: &Agent) -> bistable_boot::Tries {
    let Now::Saved(Saved::Armed { tries, .. }) = &agent.now else { panic!("{:?}", agent.now) };
    *tries
}

#[test]
fn an_attempt_counts_only_if_the_machine_booted_again() {
    let mut agent = armed();
    // However often it is asked for, the same boot keeps running.
    for _ in 0..9 {
        agent.on(Event::Rebooting(ASKED)).unwrap();
        assert!(!agent.booted(Boot { id: ASKED.boot, ..boots(Slot::A) }));
    }
    assert_eq!((tries(&agent).attempts, tries(&agent).refused), (0, 0));
    // A reboot that failed for sure isn't one, whatever boots next.
    agent.on(Event::RebootCanceled).unwrap();
    assert!(!agent.booted(boots(Slot::A)));
    // One that happened is.
    agent.on(Event::Rebooting(ASKED)).unwrap();
    for evidence in [Evidence::Unknown, Evidence::Tried] {
        let mut agent = agent.clone();
        let boot = Boot { evidence, ..boots(Slot::A) };
        assert!(agent.booted(boot));
        assert_eq!(tries(&agent), bistable_boot::Tries::after(1));
        assert!(!agent.booted(boot), "once");
    }
}

#[test]
fn a_boot_loader_that_refuses_costs_no_attempt_and_stops_the_update() {
    let mut agent = armed();
    let refused = Boot { evidence: Evidence::NotTried, ..boots(Slot::A) };
    for n in 1..=MAX_ATTEMPTS {
        agent.on(Event::Rebooting(ASKED)).unwrap();
        assert!(agent.booted(refused));
        assert_eq!((tries(&agent).attempts, tries(&agent).refused), (0, n));
    }
    // No further reboot, until a person arms it again.
    assert!(agent.on(Event::Rebooting(ASKED)).is_err());
    agent.on(Event::SelfTestsPassed).unwrap();
    agent.on(Event::Rebooting(ASKED)).unwrap();
    // Or another offer takes its place: nothing is rejected.
    agent.on(Event::Failed(Failure::new(Reason::Install, "release 1.3.0 was offered instead"))).unwrap();
    agent.on(Event::Reverted).unwrap();
    assert_eq!((agent.record.state, agent.record.rejected), (Saved::Idle, vec![]));
}

/// What a trial shows is not saved, and counts all the same in what is decided on it.
#[test]
fn the_trials_of_a_failed_release_are_in_its_history() {
    let mut agent = armed();
    agent.on(Event::Rebooting(ASKED)).unwrap();
    assert!(agent.booted(boots(Slot::B)));
    assert_eq!((agent.now.attempts(), agent.record.attempts), (Some(1), 0));
    agent.on(Event::Failed(Failure::new(Reason::Health, ""))).unwrap();
    assert_eq!(agent.record.attempts, 1);
    agent.on(Event::Reverted).unwrap();
    assert_eq!(agent.record.history.last().unwrap().attempts, 1);
}

#[test]
fn a_channel_keeps_the_digest_of_its_newest_number() {
    let mut record = provisioned();
    let [first, second] = [1, 2].map(|n| PayloadDigest([n; 32]));
    record.accept_channel(5, first);
    record.accept_channel(4, second);
    assert_eq!((record.floors.channel_sequence, record.channel_payload), (5, Some(first)));
    record.equivocation = Some(bistable_boot::Equivocation { sequence: 5, refused: second });
    record.accept_channel(5, first);
    assert!(record.equivocation.is_some(), "a person has not seen it yet");
    record.accept_channel(6, second);
    assert_eq!(record.channel_payload, Some(second));
    assert!(record.equivocation.is_some(), "whoever holds a stolen key can sign a higher number");
    record.forget_channel();
    assert_eq!(
        (record.floors.channel_sequence, record.channel_payload, record.equivocation),
        (0, None, None)
    );
}

#[test]
fn the_newest_withdrawals_are_kept_and_the_same_file_again_changes_nothing() {
    let mut record = provisioned();
    let releases = |range: std::ops::Range<u8>| range.map(|n| ReleaseId([n; 32])).collect::<Vec<_>>();
    record.accept_withdrawn(releases(1..4));
    record.accept_withdrawn(releases(2..5));
    assert_eq!(record.withdrawn, releases(1..5));
    let last = u8::try_from(WITHDRAWN_LEN).unwrap();
    for _ in 0..2 {
        record.accept_withdrawn(releases(10..30));
        assert_eq!(record.withdrawn, releases(30 - last..30));
    }
    record.forget_channel();
    assert_eq!(record.withdrawn, []);
}
