//! The suite `real`.
use bistable_kit::program;
use bistable_real::{Options, meter};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Takes two versions of a real Debian system through an update, proves that it is right, and measures it.
#[derive(Debug, Parser)]
#[command(name = "bistable-real", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    inner: Option<Inner>,
}

#[derive(Debug, Subcommand)]
enum Inner {
    /// Run a program and note what it cost
    #[command(hide = true)]
    Meter(meter::Args),
}

fn main() -> ExitCode {
    if let Some(exit) = program::answer_to_name() {
        return exit;
    }
    let cli = Cli::parse();
    match cli.inner {
        Some(Inner::Meter(args)) => meter::run(&args).unwrap_or_else(|e| program::ended(Err(e))),
        None => program::ended(bistable_real::run(&cli.options)),
    }
}
