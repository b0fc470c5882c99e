//! Where an image is, and for which service.
use std::path::PathBuf;
use std::str::FromStr;

/// What an image was saved as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Whatever it is; an OCI layout if it is both.
    Any,
    /// An OCI layout: a directory, or a tar of one.
    Oci,
    /// What `docker save` writes.
    Docker,
}

/// An image in a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSource {
    /// What it was saved as.
    pub saved: Saved,
    /// Where it is.
    pub path: PathBuf,
}

/// An image, for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageArg {
    /// The service; none if the Compose file has only one.
    pub service: Option<String>,
    /// Where it is.
    pub source: ImageSource,
}

impl FromStr for ImageSource {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageSource, String> {
        let known = [("oci:", Saved::Oci), ("oci-archive:", Saved::Oci), ("docker-archive:", Saved::Docker)];
        let found = known.into_iter().find_map(|(prefix, saved)| Some((saved, text.strip_prefix(prefix)?)));
        let (saved, path) = found.unwrap_or((Saved::Any, text));
        if path.is_empty() {
            return Err("give an OCI archive, oci:DIR or docker-archive:FILE".into());
        }
        Ok(ImageSource { saved, path: path.into() })
    }
}

impl FromStr for ImageArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageArg, String> {
        // A path can have an equals sign, but only behind a slash, or behind a colon of ours, is it surely one.
        let named = text.split_once('=').filter(|(service, _)| !service.contains(['/', ':']));
        let (service, source) = match named {
            Some(("", _)) => return Err("give SERVICE=IMAGE, or the image alone".into()),
            Some((service, source)) => (Some(service.into()), source),
            None => (None, text),
        };
        Ok(ImageArg { service, source: source.parse()? })
    }
}
