//! Makes the Debian packages of the device's program and of the host's.
use clap::Parser;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Makes the Debian packages of the device's program and of the host's.
#[derive(Debug, Parser)]
#[command(name = "bistable-package", version)]
struct Cli {
    #[command(flatten)]
    options: bistable_package::Options,
}

fn main() -> ExitCode {
    match bistable_package::run(&Cli::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
