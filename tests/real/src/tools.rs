//! Small things that several files of the suite need.
use std::ffi::OsString;

/// MiB.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The checkers lie where only root's PATH leads.
pub(super) fn path_with_system_folders() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
