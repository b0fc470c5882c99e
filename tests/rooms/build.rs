//! What people type first is built of the same parts with the same features, so that nothing is compiled twice.
use std::{collections::BTreeSet, env, process::Command};

/// Each crate with its features, as these packages are built.
fn parts(packages: &[&str]) -> BTreeSet<String> {
    let cargo = env::var_os("CARGO").unwrap();
    let out = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--no-dedupe", "--format", "{p} {f}"])
        .args(packages)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn demo_and_proof_are_built_of_what_the_tests_are_built_of() {
    let tests = parts(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(tests.len() > 100, "{tests:?}");
    for package in ["bistable-hil", "bistable-proof"] {
        let own = parts(&["--package", package, "--edges", "normal,build"]);
        let again: Vec<_> = own.difference(&tests).collect();
        assert!(
            again.is_empty(),
            "{package} has these compiled again, and all that depends on them: {again:#?}"
        );
    }
}
