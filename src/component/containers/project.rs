//! The Compose file: the durable one, and what the service runs from in this boot.
use super::{Containers, image_name};
use crate::{Error, component::driver::ComponentError, ports::ComposeProject};
use bistable_format::compose::Compose;
use std::path::PathBuf;

impl Containers {
    /// The durable file, and where it is.
    pub(super) fn durable(
        &self,
        compose: &mut dyn ComposeProject,
        component: &str,
    ) -> Result<(PathBuf, Vec<u8>), Error> {
        let file = compose.file(&self.project)?;
        match file.text {
            Some(text) => Ok((file.path, text)),
            None => Err(ComponentError::NoComposeFile { name: component.into(), path: file.path }.into()),
        }
    }

    /// The durable file with the image of a version, and whether it has that already.
    fn with_image(
        &self,
        compose: &mut dyn ComposeProject,
        component: &str,
        version: &str,
    ) -> Result<(String, bool), Error> {
        let (path, text) = self.durable(compose, component)?;
        let image = image_name(component, version);
        let edited = Compose::parse(&text).and_then(|file| {
            let is_same = file.service(&self.service)?.image == image;
            Ok((file.with_image(&self.service, &image)?, is_same))
        });
        edited.map_err(|source| {
            ComponentError::Compose { name: component.into(), path, source: Box::new(source) }.into()
        })
    }

    /// Have the service run a version from its next start: only a file in memory changes. Without one, what the durable file says.
    pub(super) fn show(
        &self,
        compose: &mut dyn ComposeProject,
        component: &str,
        version: Option<&str>,
    ) -> Result<(), Error> {
        let text = match version {
            Some(version) => self.with_image(compose, component, version)?.0.into_bytes(),
            None => self.durable(compose, component)?.1,
        };
        Ok(compose.show(self.of(), &text)?)
    }

    /// Have the durable file name a version. Without one it stays as it is: it names what ran before the first version.
    pub(super) fn name(
        &self,
        compose: &mut dyn ComposeProject,
        component: &str,
        version: Option<&str>,
    ) -> Result<(), Error> {
        let Some(version) = version else { return Ok(()) };
        let (text, is_same) = self.with_image(compose, component, version)?;
        if is_same { Ok(()) } else { Ok(compose.set_file(&self.project, text.as_bytes())?) }
    }

    /// The version that the durable file names; `None` if there is no file, or its image is none of this component.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn current(
        &self,
        compose: &mut dyn ComposeProject,
        component: &str,
    ) -> Result<Option<String>, Error> {
        let text = compose.file(&self.project)?.text;
        Ok(text.and_then(|text| self.version_in(&text, component)))
    }

    /// The version that a file names; `None` if its image is not one of this component.
    pub(super) fn version_in(&self, text: &[u8], component: &str) -> Option<String> {
        let file = Compose::parse(text).ok()?;
        let image = &file.service(&self.service).ok()?.image;
        image.strip_prefix(&image_name(component, "")).map(ToOwned::to_owned)
    }
}
