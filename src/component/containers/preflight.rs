use super::{Containers, engine, image};
use crate::{
    Error,
    component::driver::{ComponentError, SPARE_BYTES, Updater, check_space, found},
};
use bistable_format::{Content, Release, compose::Compose};

/// What must be free at least.
const SPACE_MIN: u64 = 500_000_000;
/// How often the layers lie on the device while they are staged: as parts, in the engine, and once more while the engine reads them back.
const COPIES: u64 = 3;
/// The oldest engine that was measured.
const ENGINE_MIN: u32 = 20;
/// The oldest Compose that keeps a container whose settings stay the same.
const COMPOSE_MIN: u32 = 2;

impl Containers {
    /// What has to be right before anything is fetched.
    pub(super) fn check(&self, updater: &mut Updater<'_>, release: &Release) -> Result<(), Error> {
        let name = || updater.subject.name.clone();
        if !matches!(release.content, Content::Containers(_)) {
            return Err(ComponentError::OtherRelease { name: name(), found: found(release) }.into());
        }
        let unfit =
            |problem| ComponentError::Image { name: name(), version: release.version.clone(), problem };
        let wanted = image::Image::of(release, &self.service).map_err(unfit)?;
        if !image::is_name(&updater.subject.name) {
            return Err(ComponentError::ImageName { name: name() }.into());
        }
        let info = updater.world.engine.info().map_err(|e| engine(&e))?;
        let refused = |problem| ComponentError::Engine { name: name(), problem };
        if major(&info.version).is_none_or(|major| major < ENGINE_MIN) {
            return Err(refused(format!(
                "the container engine has version {}: the oldest that is supported is {ENGINE_MIN}",
                info.version
            ))
            .into());
        }
        if let Err(store) = &info.store {
            return Err(refused(format!(
                "the container engine stores images by {store:?}, and what a power cut does to those is not known"
            ))
            .into());
        }
        let compose = updater.world.compose.version();
        let compose = compose.map_err(|e| Error::NotNow(format!("Compose: {e}")))?;
        if major(&compose).is_none_or(|major| major < COMPOSE_MIN) {
            return Err(refused(format!(
                "Compose has version {compose}: install the plugin docker-compose-plugin, version {COMPOSE_MIN} or newer"
            ))
            .into());
        }
        let (path, text) = self.durable(&mut *updater.world.compose, &updater.subject.name)?;
        Compose::parse(&text)
            .and_then(|compose| compose.service(&self.service).map(drop))
            .map_err(|source| ComponentError::Compose { name: name(), path, source: Box::new(source) })?;
        let needed = wanted.bytes.saturating_mul(COPIES).saturating_add(SPARE_BYTES).max(SPACE_MIN);
        let free = updater.world.store.free_bytes()?.min(info.free_bytes);
        check_space(&updater.subject.name, needed, free)
    }
}

/// The first number of a version.
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_the_first_number() {
        for (version, found) in [
            ("20.10.24+dfsg1", Some(20)),
            ("v2.29.7", Some(2)),
            ("1.29.2", Some(1)),
            ("dev", None),
            ("", None),
        ] {
            assert_eq!(major(version), found, "{version}");
        }
    }
}
