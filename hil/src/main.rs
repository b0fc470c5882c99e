//! `cargo demo`, and the rigs.
use bistable_hil::{demo, model, package, program, prove, real, run};
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
    /// Take two versions of a real Debian system through an update, prove that it is right, and measure it
    Real(real::Options),
    /// Cut the power at every write of every scenario, and see that the device survives
    Prove(prove::Options),
    /// Prove the same of the real program, on a disk that logs (needs qemu-storage-daemon and FUSE)
    Disk(prove::disk::Options),
    /// Search a model of the update protocol exhaustively
    Model(model::Options),
    /// Run the device scenarios on a rig: a simulated, an emulated or a real Pi
    Run(run::Options),
    /// Make the Debian package of the device's program
    Package(package::Options),
    /// Run a program and note what it cost
    #[command(hide = true)]
    Meter(real::meter::Args),
}

fn main() -> ExitCode {
    // Called by the name of one of the two programs, this is that program: so the demo runs the real ones, each in a
    // process of its own, and needs no second build.
    if let Some(exit) = program::answer_to_name() {
        return exit;
    }
    let ended = match Cli::parse().verb {
        Verb::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Real(options) => {
            real::run(&options).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Prove(options) => {
            prove::run(&options).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Disk(options) => {
            prove::disk::run(&options).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Model(options) => {
            model::run(&options).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Run(options) => {
            run::run(&options).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Verb::Package(options) => package::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Meter(args) => real::meter::run(&args),
    };
    ended.unwrap_or_else(|e| {
        demo::complain(&e);
        ExitCode::FAILURE
    })
}
