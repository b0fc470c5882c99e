//! A volume's data, on its way into the bundle's file.
use crate::output::{NewFile, OutputError};
use std::os::unix::fs::FileExt;

/// Where a volume's data goes.
#[derive(Debug)]
pub(super) struct Data<'a> {
    pub(super) output: &'a NewFile,
    /// The next byte's place.
    pub(super) at: u64,
}

impl Data<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        write_at(self.output, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Write into the file.
pub(super) fn write_at(output: &NewFile, bytes: &[u8], at: u64) -> Result<(), OutputError> {
    output.file().write_all_at(bytes, at).map_err(OutputError::io("write", output.path()))
}
