//! `cargo quick`: the checks that take a minute or two, for the loop of editing. The longer ones are in `.ci/run`.
use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::{Command, ExitCode},
    time::Instant,
};

/// Cheapest first, so that the first answer comes at once.
const STEPS: [(&str, &[&str]); 4] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    ("documentation", &["doc", "--workspace", "--no-deps", "--quiet"]),
    ("unit tests", &["test", "--workspace", "--lib", "--quiet"]),
];

/// Run all steps, or up to the first that fails.
fn main() -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    for (name, args) in STEPS {
        let began = now();
        let verdict = match Command::new(&cargo).args(args).env("RUSTDOCFLAGS", "-D warnings").status() {
            Ok(status) if status.success() => "passed".to_owned(),
            Ok(_) => "failed".to_owned(),
            Err(e) => format!("can't start {}: {e}", cargo.display()),
        };
        // A closed terminal changes no verdict.
        let _ = writeln!(io::stderr(), "{name}: {verdict}, {} s", began.elapsed().as_secs());
        if verdict != "passed" {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "measures how long the steps took; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
