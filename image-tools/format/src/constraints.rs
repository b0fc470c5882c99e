//! The constraints of a release: all of it that decides onto which device it may go. A channel repeats them, so that a device
//! can choose without reading a single release; what it chose must then say the same.
use crate::{
    DecodeError, VolumeKind,
    content::{self, check_sectors},
    limits,
    name::{self, Subject, check_name},
    open::{self, Unknown},
    version::{check_version, text_bytes},
};
use alloc::{format, string::String, vec::Vec};
use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a device must have, or must not have, before it takes a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    /// Of the version that is running.
    pub running: Option<VersionReq>,
    /// Of other components (boot loader, application, …), by name: each must be there, in such a version.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::COMPONENTS }>")]
    pub components: Vec<(String, VersionReq)>,
    /// Of other components, by name: none may be there in such a version.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::COMPONENTS }>")]
    pub conflicts: Vec<(String, VersionReq)>,
}

/// How soon a release should be installed: an open set of kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// When it suits.
    #[default]
    Normal,
    /// It closes a hole: a device's owner may let it jump queues.
    Security,
    /// Something that this version doesn't know: treated as normal.
    Unknown(Unknown),
}

const NORMAL: u16 = 1;
const SECURITY: u16 = 2;

impl Urgency {
    /// Its name, as options and messages have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Urgency::Normal => "normal",
            Urgency::Security => "security",
            Urgency::Unknown(_) => "unknown",
        }
    }
}

impl Serialize for Urgency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Urgency::Normal => open::write(to, NORMAL, &()),
            Urgency::Security => open::write(to, SECURITY, &()),
            Urgency::Unknown(unknown) => unknown.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Urgency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match open::read(from)? {
            (NORMAL, []) => Urgency::Normal,
            (SECURITY, []) => Urgency::Security,
            (kind, bytes) => Urgency::Unknown(Unknown { kind, bytes: bytes.to_vec() }),
        })
    }
}

/// All of a release that decides onto which device it may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraints {
    /// What it is for.
    pub product: String,
    /// The component that it is a version of; none for an image of the whole system.
    pub component: Option<String>,
    /// Its version.
    pub version: Version,
    /// Its security version.
    pub security_version: u32,
    /// Boards that it runs on.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::BOARDS }>")]
    pub boards: Vec<String>,
    /// What a device must have before.
    pub requires: Requires,
    /// How soon it should be installed.
    pub urgency: Urgency,
    /// The kind of its content: see [`Content::kind`](crate::Content::kind).
    pub content: u16,
    /// Raw bytes of its artifacts, in their order: of an image, those of [`VolumeKind::ALL`].
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::ARTIFACTS }>")]
    pub bytes: Vec<u64>,
}

impl Constraints {
    /// What it is a version of: see [`name::what`].
    pub fn what(&self) -> String {
        name::what(self.subject())
    }

    /// What it is a version of.
    pub fn subject(&self) -> Subject<'_> {
        (&self.product, self.component.as_deref())
    }

    /// Bytes of one raw volume; none of what isn't an image.
    pub fn bytes_of(&self, kind: VolumeKind) -> Option<u64> {
        match (self.content, self.bytes.as_slice()) {
            (content::IMAGE_KIND, [boot, system]) => Some(match kind {
                VolumeKind::Boot => *boot,
                VolumeKind::System => *system,
            }),
            _ => None,
        }
    }

    /// # Errors
    /// What makes no sense, or is more than allowed.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        check_name("release: product", &self.product)?;
        if let Some(component) = &self.component {
            check_name("release: component", component)?;
            // Commands and the repository's files tell a component from an image and from a version by its name.
            if *component == self.product {
                let problem = format!("{component} is the product, and so the name of its images");
                return invalid("release: component", problem);
            }
            if Version::parse(component).is_ok() {
                return invalid("release: component", format!("{component} is a version, not a name"));
            }
        }
        check_version("release: version", &self.version)?;
        if self.boards.is_empty() || self.boards.len() > limits::BOARDS {
            return invalid("release: boards", format!("1 to {} boards are needed", limits::BOARDS));
        }
        for (i, board) in self.boards.iter().enumerate() {
            check_name("release: boards", board)?;
            if self.boards.iter().skip(i + 1).any(|b| b == board) {
                return invalid("release: boards", format!("{board} is there twice"));
            }
        }
        self.requires.check()?;
        if self.content == content::IMAGE_KIND {
            if self.component.is_some() {
                return invalid("release: component", "an image is the whole system".into());
            }
            let [boot, system] = self.bytes.as_slice() else {
                return invalid("release: volumes", format!("{} instead of 2", self.bytes.len()));
            };
            check_sectors("release: boot volume", *boot)?;
            return check_sectors("release: system volume", *system);
        }
        if self.bytes.len() > limits::ARTIFACTS || self.bytes.iter().any(|b| *b == 0 || *b > limits::VOLUME) {
            let problem = format!("at most {}, of 1 byte to 64 GiB, are possible", limits::ARTIFACTS);
            return invalid("release: artifacts", problem);
        }
        Ok(())
    }
}

impl Requires {
    fn check(&self) -> Result<(), DecodeError> {
        let invalid = |what, problem: String| Err(DecodeError::Invalid { what, problem });
        let Requires { running, components, conflicts } = self;
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
        Ok(())
    }
}
