//! `cargo quick`: the checks that take a minute or two, for the loop of editing. The longer ones are in `.ci/run`.
use anyhow::{Context, Result};
use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
    process::Command,
    time::Instant,
};

/// Cheapest first, so that the first answer comes at once.
const STEPS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    ("unit tests", &["test", "--workspace", "--lib", "--quiet"]),
];

/// Run all steps, or up to the first that fails. Returns whether all passed.
///
/// # Errors
/// When cargo can't be started.
pub fn run() -> Result<bool> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    for (name, args) in STEPS {
        let began = now();
        let status = Command::new(&cargo)
            .current_dir(workspace)
            .args(args)
            .status()
            .with_context(|| format!("starting {}", Path::new(&cargo).display()))?;
        let verdict = if status.success() { "passed" } else { "failed" };
        // A closed terminal changes no verdict.
        let _ = writeln!(io::stderr(), "{name}: {verdict}, {} s", began.elapsed().as_secs());
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "measures how long the steps took; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
