//! `cargo prove`, and what else proves the protocol.
use bistable_kit::program;
use bistable_proof::{model, prove};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Proves that a device survives.
#[derive(Debug, Parser)]
#[command(name = "bistable-proof", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Cut the power at every write of every scenario, and see that the device survives
    Prove(prove::Options),
    /// Prove the same of the real program, on a disk that logs (needs qemu-storage-daemon and FUSE)
    Disk(prove::disk::Options),
    /// Search a model of the update protocol exhaustively
    Model(model::Options),
}

fn main() -> ExitCode {
    if let Some(exit) = program::answer_to_name() {
        return exit;
    }
    program::ended(match Cli::parse().verb {
        Verb::Prove(options) => prove::run(&options),
        Verb::Disk(options) => prove::disk::run(&options),
        Verb::Model(options) => model::run(&options),
    })
}
