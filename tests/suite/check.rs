//! `check`, and `install` and `update` from a repository, as whole programs.
use crate::{
    fixture::WORLD,
    following::UNUSABLE,
    pi::Pi,
    rig::Rig,
    shop::{CHANNEL, NOW, SEEN, at_time, channel, device, made, publish, put, shop, stock},
};
use bistable::source::Memory;
use bistable_format::{Channel, Digest, repository, rollout::Rollout, rollout::RolloutState};
use std::fs;

/// The repository as a folder beside the card.
pub(crate) fn shelve(pi: &Pi, name: &str, shop: &Memory) {
    let _ = fs::remove_dir_all(pi.path(name));
    for (path, bytes) in &shop.files {
        pi.file(&format!("{name}/{path}"), bytes);
    }
}

/// A repository that offers 1.1.0.
fn offering() -> Memory {
    let mut shop = shop();
    let offer = stock(&mut shop, &made("1.1.0"));
    publish(&mut shop, &channel(SEEN + 1, vec![offer]));
    shop
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

fn pi() -> Pi {
    let Rig { pi, .. } = device();
    pi
}

#[test]
fn what_check_says_and_how_it_ends() {
    let pi = pi();
    pi.run("check").must(2, &["no repository is configured", "source.urls", "--source"]);
    shelve(&pi, "shop", &shop());
    let none = pi.run("check --source @shop");
    none.must(
        3,
        &[
            "channel production of /",
            "nothing to do: 1.0.0 runs, and channel production offers nothing newer",
        ],
    );
    shelve(&pi, "shop", &offering());
    let found = pi.run("check --source @shop").must(0, &[]);
    assert!(
        found.out.contains("▶ 1.1.0  for every device\nupdate to 1.1.0: `bistable update`"),
        "{found:#?}"
    );
    let json = pi.run("check --source @shop --json").must(0, &[]).json();
    assert_eq!((&json["takes"], &json["sequence"]), (&"1.1.0".into(), &(SEEN + 1).into()), "{json:#}");
    // The same, from what is configured; a folder is as good as an address.
    pi.config(&format!("[source]\nurls = [\"{}\"]\n", pi.path("shop").display()));
    assert_eq!(pi.run("check").must(0, &[]).out, found.out);
    // On the command line, a path may begin where one is.
    assert_eq!(pi.run("check --source shop").must(0, &[]).out, found.out);
    pi.run("check --channel beta").must(1, &["has no channel beta", "is it a repository"]);
    for name in ["../production", "Beta", "a.b", ""] {
        let mut command = pi.command();
        command.args(["check", "--channel", name]);
        crate::pi::end(command, name).must(2, &["is not a name"]);
    }
    pi.run("check --source @elsewhere").must(75, &["elsewhere"]);
    pi.run("check --source ftp://example.org/").must(1, &["ftp"]);
    pi.is_unharmed();
}

#[test]
fn nothing_to_do_is_json_too_with_all_that_there_is() {
    let pi = pi();
    let mut shop = offering();
    let mut offer = stock(&mut shop, &made("1.1.0"));
    offer.rollout = Rollout { pace: RolloutState::Halted, ..Rollout::default() };
    publish(&mut shop, &channel(SEEN + 2, vec![offer]));
    shelve(&pi, "shop", &shop);
    let json = pi.run("check --source @shop --json").must(3, &[]).json();
    assert_eq!((&json["takes"], &json["exit"]), (&serde_json::Value::Null, &3.into()), "{json:#}");
    assert_eq!(json["offers"][0]["why"][0], "the rollout is halted", "{json:#}");
    let update = pi.run("update --source @shop --json").must(3, &[]).json();
    assert_eq!(update["error"], "1.0.0 runs; 1.1.0: the rollout is halted");
    pi.is_unharmed();
}

#[test]
fn what_is_not_believed_ends_with_5() {
    let pi = pi();
    let mut bad = offering();
    let file = repository::channel(CHANNEL, SEEN + 1);
    put(&mut bad, file.clone(), vector("channel-signed-by-release-key.channel"));
    shelve(&pi, "shop", &bad);
    let words = ["which the root does not name for channel", file.as_str()];
    pi.run("check --source @shop").must(5, &words);
    pi.run("update --source @shop").must(5, &words);
    let json = pi.run("install --source @shop --json").must(5, &[]).json();
    assert!(json["error"].as_str().unwrap().contains(words[0]), "{json:#}");
    pi.is_unharmed();
    // Of several, one that is right is enough, in whatever order; and one that isn't plugged in does no harm.
    shelve(&pi, "good", &offering());
    for sources in [
        "--source @shop --source @good",
        "--source @good --source @shop",
        "--source @gone --source @shop --source @good",
    ] {
        let found = pi.run(&format!("check {sources}")).must(0, &[]);
        assert!(found.out.contains("update to 1.1.0"), "{found:#?}");
    }
    pi.run("check --source @shop --source @gone").must(5, &words);
    // The newest of those that are right.
    shelve(&pi, "behind", &shop());
    let found = pi.run("check --source @shop --source @behind --source @good").must(0, &[]);
    assert!(found.out.contains("update to 1.1.0"), "{found:#?}");
    pi.run("update --source @shop --source @good").must(0, &["state: staged"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn an_offer_that_cannot_be_opened_is_reported_and_the_next_is_taken() {
    for (words, spoil, forged) in UNUSABLE {
        let pi = pi();
        let mut shop = shop();
        let bad = spoil(&mut shop, "1.3.0");
        publish(&mut shop, &channel(SEEN + 1, vec![bad.clone()]));
        shelve(&pi, "alone", &shop);
        let good = stock(&mut shop, &made("1.1.0"));
        publish(&mut shop, &channel(SEEN + 2, vec![bad, good]));
        shelve(&pi, "shop", &shop);
        let code = if forged { 5 } else { 75 };
        let alone = pi.run("check --source @alone --json").must(code, &["error: release", words]).json();
        assert_eq!(alone["offers"][0]["verdict"], "unusable", "{alone:#}");
        pi.run("update --source @alone").must(code, &["can't be used", words]);
        let found = pi.run("check --source @shop").must(0, &[]);
        assert!(found.out.contains("▶ 1.1.0  for every device"), "{found:#?}");
        assert!(found.out.contains("can't be used: ") && found.out.contains(words), "{found:#?}");
        let dry = pi.run("install -n --source @shop").must(0, &["can't be used", words]);
        assert!(dry.out.contains("release 1.1.0 may be installed"), "{dry:#?}");
        let update = pi.run("update --source @shop --json").must(0, &["can't be used", words]).json();
        assert!(update["unusable"][0]["problem"].as_str().unwrap().contains(words), "{update:#}");
        pi.run("resume").must(0, &[]);
        pi.rests("B", "1.1.0");
    }
}

#[test]
fn a_release_that_is_no_file_of_the_repository_does_not_stop_the_next() {
    for (words, leads_out) in
        [("this is not an ordinary file", false), ("this leads out of the repository", true)]
    {
        let pi = pi();
        let mut shop = shop();
        let both = ["1.1.0", "1.3.0"].map(|v| stock(&mut shop, &made(v)));
        publish(&mut shop, &channel(SEEN + 1, both.into()));
        shelve(&pi, "shop", &shop);
        let blob = pi.path("shop").join(repository::blob(&Digest::of(&made("1.3.0").signed)));
        fs::remove_file(&blob).unwrap();
        if leads_out {
            std::os::unix::fs::symlink(&pi.card, &blob).unwrap();
        } else {
            fs::create_dir(&blob).unwrap();
        }
        pi.run("update 1.3.0 --source @shop").must(1, &[words]);
        pi.run("update --source @shop").must(0, &["release 1.3.0 can't be used", words]);
        pi.run("resume").must(0, &[]);
        pi.rests("B", "1.1.0");
    }
}

#[test]
fn install_and_update_from_a_folder() {
    let pi = pi();
    shelve(&pi, "shop", &offering());
    let before = fs::read(&pi.card).unwrap();
    let dry = pi.run("install -n --source @shop").must(0, &[]);
    assert_eq!(dry.out.trim(), "release 1.1.0 may be installed into slot B; nothing was written");
    assert!(fs::read(&pi.card).unwrap() == before, "a dry run writes nothing");
    pi.run("install 1.2.0 --source @shop").must(3, &["offers no release 1.2.0 for greenhouse; it has 1.1.0"]);
    pi.run("install 1.1.0 --source @shop").must(0, &["state: staged"]);
    pi.run("update --source @shop").must(0, &["booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    pi.run("update --source @shop").must(3, &["1.1.0 runs, and channel production offers nothing newer"]);
    // A stick of last year is no way back.
    shelve(&pi, "old", &shop());
    pi.run("check --source @old").must(5, &["is older than number 8", "replays old offers"]);
    // Beside one that can't be reached, it says nothing.
    pi.run("check --source @old --source @gone").must(75, &["gone"]);
}

#[test]
fn what_is_armed_is_tried_whatever_is_on_offer_by_now() {
    let pi = pi();
    let mut shop = offering();
    shelve(&pi, "shop", &shop);
    pi.run("install --source @shop").must(0, &[]);
    pi.run("arm").must(0, &["state: armed"]);
    let both = ["1.1.0", "1.2.0"].map(|v| stock(&mut shop, &made(v)));
    publish(&mut shop, &channel(SEEN + 2, both.into()));
    shelve(&pi, "shop", &shop);
    pi.run("install --source @shop").must(75, &["release 1.1.0 is armed"]);
    pi.run("update --source @shop").must(0, &["booting slot B once"]);
    // While it is on trial, the card is not held for a server that may take its time.
    pi.run("check --source @shop").must(75, &["an update is on trial", "`bistable resume`"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    pi.run("update --source @shop").must(0, &["booting slot A once"]);
}

#[test]
fn a_halt_stops_what_is_staged_unless_a_person_wants_it() {
    let pi = pi();
    let mut shop = offering();
    shelve(&pi, "shop", &shop);
    pi.run("install --source @shop").must(0, &["state: staged"]);
    let mut offer = stock(&mut shop, &made("1.1.0"));
    offer.rollout = Rollout { pace: RolloutState::Halted, ..Rollout::default() };
    publish(&mut shop, &channel(SEEN + 2, vec![offer]));
    shelve(&pi, "shop", &shop);
    pi.run("install 1.1.0 --source @shop")
        .must(0, &["the rollout is halted; installing it because it was requested"]);
    assert_eq!(pi.status()["state"], "staged");
    pi.run("update --source @shop").must(3, &["the rollout is halted"]);
    pi.is_unharmed();
}

#[test]
fn a_rejected_release_is_tried_again_when_a_person_wants_it() {
    let pi = pi();
    let mut shop = offering();
    shelve(&pi, "shop", &shop);
    let world = format!("time = {NOW}\n{WORLD}");
    pi.world(&world.replace("[[17, 27]]", "[]"));
    pi.run("update --source @shop").must(7, &[]);
    pi.world(&world);
    pi.run("update --source @shop").must(3, &["this device rejected it: self-test failed"]);
    pi.run("check --source @shop").must(3, &[]);
    // A barrier stays one, though.
    let mut barrier = stock(&mut shop, &made("1.0.5"));
    barrier.passage = bistable_format::channel::Passage::Barrier;
    let newer = stock(&mut shop, &made("1.1.0"));
    publish(&mut shop, &channel(SEEN + 2, vec![barrier, newer.clone()]));
    shelve(&pi, "behind", &shop);
    pi.run("install 1.1.0 --retry-rejected --source @behind")
        .must(75, &["every device has to run 1.0.5 before"]);
    publish(&mut shop, &channel(SEEN + 3, vec![newer]));
    shelve(&pi, "shop", &shop);
    pi.run("update --retry-rejected --source @shop").must(0, &["booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn what_expired_is_said_in_days() {
    let mut rig = device();
    rig.pi.without_system_root();
    shelve(&rig.pi, "shop", &offering());
    at_time(&rig, NOW + 30 * 86_400);
    rig.pi.run_once_free("check --source @shop").must(75, &["expired 23 days ago", "has to renew it"]);
    // A device without a clock believes it, since nothing newer was seen; but a root of its own it must have.
    crate::shop::free_clock(&rig);
    rig.pi.run_once_free("check --source @shop").must(0, &[]);
    for at in bistable_boot::layout::ROOT {
        let byte = at.0 * bistable_boot::SECTOR as u64;
        rig.pi.scribble(bistable_boot::layout::Partition::State, byte, &[0; 512]);
    }
    rig.pi.run_once_free("check --source @shop").must(5, &["no root of trust"]);
}

/// Many versions in one channel, as people read it.
#[test]
fn a_withdrawal_is_shown_to_people() {
    let pi = pi();
    let mut shop = offering();
    shelve(&pi, "shop", &shop);
    pi.run("update --source @shop").must(0, &[]);
    pi.run("resume").must(0, &[]);
    let gone = Channel {
        withdrawn: vec![bistable_format::channel::Withdrawal {
            product: "greenhouse".into(),
            component: None,
            version: "1.1.0".parse().unwrap(),
            identity: bistable_format::release::identity(&made("1.1.0").signed),
            reason: "the fan stops".into(),
            at: NOW,
            extensions: Default::default(),
        }]
        .into(),
        ..channel(SEEN + 2, Vec::new())
    };
    publish(&mut shop, &gone);
    shelve(&pi, "shop", &shop);
    pi.run("check --source @shop").must(
        3,
        &[
            "1.1.0, which runs, was WITHDRAWN: the fan stops",
            "channel production offers nothing else that fits; `bistable revert` tries 1.0.0 again",
        ],
    );
    let older = stock(&mut shop, &made("1.0.9"));
    publish(&mut shop, &Channel { sequence: SEEN + 3, offers: vec![older].into(), ..gone });
    shelve(&pi, "shop", &shop);
    let found = pi.run("check --source @shop").must(0, &[]);
    assert!(found.out.contains("WITHDRAWN: the fan stops\n  ▶ 1.0.9  for every device\n"), "{found:#?}");
}
