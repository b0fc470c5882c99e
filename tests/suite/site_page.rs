//! The page of a repository in a real Chromium: on a phone and on a desk, light and dark, with and without scripts, at the time at which it
//! is read. `BISTABLE_SCREENSHOTS=DIR` keeps pictures.
use crate::browser::Browser;
use bistable_format::{
    Channel, Digest, Head, Offer,
    channel::{Act, Gates, Passage, Withdrawal},
    content::Blob,
    rollout::{Rollout, RolloutState, Wave},
};
use bistable_image::repository::{
    channel::ChannelFile,
    inventory::Inventory,
    site::{About, Download, Site, page},
    words::percent,
};
use bistable_kit::product::{Keys, offer};
use semver::Version;
use std::{
    collections::BTreeMap,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 86_400;
/// A name as long as names can be: it must not widen the page.
const LONG: &str = "a-component-with-a-name-as-long-as-names-can-be-and-no-place-to";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn channel(name: &str, issued_at: u64, lifetime: u64, offers: Vec<Offer>) -> (String, ChannelFile) {
    let key = Keys::new(bistable_format::KeyKind::Production).channel_key.public();
    let bad = Withdrawal {
        product: "hub".into(),
        component: None,
        version: Version::new(0, 9, 0),
        identity: Digest::of(b"bad"),
        reason: "the fan stays off".into(),
        at: issued_at,
        extensions: Default::default(),
    };
    let channel = Channel {
        head: Head::new(Digest::of(b"repository"), ""),
        name: name.into(),
        sequence: 42,
        previous: None,
        issued_at,
        lifetime,
        act: Act { by: String::new(), verb: String::new(), about: String::new() },
        offers: offers.into(),
        withdrawn: vec![bad].into(),
        pins: vec![],
        gates: Gates { min_age: DAY, min_interval: 5400, attestations: vec![("tests-passed".into(), key)] },
        promoted_at: 0,
        catalog: vec![],
        extensions: Default::default(),
    };
    let digest = Digest::of(name.as_bytes());
    (name.into(), ChannelFile { channel, digest, payload: digest, root: 1 })
}

/// A release that reaches ten percent at once, and everybody slowly.
fn slow(minor: u64, made: u64) -> Offer {
    let waves = vec![
        Wave { at: made, over: 0, share: 1000 },
        Wave { at: made, over: u32::try_from(10 * DAY).unwrap(), share: 10_000 },
    ];
    Offer {
        rollout: Rollout { waves: waves.into(), canaries: vec!["desk".into()], ..Rollout::default() },
        passage: Passage::Barrier,
        ..offer("hub", Version::new(1, minor, 0), made)
    }
}

/// The page of a repository, made at a time.
fn html(made: u64) -> (String, Rollout) {
    let moving = slow(2, made);
    let mut component = offer("hub", Version::new(2, 0, 0), made);
    component.constraints.component = Some(LONG.into());
    let mut paused = slow(1, made);
    paused.rollout.pace = RolloutState::Paused(made);
    let ended = Offer {
        rollout: Rollout {
            waves: vec![Wave { at: made + 60, over: 0, share: 10_000 }].into(),
            ..Rollout::default()
        },
        ..offer("lamp", Version::new(1, 0, 0), made)
    };
    let rollout = moving.rollout.clone();
    let about = About {
        attested: vec!["tests-passed".into()],
        bound: vec![format!("{LONG} 2.0.0")],
        requires: vec!["hub >=1.0.0".into()],
        sbom: Some(Blob { digest: Digest::of(b"sbom"), bytes: 120_000 }),
    };
    let about: BTreeMap<Digest, About> = [(moving.identity, about)].into();
    let channels = [
        channel("staging", made, 30 * DAY, vec![moving, component, ended]),
        channel("production", made, 6 * DAY, vec![paused]),
        channel("old", made, DAY, vec![]),
    ];
    let inventory = Inventory { channels: channels.into(), releases: BTreeMap::new() };
    let download = Download {
        name: "hub-1.2.0.img".into(),
        url: "https://updates.example/hub-1.2.0.img".into(),
        day: "2026-11-30".into(),
        bytes: 3 << 30,
        sha256: Digest::of(b"card").to_string(),
    };
    let site = Site {
        title: "Thermostats of the Example Company",
        url: Some("https://updates.example"),
        inventory: &inventory,
        deltas: &[],
        about: &about,
        downloads: &[download],
        files: Some("https://updates.example/".into()),
        now: made,
    };
    (page(&site), rollout)
}

#[test]
#[ignore = "needs chromium"]
fn page_of_a_repository_is_readable_on_a_phone_and_says_what_is_so_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.html");
    let made = now() - 5 * DAY;
    let (html, rollout) = html(made);
    fs::write(&path, &html).unwrap();
    let mut browser = Browser::start("");
    for scripts in [true, false] {
        browser.scripts(scripts);
        let before = now();
        browser.open(&format!("file://{}", path.display()));
        for (width, theme) in [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark"), (320, "light")]
        {
            browser.look(width, theme);
            browser.looks_right(width);
            let script = if scripts { "js" } else { "plain" };
            assert!(browser.shoot(&format!("site-{width}-{theme}-{script}")) > 10_000);
        }
        // On a phone each channel is as wide as the page.
        browser.look(360, "light");
        let widths = "new Set([...document.querySelectorAll('section')].map((s) => s.offsetWidth)).size";
        assert_eq!(browser.eval(widths), 1);
        let text = browser.text();
        let of = |minutes: u64| percent(rollout.share(minutes));
        if scripts {
            let shares: Vec<String> = (before..=now()).map(of).collect();
            assert!(shares.iter().any(|share| text.contains(share.as_str())), "{shares:?}\n{text}");
            let words = [
                "hub 1.2.050",
                "5 days ago",
                "in 25 days",
                "expires in 24 hours",
                "expired",
                "lamp 1.0.0for all",
            ];
            for words in words {
                let plain = text.replace(char::is_whitespace, "");
                assert!(plain.contains(&words.replace(' ', "")), "{words}\n{text}");
            }
            assert_eq!(browser.eval("document.querySelectorAll('[data-until]:not([hidden])').length"), 2);
            let bars = browser.eval("document.querySelector('.bar i').style.width").to_string();
            assert!(bars.contains("50"), "{bars}");
        } else {
            // Absolute times, and the percentages of when it was made.
            assert!(text.contains("10 %") && text.contains("Percentages are those of that time."), "{text}");
            assert!(!text.contains(" ago") && !text.contains("expire"), "{text}");
        }
        assert!(text.contains("paused at 10 %"), "{text}");
    }
}
