//! The memory of a process: for tests, and for callers that keep none.
use super::{Held, Lock, Record, TrustStore, TrustStoreError};
use bistable_format::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Content {
    pins: BTreeMap<String, Digest>,
    records: BTreeMap<Digest32, Record>,
    pending: BTreeMap<(Digest32, String), Vec<u8>>,
    locked: BTreeSet<(Digest32, String)>,
}

type Digest32 = [u8; 32];

/// A memory that lasts as long as its clones do.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    content: Arc<Mutex<Content>>,
}

/// A lock of a channel.
#[derive(Debug)]
struct ChannelLock {
    memory: Remembered,
    of: (Digest32, String),
}

impl Held for ChannelLock {}

impl Drop for ChannelLock {
    fn drop(&mut self) {
        self.memory.content().locked.remove(&self.of);
    }
}

impl Remembered {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrustStore for Remembered {
    fn pinned(&self, place: &str) -> Result<Option<Digest>, TrustStoreError> {
        Ok(self.content().pins.get(place).copied())
    }

    fn pin(&self, place: &str, repository: &Digest) -> Result<(), TrustStoreError> {
        self.content().pins.insert(place.into(), *repository);
        Ok(())
    }

    fn record(&self, repository: &Digest) -> Result<Option<Record>, TrustStoreError> {
        Ok(self.content().records.get(&repository.0).cloned())
    }

    fn merge(&self, repository: &Digest, seen: &Record) -> Result<(), TrustStoreError> {
        let mut content = self.content();
        content.records.entry(repository.0).or_insert_with(|| seen.clone()).merge(seen);
        Ok(())
    }

    fn forget_channels(&self, repository: &Digest) -> Result<(), TrustStoreError> {
        let mut content = self.content();
        content.pending.retain(|(of, _), _| *of != repository.0);
        if let Some(record) = content.records.get_mut(&repository.0) {
            record.channels.clear();
        }
        Ok(())
    }

    fn pending(&self, repository: &Digest, channel: &str) -> Result<Option<Vec<u8>>, TrustStoreError> {
        Ok(self.content().pending.get(&(repository.0, channel.into())).cloned())
    }

    fn set_pending(
        &self,
        repository: &Digest,
        channel: &str,
        bytes: Option<&[u8]>,
    ) -> Result<(), TrustStoreError> {
        let key = (repository.0, channel.to_owned());
        let pending = &mut self.content().pending;
        match bytes {
            Some(bytes) => pending.insert(key, bytes.into()),
            None => pending.remove(&key),
        };
        Ok(())
    }

    fn try_lock(&self, repository: &Digest, channel: &str) -> Result<Lock<'_>, TrustStoreError> {
        let of = (repository.0, channel.to_owned());
        match self.content().locked.insert(of.clone()) {
            true => Ok(Lock::Held(Box::new(ChannelLock { memory: self.clone(), of }))),
            false => Ok(Lock::Busy(format!("{channel}.lock"))),
        }
    }
}

/// Remembers nothing, so that every use is the first: for tests, and for callers that compare the store with a memory of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forgetful;

impl Held for () {}

impl TrustStore for Forgetful {
    fn pinned(&self, _: &str) -> Result<Option<Digest>, TrustStoreError> {
        Ok(None)
    }

    fn pin(&self, _: &str, _: &Digest) -> Result<(), TrustStoreError> {
        Ok(())
    }

    fn record(&self, _: &Digest) -> Result<Option<Record>, TrustStoreError> {
        Ok(None)
    }

    fn merge(&self, _: &Digest, _: &Record) -> Result<(), TrustStoreError> {
        Ok(())
    }

    fn forget_channels(&self, _: &Digest) -> Result<(), TrustStoreError> {
        Ok(())
    }

    fn pending(&self, _: &Digest, _: &str) -> Result<Option<Vec<u8>>, TrustStoreError> {
        Ok(None)
    }

    fn set_pending(&self, _: &Digest, _: &str, _: Option<&[u8]>) -> Result<(), TrustStoreError> {
        Ok(())
    }

    fn try_lock(&self, _: &Digest, _: &str) -> Result<Lock<'_>, TrustStoreError> {
        Ok(Lock::Held(Box::new(())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn memory_twin_keeps_the_contract() {
        contract::all(&mut || {
            let memory = Remembered::default();
            Box::new(move || Box::new(memory.clone()))
        });
    }
}
