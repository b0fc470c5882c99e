//! Where the components are had that an image brings along: in bundles beside that of the image, or in the channel.
use super::{
    Context, Offers,
    channel::{Shop, shop},
    component::{FromBundle, FromChannel},
};
use crate::{
    Device, Error,
    agent::BoundSource,
    component::Archive,
    device::bound_release,
    error::{BundleError, CheckError},
    release_id,
    steps::install::Bundle,
};
use bistable_boot::ReleaseId;
use bistable_format::Bound;
use std::path::{Path, PathBuf};

/// Bundles in the folder of an image's bundle, and then the channel, if one is configured.
pub(super) struct Beside<'a> {
    context: &'a mut dyn Context,
    image: &'a Path,
    /// What lies there, once it was looked at: the release of each bundle that is trusted.
    found: Option<Vec<(ReleaseId, PathBuf)>>,
    offers: &'a Offers,
    shop: Option<Shop>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(context: &'a mut dyn Context, image: &'a Path, offers: &'a Offers) -> Beside<'a> {
        Beside { context, image, found: None, offers, shop: None }
    }

    /// Of each bundle only the release is read.
    fn look(&mut self, device: &Device) -> Result<Vec<(ReleaseId, PathBuf)>, Error> {
        let root = device.root()?;
        let mut found = Vec::new();
        for path in self.context.beside(self.image) {
            let opened = self.context.bundle(&path).and_then(|file| Ok(Bundle::open(file, &root)?));
            match opened {
                Ok(bundle) => found.push((release_id(&bundle.signed), path)),
                // It has nothing to do with this image.
                Err(e) => log::debug!(path:? = path, reason:% = e; "bundle_not_used"),
            }
        }
        Ok(found)
    }
}

impl BoundSource for Beside<'_> {
    fn open(&mut self, device: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
        if self.found.is_none() {
            self.found = Some(self.look(device)?);
        }
        let wanted = bound_release(bound);
        let path = self.found.iter().flatten().find(|(release, _)| *release == wanted);
        if let Some((_, path)) = path {
            let bundle = self.context.bundle(path)?;
            return Ok(Some(Box::new(FromBundle(Bundle::open(bundle, &device.root()?)?))));
        }
        let shop = match &mut self.shop {
            Some(shop) => shop,
            None => match shop(device, self.offers) {
                Err(Error::Check(CheckError::NoSource)) => return Ok(None),
                opened => self.shop.insert(opened?),
            },
        };
        shop.open(device, bound)
    }
}

impl BoundSource for Shop {
    fn open(&mut self, device: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
        let Some(archive) = self.archive(device, bound)? else { return Ok(None) };
        let artifacts = archive.release().content.artifacts();
        let bytes: u64 = artifacts.iter().map(|(_, artifact)| artifact.data_bytes).sum();
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes).ok_or(BundleError::TooMuch { bytes, most: *left })?;
        }
        Ok(Some(Box::new(FromChannel(archive))))
    }
}
