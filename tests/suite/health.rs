//! `health`: whether the system that runs would pass a trial now.
use crate::pi::Pi;

#[test]
fn a_healthy_system_says_so_and_nothing_changes() {
    let pi = Pi::new();
    let before = pi.status();
    let words =
        ["ok   self-test relay (loopback)", "ok   health application (unit): active", "healthy: everything"];
    let health = pi.run("health --json").must(0, &words).json();
    assert_eq!(
        (&health["verdict"], &health["report"]["checks"][0]["standing"]),
        (&"healthy".into(), &"good".into())
    );
    assert_eq!(pi.status(), before);
    pi.is_unharmed();
}

#[test]
fn it_says_what_it_drives_and_leaves_it_alone_when_asked() {
    let pi = Pi::new();
    pi.run("health").must(0, &["its self-tests drive GPIO17: `bistable health --no-pins` leaves them out"]);
    // Nothing follows the pin: a test that drives it fails.
    pi.world("[units]\n\"app.service\" = \"active\"\n");
    pi.run("health").must(8, &["FAIL self-test relay"]);
    let ended = pi.run("health --no-pins").must(0, &["ok   health application", "healthy"]);
    assert!(!ended.err.contains("relay") && !ended.err.contains("drive"), "{ended:#?}");
    pi.is_unharmed();
}

#[test]
fn a_sick_one_is_not_rejected_for_it() {
    let pi = Pi::new();
    pi.run("sim unit app.service failed").must(0, &[]);
    let health = pi.run("health --json").must(8, &["FAIL health application (unit): failed"]).json();
    assert_eq!((&health["verdict"], &health["exit"]), (&"unhealthy".into(), &8.into()));
    assert_eq!(health["reason"], "application not good within 60 s: failed");
    assert_eq!(pi.run("health").must(8, &["error: health check failed: application"]).out, "");
    pi.is_unharmed();
}

#[test]
fn preflight_tells_what_the_world_lacks() {
    let pi = Pi::new();
    let fine = [
        "ok   boot loader: simulated firmware",
        "ok   persistent volume: 1024 MiB free",
        "ok   wall clock: synchronized",
    ];
    pi.run("preflight").must(0, &fine);
    pi.world("wall_clock = 'free'\nfree_mib = -1\n");
    let notes = ["note persistent volume: not mounted", "note wall clock: not synchronized"];
    pi.run("preflight").must(0, &notes);
}
