//! From the parts of a release to an image that is complete and durable.
//!
//! An engine takes what a power cut left for complete: an image with empty files counts as present, and layers without an image are
//! taken over by the next pull (both measured). So an image that no recorded version has is removed before it is pulled, and after the pull
//! the engine reads all of its files back: only an image whose layers have the signed digests gets a name.
use super::{Containers, engine, image::Image, image_name, keeper};
use crate::{
    Error,
    component::driver::{Archive, ComponentError, ComponentEvent, ComponentStep, Updater, version_name},
    date,
    ports::{Fault, ImageStore},
    steps::install::ReleasePart,
};
use bistable_boot::component::Held;
use bistable_format::{
    ArtifactId, Content, Digest, Release,
    archive::{Entry, EntryKind, Sink},
};

impl Containers {
    pub(super) fn staged(
        &self,
        updater: &mut Updater<'_>,
        content: &mut dyn Archive,
        target: &Held,
    ) -> Result<(), Error> {
        let release = content.release().clone();
        let image = Image::of(&release, &self.service).map_err(|problem| unfit(updater, target, problem))?;
        updater.step(ComponentStep::Copy, |updater| {
            let date = date::rfc3339(updater.world.host.unix_time().unwrap_or(0)).replace([':', '-'], "");
            Ok(updater.world.compose.keep_copy(&self.project, &date)?)
        })?;
        let began = updater.begin(ComponentStep::Fetch, release.content.bytes());
        let fetched = self.fetch(updater, content, (&release, &image), target);
        updater.end(ComponentStep::Fetch, began, &fetched, |()| None);
        fetched?;
        updater.unless_break()?;
        let id = updater.step(ComponentStep::Pull, |updater| self.pull(updater, &image, target))?;
        let (name, version) = (updater.subject.name.as_str(), version_name(target));
        updater.step(ComponentStep::Sync, |updater| {
            updater.world.engine.keep(&keeper(name, &version), &id).map_err(|e| engine(&e))?;
            // Data first, then the name (I13).
            updater.world.engine.sync().map_err(|e| engine(&e))?;
            // The engine has the parts now: what stays of them is the release.
            drop(updater.world.store.begin(name, &version)?);
            updater.world.store.keep_release(name, &version, content.signed())?;
            updater.world.store.sync()?;
            Ok(updater.world.store.complete(name, &version)?)
        })
    }

    /// Bring all parts onto the device, each verified.
    fn fetch(
        &self,
        updater: &mut Updater<'_>,
        content: &mut dyn Archive,
        (release, image): (&Release, &Image),
        target: &Held,
    ) -> Result<(), Error> {
        let name = updater.subject.name.as_str();
        let architecture = updater.world.engine.info().map_err(|e| engine(&e))?.architecture;
        let mut parts = Parts { sink: updater.world.store.begin(name, &version_name(target))?, open: None };
        let problem =
            |problem| ComponentError::Image { name: name.into(), version: target.version.clone(), problem };
        let observer = &mut *updater.observer;
        content.read(&mut |part, bytes| {
            match part {
                ReleasePart::Blob(digest) => {
                    image.check(&digest, bytes, &architecture).map_err(problem)?;
                    parts.put(part, digest, bytes.len() as u64, bytes)?;
                }
                ReleasePart::Artifact(id) => {
                    let (digest, all) =
                        layer(release, id).ok_or_else(|| problem(format!("it has no {id:#}")))?;
                    parts.put(part, digest, all, bytes)?;
                    observer.on_event(ComponentEvent::Read(bytes.len() as u64));
                }
            }
            if observer.wants_more().is_break() { Err(Error::Cancelled) } else { Ok(()) }
        })?;
        Ok(parts.end()?)
    }

    /// Have the engine pull the image, and see that it has what was signed. Gives its id.
    fn pull(&self, updater: &mut Updater<'_>, image: &Image, target: &Held) -> Result<Digest, Error> {
        let info = updater.world.engine.info().map_err(|e| engine(&e))?;
        let store = info.store.map_err(|store| {
            Error::NotNow(format!("the container engine stores images by {store:?} now, which is not known"))
        })?;
        let id = image.id(store);
        let (name, version) = (updater.subject.name.as_str(), version_name(target));
        let is_recorded = self.is_recorded(updater, target, store, &id)?;
        let parts = updater.world.store.parts(name, &version, &image.parts())?;
        // What was pulled before a cut may be adopted by the next pull, and goes with the image that adopted it.
        for _ in 0..2 {
            if !is_recorded {
                updater.world.engine.remove_image(&id).map_err(|e| engine(&e))?;
            }
            updater.world.engine.pull(&*parts, &image.manifest).map_err(|e| engine(&e))?;
            if !updater.world.engine.has_image(&id).map_err(|e| engine(&e))? {
                let problem = format!("the engine pulled it, and has no image {id:.12}, which was signed");
                return Err(unfit(updater, target, problem));
            }
            let layers = updater.world.engine.layers(&id).map_err(|e| engine(&e))?;
            if layers.is_some_and(|layers| image.layers.iter().all(|layer| layers.contains(layer))) {
                updater.world.engine.tag(&id, &image_name(name, &version)).map_err(|e| engine(&e))?;
                return Ok(id);
            }
            if is_recorded {
                break;
            }
            log::warn!(component = name, image:% = id; "image_damaged");
        }
        let (name, version) = (name.to_owned(), target.version.clone());
        Err(ComponentError::ImageDamaged { name, version }.into())
    }

    /// Whether a version that is complete has this very image: then its files are durable, and it is not removed.
    fn is_recorded(
        &self,
        updater: &mut Updater<'_>,
        target: &Held,
        store: ImageStore,
        id: &Digest,
    ) -> Result<bool, Error> {
        let component = updater.component();
        for other in component.needs().filter(|held| held.release != target.release) {
            let release = updater.release_of(other)?;
            if Image::of(&release, &self.service).is_ok_and(|image| image.id(store) == *id) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn unfit(updater: &Updater<'_>, target: &Held, problem: String) -> Error {
    let (name, version) = (updater.subject.name.clone(), target.version.clone());
    ComponentError::Image { name, version, problem }.into()
}

/// A layer's digest and its bytes.
fn layer(release: &Release, id: ArtifactId) -> Option<(Digest, u64)> {
    let Content::Containers(_) = &release.content else { return None };
    release.content.artifact(id).map(|artifact| (artifact.digest, artifact.bytes))
}

/// Parts as files, each named by its digest.
struct Parts<'a> {
    sink: Box<dyn Sink<Error = Fault> + 'a>,
    open: Option<ReleasePart>,
}

impl Parts<'_> {
    fn put(&mut self, part: ReleasePart, digest: Digest, all: u64, bytes: &[u8]) -> Result<(), Fault> {
        if self.open != Some(part) {
            self.end()?;
            let path = digest.to_string();
            let entry =
                Entry { path: path.as_bytes(), kind: EntryKind::File, mode: 0o600, mtime: 0, bytes: all };
            self.sink.begin(&entry)?;
            self.open = Some(part);
        }
        self.sink.content(bytes)
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.open.take().is_some() { self.sink.end() } else { Ok(()) }
    }
}
