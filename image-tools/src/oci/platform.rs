//! What an image runs on.
use std::fmt;
use std::str::FromStr;

/// Operating system, architecture and its variant, as OCI names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `arm64`, `arm`, `amd64`.
    pub architecture: String,
    /// `v7`, `v8`; empty for the usual one of the architecture.
    pub variant: String,
}

impl Default for Platform {
    /// A 64-bit Pi.
    fn default() -> Platform {
        Platform::new("linux", "arm64", "")
    }
}

impl Platform {
    pub(super) fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        // Every arm64 is v8, and what says arm alone means v7.
        let usual = matches!((architecture, variant), ("arm64", "v8") | ("arm", "v7"));
        let variant = if usual { "" } else { variant };
        Platform { os: os.into(), architecture: architecture.into(), variant: variant.into() }
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Platform, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let fine = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        match parts.as_slice() {
            [os, architecture] if parts.iter().all(fine) => Ok(Platform::new(os, architecture, "")),
            [os, architecture, variant] if parts.iter().all(fine) => {
                Ok(Platform::new(os, architecture, variant))
            }
            _ => Err("give OS/ARCHITECTURE, for example linux/arm64 or linux/arm/v7".into()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}
