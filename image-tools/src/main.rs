//! The program `bistable-image`: see the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    bistable_image::cli::until_interrupted();
    bistable_image::cli::run(std::env::args_os())
}
