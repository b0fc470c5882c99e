use crate::{Error, steps::install::TakePart};
use bistable_format::Release;

/// A verified release of a component with its parts, which are verified piece by piece as they come.
pub trait Archive {
    /// The release. Was verified.
    fn release(&self) -> &Release;

    /// Its signed bytes.
    fn signed(&self) -> &[u8];

    /// Read all parts, in order. What is given to `take` was verified before; only after `Ok` it is known to be all.
    ///
    /// # Errors
    /// When it can't be read, isn't what the release says, or `take` fails.
    fn read(&mut self, take: TakePart<'_>) -> Result<(), Error>;
}
