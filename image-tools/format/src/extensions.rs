//! What later versions may add to a structure without a new format.
use crate::{DecodeError, limits};
use alloc::{format, vec::Vec};
use serde::{Deserialize, Serialize};

/// An addition that this version has no name for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// What it is. A reader that doesn't know an even one ignores it; one that doesn't know an odd one refuses the structure.
    pub id: u16,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// All additions to a structure, in the order of their ids. This version knows none; it keeps what it ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions(
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::EXTENSIONS }>")] pub Vec<Extension>,
);

impl Extensions {
    /// # Errors
    /// [`DecodeError::Extension`] for one that must be understood; when there are too many, or they aren't in order.
    pub(crate) fn check(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.0.len() > limits::EXTENSIONS || !self.0.is_sorted_by(|a, b| a.id < b.id) {
            let problem = format!(
                "extensions must be at most {}, each id once, in ascending order",
                limits::EXTENSIONS
            );
            return Err(DecodeError::Invalid { what, problem });
        }
        match self.0.iter().find(|e| e.id % 2 == 1) {
            Some(e) => Err(DecodeError::Extension { what, id: e.id }),
            None => Ok(()),
        }
    }
}
