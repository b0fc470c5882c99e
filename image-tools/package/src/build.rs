//! A package's program, built for another machine.
use super::{Arch, Package, tools};
use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The program, and a line for each crate that is in it: name, version, license, source.
///
/// # Errors
/// When the build fails.
pub(super) fn program(workspace: &Path, package: Package, arch: Arch) -> Result<(PathBuf, Option<String>)> {
    let target = arch.target();
    let under = target.replace('-', "_");
    let mut cargo = cargo(workspace);
    cargo
        .args(["build", "--locked", "--profile", "dist"])
        .args(package.features())
        .args(["--target", target]);
    if !tools::has_std(arch) {
        // From source, with the compiler that is there: the library is the compiler's own, only ready-made it isn't
        // offered. The variable lets a stable compiler do it.
        cargo.args(["-Z", "build-std=std,panic_unwind"]).env("RUSTC_BOOTSTRAP", "1");
    }
    let status = cargo
        .env(format!("CC_{under}"), arch.cc())
        .env(format!("CFLAGS_{under}"), arch.c_flags())
        .env(format!("CARGO_TARGET_{}_LINKER", under.to_uppercase()), arch.linker())
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace))
        .env_remove("RUSTFLAGS")
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("building {} for {target} failed: {status}", package.name());
    }
    let program = target_folder(workspace)?.join(target).join("dist").join(package.name());
    Ok((program, Some(crates(workspace, package, target)?)))
}

/// Static, and without this machine's paths.
fn flags(workspace: &Path) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let places = [
        (home, "/cargo"),
        (Some(workspace.to_owned()), "/bistable"),
        (tools::rustc(&["--print", "sysroot"]), "/rust"),
    ];
    for (from, to) in places {
        let Some(from) = from else { continue };
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    cargo
}

fn target_folder(workspace: &Path) -> Result<PathBuf> {
    let out = cargo(workspace)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).context("cargo metadata")?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(folder.into())
}

fn crates(workspace: &Path, package: Package, target: &str) -> Result<String> {
    let out = cargo(workspace)
        .args(["tree", "--locked", "-e", "normal"])
        .args(package.features())
        .args(["--target", target])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p} | {l} | {r}"])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !out.status.success() {
        bail!("listing the crates in {} failed: {}", package.name(), out.status);
    }
    let text = String::from_utf8(out.stdout).context("cargo tree")?;
    let mut lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("bistable")).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.join("\n") + "\n")
}
