//! The model of the update protocol: it holds within small bounds, and each mutant of the order of acts is caught by
//! the property that is there for it.
use bistable_boot::{Action, Event, Slot};
use bistable_proof::model::{
    Found, Model, Opening, Protocol,
    acts::{Act, order},
    machine::Counts,
    run, search,
    steps::Step,
};
use clap::Parser;
use stateright::{Checker as _, HasDiscoveries, Model as _};

const NONE: Counts =
    Counts { cuts: 0, losses: 0, flag_losses: 0, faults: 0, kills: 0, offers: 1, operator: 0 };

fn within(bounds: Counts) -> Found {
    search(Model { bounds, ..Model::default() }, 2)
}

/// The names of the properties that must always hold and don't.
fn broken(found: &Found) -> Vec<&'static str> {
    let always = found.findings.iter().filter(|f| f.must == stateright::Expectation::Always);
    always.filter(|f| !f.holds()).map(|f| f.name).collect()
}

/// A mutant must be caught by that property, within bounds in which the protocol itself holds.
fn caught(protocol: Protocol, bounds: Counts, by: &'static str) {
    assert_eq!(broken(&within(bounds)), [""; 0], "the protocol itself");
    is_found(protocol, bounds, by);
}

/// Searches no further than to the first state that shows it.
fn is_found(protocol: Protocol, bounds: Counts, by: &'static str) {
    let checker = Model { protocol, bounds }.checker().threads(2);
    let found = checker.finish_when(HasDiscoveries::AnyOf([by].into())).spawn_bfs().join();
    assert!(found.discovery(by).is_some(), "{by}");
}

fn reordered(order: fn(Action) -> &'static [Act]) -> Protocol {
    Protocol { order, ..Protocol::default() }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: bistable_proof::model::Options,
}

#[test]
fn the_protocol_holds_and_all_that_should_be_possible_is() {
    let found = within(Counts { cuts: 1, losses: 1, operator: 1, ..NONE });
    assert_eq!(broken(&found), [""; 0]);
    assert!(found.holds(), "{:#?}", found.findings);
    assert!(found.unique > 30_000, "{}", found.unique);
}

#[test]
fn the_command_line_sets_the_bounds() {
    let args = "model --cuts 1 --losses 0 --offers 1 --operator 1";
    assert!(run(&Cli::parse_from(args.split(' ')).options).unwrap());
    // Without an offer, nothing ever happens: what should be possible isn't.
    assert!(!run(&Cli::parse_from(["model", "--offers", "0"]).options).unwrap());
}

#[test]
fn the_shortest_way_is_shown() {
    fn hasty(todo: Action) -> &'static [Act] {
        match todo {
            Action::HealthCheck => &[Act::SwitchAlways, Act::Health, Act::Save(&[Event::Healthy])],
            todo => order(todo),
        }
    }
    let found = search(Model { protocol: reordered(hasty), bounds: NONE }, 2);
    let finding = found.findings.iter().find(|f| f.name.starts_with("a commit needs")).unwrap();
    let way = finding.way.clone().unwrap();
    assert_eq!(way.len(), 25, "{finding}");
    assert!(matches!(way.last(), Some(Step::Do(Act::SwitchAlways, _))));
    assert!(finding.to_string().contains("25. the agent: SwitchAlways"), "{finding}");
}

#[test]
fn a_commit_before_the_health_check_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::HealthCheck => &[Act::SwitchAlways, Act::Health, Act::Save(&[Event::Healthy])],
            todo => order(todo),
        }
    }
    caught(reordered(mutant), NONE, "a commit needs self-tests and health on this boot");
    caught(reordered(mutant), NONE, "the default slot is complete and was healthy");
}

#[test]
fn a_flag_written_before_the_state_is_saved_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::HealthCheck => &[Act::Health, Act::SwitchAlways, Act::Save(&[Event::Healthy])],
            todo => order(todo),
        }
    }
    // One power cut alone does no harm: what it leaves of the flag is written again, and the trial is made again.
    caught(
        reordered(mutant),
        Counts { kills: 1, faults: 1, ..NONE },
        "a commit that returned is not undone by itself",
    );
}

#[test]
fn attempts_that_are_not_counted_are_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::Try => &[Act::RepairFlag, Act::SetOnce, Act::Reboot],
            todo => order(todo),
        }
    }
    caught(reordered(mutant), NONE, "an offer gets three trials at most");
}

#[test]
fn a_boot_may_leave_what_is_staged_and_a_person_tries_it_later() {
    let model = Model { bounds: Counts { cuts: 1, ..NONE }, ..Model::default() };
    let checker = model.checker().threads(2);
    let by = "a release is committed after a cut";
    let found = checker.finish_when(HasDiscoveries::AnyOf([by].into())).spawn_bfs().join();
    assert!(found.discovery(by).is_some());
    // Staged, left alone by the boot, and no power cut follows: only an offer continues.
    let mut machines = model.init_states();
    let mut left = None;
    let mut cut = false;
    for _ in 0..60 {
        let machine = machines.pop().unwrap();
        let mut steps = Vec::new();
        model.actions(&machine, &mut steps);
        if steps.contains(&Step::Leave) {
            let left_alone = model.next_state(&machine, Step::Leave).unwrap();
            let mut then = Vec::new();
            model.actions(&left_alone, &mut then);
            assert!(
                !then.contains(&Step::Start) && then.iter().any(|s| matches!(s, Step::Offer(_))),
                "{then:?}"
            );
            left = Some(left_alone);
            break;
        }
        let staged = machine.medium.seen.load().is_some_and(|m| m.now().todo() == Action::SelfTest);
        let next = steps.iter().find(|s| matches!(s, Step::Cut(_)) && staged && !cut);
        cut |= next.is_some();
        let next = next.or_else(|| steps.iter().find(|s| !matches!(s, Step::Cut(_)))).unwrap().clone();
        machines.push(model.next_state(&machine, next).unwrap());
    }
    assert!(left.is_some(), "no boot found a staged release");
}

#[test]
fn a_reboot_that_fails_is_no_attempt() {
    let found = within(Counts { faults: 1, ..NONE });
    assert_eq!(broken(&found), [""; 0]);
}

#[test]
fn a_header_that_is_not_erased_is_caught() {
    fn before(todo: Action) -> &'static [Act] {
        match todo {
            Action::Install => &[
                Act::Open,
                Act::StoreRelease,
                Act::BeginData,
                Act::WriteData,
                Act::WriteHeader,
                Act::Save(&[Event::Installed]),
            ],
            todo => order(todo),
        }
    }
    fn after(todo: Action) -> &'static [Act] {
        match todo {
            Action::Revert => &[Act::RestoreFlag, Act::ClearOnce, Act::Leave, Act::Save(&[Event::Reverted])],
            todo => order(todo),
        }
    }
    let two = Counts { offers: 2, ..NONE };
    caught(reordered(before), two, "a slot that looks bootable is complete");
    caught(reordered(after), NONE, "a release that failed its trial does not look bootable");
}

#[test]
fn a_header_that_is_written_first_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::Install => &[
                Act::Open,
                Act::StoreRelease,
                Act::WriteHeader,
                Act::BeginData,
                Act::WriteData,
                Act::Save(&[Event::Installed]),
            ],
            todo => order(todo),
        }
    }
    caught(reordered(mutant), NONE, "a slot that looks bootable is complete");
}

#[test]
fn a_commit_that_is_noted_before_it_is_done_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::Commit => &[Act::Save(&[Event::Committed]), Act::SwitchAlways],
            todo => order(todo),
        }
    }
    caught(reordered(mutant), NONE, "floors rise only with a commit");
}

#[test]
fn self_tests_that_are_skipped_are_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::SelfTest => &order(todo)[1..],
            todo => order(todo),
        }
    }
    caught(reordered(mutant), NONE, "no release is armed whose self-tests fail");
}

#[test]
fn a_torn_flag_that_is_not_repaired_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::Try => &order(todo)[1..],
            todo => order(todo),
        }
    }
    // The boot loader is asked in vain, so the update waits for a person.
    caught(reordered(mutant), Counts { cuts: 1, ..NONE }, "a machine that is left alone comes to rest");
}

#[test]
fn a_one_shot_flag_that_is_not_taken_back_is_caught() {
    fn mutant(todo: Action) -> &'static [Act] {
        match todo {
            Action::Revert => {
                &[Act::RestoreFlag, Act::Leave, Act::EraseFailed, Act::Save(&[Event::Reverted])]
            }
            todo => order(todo),
        }
    }
    // Asked to reboot, killed, called back by an operator; and a reset while the next release is there.
    let bounds = Counts { kills: 1, operator: 1, faults: 1, offers: 2, ..NONE };
    is_found(reordered(mutant), bounds, "a machine that is left alone comes to rest");
}

#[test]
fn a_journal_that_trusts_an_unflushed_copy_is_caught() {
    let protocol = Protocol { opening: Opening::Trusts, ..Protocol::default() };
    caught(protocol, Counts { kills: 1, cuts: 1, ..NONE }, "one fault does not lose the journal");
}

/// What remains: the flag's sector is the one thing that the firmware needs and that there is only once. Lost while a
/// release is in slot A that never comes up, the firmware's search ends there.
#[test]
fn a_flag_lost_outside_of_its_own_write_is_a_known_risk() {
    let found = within(Counts { flag_losses: 1, offers: 2, ..NONE });
    // Whatever is lost, these hold: nothing that runs is written over, nothing unproven becomes the default, and no good
    // release is rejected for it.
    let harmed = [
        "something boots, whatever happens next",
        "a commit that returned is not undone by itself",
        "a machine that is left alone comes to rest",
    ];
    assert_eq!(broken(&found), harmed);
    let finding = &found.findings[0];
    assert_eq!(finding.from, Some(Slot::B), "only slot A is looked at before the one that runs: {finding}");
    assert_eq!(finding.way.as_ref().and_then(|way| way.last()), Some(&Step::LoseFlag), "{finding}");
}
