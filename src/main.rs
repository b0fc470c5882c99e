//! The device's side of Bistable, as a program.
use bistable::{
    logging, program,
    teardown::{AtEnd, signals},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread is started.
    let handled = signals::handle();
    let _at_end = AtEnd;
    logging::init();
    if let Err(e) = handled {
        log::warn!(reason:% = e; "signals_not_handled");
    }
    ExitCode::from(program(std::env::args_os()).code())
}
