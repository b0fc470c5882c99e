use crate::run::{
    pi::{
        bench::Bench,
        releases::{overlay, self_tests, write},
    },
    release::{ALL, FACTORY, HANGS, NO_INIT, PANICS},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

fn bench(login: bool) -> Bench {
    let mut bench = Bench::parse(Path::new("bench.toml"), super::bench::GOOD).unwrap();
    bench.device.login = bench.device.login.filter(|_| login);
    bench
}

#[test]
fn the_plan_is_valid() {
    assert_eq!(bistable_format::selftest::Plan::parse(&self_tests()).unwrap().tests.len(), 1);
}

#[test]
fn only_what_a_real_pi_needs_is_put_over_its_system() {
    let paths = |release, login| {
        let mut paths: Vec<_> = overlay(release, &bench(login)).into_iter().map(|(path, _)| path).collect();
        paths.sort();
        paths
    };
    let plain = [
        "etc/bistable/config.d/50-rig.toml",
        "etc/rig-version",
        "etc/systemd/system/app.service",
        "etc/systemd/system/multi-user.target.wants/app.service",
    ];
    assert_eq!(paths(FACTORY, true), plain);
    let shell: Vec<_> = paths(FACTORY, false).into_iter().filter(|p| !plain.contains(&p.as_str())).collect();
    let want = [
        "etc/systemd/system/multi-user.target.wants/rig-shell.service",
        "etc/systemd/system/rig-shell.service",
        "etc/systemd/system/serial-getty@.service",
        "usr/lib/rig/shell",
    ];
    assert_eq!(shell, want);
    for (release, path) in
        [(PANICS, "usr/lib/rig/fault"), (HANGS, "usr/lib/rig/fault"), (NO_INIT, "usr/sbin/init")]
    {
        assert!(paths(release, true).contains(&path.to_owned()), "{release:?}");
    }
}

#[test]
fn everything_is_written_for_the_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &bench(false)).unwrap();
    for release in ALL {
        let tree = folder.path().join(release.version);
        assert_eq!(fs::read_to_string(tree.join("etc/rig-version")).unwrap().trim(), release.version);
        let mode = fs::metadata(tree.join("usr/lib/rig/shell")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let unit = fs::read_to_string(tree.join("etc/systemd/system/rig-shell.service")).unwrap();
        for line in ["TTYPath=/dev/serial0\n", "StartLimitIntervalSec=0\n", "RestartSec=1\n"] {
            assert!(unit.contains(line), "{unit}");
        }
    }
    assert!(folder.path().join("health.toml").is_file() && folder.path().join("self-tests.toml").is_file());
    assert!(write(folder.path(), &bench(false)).is_err(), "what is there is not written over");
}
