//! Names of places: a directory or a URL becomes a backend.
use super::Backend;
use super::directory::Directory;
use super::error::{Cause, StoreError};
use super::objects::Objects;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What to do about a directory that isn't there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Fail: a verb that only reads must not make empty repositories.
    Refuse,
    /// Make it.
    Create,
}

/// Where the repository is by default: `$XDG_DATA_HOME/bistable/repository`, or below `~/.local/share`.
pub fn default_place() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = named("XDG_DATA_HOME").or_else(|| Some(named("HOME")?.join(".local/share")))?;
    Some(data.join("bistable/repository"))
}

pub(super) fn open(place: &str, missing: Missing) -> Result<Arc<dyn Backend>, StoreError> {
    let unknown = || StoreError::Place { place: place.into() };
    let Some((scheme, rest)) = place.split_once("://") else {
        return Ok(Arc::new(directory(Path::new(place), missing)?));
    };
    if scheme == "file" {
        // file://HOST/… would be another machine's; what needs escapes can be given as a plain directory.
        let plain = rest.starts_with('/') && !rest.contains('%');
        return if plain { Ok(Arc::new(directory(Path::new(rest), missing)?)) } else { Err(unknown()) };
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    if bucket.is_empty() || !(prefix.is_empty() || super::check_path(prefix).is_ok()) {
        return Err(unknown());
    }
    let store = match scheme {
        "s3" | "s3a" => s3(place, bucket)?,
        "gs" | "gcs" => gcs(place, bucket)?,
        "az" | "azure" => azure(place, bucket)?,
        _ => return Err(unknown()),
    };
    Ok(Arc::new(Objects::new(place.trim_end_matches('/').into(), prefix.into(), store)?))
}

/// A directory that is there, or is made.
pub(super) fn directory(path: &Path, missing: Missing) -> Result<Directory, StoreError> {
    let place = path.display().to_string();
    if path.as_os_str().is_empty() {
        return Err(StoreError::Place { place });
    }
    let io = |action| {
        let place = place.clone();
        move |e: io::Error| StoreError::Other { action, place, source: Cause::new(e) }
    };
    match (path.metadata(), missing) {
        (Ok(there), _) if there.is_dir() => {}
        (Ok(_), _) => return Err(StoreError::Place { place }),
        (Err(e), Missing::Create) if e.kind() == io::ErrorKind::NotFound => {
            create_folders(path).map_err(io("make the directory"))?;
        }
        (Err(e), _) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoDirectory { place }),
        (Err(e), _) => return Err(io("open the directory")(e)),
    }
    let store = LocalFileSystem::new_with_prefix(path)
        .map_err(|e| StoreError::Other {
            action: "open the directory",
            place: place.clone(),
            source: Cause::new(e),
        })?
        .with_fsync(true);
    Ok(Directory::new(Objects::new(place, String::new(), Arc::new(store))?, path))
}

/// Make a folder and those above it, durably.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.exists() {
        create_folders(parent)?;
    }
    match fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }?;
    File::open(parent)?.sync_all()
}

/// How long one request may take: all parts of an upload that are on their way share a slow line, half a Mbit/s at least. A
/// server that isn't there is found sooner: a connection comes about within seconds, or not.
const REQUEST: Duration = Duration::from_secs(600);

/// As object_store reads it.
fn request() -> String {
    format!("{} s", REQUEST.as_secs())
}

/// Without an answer, six tries take some seconds. A request that took too long, or broke off late, is made once more.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
        max_retries: 6,
        retry_timeout: REQUEST + Duration::from_secs(60),
    }
}

fn patient(builder: AmazonS3Builder) -> AmazonS3Builder {
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    builder.with_config(timeout, request()).with_retry(retries())
}

fn s3(place: &str, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    tls();
    let settings = |e: object_store::Error| StoreError::Settings {
        place: place.into(),
        settings: "AWS_*",
        source: Cause::new(e),
    };
    let mut builder = patient(AmazonS3Builder::from_env().with_bucket_name(bucket));
    let set = |builder: &AmazonS3Builder, key| builder.get_config_value(&key);
    let endpoint =
        set(&builder, AmazonS3ConfigKey::S3Endpoint).or(set(&builder, AmazonS3ConfigKey::Endpoint));
    if let Some(endpoint) = endpoint {
        // Whoever names such an endpoint wants it so.
        if endpoint.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        // Other stores than Amazon's seldom say who may use them by where a machine runs: better a clear word at once.
        let known = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE"];
        if !known.iter().any(|name| std::env::var_os(name).is_some()) {
            return Err(StoreError::Credentials {
                place: place.into(),
                source: Cause::new("AWS_ACCESS_KEY_ID is not set"),
            });
        }
    }
    Ok(Arc::new(builder.build().map_err(settings)?))
}

#[cfg(feature = "gcs")]
fn gcs(place: &str, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    tls();
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
    let builder = GoogleCloudStorageBuilder::from_env().with_config(timeout, request());
    let store = builder.with_bucket_name(bucket).with_retry(retries()).build();
    Ok(Arc::new(store.map_err(|e| StoreError::Settings {
        place: place.into(),
        settings: "GOOGLE_*",
        source: Cause::new(e),
    })?))
}

#[cfg(not(feature = "gcs"))]
fn gcs(_: &str, _: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Err(StoreError::Feature { scheme: "gs".into(), feature: "gcs" })
}

#[cfg(feature = "azure")]
fn azure(place: &str, bucket: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    tls();
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
    let builder = MicrosoftAzureBuilder::from_env().with_config(timeout, request());
    let store = builder.with_container_name(bucket).with_retry(retries()).build();
    Ok(Arc::new(store.map_err(|e| StoreError::Settings {
        place: place.into(),
        settings: "AZURE_*",
        source: Cause::new(e),
    })?))
}

#[cfg(not(feature = "azure"))]
fn azure(_: &str, _: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Err(StoreError::Feature { scheme: "az".into(), feature: "azure" })
}

/// Choose who encrypts connections. Whoever chose before has chosen.
fn tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::super::objects::{PART, PARTS};
    use super::*;

    #[test]
    fn an_upload_has_time_on_a_slow_line() {
        let half_a_mbit = 500_000 / 8;
        let needed = Duration::from_secs((PARTS * PART) as u64 / half_a_mbit);
        assert!(REQUEST > needed, "{needed:?}");
        assert!(retries().retry_timeout > REQUEST, "else what took too long is never tried again");
        tls();
        let builder = patient(AmazonS3Builder::new());
        let timeout = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::Timeout));
        assert_eq!(timeout, Some(request()));
        assert!(builder.with_bucket_name("b").build().is_ok(), "object_store can read it");
    }

    #[test]
    fn what_is_no_place_is_refused_by_name() {
        for bad in ["", "ftp://x", "s3://", "s3://b/../c", "file://host/x", "file:///a%20b", "gs:///x"] {
            assert!(matches!(open(bad, Missing::Create), Err(StoreError::Place { .. })), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a/b");
        let named = missing.to_str().unwrap();
        assert!(matches!(open(named, Missing::Refuse), Err(StoreError::NoDirectory { .. })));
        assert!(!missing.exists());
        open(&format!("file://{named}"), Missing::Create).unwrap();
        assert!(missing.is_dir());
    }
}
