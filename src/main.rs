//! The device's side of Bistable, as a program.
use bistable::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    ExitCode::from(cli::run(std::env::args_os()).code())
}
