//! The record of the components, as it lies in `state`.
use super::Device;
use crate::{
    Error,
    error::ComponentError,
    ports::{Fault, Sectors},
};
use bistable_boot::{
    COPY_BYTES, DecodeError, Journal, JournalError, SECTOR, component::ComponentRecord, layout,
};
use std::sync::Arc;

/// The record, and where it is saved.
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub(crate) struct StoredComponents {
    /// What is remembered.
    pub(crate) record: ComponentRecord,
    journal: Journal<Sectors, ComponentRecord>,
}

impl StoredComponents {
    /// Replace the record durably.
    ///
    /// # Errors
    /// When the card fails, or gives back something else than was written.
    pub(crate) fn store(&mut self, mut next: ComponentRecord) -> Result<(), Error> {
        self.journal.save(&mut next).map_err(unusable)?;
        self.record = next;
        Ok(())
    }
}

impl Device {
    /// What is remembered of this device's components; nothing on one that never had any.
    ///
    /// # Errors
    /// When the card fails, both copies are damaged, or they are another product's.
    pub(crate) fn stored_components(&self) -> Result<StoredComponents, Error> {
        let mut journal = self.component_journal();
        let mut record = match journal.load() {
            Ok(record) => record,
            Err(JournalError::Lost { first, second }) if self.was_never_written(first, second)? => {
                ComponentRecord::new(&self.record.product)
            }
            Err(e) => return Err(unusable(e)),
        };
        if record.product != self.record.product {
            let problem =
                format!("it is of product {}, this device is a {}", record.product, self.record.product);
            return Err(ComponentError::Record { problem }.into());
        }
        record.reads = self.record.slots.clone().map(|image| image.map(|image| image.durable));
        Ok(StoredComponents { record, journal })
    }

    /// Write both copies again.
    ///
    /// # Errors
    /// When the card fails.
    pub(crate) fn recreate_components(&self, record: ComponentRecord) -> Result<(), Error> {
        let reads = self.record.slots.clone().map(|image| image.map(|image| image.durable));
        self.component_journal().format(&ComponentRecord { seq: 1, reads, ..record }).map_err(unusable)
    }

    fn component_journal(&self) -> Journal<Sectors, ComponentRecord> {
        Journal::of(Sectors(Arc::clone(&self.state))).with_formats(self.formats.ours)
    }

    /// A new card has zeros there. The first copy that is ever written may be torn: then there is nothing yet that could be lost. Whatever
    /// else isn't a record was one.
    fn was_never_written(&self, first: DecodeError, second: DecodeError) -> Result<bool, Error> {
        let mut are_zero = [false; 2];
        for (is_zero, at) in are_zero.iter_mut().zip(layout::COMPONENTS) {
            let mut page = vec![0; COPY_BYTES];
            self.state.read(at.0 * SECTOR as u64, &mut page)?;
            *is_zero = page.iter().all(|byte| *byte == 0);
        }
        let is_torn = matches!((first, second), (DecodeError::Checksum, DecodeError::Magic));
        Ok(are_zero == [true, true] || is_torn && are_zero[1])
    }
}

fn unusable(e: JournalError<Fault>) -> Error {
    match e {
        JournalError::Io(fault) => fault.into(),
        e => ComponentError::Record { problem: e.to_string() }.into(),
    }
}
