//! A component takes what the channel offers for it.
use crate::{
    check::shelve,
    components::{CONFIG, HEALTH, WORLD, core, shown},
    pi::Pi,
    rig::Rig,
    shop::{
        Made, NOW, RELEASER, SEEN, channel, device, made_by, payload, publish, sealed, shop, stock, volume,
    },
};
use bistable::source::Memory;
use bistable_format::{
    Bound, Channel, Content, Extensions, Offer, Role, channel::Withdrawal, content::Directory, release,
    repository, rollout::RolloutState,
};
use bistable_kit::product;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink};

/// A version of `core`, as it lies in a repository.
fn version(version: &str) -> Made {
    let run = format!("#!/bin/sh\necho {version}\n");
    let files = [("VERSION", version.as_bytes()), ("run", run.as_bytes())];
    let (archive, _, blobs) = volume(&product::archive(files));
    let mut made = made_by(version, &[RELEASER], |release| {
        release.component = Some("core".into());
        release.content = Content::Directory(Directory { archive });
        release.self_tests = String::new();
        release.health = HEALTH.into();
    });
    made.signed = sealed(Role::Release, &payload(&made.release), &[RELEASER]);
    Made { blobs: blobs.into(), ..made }
}

/// A channel's next file, with these versions of `core`.
pub(crate) fn offer(pi: &Pi, shop: &mut Memory, number: u64, versions: &[&str], change: impl Fn(&mut Offer)) {
    let offers = versions.iter().map(|name| {
        let mut offer = stock(shop, &version(name));
        change(&mut offer);
        offer
    });
    let channel = channel(SEEN + number, offers.collect());
    publish(shop, &channel);
    shelve(pi, "shop", shop);
}

pub(crate) fn pi() -> Pi {
    let Rig { pi, .. } = device();
    pi.world(&format!("time = {NOW}\n{WORLD}"));
    pi.config(&format!("{CONFIG}[source]\nurls = [\"{}\"]\n", pi.path("shop").display()));
    fs::create_dir_all(pi.path("card.img.sim/root/opt")).unwrap();
    symlink("/run/bistable/components/core", pi.path("card.img.sim/root/opt/core")).unwrap();
    pi
}

#[test]
fn component_takes_what_its_channel_offers_and_says_why_not() {
    let (pi, mut shop) = (pi(), shop());
    shelve(&pi, "shop", &shop);
    pi.run_once_free("component update core").must(3, &["offers nothing of component core"]);
    offer(&pi, &mut shop, 1, &["1.0.0"], |_| {});
    let told = pi.run("component update core --dry-run").must(0, &[]);
    assert!(told.out.contains("nothing was written"), "{told:?}");
    pi.run("component update core").must(0, &["1.0.0 is committed"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    pi.run("component update core").must(3, &["1.0.0: runs already"]);
    offer(&pi, &mut shop, 2, &["1.0.0", "1.0.1"], |offer| offer.rollout.pace = RolloutState::Halted);
    pi.run("component update core").must(3, &["1.0.1: the rollout is halted"]);
    pi.run("component update core 1.0.7").must(3, &["offers no core 1.0.7"]);
    pi.run("component update core 1.0.1").must(0, &["1.0.1 is committed"]);
    assert_eq!(core(&pi)["version"], json!("1.0.1"));
    // The image's own verbs do not take it.
    pi.run("update").must(3, &[]);
}

#[test]
fn image_has_what_it_brings_along_from_its_channel_which_offers_nothing_else_of_it() {
    let (pi, mut shop) = (pi(), shop());
    pi.world(&format!("time = {NOW}\n[gpio]\nwires = [[17, 27]]\n{WORLD}"));
    let brought = version("1.0.0");
    let bound = Bound {
        component: "core".into(),
        version: brought.release.version.clone(),
        identity: release::identity(&brought.signed),
        extensions: Extensions::default(),
    };
    let image = made_by("1.1.0", &[RELEASER], |release| release.bound = vec![bound].into());
    let offers = vec![stock(&mut shop, &image)];
    publish(&mut shop, &channel(SEEN + 1, offers));
    shelve(&pi, "shop", &shop);
    pi.run_once_free("update").must(75, &["release 1.1.0 brings component core 1.0.0 along"]);
    let offers =
        vec![stock(&mut shop, &image), stock(&mut shop, &brought), stock(&mut shop, &version("1.0.1"))];
    publish(&mut shop, &channel(SEEN + 2, offers));
    shelve(&pi, "shop", &shop);
    pi.run("update").must(0, &["booting slot B once"]);
    pi.run("component links").must(0, &[]);
    pi.run("resume").must(0, &["slot B is the default now"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    let checked = pi.run("check --json");
    assert_eq!((checked.code, &checked.json()["components"]), (3, &json!([])));
    pi.run("component update core").must(6, &["brings core 1.0.0 along"]);
}

#[test]
fn version_that_failed_is_taken_again_only_by_force_and_a_damaged_archive_is_no_verdict() {
    let (pi, mut shop) = (pi(), shop());
    offer(&pi, &mut shop, 1, &["1.0.0"], |_| {});
    pi.run_once_free("component update core").must(0, &[]);
    offer(&pi, &mut shop, 2, &["1.1.0", "1.0.0"], |_| {});
    pi.run("component update core").must(8, &["1.1.0 was given up"]);
    pi.run("component update core").must(3, &["1.1.0: this device rejected it", "1.0.0: runs already"]);
    pi.run("component update core --retry-rejected").must(8, &["1.1.0 was given up"]);
    offer(&pi, &mut shop, 3, &["1.0.1"], |_| {});
    let made = version("1.0.1");
    let Content::Directory(directory) = &made.release.content else { panic!() };
    let data = pi.path("shop").join(repository::blob(&directory.archive.data));
    let good = fs::read(&data).unwrap();
    let mut bad = good.clone();
    bad[700] ^= 1;
    fs::write(&data, bad).unwrap();
    pi.run("component update core").must(5, &[]);
    assert_eq!(
        (&core(&pi)["version"], core(&pi)["rejected"].as_array().unwrap().len()),
        (&json!("1.0.0"), 1)
    );
    fs::write(&data, good).unwrap();
    pi.run("component update core").must(0, &["1.0.1 is committed"]);
}

#[test]
fn version_that_was_withdrawn_is_installed_only_by_force() {
    let (pi, mut shop) = (pi(), shop());
    let gone = version("1.0.0");
    let withdrawal = Withdrawal {
        product: "greenhouse".into(),
        component: Some("core".into()),
        version: gone.release.version.clone(),
        identity: release::identity(&gone.signed),
        reason: "it leaks".into(),
        at: NOW,
        extensions: Default::default(),
    };
    publish(&mut shop, &Channel { withdrawn: vec![withdrawal].into(), ..channel(SEEN + 1, Vec::new()) });
    shelve(&pi, "shop", &shop);
    pi.run_once_free("component update core").must(3, &["offers nothing of component core"]);
    // Whoever only looks still remembers it.
    offer(&pi, &mut shop, 2, &["1.0.0"], |_| {});
    pi.run("component update core --dry-run").must(6, &["was withdrawn from channel production"]);
    pi.run("component update core --dry-run --force-withdrawn").must(0, &[]);
}

/// What the last check said of `core`.
fn checked(pi: &Pi, code: i32) -> Value {
    let json = pi.run("check --json").must(code, &[]).json();
    json["components"][0].clone()
}

#[test]
fn check_names_what_is_on_offer_of_each_component_with_its_size_and_why_not() {
    let (pi, mut shop) = (pi(), shop());
    offer(&pi, &mut shop, 1, &["1.0.0"], |_| {});
    let told = pi.run_once_free("check").must(0, &[]).out;
    for words in ["component core: no version is installed", "1.0.0  for every device", "kB of 1.0.0"] {
        assert!(told.contains(words), "{told}");
    }
    let listed = pi.run("component list").must(0, &[]).out;
    assert!(listed.contains("registered") && listed.contains("on offer: 1.0.0"), "{listed}");
    let takes = checked(&pi, 0)["takes"].clone();
    assert_eq!(
        (&takes["version"], &takes["urgent"], &takes["refused"]),
        (&json!("1.0.0"), &json!(false), &json!(null))
    );
    assert!(takes["bytes"].as_u64().unwrap() > 100, "{takes}");
    assert_eq!(core(&pi)["offered"]["release"], takes["release"]);
    let metric = |pi: &Pi| {
        let metrics = pi.run("metrics").must(0, &[]).out;
        let found =
            metrics.lines().find(|line| line.starts_with("bistable_component_update_available{")).unwrap();
        found.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(metric(&pi), "1");

    pi.config(&format!(
        "{CONFIG}[source]\nurls = [\"{}\"]\n[update]\nmax_download = 16\n",
        pi.path("shop").display()
    ));
    let refused = checked(&pi, 0)["takes"]["refused"].clone();
    assert!(refused.as_str().unwrap().contains("max_download"), "{refused}");
    let told = pi.run("check").must(0, &[]).out;
    assert!(told.contains("`bistable component update core 1.0.0`; not by itself"), "{told}");
    pi.run("component update core 1.0.0").must(0, &["1.0.0 is committed"]);
    assert_eq!((&core(&pi)["offered"], metric(&pi).as_str()), (&json!(null), "0"), "it is installed");
    let nothing = checked(&pi, 3);
    assert_eq!(
        (&nothing["takes"], &nothing["running"], &nothing["offers"][0]["verdict"]),
        (&json!(null), &json!("1.0.0"), &json!("running"))
    );
    let events = pi.run("events --component core --json").must(0, &[]).json();
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"component.available"));
    assert_eq!(kinds.last(), Some(&"component.up_to_date"));
}

/// One release that is missing must not keep a device from the next one.
#[test]
fn offer_that_cannot_be_opened_is_reported_and_the_next_one_is_taken() {
    let (pi, mut shop) = (pi(), shop());
    offer(&pi, &mut shop, 1, &["1.0.0", "1.0.1"], |_| {});
    let newest = version("1.0.1");
    let blob = pi.path("shop").join(repository::blob(&bistable_format::Digest::of(&newest.signed)));
    let good = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    let told = pi.run_once_free("check").must(0, &[]).out;
    assert!(told.contains("1.0.1  can't be used") && told.contains("kB of 1.0.0"), "{told}");
    let report = checked(&pi, 0);
    let verdicts: Vec<_> =
        report["offers"].as_array().unwrap().iter().map(|o| (&o["version"], &o["verdict"])).collect();
    assert_eq!(verdicts, [(&json!("1.0.1"), &json!("unusable")), (&json!("1.0.0"), &json!("takes"))]);
    let done = pi.run("component update core --json").must(0, &["component core 1.0.1 can't be used"]).json();
    assert_eq!((&done["version"], &done["unusable"][0]["component"]), (&json!("1.0.0"), &json!("core")));
    pi.run("component update core 1.0.1").must(1, &["the repository is incomplete"]);
    pi.run("component update core").must(75, &["1.0.1 of component core can't be used"]);
    fs::write(&blob, good).unwrap();
    pi.run("component update core").must(0, &["1.0.1 is committed"]);
}
