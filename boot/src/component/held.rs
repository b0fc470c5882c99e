use crate::ReleaseId;
use semver::Version;
use serde::{Deserialize, Serialize};

/// A version of a component that lies on this device, complete and verified; or that an update is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The release that it is from. Its digest is the name of its folder, too.
    pub release: ReleaseId,
    /// That release's version.
    pub version: Version,
    /// That release's security version: becomes the component's floor at the commit.
    pub security_version: u32,
    /// The number of the configuration that it runs with, of a release that declares one. It lies beside its folder.
    pub configuration: Option<u32>,
}
