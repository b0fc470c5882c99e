use super::Directory;
use crate::{
    Error,
    component::driver::{ComponentError, SERVICE_MAX, SPARE_BYTES, Updater, check_space, found},
    ports::{COMPONENT_LINKS, UnitState},
};
use bistable_format::{Content, Release};
use std::path::Path;

impl Directory {
    /// What has to be right before anything is fetched.
    pub(super) fn check(&self, updater: &mut Updater<'_>, release: &Release) -> Result<(), Error> {
        let subject = updater.subject;
        let name = || subject.name.clone();
        let Content::Directory(directory) = &release.content else {
            return Err(ComponentError::OtherRelease { name: name(), found: found(release) }.into());
        };
        if !updater.world.store.is_reached_by(&subject.name, &self.path)? {
            let link = Path::new("/run").join(COMPONENT_LINKS).join(&subject.name);
            return Err(ComponentError::Path { name: name(), path: self.path.clone(), link }.into());
        }
        let free = updater.world.store.free_bytes()?;
        let needed = directory.archive.bytes.saturating_add(SPARE_BYTES);
        check_space(&subject.name, needed, free)?;
        let service = updater
            .world
            .services
            .service(&self.unit, SERVICE_MAX)
            .map_err(|e| Error::NotNow(format!("service {} can't be asked: {e}", self.unit)))?;
        // Without a version there is nothing that could run.
        let may_be_off = updater.component().current.is_none();
        let state = match service.state {
            UnitState::Active => return Ok(()),
            UnitState::Other(state) if may_be_off && state != "masked" => return Ok(()),
            UnitState::Other(state) => state,
            UnitState::Missing => "missing".into(),
        };
        Err(ComponentError::Unit { name: name(), unit: self.unit.clone(), state }.into())
    }
}
