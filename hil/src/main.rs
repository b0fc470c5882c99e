//! `cargo demo`, and the rigs.
use bistable_hil::{demo, run};
use bistable_kit::program;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Bistable's scenarios on a simulated, an emulated and a real Pi.
#[derive(Debug, Parser)]
#[command(name = "bistable-hil", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch a whole life of a device on a virtual Pi
    Demo(demo::Options),
    /// Run the device scenarios on a rig: a simulated, an emulated or a real Pi
    Run(run::Options),
}

fn main() -> ExitCode {
    // Called by the name of one of the two programs, this is that program: so the demo runs the real ones, each in a
    // process of its own, and needs no second build.
    if let Some(exit) = program::answer_to_name() {
        return exit;
    }
    program::ended(match Cli::parse().verb {
        Verb::Demo(options) => demo::run(&options).map(|()| true),
        Verb::Run(options) => run::run(&options),
    })
}
