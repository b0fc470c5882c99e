//! Names: of products, boards, components, tests, channels.
use crate::{DecodeError, limits};
use alloc::{format, string::String};

/// The boards that a device's program knows by their device tree. A device of another one has its name in its configuration.
pub const BOARDS: [&str; 7] = ["pi1", "pi2", "pi3", "pi4", "pi5", "pizero", "pizero2"];

/// Names go into messages, file names and host names: `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or digit.
///
/// # Errors
/// [`DecodeError::Invalid`], which says what is allowed.
pub fn check_name(what: &'static str, name: &str) -> Result<(), DecodeError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && name.len() <= limits::NAME && name.chars().all(fine) {
        return Ok(());
    }
    Err(DecodeError::Invalid {
        what,
        problem: format!(
            "\"{}\" is not a name: use 1 to {} of a-z 0-9 . _ -",
            name.escape_debug(),
            limits::NAME
        ),
    })
}

/// Names of channels: as other names, shorter, and without dots, because they are folders.
///
/// # Errors
/// [`DecodeError::Invalid`], which says what is allowed.
pub fn check_channel_name(name: &str) -> Result<(), DecodeError> {
    check_name("channel: name", name)?;
    if name.len() <= limits::CHANNEL_NAME && !name.contains('.') {
        return Ok(());
    }
    let problem = format!("\"{name}\" is not a name: use 1 to {} of a-z 0-9 _ -", limits::CHANNEL_NAME);
    Err(DecodeError::Invalid { what: "channel: name", problem })
}

/// What releases are versions of, as messages and commands have it: `hub` for the images of a product, `hub/core` for one of its
/// components.
pub fn what((product, component): Subject<'_>) -> String {
    match component {
        None => product.into(),
        Some(component) => format!("{product}/{component}"),
    }
}

/// A product with no component for its images, or with one of its components: what has versions of its own.
pub type Subject<'a> = (&'a str, Option<&'a str>);
