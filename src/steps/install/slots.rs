//! The volumes of a slot.
use crate::ports::Volume;
use bistable_format::VolumeKind;
use std::sync::Arc;

/// A slot's two volumes.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volumes are trait objects")]
pub struct Slots {
    /// The boot partition.
    pub boot: Arc<dyn Volume>,
    /// The system partition.
    pub system: Arc<dyn Volume>,
}

impl Slots {
    pub(super) fn get(&self, kind: VolumeKind) -> &dyn Volume {
        match kind {
            VolumeKind::Boot => &*self.boot,
            VolumeKind::System => &*self.system,
        }
    }
}
