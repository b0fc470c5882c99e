//! What of saved images, and of their Compose file, can't be part of a release.
use super::platform::Platform;
use crate::volume::VolumeError;
use bistable_format::Digest;
use bistable_format::compose::ComposeError;
use std::io;
use std::path::PathBuf;

/// Why a release of containers can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// The Compose file can't be read.
    #[error("can't read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The Compose file can't be updated.
    #[error("{path} is not a Compose file that can be updated", path = path.display())]
    Compose {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ComposeError>,
    },
    /// An image without a service, for several services.
    #[error("for which service is {image}? The file has {}: give --image SERVICE={image}", .services.join(", "), image = image.display())]
    WhichService {
        /// The image.
        image: PathBuf,
        /// All services.
        services: Vec<String>,
    },
    /// A service with two images.
    #[error("service {service} has two images: give --image once for each service")]
    Twice {
        /// The service.
        service: String,
    },
    /// A service without an image.
    #[error(
        "{path}: line {line}: no image was given for service {service}: give --image {service}=IMAGE, or leave it out of the file that \
         the release is built with", path = path.display()
    )]
    NoImage {
        /// The Compose file.
        path: PathBuf,
        /// The line of the service's image.
        line: usize,
        /// The service.
        service: String,
    },
    /// All images have too many layers.
    #[error(
        "the images have {layers} different layers together; a release has at most {limit}: divide the services into several components"
    )]
    TooManyLayers {
        /// How many.
        layers: usize,
        /// The most.
        limit: usize,
    },
    /// An archive or folder can't be read.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Something about one image.
    #[error("{image}: {problem}", image = image.display())]
    Image {
        /// The folder or archive.
        image: PathBuf,
        /// What.
        problem: ImageProblem,
    },
}

/// What is wrong with an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// It is none.
    #[error(
        "neither an OCI layout nor what `docker save` writes: save the image with `skopeo copy … oci-archive:FILE`, `podman save \
         --format oci-archive` or `docker save`"
    )]
    NotAnImage,
    /// A layout of another version.
    #[error("an OCI layout of version {version:?}; 1.0.0 is known")]
    Layout {
        /// Its version.
        version: String,
    },
    /// A file is missing.
    #[error("{path} is missing: save the image again, with all of its layers")]
    Missing {
        /// Which.
        path: String,
    },
    /// Links lead nowhere.
    #[error("{path} is a link that never ends: save the image again")]
    Links {
        /// Which.
        path: String,
    },
    /// A document is too large.
    #[error("{path} has {bytes} bytes; the most is {limit}")]
    TooLarge {
        /// Which.
        path: String,
        /// Its bytes.
        bytes: u64,
        /// The most.
        limit: u64,
    },
    /// A document isn't what it should be.
    #[error("{path} is not what it should be: {why}")]
    Json {
        /// Which.
        path: String,
        /// What the parser says.
        why: String,
    },
    /// A digest of another kind.
    #[error("{digest:?} is not a SHA-256 digest: other kinds are not supported")]
    Algorithm {
        /// The digest.
        digest: String,
    },
    /// A file has another digest.
    #[error("{path} is damaged: its SHA-256 is another; save the image again")]
    Digest {
        /// Which.
        path: String,
    },
    /// A file has another size.
    #[error("{path} is damaged: it has {found} bytes instead of {wanted}; save the image again")]
    Size {
        /// Which.
        path: String,
        /// What was said.
        wanted: u64,
        /// What there is.
        found: u64,
    },
    /// No image for this platform.
    #[error(
        "no image for {wanted}; it has {}: build it for {wanted}, or give --platform",
        if .found.is_empty() { "none at all".into() } else { .found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") }
    )]
    Platform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        found: Vec<Platform>,
    },
    /// Several images.
    #[error(
        "it has several images ({}), and not exactly one is {reference}, as the Compose file calls it: save that one alone",
        if .names.is_empty() { "without names".into() } else { .names.join(", ") }
    )]
    Which {
        /// What the Compose file calls it.
        reference: String,
        /// What there is.
        names: Vec<String>,
    },
    /// Too many manifests.
    #[error("more than {limit} manifests: save the image alone")]
    TooMany {
        /// The most.
        limit: usize,
    },
    /// Indexes in indexes.
    #[error("more than {limit} indexes within each other: save the image alone")]
    Depth {
        /// The most.
        limit: usize,
    },
    /// Something of an unknown kind.
    #[error("{what} is of kind {found:?}, which is not part of a container's image")]
    MediaType {
        /// What.
        what: &'static str,
        /// Its kind.
        found: String,
    },
    /// A layer that is elsewhere.
    #[error(
        "layer {digest} is not in the archive, but at a URL: build the image from a base that may be passed on"
    )]
    Foreign {
        /// Which.
        digest: String,
    },
    /// As many layers as the configuration says.
    #[error(
        "{layers} layers, and {diff_ids} in the configuration; they have to be as many, and at most {limit}"
    )]
    Layers {
        /// Of the manifest.
        layers: usize,
        /// Of the configuration.
        diff_ids: usize,
        /// The most.
        limit: usize,
    },
    /// A layer's uncompressed bytes have another digest.
    #[error(
        "layer {path} is not the one that the configuration names: its diff_id is {found} instead of {wanted}"
    )]
    DiffId {
        /// Its file.
        path: String,
        /// What the configuration says.
        wanted: Digest,
        /// What there is.
        found: Digest,
    },
    /// A layer that isn't a tar.
    #[error("layer {path} is not a tar")]
    NotATar {
        /// Its file.
        path: String,
    },
    /// A layer is compressed in another way.
    #[error("layer {path} is compressed by xz, which engines don't read: use gzip, zstd or none")]
    Compression {
        /// Its file.
        path: String,
    },
    /// A layer is too large.
    #[error("layer {path} has more than {limit} bytes without compression, alone or with the others")]
    LayerTooLarge {
        /// Its file.
        path: String,
        /// The most.
        limit: u64,
    },
    /// A layer can't be read.
    #[error("{path} can't be read: {why}")]
    Unreadable {
        /// Its file.
        path: String,
        /// Why.
        why: String,
    },
}
