//! A component that an image brings along: it is switched with the image's slot.
use crate::{
    DecodeError, Digest, Extensions, limits,
    name::check_name,
    open::{self, Entry},
    version::check_version,
};
use alloc::string::String;
use semver::Version;
use serde::{Deserialize, Serialize};

/// A component's release, bound to an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The component.
    pub component: String,
    /// The version, for messages.
    pub version: Version,
    /// The component's release: see [`release::identity`](crate::release::identity).
    pub identity: Digest,
    /// Additions of later versions.
    pub extensions: Extensions,
}

impl Entry for Bound {
    const LIMIT: usize = limits::COMPONENTS;

    fn read(bytes: &[u8]) -> Result<Bound, DecodeError> {
        let bound: Bound = open::unframe("bound component", bytes)?;
        bound.check()?;
        Ok(bound)
    }
}

impl Bound {
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        check_name("release: bound component", &self.component)?;
        check_version("release: bound component", &self.version)?;
        self.extensions.check("release: bound component")
    }
}
