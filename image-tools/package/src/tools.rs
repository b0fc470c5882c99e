//! What has to be installed to make a package.
use super::Arch;
use anyhow::{Result, bail};
use std::{env, fs, path::PathBuf, process::Command};

/// Something that has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// A program, from Debian packages.
    Program(&'static str, &'static [&'static str]),
    /// Rust's standard library for an architecture, or its source.
    Std(Arch),
}

/// For packing alone.
pub(super) fn packing() -> Vec<Tool> {
    vec![Tool::Program("dpkg-deb", &["dpkg"])]
}

/// For building.
pub(super) fn building(arch: Arch) -> Vec<Tool> {
    vec![Tool::Program(arch.cc(), arch.packages()), Tool::Std(arch)]
}

/// Whether all is there.
///
/// # Errors
/// When something is missing: all of it, and what to install.
pub(super) fn check(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|t| !t.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", advice(&missing));
}

fn advice(missing: &[Tool]) -> String {
    let mut names = Vec::new();
    let mut packages = Vec::new();
    let mut lines = Vec::new();
    for tool in missing {
        match tool {
            Tool::Program(name, from) => {
                names.push((*name).to_owned());
                packages.extend_from_slice(from);
            }
            Tool::Std(arch) => {
                names.push(format!("Rust's standard library for {}", arch.target()));
                lines.push(format!("  rustup target add {}", arch.target()));
                if let Arch::Armv6 = arch {
                    lines.push("  or, to build it from source: rustup component add rust-src".into());
                }
            }
        }
    }
    if !packages.is_empty() {
        lines.insert(0, format!("  apt-get install {}", packages.join(" ")));
    }
    format!("missing: {}. Install it:\n{}", names.join(", "), lines.join("\n"))
}

impl Tool {
    fn is_there(&self) -> bool {
        match self {
            Tool::Program(name, _) => env::var_os("PATH")
                .is_some_and(|path| env::split_paths(&path).any(|d| d.join(name).is_file())),
            Tool::Std(arch) => has_std(*arch) || (*arch == Arch::Armv6 && has_source()),
        }
    }
}

/// Whether the ready-made standard library is there.
pub(super) fn has_std(arch: Arch) -> bool {
    let Some(folder) = rustc(&["--print", "target-libdir", "--target", arch.target()]) else { return false };
    fs::read_dir(folder)
        .is_ok_and(|names| names.flatten().any(|n| n.file_name().to_string_lossy().starts_with("libstd-")))
}

fn has_source() -> bool {
    rustc(&["--print", "sysroot"])
        .is_some_and(|root| root.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}

/// What the compiler says to a question.
pub(super) fn rustc(args: &[&str]) -> Option<PathBuf> {
    let out = Command::new("rustc").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| PathBuf::from(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_install() {
        let none = Tool::Program("no-such-program-anywhere", &["a-package", "another"]);
        let text = check(&[none]).unwrap_err().to_string();
        assert_eq!(
            text,
            "missing: no-such-program-anywhere. Install it:\n  apt-get install a-package another"
        );
        let text = advice(&[none, Tool::Std(Arch::Armv6)]);
        assert!(text.contains("rustup target add arm-unknown-linux-gnueabi"), "{text}");
        assert!(text.contains("rust-src"), "{text}");
    }
}
