//! `--image`: of a file, a folder, or a registry.
use crate::answer::PulledImage;
use crate::clock::HostClock;
use crate::error::Error;
use crate::fetch::registry::{Layouts, Reference, Registry, Resolved};
use crate::fetch::{Cache, Web};
use crate::oci::{ImageArg, ImageSource, Platform, Saved};
use crate::progress::Progress;
use bistable_format::tag::Prereleases;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// An image for a service, wherever it is.
#[derive(Clone, Debug)]
pub(super) enum ImageFrom {
    /// On this computer.
    Here(ImageArg),
    /// In a registry.
    Registry {
        /// The service; none if the Compose file has only one.
        service: Option<String>,
        /// Where.
        reference: Reference,
    },
}

impl FromStr for ImageFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageFrom, String> {
        let (service, image) = match text.split_once('=') {
            Some((service, image)) if image.starts_with("oci://") => (Some(service.to_owned()), image),
            _ => (None, text),
        };
        if !image.starts_with("oci://") {
            return Ok(ImageFrom::Here(text.parse()?));
        }
        Ok(ImageFrom::Registry { service, reference: image.parse()? })
    }
}

/// Images on this computer, those of registries pulled.
pub(super) struct Pulled {
    /// All of them.
    pub(super) args: Vec<ImageArg>,
    found: Vec<(Option<String>, Resolved)>,
    // Where they are.
    _layouts: Option<Layouts>,
}

/// Pull those that are in registries.
pub(super) fn pull(
    images: Vec<ImageFrom>,
    platform: &Platform,
    wait: u64,
    folder: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Pulled, Error> {
    let mut pulled = Pulled { args: Vec::new(), found: Vec::new(), _layouts: None };
    // Only if an image is in a registry: it reads the system's certificates.
    let mut client = None;
    for image in images {
        let (service, reference) = match image {
            ImageFrom::Here(arg) => {
                pulled.args.push(arg);
                continue;
            }
            ImageFrom::Registry { service, reference } => (service, reference),
        };
        let (web, cache) = match &mut client {
            Some(client) => client,
            none => none.insert((Web::new(Duration::from_secs(wait), Arc::new(HostClock)), cache(folder)?)),
        };
        let registry = Registry::new(web, cache, &reference)?;
        let resolved = registry.resolve("", Prereleases::Skip)?;
        let layouts = match &mut pulled._layouts {
            Some(layouts) => layouts,
            none => none.insert(Layouts::new(cache)?),
        };
        let path = registry.pull(&resolved, platform, layouts, progress)?;
        let source = ImageSource { saved: Saved::Oci, path };
        pulled.args.push(ImageArg { service: service.clone(), source });
        pulled.found.push((service, resolved));
    }
    Ok(pulled)
}

impl Pulled {
    /// For programs.
    pub(super) fn answers(&self) -> Vec<PulledImage> {
        let answer = |(service, resolved): &(Option<String>, Resolved)| PulledImage {
            service: service.clone(),
            source: resolved.pinned.to_string(),
            tag: resolved.tag.clone(),
        };
        self.found.iter().map(answer).collect()
    }

    /// What each tag named, human-readable.
    pub(super) fn text(&self) -> String {
        self.found.iter().map(|(service, resolved)| image_line(service.as_deref(), resolved)).collect()
    }
}

/// An image by its digest, with the tag by which it was found.
pub(super) fn image_line(service: Option<&str>, resolved: &Resolved) -> String {
    let service = service.map(|name| format!("{name}: ")).unwrap_or_default();
    let tag = resolved.tag.as_ref().map(|tag| format!(", which {tag} names now")).unwrap_or_default();
    format!("{service}{}{tag}\n", resolved.pinned)
}

/// The folder for downloads.
pub(super) fn cache(folder: Option<&Path>) -> Result<Cache, Error> {
    let folder = folder
        .map(Path::to_owned)
        .or_else(Cache::default_folder)
        .ok_or_else(|| Error::Usage("where may downloads be kept? Set HOME, or give --cache DIR".into()))?;
    Ok(Cache::open(&folder)?)
}
