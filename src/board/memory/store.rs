use super::{Loss, Supply};
use crate::ports::{ComponentStore, Fault, ImageParts, StoredVersion};
use bistable_format::{
    Digest,
    archive::{Entry, EntryKind, Sink},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

/// A version as it lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Files, folders (without content) and links (with their target), by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The signed release.
    pub release: Option<Vec<u8>>,
    /// Whether it has its name.
    pub is_complete: bool,
    /// Whether its data is durable.
    is_durable: bool,
}

/// The versions of components in memory, as ext4 keeps them: a name may become durable before the data that it leads to, and then
/// leads to empty files.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    supply: Supply,
    content: Rc<RefCell<Content>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Content {
    versions: BTreeMap<(String, String), Stored>,
    /// Versions whose removal isn't durable yet.
    removed: BTreeMap<(String, String), Stored>,
    current: BTreeMap<String, String>,
    shown: BTreeMap<String, String>,
    /// What was set for versions to come.
    values: BTreeMap<String, Vec<u8>>,
    free: Option<u64>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(supply: Supply) -> MemoryStore {
        MemoryStore { supply, content: Rc::default() }
    }

    /// Another one with the same content and another power supply.
    #[must_use]
    pub fn fork(&self, supply: Supply) -> MemoryStore {
        MemoryStore { supply, content: Rc::new(RefCell::new(self.content.borrow().clone())) }
    }

    /// Bytes that are free from now on.
    pub fn set_free(&self, bytes: u64) {
        self.content.borrow_mut().free = Some(bytes);
    }

    /// What lies there of a version.
    pub fn stored(&self, component: &str, version: &str) -> Option<Stored> {
        self.content.borrow().versions.get(&key(component, version)).cloned()
    }

    /// The power went, and what was in memory is gone, the links of the boot included.
    pub fn lose(&self, loss: Loss) {
        let mut content = self.content.borrow_mut();
        content.shown.clear();
        if loss == Loss::Nothing {
            content.removed.clear();
            return;
        }
        let removed = std::mem::take(&mut content.removed);
        content.versions.extend(removed);
        for stored in content.versions.values_mut().filter(|stored| !stored.is_durable) {
            // The names came through, the data did not (measured).
            stored.files.values_mut().for_each(Vec::clear);
            stored.release = stored.release.take().map(|_| Vec::new());
            stored.is_durable = true;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Content) -> Result<T, Fault>) -> Result<T, Fault> {
        self.supply.operate(|| change(&mut self.content.borrow_mut()))
    }
}

fn key(component: &str, version: &str) -> (String, String) {
    (component.into(), version.into())
}

fn missing(component: &str, version: &str) -> Fault {
    Fault::io(format!("{component}/{version}"))(io::ErrorKind::NotFound.into())
}

/// A version that is being unpacked.
struct Unpacking {
    store: MemoryStore,
    at: (String, String),
    file: Option<String>,
}

impl Unpacking {
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.store.change(|content| {
            let stored = content.versions.get_mut(&self.at).ok_or_else(|| missing(&self.at.0, &self.at.1))?;
            stored.files.entry(path.into()).or_default().extend_from_slice(bytes);
            stored.is_durable = false;
            Ok(())
        })
    }
}

impl Sink for Unpacking {
    type Error = Fault;

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        let path = String::from_utf8_lossy(entry.path).into_owned();
        match entry.kind {
            EntryKind::Symlink(target) => self.put(&path, target),
            EntryKind::Directory => self.put(&path, &[]),
            EntryKind::File => {
                self.put(&path, &[])?;
                self.file = Some(path);
                Ok(())
            }
        }
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.as_ref().map_or(Ok(()), |path| self.put(path, bytes))
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.file = None;
        Ok(())
    }
}

impl ComponentStore for MemoryStore {
    fn components(&mut self) -> Result<Vec<String>, Fault> {
        self.supply.look()?;
        let mut names: Vec<String> =
            self.content.borrow().versions.keys().map(|(component, _)| component.clone()).collect();
        names.dedup();
        Ok(names)
    }

    fn versions(&mut self, component: &str) -> Result<Vec<StoredVersion>, Fault> {
        self.supply.look()?;
        let content = self.content.borrow();
        let of_it = content.versions.iter().filter(|((c, _), _)| c == component);
        Ok(of_it
            .map(|((_, name), s)| StoredVersion { name: name.clone(), is_complete: s.is_complete })
            .collect())
    }

    fn begin(&mut self, component: &str, version: &str) -> Result<Box<dyn Sink<Error = Fault>>, Fault> {
        let at = key(component, version);
        self.change(|content| {
            content.versions.insert(at.clone(), Stored::default());
            Ok(())
        })?;
        Ok(Box::new(Unpacking { store: self.clone(), at, file: None }))
    }

    fn keep_release(&mut self, component: &str, version: &str, signed: &[u8]) -> Result<(), Fault> {
        self.change(|content| {
            let stored = content.versions.get_mut(&key(component, version));
            let stored = stored.ok_or_else(|| missing(component, version))?;
            stored.release = Some(signed.to_vec());
            stored.is_durable = false;
            Ok(())
        })
    }

    fn release(&mut self, component: &str, version: &str) -> Result<Vec<u8>, Fault> {
        self.supply.look()?;
        let stored = self.stored(component, version).and_then(|stored| stored.release);
        stored.ok_or_else(|| missing(component, version))
    }

    fn file(&mut self, component: &str, version: &str, name: &str) -> Result<Vec<u8>, Fault> {
        self.supply.look()?;
        let file = self.stored(component, version).and_then(|stored| stored.files.get(name).cloned());
        file.ok_or_else(|| missing(component, version))
    }

    fn values(&mut self, component: &str) -> Result<Vec<u8>, Fault> {
        self.supply.look()?;
        Ok(self.content.borrow().values.get(component).cloned().unwrap_or_default())
    }

    fn keep_values(&mut self, component: &str, values: &[u8]) -> Result<(), Fault> {
        self.change(|content| {
            match values {
                [] => drop(content.values.remove(component)),
                values => drop(content.values.insert(component.into(), values.to_vec())),
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.change(|content| {
            content.versions.values_mut().for_each(|stored| stored.is_durable = true);
            content.removed.clear();
            Ok(())
        })
    }

    fn parts(
        &mut self,
        component: &str,
        version: &str,
        digests: &[Digest],
    ) -> Result<Box<dyn ImageParts>, Fault> {
        self.supply.look()?;
        let stored = self.stored(component, version).ok_or_else(|| missing(component, version))?;
        let part = |digest: &Digest| Some((*digest, stored.files.get(&digest.to_string())?.clone()));
        Ok(Box::new(Parts(digests.iter().filter_map(part).collect())))
    }

    fn complete(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.change(|content| {
            let stored = content.versions.get_mut(&key(component, version));
            stored.ok_or_else(|| missing(component, version))?.is_complete = true;
            Ok(())
        })
    }

    fn remove(&mut self, component: &str, version: &str) -> Result<(), Fault> {
        self.change(|content| {
            let at = key(component, version);
            if let Some(stored) = content.versions.remove(&at) {
                content.removed.insert(at, stored);
            }
            Ok(())
        })
    }

    fn current(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.supply.look()?;
        Ok(self.content.borrow().current.get(component).cloned())
    }

    fn set_current(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.change(|content| {
            point(&mut content.current, component, version);
            Ok(())
        })
    }

    fn shown(&mut self, component: &str) -> Result<Option<String>, Fault> {
        self.supply.look()?;
        Ok(self.content.borrow().shown.get(component).cloned())
    }

    fn show(&mut self, component: &str, version: Option<&str>) -> Result<(), Fault> {
        self.change(|content| {
            point(&mut content.shown, component, version);
            Ok(())
        })
    }

    fn free_bytes(&mut self) -> Result<u64, Fault> {
        self.supply.look()?;
        Ok(self.content.borrow().free.unwrap_or(8 << 30))
    }

    fn is_reached_by(&mut self, component: &str, path: &Path) -> Result<bool, Fault> {
        self.supply.look()?;
        Ok(path.ends_with(component))
    }
}

/// Files that are named by their digests.
struct Parts(Vec<(Digest, Vec<u8>)>);

impl ImageParts for Parts {
    fn open(&self, digest: &Digest) -> io::Result<Option<(u64, Box<dyn Read + Send>)>> {
        let found = self.0.iter().find(|(of, _)| of == digest);
        Ok(found.map(|(_, bytes)| {
            let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(bytes.clone()));
            (bytes.len() as u64, reader)
        }))
    }
}

fn point(links: &mut BTreeMap<String, String>, component: &str, version: Option<&str>) {
    match version {
        Some(version) => drop(links.insert(component.into(), version.into())),
        None => drop(links.remove(component)),
    }
}
