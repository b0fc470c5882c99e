//! What the demo itself says, between what the programs print.
use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

fn line(text: &str) {
    // A reader that has gone away is no error of the demo's.
    let _ = writeln!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
}

fn styled(code: &str, text: &str) -> String {
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A chapter begins.
pub(super) fn chapter(number: usize, title: &str) {
    line("");
    line(&styled(
        "1;36",
        &format!("── {number}. {title} {}", "─".repeat(70_usize.saturating_sub(title.chars().count()))),
    ));
}

/// What happens, and why.
pub(super) fn why(text: &str) {
    line(&styled("2", text));
}

/// A command, before it runs.
pub(super) fn command(typed: &str) {
    line("");
    line(&styled("1", &format!("$ {typed}")));
}

/// How long a command took.
pub(super) fn took(time: Duration) {
    if time >= Duration::from_millis(500) {
        line(&styled("2", &format!("({:.1} s)", time.as_secs_f64())));
    }
}

/// The end.
pub(super) fn end(text: &str) {
    line("");
    line(&styled("1;32", text));
}
