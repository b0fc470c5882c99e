//! Whoever keeps a repository hears of the end of a channel or a root before devices do, and how to renew it.
use crate::cli::at;
use crate::places;
use crate::product::Product;
use crate::publish::{bundle, published};
use bistable_format::Role;
use bistable_image::repository::init::{Writers, init};
use bistable_image::repository::{Clock, HostClock};
use bistable_image::root::{self, RootOptions};
use std::sync::atomic::Ordering;

const DAY: u64 = 86_400;

#[test]
fn channel_that_expires_soon_or_has_expired_is_reported_with_its_command() {
    for (age, words, fault, code) in [
        (5 * DAY, "", "", 0),
        (6 * DAY, "channel staging expires in 24 h (", "expiring   channels/staging  ", 0),
        (8 * DAY, "channel staging expired ", "expired    channels/staging  ", 75),
    ] {
        let (product, folder, place) = (Product::new(), tempfile::tempdir().unwrap(), places::directory());
        product.clock.0.store(HostClock.now() - age, Ordering::SeqCst);
        let roots = product.init(&place.store);
        published(&product, &place.store, &roots, &bundle(&product, &folder, 1, "a")).unwrap();
        let repo = place.url.as_deref().unwrap();
        let warnings = || {
            [
                &["list"][..],
                &["show", "1.1.0"],
                &["channel", "show"],
                &["channel", "show", "staging", "--json"],
            ]
            .map(|verb| at(repo, verb, 0).1)
        };
        for warned in warnings() {
            let line = warned.lines().find(|line| line.starts_with("warning: "));
            let line = line.and_then(|line| line.strip_prefix("warning: ")).unwrap_or_default();
            assert!(line.starts_with(words) && words.is_empty() == line.is_empty(), "{age}: {warned}");
            assert!(line.is_empty() || line.contains("`bistable-image channel refresh staging`"), "{warned}");
        }
        let (report, error) = at(repo, &["fsck"], code);
        assert!(
            report.starts_with(fault) && !fault.is_empty() || report.ends_with("no problems\n"),
            "{report}"
        );
        assert!(fault.is_empty() || report.contains("`bistable-image channel refresh staging`"), "{report}");
        assert!(!error.contains("--repair"), "{error}");
        // As it says; the lifetime is the channel's.
        let key = product.channel_key.write(&folder.path().join("channel")).unwrap();
        at(repo, &["channel", "refresh", "staging", "--key", key.secret.to_str().unwrap()], 0);
        assert_eq!(warnings().concat(), "", "{age}");
        assert!(at(repo, &["fsck"], 0).0.ends_with("no problems\n"));
        let shown = bistable_schema::object(&at(repo, &["channel", "show", "staging", "--json"], 0).0);
        let channel = &shown["channels"][0];
        let [from, to] = ["issued_at", "expires_at"].map(|name| channel[name].as_u64().unwrap());
        assert_eq!(to - from, 7 * DAY, "{shown}");
    }
}

#[test]
fn lifetime_that_was_set_once_is_kept_by_every_later_act() {
    let (product, folder, place) = (Product::new(), tempfile::tempdir().unwrap(), places::directory());
    product.init(&place.store);
    let key = product.channel_key.write(&folder.path().join("channel")).unwrap();
    let repo = place.url.as_deref().unwrap();
    let act = |args: &[&str]| at(repo, &[args, &["--key", key.secret.to_str().unwrap()]].concat(), 0);
    let first = bundle(&product, &folder, 1, "a");
    act(&["publish", first.to_str().unwrap(), "--lifetime", "30d"]);
    for verb in [&["channel", "refresh", "staging"][..], &["channel", "pin", "staging", "1.1.0"]] {
        act(verb);
        let shown = bistable_schema::object(&at(repo, &["channel", "show", "staging", "--json"], 0).0);
        let [from, to] = ["issued_at", "expires_at"].map(|name| shown["channels"][0][name].as_u64().unwrap());
        assert_eq!(to - from, 30 * DAY, "{verb:?}: {shown}");
    }
}

#[test]
fn root_that_expires_soon_is_reported_with_its_command() {
    for (left, begin, code) in [(31, "", 0), (29, "expiring   roots/1.root  root 1 expires in 29 days (", 0)]
    {
        let (product, place) = (Product::new(), places::directory());
        let root = root::create(&RootOptions {
            root_keys: vec![product.root_key.public()],
            release_keys: vec![product.release_key.public()],
            channel_keys: vec![product.channel_key.public()],
            thresholds: vec![(Role::Root, 1)],
            expires_at: Some(HostClock.now() + left * DAY),
            sign: vec![product.root_key.clone()],
            ..RootOptions::default()
        });
        init(&place.store, &root.unwrap(), Writers::Many, "tester", &product.clock).unwrap();
        let (report, _) = at(place.url.as_deref().unwrap(), &["fsck"], code);
        assert!(report.starts_with(begin), "{report}");
        let words = ["`bistable-image root rotate`", "`bistable-image repo root`"];
        assert!(begin.is_empty() == report.ends_with("no problems\n"), "{report}");
        assert!(begin.is_empty() || words.iter().all(|words| report.contains(words)), "{report}");
    }
}
