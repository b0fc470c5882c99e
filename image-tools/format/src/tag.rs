//! Versions as people's releases name them: tags of a source repository, and of a registry.
use crate::version::is_newer;
use alloc::format;
use alloc::string::String;
use semver::Version;

/// Why a tag names no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// It doesn't begin with the prefix that was asked for.
    #[error("does not begin with the wanted prefix")]
    OtherPrefix,
    /// It is a date: later numbers would never be newer.
    #[error("is a date, not a version")]
    Date,
    /// More than three numbers.
    #[error("has more than three numbers; versions are MAJOR.MINOR.PATCH")]
    TooManyNumbers,
    /// Which of `1.02` and `1.2` is newer isn't defined.
    #[error("has a number with a leading zero")]
    LeadingZero,
    /// Anything else.
    #[error("is not a version such as v1.2.3 or 1.3.0-beta.1")]
    NotAVersion,
}

/// How an offered version stands to the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is newer.
    Update,
    /// It is the same.
    UpToDate,
    /// It is older.
    Older,
}

/// Compare an offered version with the one that is there, by semver's precedence.
pub fn standing(offered: &Version, there: &Version) -> Standing {
    match offered.cmp_precedence(there) {
        core::cmp::Ordering::Greater => Standing::Update,
        core::cmp::Ordering::Equal => Standing::UpToDate,
        core::cmp::Ordering::Less => Standing::Older,
    }
}

/// The version that a tag names: after one leading `v`, with `1` for `1.0.0` and `1.1` for `1.1.0`.
///
/// ```
/// use bistable_format::tag::{TagError, version};
/// assert_eq!(version("v1.1").unwrap().to_string(), "1.1.0");
/// assert_eq!(version("1.2.0-beta.1").unwrap().to_string(), "1.2.0-beta.1");
/// assert_eq!(version("2026-11-30"), Err(TagError::Date));
/// ```
///
/// # Errors
/// Why it names none.
pub fn version(tag: &str) -> Result<Version, TagError> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    if is_date(text) {
        return Err(TagError::Date);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let parts = || numbers.split('.');
    if !parts().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(TagError::NotAVersion);
    }
    if parts().any(|part| part.len() > 1 && part.starts_with('0')) {
        return Err(TagError::LeadingZero);
    }
    let missing = match parts().count() {
        1 => ".0.0",
        2 => ".0",
        3 => "",
        _ => return Err(TagError::TooManyNumbers),
    };
    let whole: String = format!("{numbers}{missing}{rest}");
    Version::parse(&whole).map_err(|_| TagError::NotAVersion)
}

/// The version that a tag with this prefix names: `core-v1.2.0` with the prefix `core-`.
///
/// # Errors
/// Why it names none.
pub fn version_after(prefix: &str, tag: &str) -> Result<Version, TagError> {
    version(tag.strip_prefix(prefix).ok_or(TagError::OtherPrefix)?)
}

/// Which versions may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prereleases {
    /// `1.3.0-beta` is left out.
    #[default]
    Skip,
    /// It is a version like any other.
    Take,
}

/// The newest of all that have a version; the first of several with the same.
pub fn newest<T>(
    all: impl IntoIterator<Item = (Version, T)>,
    prereleases: Prereleases,
) -> Option<(Version, T)> {
    let wanted = |version: &Version| prereleases == Prereleases::Take || version.pre.is_empty();
    all.into_iter()
        .filter(|(version, _)| wanted(version))
        .reduce(|best, next| if is_newer(&next.0, &best.0) { next } else { best })
}

/// `20261130`, `2026-11-30`, `2026.01.05`, and the same with a time behind it. What semver takes as three plain numbers, such as
/// `2026.11.3`, counts up like any version and is one.
fn is_date(text: &str) -> bool {
    let number = |from: usize, to: usize| -> Option<u32> {
        let part = text.get(from..to)?;
        if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
    };
    let day = |year: Option<u32>, month: Option<u32>, day: Option<u32>| {
        matches!(year, Some(1970..=2199)) && matches!(month, Some(1..=12)) && matches!(day, Some(1..=31))
    };
    let ends = |at: usize| !text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let compact = ends(8) && day(number(0, 4), number(4, 6), number(6, 8));
    let separator = |at: usize| text.as_bytes().get(at).copied();
    let separated = ends(10)
        && separator(4) == separator(7)
        && matches!(separator(4), Some(b'-' | b'_'))
        && day(number(0, 4), number(5, 7), number(8, 10));
    let dotted = separator(4) == Some(b'.')
        && separator(7) == Some(b'.')
        && ends(10)
        && (separator(5) == Some(b'0') || separator(8) == Some(b'0'))
        && day(number(0, 4), number(5, 7), number(8, 10));
    compact || separated || dotted
}
