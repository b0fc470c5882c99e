//! Images of containers, as their tools write them, become the parts of a release.
//!
//! ```text
//! compose file ── services ──┐
//! OCI layout, OCI archive,   ├── image per service ── manifest of the platform ── layers, uncompressed, each once
//! docker-archive ────────────┘                        (every digest verified)  └─ configuration as it is, new manifest
//! ```
//! Layers are kept without compression, because chunks compress them and deltas and resuming work on their contents. So each image gets a
//! new manifest that names its layers by their `diff_id`. The configuration stays as it is, to the byte, and with it the image's id in most
//! engines. What else a manifest says (annotations, the compression of layers) is left out: an image is the same release whatever it was
//! saved with.
//!
//! **Input is hostile**: archives are read as [trees](crate::volume::tree), never unpacked; all sizes, counts and depths are limited; no
//! byte is decompressed before its digest was verified.
mod document;
mod error;
mod image;
mod layer;
mod packages;
mod platform;
mod source;
mod store;
mod types;

pub use error::{ImageProblem, OciError};
pub use platform::Platform;
pub use source::{ImageArg, ImageSource, Saved};

pub(crate) use document::{Candidates, Part, candidates, parts};
pub(crate) use layer::Layer;
pub(crate) use packages::evidence;

use crate::output;
use bistable_format::compose::Compose;
use bistable_format::content::{Blob, Service};
use bistable_format::{Digest, limits};
use layer::Layers;
use std::collections::BTreeMap;
use std::path::Path;

/// All that a release with containers consists of, read and verified.
#[derive(Debug)]
pub(crate) struct ContainersPlan {
    /// By name.
    pub(crate) services: Vec<Service>,
    /// In the order of services, and of each image's layers.
    pub(crate) layers: Vec<Layer>,
    /// Manifests and configurations.
    pub(crate) blobs: Vec<Vec<u8>>,
    /// The layers of each service's image, the lowest first.
    pub(crate) images: Vec<Vec<Digest>>,
}

impl ContainersPlan {
    /// Read the Compose file, and an image for each of its services.
    ///
    /// # Errors
    /// What of it can't be part of a release; see [`OciError`].
    pub(crate) fn open(
        compose: &Path,
        images: &[ImageArg],
        platform: &Platform,
        epoch: u64,
    ) -> Result<ContainersPlan, OciError> {
        let text = output::read_limited(compose, limits::COMPOSE)
            .map_err(|source| OciError::Read { path: compose.into(), source })?;
        let file = Compose::parse(&text)
            .map_err(|source| OciError::Compose { path: compose.into(), source: Box::new(source) })?;
        // By name, so that the order of the file changes nothing.
        let services = assign(compose, &file, images)?;
        let (mut layers, mut blobs) = (Layers::default(), Vec::new());
        let (mut named, mut chains) = (Vec::new(), Vec::new());
        for (name, (reference, image)) in services {
            let made = image::read(&image.source, reference, platform, epoch, &mut layers)?;
            named.push(Service { name: name.into(), manifest: Digest::of(&made.manifest) });
            chains.push(made.layers);
            for blob in [made.manifest, made.config] {
                if !blobs.contains(&blob) {
                    blobs.push(blob);
                }
            }
        }
        let layers = layers.finish();
        if layers.len() > limits::LAYERS {
            return Err(OciError::TooManyLayers { layers: layers.len(), limit: limits::LAYERS });
        }
        Ok(ContainersPlan { services: named, layers, blobs, images: chains })
    }

    /// The blobs, as a release names them.
    pub(crate) fn named_blobs(&self) -> Vec<Blob> {
        let blob = |bytes: &Vec<u8>| Blob {
            digest: Digest::of(bytes),
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        self.blobs.iter().map(blob).collect()
    }
}

/// A service's image as the file names it, and where it comes from, by the service's name.
type Assigned<'a> = BTreeMap<&'a str, (&'a str, &'a ImageArg)>;

/// Each service gets the image that was given for it.
fn assign<'a>(path: &Path, file: &'a Compose<'_>, images: &'a [ImageArg]) -> Result<Assigned<'a>, OciError> {
    let mut found = Assigned::new();
    for image in images {
        let service = match (&image.service, file.services()) {
            (Some(name), _) => file
                .service(name)
                .map_err(|source| OciError::Compose { path: path.into(), source: Box::new(source) })?,
            (None, [one]) => one,
            (None, _) => {
                return Err(OciError::WhichService {
                    image: image.source.path.clone(),
                    services: file.services().iter().map(|s| s.name.clone()).collect(),
                });
            }
        };
        if found.insert(&service.name, (&service.image, image)).is_some() {
            return Err(OciError::Twice { service: service.name.clone() });
        }
    }
    match file.services().iter().find(|service| !found.contains_key(service.name.as_str())) {
        None => Ok(found),
        Some(service) => {
            Err(OciError::NoImage { path: path.into(), line: service.line, service: service.name.clone() })
        }
    }
}
