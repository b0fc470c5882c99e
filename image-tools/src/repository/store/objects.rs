//! Buckets, and writing into directories, through `object_store`. All that is asynchronous ends here.
use super::error::{Cause, StoreError, at, told};
use super::{Backend, Created, Listed};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// What is sent at once; also the part of a larger upload. A store takes 10,000 parts, so 80 GB.
pub(super) const PART: usize = 8 << 20;
/// Parts on their way at a time: with the one being read, an upload takes 40 MiB.
pub(super) const PARTS: usize = 4;

/// A place that `object_store` knows.
pub(super) struct Objects {
    place: String,
    prefix: String,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects").field(&self.place).finish()
    }
}

impl Objects {
    pub(super) fn new(
        place: String,
        prefix: String,
        store: Arc<dyn ObjectStore>,
    ) -> Result<Objects, StoreError> {
        // One thread, and only while a caller waits for it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| {
            StoreError::Other { action: "use the network for", place: place.clone(), source: Cause::new(e) }
        })?;
        Ok(Objects { place, prefix, store, runtime })
    }

    /// The file's name within the store.
    fn name(&self, path: &str) -> Path {
        match (self.prefix.as_str(), path) {
            (prefix, "") => Path::from(prefix),
            ("", path) => Path::from(path),
            (prefix, path) => Path::from(format!("{prefix}/{path}")),
        }
    }

    fn told(&self, action: &'static str, path: &str) -> impl Fn(object_store::Error) -> StoreError {
        let place = at(&self.place, path);
        move |e| told(action, place.clone(), &e)
    }

    /// A file that isn't there is `None`; a bucket that isn't there is an error.
    fn found<T>(
        &self,
        action: &'static str,
        path: &str,
        result: object_store::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        match result.map_err(self.told(action, path)) {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What is directly in a folder: files, and the names of folders.
    fn inside(&self, folder: &str) -> Result<(Vec<Listed>, Vec<String>), StoreError> {
        let name = self.name(folder);
        let some = (!name.as_ref().is_empty()).then_some(&name);
        let listed = self.runtime.block_on(self.store.list_with_delimiter(some));
        let Some(listed) = self.found("list", folder, listed)? else { return Ok(Default::default()) };
        let within = |path: &Path| {
            let path = path.as_ref();
            path.strip_prefix(&self.prefix).unwrap_or(path).trim_start_matches('/').to_owned()
        };
        let files = listed.objects.iter().map(|o| Listed { path: within(&o.location), bytes: o.size });
        Ok((files.collect(), listed.common_prefixes.iter().map(within).collect()))
    }

    fn list_into(&self, folder: &str, files: &mut Vec<Listed>) -> Result<(), StoreError> {
        let (found, folders) = self.inside(folder)?;
        files.extend(found);
        for folder in folders {
            self.list_into(&folder, files)?;
        }
        Ok(())
    }

    /// Read the stream's next part: less than a whole one is the last.
    fn part(&self, path: &str, from: &mut dyn Read) -> Result<Vec<u8>, StoreError> {
        let mut part = Vec::new();
        let read = from.take(PART as u64).read_to_end(&mut part);
        read.map_err(|source| StoreError::Content { place: at(&self.place, path), source })?;
        Ok(part)
    }

    fn length(&self, path: &str, wanted: u64, found: u64) -> Result<(), StoreError> {
        if wanted == found {
            Ok(())
        } else {
            Err(StoreError::Length { place: at(&self.place, path), wanted, found })
        }
    }

    fn upload_parts(
        &self,
        path: &str,
        upload: &mut dyn object_store::MultipartUpload,
        first: Vec<u8>,
        from: &mut dyn Read,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let told = self.told("upload", path);
        let joined = |part: Result<object_store::Result<()>, tokio::task::JoinError>| {
            part.map_err(object_store::Error::from).and_then(|r| r).map_err(&told)
        };
        let mut flying: JoinSet<object_store::Result<()>> = JoinSet::new();
        let mut sent = 0;
        let mut part = first;
        while !part.is_empty() {
            sent += part.len() as u64;
            if sent > bytes {
                return self.length(path, bytes, sent);
            }
            flying.spawn_on(upload.put_part(part.into()), self.runtime.handle());
            if flying.len() == PARTS
                && let Some(done) = self.runtime.block_on(flying.join_next())
            {
                joined(done)?;
            }
            part = self.part(path, from)?;
        }
        self.length(path, bytes, sent)?;
        while let Some(done) = self.runtime.block_on(flying.join_next()) {
            joined(done)?;
        }
        self.runtime.block_on(upload.complete()).map_err(&told)?;
        Ok(())
    }
}

impl Backend for Objects {
    fn place(&self) -> &str {
        &self.place
    }

    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let told = self.told("read", path);
        self.runtime.block_on(async {
            let Some(found) = self.found("read", path, self.store.get(&self.name(path)).await)? else {
                return Ok(None);
            };
            if found.meta.size > limit as u64 {
                return Err(StoreError::TooLarge { place: at(&self.place, path), limit });
            }
            Ok(Some(found.bytes().await.map_err(told)?.to_vec()))
        })
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        let head = self.runtime.block_on(self.store.head(&self.name(path)));
        Ok(self.found("look for", path, head)?.map(|meta| meta.size))
    }

    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let wanted = range.end - range.start;
        let bytes = self.runtime.block_on(self.store.get_range(&self.name(path), range));
        let bytes = bytes.map_err(self.told("read", path))?;
        self.length(path, wanted, bytes.len() as u64)?;
        Ok(bytes.to_vec())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self.runtime.block_on(self.store.put_opts(&self.name(path), bytes.to_vec().into(), options)) {
            Ok(_) => Ok(Created::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Exists),
            // S3 says so while another request for the same name is under way: whoever reads will see which one won.
            Err(e) if e.to_string().contains("ConditionalRequestConflict") => Ok(Created::Exists),
            Err(e) => Err(self.told("create", path)(e)),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let put = self.runtime.block_on(self.store.put(&self.name(path), bytes.to_vec().into()));
        put.map(|_| ()).map_err(self.told("write", path))
    }

    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError> {
        let first = self.part(path, from)?;
        if bytes < PART as u64 {
            self.length(path, bytes, first.len() as u64)?;
            return self.put(path, &first);
        }
        let begun = self.runtime.block_on(self.store.put_multipart(&self.name(path)));
        let mut upload = begun.map_err(self.told("upload", path))?;
        let done = self.upload_parts(path, upload.as_mut(), first, from, bytes);
        if done.is_err() {
            // What a store keeps of it nonetheless is nowhere to be seen, and buckets have rules to remove it.
            let _ = self.runtime.block_on(upload.abort());
        }
        done
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let mut files = Vec::new();
        self.list_into(folder, &mut files)?;
        files.sort();
        Ok(files)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let (_, folders) = self.inside(folder)?;
        let mut names: Vec<String> =
            folders.iter().filter_map(|path| Some(path.rsplit_once('/')?.1.into())).collect();
        names.sort();
        Ok(names)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        let deleted = self.runtime.block_on(self.store.delete(&self.name(path)));
        self.found("delete", path, deleted).map(|_| ())
    }
}
