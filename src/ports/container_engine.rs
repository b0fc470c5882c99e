use super::HostError;
use bistable_format::Digest;
use std::io::{self, Read};

/// What an image's id is the digest of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageStore {
    /// Its configuration: Docker's own stores.
    Configuration,
    /// Its manifest: the store of containerd.
    Manifest,
}

/// A container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its version.
    pub version: String,
    /// How it stores images, or the name of a way that is not known here.
    pub store: Result<ImageStore, String>,
    /// The processor that it runs on, as images name it: `arm64`.
    pub architecture: String,
    /// Bytes that are free where it stores images.
    pub free_bytes: u64,
}

/// A container of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The id of its image.
    pub image: Digest,
    /// What it does, in the engine's word: `created`, `running`, `restarting`, `exited`, …
    pub state: String,
    /// How its process ended last.
    pub exit_code: i32,
    /// How often the engine restarted it by itself.
    pub restarts: u32,
    /// What its own health check says, in the engine's word: `starting`, `healthy`, `unhealthy`; `None` without one.
    pub health: Option<String>,
    /// Whether the engine starts it by itself, as Compose files write it: `no`, `always`, `unless-stopped`, `on-failure:3`.
    pub restart: String,
}

/// The parts of an image, which an engine pulls. Every byte of them was verified.
pub trait ImageParts: Sync {
    /// One of them: its bytes, and what reads them. `None` if it isn't one.
    ///
    /// # Errors
    /// When it can't be read.
    fn open(&self, digest: &Digest) -> io::Result<Option<(u64, Box<dyn Read + Send>)>>;
}

/// A container engine: what it stores, and what it runs.
///
/// What it wrote is not durable when a call returns (measured): a power cut then leaves an image that counts as present with every file
/// empty, or layers without an image, which the next pull takes for complete ones. Only [`sync`](Self::sync) makes it durable.
pub trait ContainerEngine {
    /// What it is.
    ///
    /// # Errors
    /// When it doesn't answer; see [`HostError`].
    fn info(&mut self) -> Result<EngineInfo, HostError>;

    /// The images that have a name in this repository: each tag, with the image's id.
    ///
    /// # Errors
    /// See [`HostError`].
    fn tagged(&mut self, repository: &str) -> Result<Vec<(String, Digest)>, HostError>;

    /// Whether there is an image of that id.
    ///
    /// # Errors
    /// See [`HostError`].
    fn has_image(&mut self, id: &Digest) -> Result<bool, HostError>;

    /// Pull the image with this manifest from its parts, and from nowhere else. Layers that the engine takes for present are not read. It
    /// has no name then.
    ///
    /// # Errors
    /// See [`HostError`].
    fn pull(&mut self, parts: &dyn ImageParts, manifest: &Digest) -> Result<(), HostError>;

    /// The SHA-256 of each layer of an image, from the files that the engine has now. `None` if they are not what it once unpacked.
    ///
    /// # Errors
    /// See [`HostError`].
    fn layers(&mut self, id: &Digest) -> Result<Option<Vec<Digest>>, HostError>;

    /// Give an image a name. If another image has it, that one loses it.
    ///
    /// # Errors
    /// See [`HostError`].
    fn tag(&mut self, id: &Digest, name: &str) -> Result<(), HostError>;

    /// Take a name away. An image without any name goes, unless a container is made from it. None is no error.
    ///
    /// # Errors
    /// See [`HostError`].
    fn untag(&mut self, name: &str) -> Result<(), HostError>;

    /// Remove an image with all its names, its layers that no other image has, and the containers made from it that don't run. None is no
    /// error.
    ///
    /// # Errors
    /// When a container runs from it; see [`HostError`].
    fn remove_image(&mut self, id: &Digest) -> Result<(), HostError>;

    /// Make all durable that it wrote: the images, and the containers with their states and policies.
    ///
    /// # Errors
    /// See [`HostError`].
    fn sync(&mut self) -> Result<(), HostError>;

    /// The containers of a project's service.
    ///
    /// # Errors
    /// See [`HostError`].
    fn containers(&mut self, project: &str, service: &str) -> Result<Vec<Container>, HostError>;

    /// Have the engine start a container by itself, or not: see [`Container::restart`].
    ///
    /// # Errors
    /// See [`HostError`].
    fn set_restart(&mut self, container: &str, restart: &str) -> Result<(), HostError>;

    /// Have an image look used, by a container of this name that never runs, so that it isn't removed with those that nothing uses.
    ///
    /// # Errors
    /// See [`HostError`].
    fn keep(&mut self, name: &str, id: &Digest) -> Result<(), HostError>;

    /// Remove the container that [`keep`](Self::keep) made. None is no error.
    ///
    /// # Errors
    /// See [`HostError`].
    fn let_go(&mut self, name: &str) -> Result<(), HostError>;
}
