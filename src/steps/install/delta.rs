//! The delta that makes a release from what runs: asked for in a repository, verified, and used where it is smaller.
//!
//! That it is missing, or wrong in whatever way, costs its bytes and nothing else: the release's own data is fetched.
use super::{content::volumes, fetch::ask_others};
use crate::{error::BundleError, source::Source};
use bistable_format::{Delta, Digest, Envelope, Release, Root, VolumeKind, release, repository};
use semver::Version;
use serde::Serialize;

/// A release and its identity.
#[derive(Clone, Debug)]
pub struct Known {
    /// SHA-256 of the payload.
    pub identity: Digest,
    /// The release.
    pub release: Release,
}

impl Known {
    /// Of a release and its signed bytes.
    pub(super) fn of(release: &Release, signed: &[u8]) -> Known {
        Known { identity: release::identity(signed), release: release.clone() }
    }
}

/// What has to be fetched of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Download {
    /// Bytes at most: what the device has already isn't fetched.
    pub bytes: u64,
    /// Bytes at most without a delta.
    pub full_bytes: u64,
    /// The version that the delta takes, if there is one that is smaller.
    pub delta_from: Option<String>,
}

/// What came of asking for a delta.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// There is one.
    Found(Box<Delta>),
    /// There is none.
    None,
    /// There is one that can't be used, and why.
    Unusable(String),
}

/// Ask for the delta between two releases.
///
/// # Errors
/// When the way there failed, so that it may be found later.
pub(super) fn find(
    source: &mut impl Source,
    root: &Root,
    target: &Known,
    base: &Known,
) -> Result<Asked, BundleError> {
    let path = repository::delta(&target.identity, &base.identity);
    let mut wrong = 0;
    loop {
        let bytes = match source.get(&path, Envelope::MAX_BYTES) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Asked::None),
            Err(e) if e.is_transport() => return Err(e.into()),
            Err(e) => return Ok(Asked::Unusable(e.to_string())),
        };
        let opened = Delta::open(&bytes, root).map_err(|e| e.to_string()).and_then(|delta| {
            let between = [target, base].map(|known| (&known.identity, &known.release));
            delta.check_between(between[0], between[1]).map_err(|e| e.to_string())?;
            Ok(delta)
        });
        match opened {
            Ok(delta) => return Ok(Asked::Found(Box::new(delta))),
            Err(_) if ask_others(source, &mut wrong, "delta") => {}
            Err(problem) => return Ok(Asked::Unusable(format!("{path}: {problem}"))),
        }
    }
}

/// Bytes of a volume's list and data: its own, and the delta's if that makes it.
fn bytes_of(
    release: &Release,
    delta: Option<&Delta>,
    volume: VolumeKind,
) -> Result<(u64, Option<u64>), BundleError> {
    let v = volumes(release)?.get(volume);
    let of = |list_bytes: u32, data_bytes: u64| u64::from(list_bytes).saturating_add(data_bytes);
    let by_delta = delta.and_then(|delta| delta.artifact(volume.name()));
    Ok((of(v.list_bytes, v.data_bytes), by_delta.map(|a| of(a.list_bytes, a.data_bytes))))
}

/// Whether a volume is made by the delta: only if that is smaller. Decided on sizes alone, because anything better would need
/// both lists.
pub(super) fn is_smaller(release: &Release, delta: &Delta, volume: VolumeKind) -> Result<bool, BundleError> {
    let (full, by_delta) = bytes_of(release, Some(delta), volume)?;
    Ok(by_delta.is_some_and(|bytes| bytes < full))
}

/// What has to be fetched at most, with this delta from a release of that version.
pub(super) fn download(
    release: &Release,
    delta: Option<&Delta>,
    from: Option<&Version>,
) -> Result<Download, BundleError> {
    let mut download = Download { bytes: 0, full_bytes: 0, delta_from: None };
    for volume in VolumeKind::ALL {
        let (full, by_delta) = bytes_of(release, delta, volume)?;
        download.full_bytes = download.full_bytes.saturating_add(full);
        let smaller = by_delta.filter(|bytes| *bytes < full);
        if smaller.is_some() {
            download.delta_from = from.map(ToString::to_string);
        }
        download.bytes = download.bytes.saturating_add(smaller.unwrap_or(full));
    }
    Ok(download)
}
