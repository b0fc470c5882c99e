use crate::ports::ImageStore;
use bistable_format::{Content, Digest, Release};
use serde::Deserialize;

/// The image that a release is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// SHA-256 of its manifest.
    pub(super) manifest: Digest,
    /// SHA-256 of its configuration.
    pub(super) configuration: Digest,
    /// SHA-256 of each layer, without compression.
    pub(super) layers: Vec<Digest>,
    /// Bytes of all layers.
    pub(super) bytes: u64,
}

/// An image's manifest, as far as it is read.
#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// An image's configuration, as far as it is read.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Image {
    /// That of a release. A device updates one service for a component.
    pub(super) fn of(release: &Release, service: &str) -> Result<Image, String> {
        let Content::Containers(containers) = &release.content else {
            return Err("it has no image".into());
        };
        let [only] = containers.services.as_slice() else {
            let names: Vec<&str> = containers.services.iter().map(|service| service.name.as_str()).collect();
            return Err(format!(
                "it has images for the services {}, and this component is one service: {service}; build a release for each",
                names.join(", ")
            ));
        };
        if only.name != service {
            return Err(format!(
                "its image is for service {}, and this component is service {service}",
                only.name
            ));
        }
        let others: Vec<Digest> = containers
            .blobs
            .iter()
            .map(|blob| blob.digest)
            .filter(|digest| *digest != only.manifest)
            .collect();
        let [configuration] = others.as_slice() else {
            return Err(format!("it has {} files beside the manifest, and an image has one", others.len()));
        };
        Ok(Image {
            manifest: only.manifest,
            configuration: *configuration,
            layers: containers.layers.iter().map(|layer| layer.digest).collect(),
            bytes: containers.layers.iter().map(|layer| layer.bytes).sum(),
        })
    }

    /// Its id in an engine's store.
    pub(super) fn id(&self, store: ImageStore) -> Digest {
        match store {
            ImageStore::Configuration => self.configuration,
            ImageStore::Manifest => self.manifest,
        }
    }

    /// All that an engine may ask for.
    pub(super) fn parts(&self) -> Vec<Digest> {
        let mut parts = self.layers.clone();
        parts.extend([self.manifest, self.configuration]);
        parts
    }

    /// Check a part that came whole, if it is one of the two that say something.
    pub(super) fn check(&self, digest: &Digest, bytes: &[u8], architecture: &str) -> Result<(), String> {
        if *digest == self.manifest {
            let manifest: Manifest =
                serde_json::from_slice(bytes).map_err(|e| format!("the manifest can't be read: {e}"))?;
            return self.check_manifest(&manifest);
        }
        if *digest == self.configuration {
            let configuration: Configuration =
                serde_json::from_slice(bytes).map_err(|e| format!("the configuration can't be read: {e}"))?;
            return check_platform(&configuration, architecture);
        }
        Ok(())
    }

    fn check_manifest(&self, manifest: &Manifest) -> Result<(), String> {
        let digest = |descriptor: &Descriptor| {
            let hex = descriptor.digest.strip_prefix("sha256:");
            hex.and_then(Digest::parse).ok_or_else(|| format!("{:?} is not a digest", descriptor.digest))
        };
        if digest(&manifest.config)? != self.configuration {
            return Err("the manifest names another configuration than the release has".into());
        }
        for layer in &manifest.layers {
            let layer = digest(layer)?;
            if !self.layers.contains(&layer) {
                return Err(format!("the manifest names layer {layer:.12}, which the release doesn't have"));
            }
        }
        Ok(())
    }
}

/// Whether an image is for this processor. A 64-bit Pi runs 32-bit images as well.
fn check_platform(image: &Configuration, engine: &str) -> Result<(), String> {
    let runs = image.architecture == engine || (engine == "arm64" && image.architecture == "arm");
    if image.os == "linux" && runs {
        return Ok(());
    }
    Err(format!("the image is for {}/{}, and the engine runs linux/{engine}", image.os, image.architecture))
}

/// Whether a component's name can be that of a repository of images.
pub(super) fn is_name(name: &str) -> bool {
    let is_sign = |c: char| matches!(c, '.' | '_' | '-');
    let ends = name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let doubled = name.as_bytes().windows(2).any(|pair| pair.iter().all(|b| is_sign(char::from(*b))));
    ends && !doubled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_runs_on_its_own_processor_and_32_bits_run_on_64() {
        let image =
            |os: &str, architecture: &str| Configuration { architecture: architecture.into(), os: os.into() };
        for (image, engine, fits) in [
            (image("linux", "arm64"), "arm64", true),
            (image("linux", "arm"), "arm64", true),
            (image("linux", "arm64"), "arm", false),
            (image("linux", "amd64"), "arm64", false),
            (image("windows", "arm64"), "arm64", false),
            (image("", ""), "arm64", false),
        ] {
            assert_eq!(check_platform(&image, engine).is_ok(), fits, "{engine}");
        }
        let problem = check_platform(&image("linux", "amd64"), "arm64").unwrap_err();
        assert_eq!(problem, "the image is for linux/amd64, and the engine runs linux/arm64");
    }

    #[test]
    fn names_that_an_engine_does_not_take_are_refused() {
        for (name, fits) in
            [("scheduler", true), ("a-b.c_d", true), ("a..b", false), ("a-", false), ("a.-b", false)]
        {
            assert_eq!(is_name(name), fits, "{name}");
        }
    }
}
