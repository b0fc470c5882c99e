//! What a release consists of: an open set of kinds.
use crate::{
    Artifact, DecodeError, Digest, limits,
    name::check_name,
    open::{self, Unknown},
};
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which of a slot's two partitions a volume is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VolumeKind {
    /// FAT with kernel and firmware files.
    Boot,
    /// Root file system.
    System,
}

impl VolumeKind {
    /// Both, in the order in which a bundle has them.
    pub const ALL: [VolumeKind; 2] = [VolumeKind::Boot, VolumeKind::System];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            VolumeKind::Boot => "boot",
            VolumeKind::System => "system",
        }
    }
}

impl core::fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// Which artifact of a release. It is written as its name: `boot`, `system`, `archive`, `layer-1`; and as `{:#}` in words: "boot volume",
/// "system volume", "archive", "layer 1".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactId {
    /// A volume of an image.
    Volume(VolumeKind),
    /// The archive of a directory.
    Archive,
    /// A layer of containers, counted from 1.
    Layer(u16),
}

impl ArtifactId {
    /// The slot's partition that it is for; none for a part of a component.
    pub const fn volume(self) -> Option<VolumeKind> {
        match self {
            ArtifactId::Volume(kind) => Some(kind),
            ArtifactId::Archive | ArtifactId::Layer(_) => None,
        }
    }
}

impl From<VolumeKind> for ArtifactId {
    fn from(kind: VolumeKind) -> ArtifactId {
        ArtifactId::Volume(kind)
    }
}

impl PartialEq<VolumeKind> for ArtifactId {
    fn eq(&self, kind: &VolumeKind) -> bool {
        self.volume() == Some(*kind)
    }
}

impl core::fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self, f.alternate()) {
            (ArtifactId::Volume(kind), false) => f.pad(kind.name()),
            (ArtifactId::Volume(kind), true) => write!(f, "{} volume", kind.name()),
            (ArtifactId::Archive, _) => f.pad("archive"),
            (ArtifactId::Layer(number), false) => f.pad(&format!("layer-{number}")),
            (ArtifactId::Layer(number), true) => write!(f, "layer {number}"),
        }
    }
}

/// An image: a slot's volumes. Their raw bytes are whole sectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// For the slot's boot partition.
    pub boot: Artifact,
    /// For the slot's system partition.
    pub system: Artifact,
}

impl Volumes {
    /// One of them.
    pub fn get(&self, kind: VolumeKind) -> &Artifact {
        match kind {
            VolumeKind::Boot => &self.boot,
            VolumeKind::System => &self.system,
        }
    }

    /// Both, in the order in which a bundle has them.
    pub fn iter(&self) -> impl Iterator<Item = (VolumeKind, &Artifact)> {
        VolumeKind::ALL.into_iter().map(|k| (k, self.get(k)))
    }
}

/// An application: one folder with everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// A tar of the complete tree.
    pub archive: Artifact,
}

/// A service of a Compose project, and the image that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The service's name in the project.
    pub name: String,
    /// SHA-256 of the image's manifest for this platform: one of the blobs.
    pub manifest: Digest,
}

/// A small file that is stored as it is: an image's manifest or configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u32,
}

/// An application: containers of one Compose project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// The services that get these images.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::SERVICES }>")]
    pub services: Vec<Service>,
    /// The images' layers, uncompressed: an artifact's digest is the layer's `diff_id`.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::LAYERS }>")]
    pub layers: Vec<Artifact>,
    /// The images' manifests and configurations.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::BLOBS }>")]
    pub blobs: Vec<Blob>,
}

/// What a release consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The system of a slot.
    Image(Volumes),
    /// An application directory.
    Directory(Directory),
    /// Containers.
    Containers(Containers),
    /// Something that this version doesn't know: it can't be installed.
    Unknown(Unknown),
}

/// The kinds' numbers. 4 is reserved for modules.
const IMAGE: u16 = 1;
const DIRECTORY: u16 = 2;
const CONTAINERS: u16 = 3;

/// The number of [`Content::Image`].
pub const IMAGE_KIND: u16 = IMAGE;
/// The number of [`Content::Directory`].
pub const DIRECTORY_KIND: u16 = DIRECTORY;
/// The number of [`Content::Containers`].
pub const CONTAINERS_KIND: u16 = CONTAINERS;

/// The name of a kind of content, for messages.
pub fn kind_name(kind: u16) -> String {
    match kind {
        IMAGE => "image".into(),
        DIRECTORY => "directory".into(),
        CONTAINERS => "containers".into(),
        other => format!("unknown kind {other}"),
    }
}

impl Content {
    /// The kind's number.
    pub fn kind(&self) -> u16 {
        match self {
            Content::Image(_) => IMAGE,
            Content::Directory(_) => DIRECTORY,
            Content::Containers(_) => CONTAINERS,
            Content::Unknown(unknown) => unknown.kind,
        }
    }

    /// All artifacts, in the order in which a bundle has them.
    pub fn artifacts(&self) -> Vec<(ArtifactId, &Artifact)> {
        match self {
            Content::Image(volumes) => volumes.iter().map(|(kind, a)| (kind.into(), a)).collect(),
            Content::Directory(directory) => alloc::vec![(ArtifactId::Archive, &directory.archive)],
            Content::Containers(containers) => (1..).map(ArtifactId::Layer).zip(&containers.layers).collect(),
            Content::Unknown(_) => Vec::new(),
        }
    }

    /// One of them.
    pub fn artifact(&self, id: ArtifactId) -> Option<&Artifact> {
        self.artifacts().into_iter().find(|(other, _)| *other == id).map(|(_, artifact)| artifact)
    }

    /// Bytes of all artifacts, as they are on the device.
    pub fn bytes(&self) -> u64 {
        self.artifacts().iter().map(|(_, artifact)| artifact.bytes).sum()
    }

    /// Files that are stored as they are.
    pub fn blobs(&self) -> &[Blob] {
        match self {
            Content::Containers(containers) => &containers.blobs,
            Content::Image(_) | Content::Directory(_) | Content::Unknown(_) => &[],
        }
    }

    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        match self {
            Content::Image(volumes) => {
                for (kind, artifact) in volumes.iter() {
                    let what = match kind {
                        VolumeKind::Boot => "release: boot volume",
                        VolumeKind::System => "release: system volume",
                    };
                    artifact.check(what)?;
                    check_sectors(what, artifact.bytes)?;
                }
                Ok(())
            }
            Content::Directory(directory) => directory.archive.check("release: archive"),
            Content::Containers(containers) => containers.check(),
            // The constraints of an image name its volumes, which can't be read here.
            Content::Unknown(Unknown { kind: IMAGE, .. }) => {
                Err(DecodeError::Kind { what: "release: content", kind: IMAGE })
            }
            Content::Unknown(_) => Ok(()),
        }
    }
}

/// A volume is whole sectors.
pub(crate) fn check_sectors(what: &'static str, bytes: u64) -> Result<(), DecodeError> {
    if bytes == 0 || !bytes.is_multiple_of(512) || bytes > limits::VOLUME {
        let problem = format!("{bytes} bytes are not whole sectors of at most 64 GiB");
        return Err(DecodeError::Invalid { what, problem });
    }
    Ok(())
}

impl Containers {
    fn check(&self) -> Result<(), DecodeError> {
        const WHAT: &str = "release: containers";
        let invalid = |problem: String| Err(DecodeError::Invalid { what: WHAT, problem });
        let lengths = [
            ("services", self.services.len(), 1, limits::SERVICES),
            ("layers", self.layers.len(), 0, limits::LAYERS),
            ("blobs", self.blobs.len(), 1, limits::BLOBS),
        ];
        if let Some((what, count, least, most)) =
            lengths.into_iter().find(|(_, count, least, most)| !(least..=most).contains(&count))
        {
            return invalid(format!("{count} {what}: {least} to {most} are possible"));
        }
        for (i, service) in self.services.iter().enumerate() {
            check_name("release: service", &service.name)?;
            if self.services.iter().skip(i + 1).any(|s| s.name == service.name) {
                return invalid(format!("service {} is there twice", service.name));
            }
            if !self.blobs.iter().any(|b| b.digest == service.manifest) {
                return invalid(format!(
                    "the manifest {:.12} of service {} is not there",
                    service.manifest, service.name
                ));
            }
        }
        for (i, layer) in self.layers.iter().enumerate() {
            layer.check("release: layer")?;
            if self.layers.iter().skip(i + 1).any(|l| l.digest == layer.digest) {
                return invalid(format!("layer {:.12} is there twice", layer.digest));
            }
        }
        for (i, blob) in self.blobs.iter().enumerate() {
            if blob.bytes == 0 || blob.bytes > limits::BLOB {
                return invalid(format!(
                    "a blob of {} bytes: 1 to {} are possible",
                    blob.bytes,
                    limits::BLOB
                ));
            }
            if self.blobs.iter().skip(i + 1).any(|b| b.digest == blob.digest) {
                return invalid(format!("blob {:.12} is there twice", blob.digest));
            }
        }
        Ok(())
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Image(volumes) => open::write(to, IMAGE, volumes),
            Content::Directory(directory) => open::write(to, DIRECTORY, directory),
            Content::Containers(containers) => open::write(to, CONTAINERS, containers),
            Content::Unknown(unknown) => unknown.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (kind, bytes) = open::read(from)?;
        let unknown = || Content::Unknown(Unknown { kind, bytes: bytes.to_vec() });
        Ok(match kind {
            IMAGE => open::unframe("image", bytes).map_or_else(|_| unknown(), Content::Image),
            DIRECTORY => open::unframe("directory", bytes).map_or_else(|_| unknown(), Content::Directory),
            CONTAINERS => open::unframe("containers", bytes).map_or_else(|_| unknown(), Content::Containers),
            _ => unknown(),
        })
    }
}
