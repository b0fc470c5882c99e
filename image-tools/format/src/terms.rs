//! The terms of a release: all of it that decides onto which device it may go. A channel repeats them, so that a device
//! can choose without reading a single release; what it chose must then say the same.
use crate::{DecodeError, Release, VolumeKind, limits, release::check_name};
use alloc::{format, string::String, vec::Vec};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// What a device must have, or must not have, before it takes a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    /// Of the version that is running.
    pub running: Option<VersionReq>,
    /// Of other components (boot loader, application, …), by name: each must be there, in such a version.
    pub components: Vec<(String, VersionReq)>,
    /// Of other components, by name: none may be there in such a version.
    pub conflicts: Vec<(String, VersionReq)>,
}

/// All of a release that decides onto which device it may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What it is for.
    pub product: String,
    /// Its version.
    pub version: Version,
    /// Its security version.
    pub security_version: u32,
    /// Boards that it runs on.
    pub boards: Vec<String>,
    /// What a device must have before.
    pub requires: Requires,
    /// Bytes of the raw volumes, in the order of [`VolumeKind::ALL`].
    pub volume_bytes: [u64; 2],
}

impl Terms {
    /// Bytes of one raw volume.
    pub fn bytes_of(&self, kind: VolumeKind) -> u64 {
        let [boot, system] = self.volume_bytes;
        match kind {
            VolumeKind::Boot => boot,
            VolumeKind::System => system,
        }
    }

    /// # Errors
    /// What makes no sense, or is more than allowed.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        check_name("release: product", &self.product)?;
        if text_bytes(&self.version) > limits::VERSION {
            return invalid("release: version", format!("longer than {} bytes", limits::VERSION));
        }
        if self.boards.is_empty() || self.boards.len() > limits::BOARDS {
            return invalid("release: boards", format!("1 to {} boards are needed", limits::BOARDS));
        }
        for (i, board) in self.boards.iter().enumerate() {
            check_name("release: boards", board)?;
            if self.boards.iter().skip(i + 1).any(|b| b == board) {
                return invalid("release: boards", format!("{board} is there twice"));
            }
        }
        let Requires { running, components, conflicts } = &self.requires;
        let others = components.iter().chain(conflicts).map(|(_, r)| r);
        if running.iter().chain(others).any(|r| text_bytes(r) > limits::REQUIREMENT) {
            let problem = format!("a requirement is longer than {} bytes", limits::REQUIREMENT);
            return invalid("release: requires", problem);
        }
        for (what, list) in [("release: requires", components), ("release: conflicts", conflicts)] {
            if list.len() > limits::COMPONENTS {
                return invalid(what, format!("more than {} components", limits::COMPONENTS));
            }
            for (i, (name, _)) in list.iter().enumerate() {
                check_name(what, name)?;
                if list.iter().skip(i + 1).any(|(n, _)| n == name) {
                    return invalid(what, format!("{name} is there twice"));
                }
            }
        }
        for (kind, bytes) in VolumeKind::ALL.into_iter().zip(self.volume_bytes) {
            let what = match kind {
                VolumeKind::Boot => "release: boot volume",
                VolumeKind::System => "release: system volume",
            };
            if bytes == 0 || !bytes.is_multiple_of(512) || bytes > limits::VOLUME {
                return invalid(what, format!("{bytes} bytes are not whole sectors of at most 64 GiB"));
            }
        }
        Ok(())
    }
}

impl From<&Release> for Terms {
    fn from(release: &Release) -> Self {
        Terms {
            product: release.product.clone(),
            version: release.version.clone(),
            security_version: release.security_version,
            boards: release.boards.clone(),
            requires: release.requires.clone(),
            volume_bytes: VolumeKind::ALL.map(|kind| release.volumes.get(kind).bytes),
        }
    }
}

/// Bytes of what a value prints, without keeping them.
fn text_bytes(value: &impl core::fmt::Display) -> usize {
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
