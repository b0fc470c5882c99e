//! Every verb that works on a repository, with arguments that succeed on a good one.
use clap::{Command, CommandFactory};
use std::collections::BTreeSet;

const KEY: [&str; 2] = ["--key", "{channel.key}"];

/// A verb, and words that run it: its options come last.
pub(super) struct Try {
    pub(super) verb: &'static str,
    words: &'static [&'static str],
    /// Whether the channel's key signs.
    signs: bool,
}

impl Try {
    pub(super) fn args(&self) -> Vec<&'static str> {
        // What is to be done about a rollout is said after which one it is.
        let verb = if self.verb.starts_with("rollout ") { "rollout" } else { self.verb };
        let key: &[&str] = if self.signs { &KEY } else { &[] };
        verb.split(' ').chain(self.words.iter().copied()).chain(key.iter().copied()).collect()
    }
}

impl Try {
    /// How it ends on a good repository.
    pub(super) fn code(&self) -> i32 {
        match self.verb {
            // Numbers are not forgotten while the repository has the files.
            "repo forget" => 2,
            // Behind the program in the place of ssh there is no device.
            "deploy" => 1,
            _ => 0,
        }
    }
}

const fn reads(verb: &'static str, words: &'static [&'static str]) -> Try {
    Try { verb, words, signs: false }
}

const fn signs(verb: &'static str, words: &'static [&'static str]) -> Try {
    Try { verb, words, signs: true }
}

/// An image that brings along a component of the repository.
const BUILD: &[&str] = &[
    "--bind",
    "core=2.0.0",
    "--product",
    "hub",
    "--version",
    "9.0.0",
    "--board",
    "pi4",
    "--system",
    "{system}",
    "--boot",
    "{boot}",
    "--boot-size",
    "4M",
    "--level",
    "1",
    "--key",
    "{release.key}",
    "--root",
    "{1.root}",
    "--force",
    "--out",
    "{destination/bound.bundle}",
];

/// A card whose device has a component of the repository.
const CARD: &[&str] = &[
    "--no-agent",
    "--component",
    "core=2.0.0",
    "--bundle",
    "{3.bundle}",
    "--root",
    "{1.root}",
    "--force",
    "--out",
    "{destination/card.img}",
];

/// In this order: what only reads comes first, what removes comes last.
pub(super) const TRIES: &[Try] = &[
    reads("audit", &[]),
    reads("audit verify", &[]),
    reads("channel show", &[]),
    reads("channel show", &["production", "--json"]),
    reads("deltas", &["staging"]),
    reads("list", &["--all"]),
    reads("search", &[]),
    reads("show", &["1.1.0"]),
    reads("fsck", &[]),
    reads("fsck", &["--deep", "--json"]),
    reads("build", BUILD),
    reads("card", CARD),
    reads("deploy", &["device", "1.1.0", "--ssh", "false"]),
    reads("repo probe", &[]),
    reads("metrics", &[]),
    reads("site", &["--out", "{destination/site}"]),
    reads("sync", &["{destination/copy}"]),
    reads("sync", &["--everything", "{destination/mirror}"]),
    reads("site", &[]),
    reads("repo init", &["--root", "{1.root}"]),
    reads("attest", &["staging", "1.2.0", "--kind", "burned-in", "--key", "{rig.key}"]),
    signs("publish", &["{3.bundle}"]),
    signs("promote", &["staging", "production", "1.2.0", "--waves", "1%,10%@6h"]),
    signs("rollout wave", &["production", "1.2.0", "wave", "50%@3d"]),
    signs("rollout canary", &["production", "1.2.0", "canary", "lab"]),
    signs("rollout pause", &["production", "1.2.0", "pause"]),
    signs("rollout resume", &["production", "1.2.0", "resume"]),
    signs("rollout set", &["production", "1.2.0", "set", "--waves", "5%,100%@2d"]),
    signs("rollout halt", &["production", "1.2.0", "halt"]),
    signs("rollout everyone", &["production", "1.2.0", "everyone"]),
    signs("channel refresh", &["staging"]),
    signs("channel gates", &["staging", "--min-age", "1s"]),
    signs("channel pin", &["staging", "1.1.0"]),
    signs("channel unpin", &["staging", "1.1.0"]),
    signs("channel barrier", &["staging", "1.2.0"]),
    signs("retire", &["staging", "--keep", "2", "--dry-run"]),
    signs("withdraw", &["staging", "1.1.0", "--reason", "too hot"]),
    signs("prune", &["--keep", "1", "--older-than", "1s"]),
    reads("repo root", &["{2.root}"]),
    reads("audit repair", &[]),
    reads("fsck", &["--deep", "--repair"]),
    reads("sync", &["--everything", "{destination/mirror}"]),
    reads("repo forget", &[]),
];

/// The verbs that take a repository, as the command line defines them.
pub(super) fn on_repositories() -> BTreeSet<String> {
    fn collect(command: &Command, path: &str, verbs: &mut BTreeSet<String>) {
        if command.get_arguments().any(|arg| arg.get_id() == "repo") {
            verbs.insert(path.trim().to_owned());
        }
        for inner in command.get_subcommands() {
            collect(inner, &format!("{path} {}", inner.get_name()), verbs);
        }
    }
    let mut verbs = BTreeSet::new();
    collect(&bistable_image::cli::Cli::command(), "", &mut verbs);
    verbs
}
