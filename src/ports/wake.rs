use std::io;

/// Waits for something to happen elsewhere.
pub trait Wake {
    /// Wait until something may have happened since the last call, or since this was made. It may return without a reason.
    ///
    /// # Errors
    /// When nothing can be waited for any more.
    fn wait(&mut self) -> io::Result<()>;
}
