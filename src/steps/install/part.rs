use crate::Error;
use bistable_format::{ArtifactId, Digest};

/// A part of a component's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleasePart {
    /// A file that is stored as it is: it comes whole.
    Blob(Digest),
    /// An archive or a layer: it comes in pieces, in order.
    Artifact(ArtifactId),
}

/// Takes the next bytes of a part.
pub type TakePart<'a> = &'a mut dyn FnMut(ReleasePart, &[u8]) -> Result<(), Error>;
