//! Versions: how two compare, and what meets a requirement.
use crate::{DecodeError, limits};
use alloc::format;
use semver::{Version, VersionReq};

/// The version of this agent.
pub const AGENT: &str = env!("CARGO_PKG_VERSION");

/// Newer by semver's precedence: `1.0.0-beta` < `1.0.0`, and build metadata (`+…`) doesn't count.
pub fn is_newer(a: &Version, than: &Version) -> bool {
    a.cmp_precedence(than).is_gt()
}

/// Whether a version meets a requirement. A pre-release of a version counts as a step towards it: `>=1.2.0` is met by
/// `1.3.0-beta`, unlike in Cargo, where pre-releases must be asked for by name; and not by `1.2.0-beta`, which comes
/// before `1.2.0`.
pub fn meets(required: &VersionReq, version: &Version) -> bool {
    if required.matches(version) {
        return true;
    }
    // A requirement is an intersection of intervals; semver's own test only adds that pre-releases must be asked for.
    !version.pre.is_empty() && required.comparators.iter().all(|c| interval_holds(c, version))
}

/// Whether a version lies in the interval of versions that a comparator stands for, by precedence alone.
fn interval_holds(c: &semver::Comparator, v: &Version) -> bool {
    use semver::Op;
    // Wider than the numbers of a version, which come from outside: each of them has a next one.
    type Triple = (u128, u128, u128);
    let at: Triple = (v.major.into(), v.minor.into(), v.patch.into());
    let lower = Version {
        major: c.major,
        minor: c.minor.unwrap_or(0),
        patch: c.patch.unwrap_or(0),
        pre: c.pre.clone(),
        build: semver::BuildMetadata::EMPTY,
    };
    let order = v.cmp_precedence(&lower);
    let (major, minor, patch) =
        (u128::from(c.major), u128::from(c.minor.unwrap_or(0)), u128::from(c.patch.unwrap_or(0)));
    let next_major: Triple = (major + 1, 0, 0);
    let next_minor: Triple = if c.minor.is_some() { (major, minor + 1, 0) } else { next_major };
    // The first release after all that a perhaps partial version, such as `1.2`, stands for.
    let after: Triple = if c.patch.is_some() { (major, minor, patch + 1) } else { next_minor };
    // A bound is a release: its own pre-releases are neither below it, so that `<2.0.0` is not met by `2.0.0-beta`, ...
    let below = |bound: Triple| at < bound;
    // ... nor have they reached it, so that `>1` isn't either.
    let reached = |bound: Triple| at > bound || (at == bound && v.pre.is_empty());
    let exact = c.patch.is_some();
    match c.op {
        Op::Exact | Op::Wildcard if exact => order.is_eq(),
        Op::Exact | Op::Wildcard => order.is_ge() && below(after),
        Op::Greater if exact => order.is_gt(),
        Op::Greater => reached(after),
        Op::GreaterEq => order.is_ge(),
        Op::Less if !c.pre.is_empty() => order.is_lt(),
        Op::Less => below((major, minor, patch)),
        Op::LessEq if exact => order.is_le(),
        Op::LessEq => below(after),
        Op::Tilde => order.is_ge() && below(next_minor),
        Op::Caret => {
            // The leftmost number that isn't 0 may not change; among numbers that aren't given none may but the last.
            let end = match (c.major, c.minor, c.patch) {
                (0, Some(0), Some(_)) => after,
                (0, Some(_), _) => next_minor,
                _ => next_major,
            };
            order.is_ge() && below(end)
        }
        _ => false,
    }
}

/// A version's text is limited.
pub(crate) fn check_version(what: &'static str, version: &Version) -> Result<(), DecodeError> {
    if text_bytes(version) > limits::VERSION {
        return Err(DecodeError::Invalid { what, problem: format!("longer than {} bytes", limits::VERSION) });
    }
    Ok(())
}

/// Bytes of what a value prints, without keeping them.
pub(crate) fn text_bytes(value: &impl core::fmt::Display) -> usize {
    struct Count(usize);
    impl core::fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0 = self.0.saturating_add(text.len());
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting can't fail; a value that refuses to print is too long for any limit.
    match core::fmt::write(&mut count, format_args!("{value}")) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
