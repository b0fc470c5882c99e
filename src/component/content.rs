use crate::Error;
use bistable_format::Release;

/// A verified release of a component with its archive, which is verified piece by piece as it comes.
pub trait Archive {
    /// The release. Was verified.
    fn release(&self) -> &Release;

    /// Its signed bytes.
    fn signed(&self) -> &[u8];

    /// Read the whole archive, in order. What is given to `take` was verified before; only after `Ok` it is known to be all.
    ///
    /// # Errors
    /// When it can't be read, isn't what the release says, or `take` fails.
    fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error>;
}
