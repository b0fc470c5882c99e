use super::{Containers, engine};
use crate::{
    Error,
    component::driver::version_name,
    ports::{ComposeProject, ContainerEngine},
};
use bistable_boot::component::ComponentRecord;

impl Containers {
    /// What a boot does once the engine answers: the durable file names the version that the component's state says, and the service runs
    /// that and nothing else. If the record can't be used, so that nothing is remembered, the durable file counts.
    ///
    /// # Errors
    /// When the engine doesn't answer, or a file can't be written.
    pub fn converge(
        &self,
        engine_: &mut dyn ContainerEngine,
        compose: &mut dyn ComposeProject,
        record: Option<&ComponentRecord>,
        name: &str,
    ) -> Result<(), Error> {
        let known = record.and_then(|record| record.get(name));
        let is_stopped = known.is_some_and(|component| component.is_stopped);
        let version = known.and_then(|component| component.leads_to()).map(version_name);
        if record.is_some() && known.is_none() {
            // Nothing was ever changed about it.
            return Ok(());
        }
        self.name(compose, name, version.as_deref())?;
        let shown = self.show(compose, name, version.as_deref());
        if version.is_none() && record.is_some() {
            // What the product came with is not ours to miss.
            let up = shown.is_ok() && !is_stopped && compose.up(self.of()).is_ok();
            return if up { self.restart_by_itself(engine_, compose) } else { Ok(()) };
        }
        shown?;
        if is_stopped {
            self.restart_never(engine_)?;
            return compose.stop(self.of()).map_err(|e| engine(&e));
        }
        compose
            .up(self.of())
            .map_err(|e| Error::NotNow(format!("service {} can't be started: {e}", self.service)))?;
        self.restart_by_itself(engine_, compose)
    }
}
