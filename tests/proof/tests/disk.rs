//! The real program on a disk that logs.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's helpers")]

use bistable_boot::layout::Partition;
use bistable_proof::prove::disk::{
    Options, Report,
    economy::{Kind, Phase},
    run, study,
};
use std::path::Path;

fn options() -> Options {
    let bistable = Some(Path::new(env!("CARGO_BIN_EXE_bistable-proof")).to_owned());
    Options { seed: 1, keep: None, bistable }
}

fn phases<'a>(report: &'a Report, story: &str) -> &'a [Phase] {
    &report.rows.iter().find(|r| r.name == story).unwrap().phases
}

fn count(phase: &Phase, kind: Kind) -> usize {
    phase.of(kind).count()
}

#[test]
#[ignore = "needs qemu-storage-daemon and /dev/fuse"]
fn the_real_program_survives_every_power_cut_and_kill() {
    let report = study(&options()).unwrap();
    assert!(report.holds(), "{report:#?}");
    the_commit_is_one_sector(&report);
    what_is_there_is_not_written_again(&report);
    for row in &report.rows {
        for w in row.phases.iter().flat_map(|p| &p.writes) {
            // Slot A runs, or is what one goes back to, in all of these stories.
            assert!(
                !matches!(w.partition.name(), "boot_a" | "system_a" | "persistent"),
                "{}: {w:?}",
                row.name
            );
            assert!(w.is_aligned() || w.kind != Kind::Journal, "{}: {w:?}", row.name);
        }
        if let Some(tally) = &row.tally {
            assert!(tally.distinct > 1000 && tally.boots > 0, "{}: {tally:?}", row.name);
        }
    }
    let kills = &report.kills;
    let writes: usize = phases(&report, "good").iter().map(|p| p.writes.len()).sum();
    assert!(kills.planned > writes as u64, "{kills:?}");
    // Whoever kills watches from outside, and may be late each time on a busy machine.
    assert!(kills.exact * 10 >= kills.planned * 8, "{kills:?}");
}

fn the_commit_is_one_sector(report: &Report) {
    let [update, commit, rest] = phases(report, "good") else { panic!("{report:#?}") };
    assert_eq!(count(update, Kind::Flag), 0, "a trial needs no write of the flag");
    let flags: Vec<_> = commit.of(Kind::Flag).collect();
    assert!(matches!(flags[..], [w] if w.bytes == 512 && w.partition == Partition::Bootconfig), "{flags:?}");
    assert!(rest.writes.is_empty(), "{rest:?}");
    let flags = |story| phases(report, story).iter().map(|p| count(p, Kind::Flag)).sum::<usize>();
    assert_eq!((flags("sick"), flags("abandoned")), (0, 0), "a revert needs no write of the flag");
    assert_eq!(flags("operator's revert"), 2, "there and back");
}

fn what_is_there_is_not_written_again(report: &Report) {
    let again = phases(report, "identical again").last().unwrap();
    assert!(again.writes.is_empty(), "it runs already: {again:?}");
    let [install, revert, again] = phases(report, "abandoned") else { panic!("{report:#?}") };
    assert!(count(install, Kind::Data) > 1, "{install:?}");
    assert_eq!((count(revert, Kind::Data), count(again, Kind::Data)), (0, 0), "{again:?}");
}

#[test]
fn what_is_missing_is_said() {
    // Whether or not there is a daemon here, there is none on this path.
    let program = std::env::current_exe().unwrap();
    if std::env::var_os("BISTABLE_NO_DAEMON").is_some() {
        let e = format!("{:#}", run(&options()).unwrap_err());
        assert!(
            e.contains("/dev/fuse is missing") || e.contains("qemu-storage-daemon can't be started"),
            "{e}"
        );
        return;
    }
    let ended = std::process::Command::new(program)
        .args(["--exact", "what_is_missing_is_said"])
        .env("BISTABLE_NO_DAEMON", "1")
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}
