//! What a user sees of an update of containers, and of each that can't be.
use super::{
    desk::{COMPOSE, CORE, Desk, Kind, Made, PROJECT, component_error, made_image, made_image_of},
    mutant::Mutant,
};
use crate::{
    app::Code,
    board::memory::{EngineFacts, HostFailure, Loss},
    component::{ComponentError, ComponentStep as Step},
    error::Exit,
    ports::{ComposeProject as _, ImageStore},
};
use bistable_boot::{
    Reason,
    component::{Lifecycle, State},
};
use bistable_format::{Content, content::Service};

fn with(versions: &[&Made]) -> Desk {
    Desk::with_kind(Kind::Containers, None, versions)
}

#[test]
fn an_update_of_containers_runs_its_steps_in_order_and_changes_one_name_in_the_file() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    let mut desk = with(&[&old]);
    desk.update(&new).unwrap();
    let steps = [
        Step::Preflight,
        Step::Copy,
        Step::Fetch,
        Step::Pull,
        Step::Sync,
        Step::SelfTest,
        Step::Switch,
        Step::Start,
        Step::Health,
        Step::Commit,
        Step::CleanUp,
    ];
    assert_eq!(desk.steps, steps);
    assert_eq!(desk.running(), Some(new.name()));
    assert_eq!(desk.engine.policies(PROJECT, CORE), ["always"]);
    let file = String::from_utf8(desk.engine.durable_file(PROJECT)).unwrap();
    let image = format!("bistable/core:{}", new.name());
    assert_eq!(file, COMPOSE.replace("registry.example.com/hub/core:1.0", &image));
    assert_eq!(desk.engine.copies(PROJECT), 2, "as the product had it, and with the version before");
    assert!(desk.is_whole(&old), "the way back stays");
}

#[test]
fn containers_that_are_not_healthy_are_given_up_and_rejected_and_the_old_one_runs() {
    for (behavior, detail) in [
        ("sick", "HTTP status 500"),
        ("dead", "exited, exit code 1"),
        ("restarting", "exited, exit code 3"),
        ("unhealthy", "the engine's health check of service core: unhealthy"),
    ] {
        let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", behavior));
        let mut desk = with(&[&old]);
        let before = desk.engine.durable_file(PROJECT);
        let e = desk.update(&new).unwrap_err();
        assert_eq!((e.exit(), Code::of(&e)), (Exit::Health, Code::Health));
        let ComponentError::GivenUp { failure, is_back, .. } = component_error(e) else { panic!() };
        assert_eq!((failure.reason, is_back), (Reason::Health, true));
        assert!(failure.detail.as_str().contains(detail), "{failure}");
        assert_eq!(desk.running(), Some(old.name()));
        assert_eq!(desk.engine.durable_file(PROJECT), before, "a trial changes nothing durable");
        assert!(!desk.is_whole(&new), "what nothing needs is removed");
    }
}

#[test]
fn a_first_version_that_fails_leaves_what_the_product_came_with() {
    let mut desk = Desk::of(Kind::Containers, None);
    let e = desk.update(&made_image("1.0.0", "sick")).unwrap_err();
    assert!(matches!(component_error(e), ComponentError::GivenUp { is_back: false, .. }));
    assert_eq!(Lifecycle::from(&desk.component()), Lifecycle::Failed);
    assert_eq!(desk.running().as_deref(), Some("factory"));
    desk.power_cycle(Loss::All);
    assert_eq!(desk.running().as_deref(), Some("factory"));
    desk.update(&made_image("1.0.1", "good")).unwrap();
    assert_eq!(Lifecycle::from(&desk.component()), Lifecycle::Running);
}

#[test]
fn an_endpoint_that_the_old_container_answers_does_not_pass() {
    let old = made_image("1.0.0", "good");
    let mut desk = with(&[&old]);
    desk.mutant = Some(Mutant::WrongImage);
    let e = desk.update(&made_image("1.1.0", "good")).unwrap_err();
    let ComponentError::GivenUp { failure, .. } = component_error(e) else { panic!() };
    assert!(failure.detail.as_str().contains("1.0.0"), "{failure}");
}

#[test]
fn a_release_that_does_not_fit_is_refused_by_its_name_and_nothing_is_rejected() {
    let old = made_image("1.0.0", "good");
    let services = |names: [&'static str; 2]| {
        made_image_of("1.1.0", "good", "arm64", move |release| {
            let Content::Containers(containers) = &mut release.content else { panic!() };
            let manifest = containers.services[0].manifest;
            let service = |name: &str| Service { name: name.into(), manifest };
            let names = names.iter().filter(|name| !name.is_empty());
            containers.services = names.map(|name| service(name)).collect();
        })
    };
    let mut other_manifest = made_image("1.1.0", "good");
    let strange = made_image("1.2.0", "good");
    // The manifest of another image, under the digest of this one: what a signer mixes up, a device finds.
    other_manifest.parts[0].1.clone_from(&strange.parts[0].1);
    let cases = [
        (super::desk::made("1.1.0", "good"), "not one of component core"),
        (made_image_of("1.1.0", "good", "amd64", |_| {}), "linux/amd64, and the engine runs linux/arm64"),
        (services(["web", ""]), "its image is for service web"),
        (services(["core", "web"]), "images for the services core, web"),
        (other_manifest, "another configuration than the release has"),
    ];
    for (made, text) in cases {
        let mut desk = with(&[&old]);
        let e = desk.update(&made).unwrap_err();
        assert_eq!(e.exit(), Exit::Incompatible, "{e}");
        assert!(e.to_string().contains(text), "{e}");
        assert_eq!(desk.component().state, State::Idle);
        assert!(desk.component().rejected.is_empty(), "I16");
        assert_eq!(desk.running(), Some(old.name()));
    }
}

/// An engine that is there, and is another one than it has to be.
#[test]
fn an_engine_that_is_not_supported_is_refused_by_name() {
    type Change = fn(&mut EngineFacts);
    let cases: [(Change, &str); 4] = [
        (|facts| facts.version = "19.3.15".into(), "version 19.3.15: the oldest that is supported is 20"),
        (|facts| facts.compose = "1.29.2".into(), "Compose has version 1.29.2"),
        (|facts| facts.store = Err("devicemapper".into()), "stores images by \"devicemapper\""),
        (|facts| facts.free = 400 << 20, "400"),
    ];
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    for (change, text) in cases {
        let mut desk = with(&[&old]);
        desk.engine.change(change);
        let e = desk.update(&new).unwrap_err();
        assert!(
            e.to_string().contains(text) || matches!(component_error(e), ComponentError::Space { .. }),
            "{text}"
        );
        assert_eq!(desk.steps, [Step::Preflight], "{text}");
        assert_eq!((desk.component().state, desk.running()), (State::Idle, Some(old.name())));
    }
}

#[test]
fn an_engine_that_does_not_answer_is_no_verdict_on_a_release() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    for silence in [HostFailure::Stopped, HostFailure::Hangs] {
        let mut desk = with(&[&old]);
        desk.engine.change(|facts| facts.silence = Some(silence));
        let e = desk.update(&new).unwrap_err();
        assert_eq!(e.exit(), Exit::TryLater, "{e}");
        assert!(e.to_string().contains("container engine"), "{e}");
        assert!(desk.component().rejected.is_empty());
        desk.engine.change(|facts| facts.silence = None);
        desk.update(&new).unwrap();
    }
}

#[test]
fn the_store_of_containerd_names_images_by_their_manifests() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    let mut desk = Desk::of(Kind::Containers, None);
    desk.engine.change(|facts| facts.store = Ok(ImageStore::Manifest));
    desk.update(&old).unwrap();
    desk.update(&new).unwrap();
    assert_eq!(desk.running(), Some(new.name()));
}

#[test]
fn a_compose_file_that_leaves_open_what_runs_is_refused_with_its_line() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    let cases = [
        ("services:\n  core:\n    image: hub/core:${TAG}\n", "variable"),
        ("services:\n  core: &x\n    image: hub/core:1\n", "anchor"),
        ("include: [other.yaml]\nservices:\n  core:\n    image: hub/core:1\n", "include"),
        ("services:\n  core:\n    extends: {service: base}\n    image: hub/core:1\n", "extends"),
        ("services:\n  web:\n    image: hub/web:1\n", "no service \"core\""),
        ("services: [", "services must be names"),
    ];
    for (text, why) in cases {
        let mut desk = with(&[&old]);
        desk.engine.set_file(PROJECT, text.as_bytes()).unwrap();
        let e = desk.update(&new).unwrap_err();
        assert_eq!(e.exit(), Exit::Incompatible, "{e}");
        assert!(e.to_string().contains(why), "{why}: {e}");
        assert!(e.to_string().contains("compose.yaml"), "{e}");
        assert!(desk.component().rejected.is_empty());
    }
}

#[test]
fn a_full_disk_at_any_step_keeps_the_old_version_and_the_next_attempt_succeeds() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    type Change = fn(&mut EngineFacts);
    let full = "write /var/lib/docker/tmp: no space left on device";
    let cases: [(Change, &str); 2] = [
        (|facts| facts.pull_problem = Some("write /x: no space left on device".into()), "pull"),
        (|facts| facts.start_problem = Some("mkdir /x: no space left on device".into()), "start"),
    ];
    for (change, at) in cases {
        let mut desk = with(&[&old]);
        desk.engine.change(change);
        let e = desk.update(&new).unwrap_err();
        assert_eq!(e.exit(), Exit::TryLater, "{at}: {e}");
        assert!(e.to_string().contains("no space left"), "{e}");
        assert!(desk.component().rejected.is_empty(), "{at}: I16");
        assert_eq!(desk.component().current, Some(old.held()));
        desk.engine.change(|facts| (facts.pull_problem, facts.start_problem) = (None, None));
        desk.proceed(&new).unwrap();
        assert_eq!(desk.running(), Some(new.name()), "{full}");
    }
    let mut desk = with(&[&old]);
    desk.store.set_free(100 << 20);
    let e = component_error(desk.update(&new).unwrap_err());
    assert!(matches!(e, ComponentError::Space { needed: 500_000_000, .. }), "{e}");
}

#[test]
fn a_port_that_another_program_uses_is_no_verdict_on_a_release() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    let mut desk = with(&[&old]);
    desk.engine.change(|facts| {
        facts.start_problem = Some("Bind for 0.0.0.0:80 failed: port is already allocated".into());
    });
    let e = desk.update(&new).unwrap_err();
    assert_eq!(e.exit(), Exit::TryLater, "{e}");
    assert!(desk.component().rejected.is_empty());
}

#[test]
fn images_that_something_removed_are_missed_before_they_are_needed() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    // A container that never runs keeps an image from `docker image prune --all`.
    let mut desk = with(&[&old, &new]);
    desk.engine.prune(false);
    desk.act(|updater| updater.return_to(&old.held())).unwrap();
    assert_eq!(desk.running(), Some(old.name()));
    // `docker system prune --all` removes that container first.
    let mut desk = with(&[&old, &new]);
    desk.engine.prune(true);
    let e = component_error(desk.act(|updater| updater.return_to(&old.held())).unwrap_err());
    assert!(matches!(e, ComponentError::ImageGone { .. }), "{e}");
    assert_eq!((desk.component().state, desk.running()), (State::Idle, Some(new.name())));
    // The new version is gone before its trial.
    let next = made_image("1.2.0", "good");
    let mut content = next.clone();
    desk.act(|updater| updater.install(&mut content)).unwrap();
    desk.engine.prune(true);
    let e = component_error(desk.act(|updater| updater.run()).unwrap_err());
    assert!(
        matches!(&e, ComponentError::GivenUp { failure, .. } if failure.reason == Reason::Install),
        "{e}"
    );
    assert!(desk.component().rejected.is_empty(), "I16");
    assert_eq!(desk.running(), Some(new.name()));
    desk.update(&next).unwrap();
}

#[test]
fn two_releases_of_one_image_share_it_and_neither_takes_it_from_the_other() {
    let old = made_image("1.0.0", "good");
    let again = made_image_of("1.0.0", "good", "arm64", |release| {
        release.version = "1.0.1".parse().unwrap();
        release.health.clear();
    });
    let mut desk = with(&[&old]);
    desk.update(&again).unwrap();
    assert_eq!(desk.component().current, Some(again.held()));
    assert!(desk.is_whole(&old) && desk.is_whole(&again));
    for version in ["1.1.0", "1.2.0"] {
        desk.update(&made_image(version, "good")).unwrap();
    }
    assert!(!desk.is_whole(&old), "it is removed when nothing can return to it");
    assert!(desk.is_whole(&again), "and its image stays for the other");
}

#[test]
fn what_was_handed_over_to_the_engine_is_taken_back_before_it_is_given_up() {
    let (old, new) = (made_image("1.0.0", "good"), made_image("1.1.0", "good"));
    let whole = {
        let mut desk = with(&[&old]).fork();
        desk.update(&new).unwrap();
        desk.supply.operations()
    };
    let mut tried = 0;
    for at in 1..=whole {
        let mut desk = with(&[&old]);
        desk.supply.restore();
        desk.supply.cut_at(at, Loss::Nothing);
        let _ = desk.update(&new);
        desk.power_cycle(Loss::Nothing);
        if !matches!(desk.component().state, State::Committing { .. }) {
            continue;
        }
        tried += 1;
        // Given up, and cut anywhere in that: the engine never starts what was given up.
        for again in 1.. {
            let mut cut = desk.fork();
            cut.supply.cut_at(again, Loss::All);
            let _ = cut.act(|updater| updater.give_up());
            let is_over = !cut.supply.is_off();
            cut.power_cycle(Loss::All);
            assert!(cut.early.iter().all(|early| cut.may_start_itself(early)), "{at}, {again}");
            assert_eq!(cut.running(), cut.wanted());
            if is_over {
                break;
            }
        }
    }
    assert!(tried > 0);
}

#[test]
fn stopped_containers_stay_stopped_across_boots_and_the_engine_does_not_start_them() {
    let old = made_image("1.0.0", "good");
    let mut desk = with(&[&old]);
    desk.act(|updater| updater.set_stopped(true)).unwrap();
    assert_eq!(desk.running(), None);
    desk.power_cycle(Loss::All);
    assert!(desk.early.is_empty());
    assert_eq!(desk.running(), None);
    desk.act(|updater| updater.set_stopped(false)).unwrap();
    assert_eq!(desk.running(), Some(old.name()));
    assert_eq!(desk.engine.policies(PROJECT, CORE), ["always"]);
}
