//! The log on standard error, filtered by `RUST_LOG`. Reasons in it are foreign text, so it is made printable.
use crate::text::printable;
use std::io::Write;

/// Log from now on, warnings and errors if nothing else is asked for.
pub fn init() {
    let from_env = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(from_env)
        .format(|to, record| {
            let (at, style) = (to.timestamp(), to.default_level_style(record.level()));
            let line = printable(&record.args().to_string());
            writeln!(to, "[{at} {style}{:<5}{style:#} {}] {line}", record.level(), record.target())
        })
        .init();
}
