//! What is good and old is offered no more, and what needs it is named.
use crate::life::Life;
use serde_json::json;

#[test]
fn a_channel_offers_only_what_devices_need() {
    let life = Life::new(5);
    let offered = || {
        let shown = life.json(&["channel", "show", "staging"]);
        let offers = shown["channels"][0]["offers"].as_array().unwrap().clone();
        let mut versions: Vec<String> =
            offers.iter().map(|o| o["version"].as_str().unwrap().into()).collect();
        versions.sort();
        versions
    };
    // Nothing is done.
    let (dry, _) = life.acts(&["retire", "staging", "--keep", "1", "--dry-run"], 0);
    assert!(
        dry.contains("would be retired: hub 1.1.0\n") && dry.contains("would be retired: hub 1.4.0\n"),
        "{dry}"
    );
    assert_eq!(offered().len(), 5);

    life.acts(&["channel", "pin", "staging", "1.2.0"], 0);
    for (what, code, why) in [
        (&["1.5.0"][..], 6, "nothing newer is offered to all devices of pi4: `bistable-image withdraw`"),
        (&["1.2.0"], 6, "it is pinned: `bistable-image channel unpin` allows it"),
        (&["9.0.0"], 1, "channel staging doesn't offer 9.0.0; it offers: hub 1.5.0"),
        (&["1.1.0", "--keep", "2"], 2, "1.1.0 is one release"),
        (&["radio", "--keep", "2"], 1, "doesn't offer radio"),
        (&["--keep", "5"], 3, "channel staging offers at most 5 releases of each already: nothing to do"),
        (&["--keep", "0"], 2, "0 is not in 1.."),
        (&[], 2, "RELEASE"),
    ] {
        let (_, refused) = life.acts(&[&["retire", "staging"], what].concat(), code);
        assert!(refused.contains(why), "{what:?}: {refused}");
    }
    life.acts(&["retire", "nowhere", "1.1.0"], 1);
    assert_eq!(offered().len(), 5);

    let (one, _) = life.acts(&["retire", "staging", "1.3.0"], 0);
    assert!(one.starts_with("retired: hub 1.3.0\nchannel staging offers it no more"), "{one}");
    let (rest, _) = life.acts(&["retire", "staging", "hub", "--keep", "1", "--json"], 0);
    let rest = bistable_schema::object(&rest);
    assert_eq!(rest["retired"], json!(["hub 1.1.0", "hub 1.4.0"]));
    assert_eq!(rest["needed"][0]["release"], "hub 1.2.0");
    assert_eq!(offered(), ["1.2.0", "1.5.0"]);
    let audit = life.ok(&["audit"]);
    assert!(
        audit.lines().any(|line| line.contains("  retire ") && line.ends_with("  hub 1.1.0, hub 1.4.0")),
        "{audit}"
    );
    assert_eq!(life.json(&["search", "--state", "past"])["releases"].as_array().unwrap().len(), 3);

    // It is good, and comes back like any other; and what is offered no more may be deleted.
    life.acts(&["publish", life.bundle(4).to_str().unwrap(), "--progress", "quiet"], 0);
    assert_eq!(offered(), ["1.2.0", "1.4.0", "1.5.0"]);
    let (kept, _) = life.acts(&["prune", "--keep", "1", "--older-than", "1d"], 0);
    for why in [
        "stay: 3 on offer (`bistable-image retire` takes old ones off)",
        "1 the way back",
        "1 neither too old",
    ] {
        assert!(kept.contains(why), "{kept}");
    }
    assert!(kept.contains("0 of 5 releases gone"), "{kept}");
}
