//! What the verbs of the simulated Pi answer.
use crate::{
    board::{Cut, sim::world::World},
    ports::Power,
};
use bistable_boot::Slot;
use serde::Serialize;

/// The power of a simulated Pi.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Powered {
    /// Whether it is on.
    pub power: Power,
    /// The slot that runs.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub booted: Option<Slot>,
}

/// When the power of a simulated Pi will fail.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CutAt {
    /// In which of its next writes.
    pub cut_at: Option<Cut>,
}

/// The world around a simulated Pi: the content of its `world.toml`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Worlds {
    /// The world.
    #[cfg_attr(test, schemars(with = "serde_json::Value"))]
    pub world: World,
}
