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

/// All additions to a structure, in the order of their ids. What this version doesn't know and may ignore, it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions(
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::EXTENSIONS }>")] pub Vec<Extension>,
);

impl Extensions {
    /// The content of one.
    pub(crate) fn get(&self, id: u16) -> Option<&[u8]> {
        self.0.iter().find(|e| e.id == id).map(|e| e.bytes.as_slice())
    }

    /// Put one in its place.
    pub(crate) fn set(&mut self, id: u16, bytes: Vec<u8>) {
        self.0.retain(|e| e.id != id);
        let at = self.0.partition_point(|e| e.id < id);
        self.0.insert(at, Extension { id, bytes });
    }

    /// # Errors
    /// [`DecodeError::Extension`] for one that must be understood; when there are too many, or they aren't in order.
    pub(crate) fn check(&self, what: &'static str) -> Result<(), DecodeError> {
        self.check_but(what, &[])
    }

    /// The same where these ids are known.
    pub(crate) fn check_but(&self, what: &'static str, known: &[u16]) -> Result<(), DecodeError> {
        if self.0.len() > limits::EXTENSIONS || !self.0.is_sorted_by(|a, b| a.id < b.id) {
            let problem = format!(
                "extensions must be at most {}, each id once, in ascending order",
                limits::EXTENSIONS
            );
            return Err(DecodeError::Invalid { what, problem });
        }
        match self.0.iter().find(|e| e.id % 2 == 1 && !known.contains(&e.id)) {
            Some(e) => Err(DecodeError::Extension { what, id: e.id }),
            None => Ok(()),
        }
    }
}
