//! What the agent is given by the command line beside its words: bundles, and what the machine says of itself.
use super::machine::VerbEnd;
use crate::{
    Error,
    app::{BundleStream, CardWrites, Context},
    error::BundleError,
    events::{End, Fold, OfferedVersion, Reading, SharedLog},
    http_client::Scheme,
    ports::{EventPorts, EventStore, Power},
    source::{self, Github, Location, SourceError, Stream},
};
use bistable_boot::Slot;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// For verbs that work on a machine.
pub(super) struct Opener<'a> {
    pub(super) verb_end: &'a VerbEnd,
    /// The event log, if something is written to it.
    pub(super) log: Option<&'a SharedLog>,
    /// What is read instead of standard input, if whoever asks sends a bundle.
    pub(super) bundle: Option<BundleStream>,
    /// The daemon's job.
    pub(super) job: Option<String>,
}

impl Context for Opener<'_> {
    fn power(&self) -> Power {
        Power::On
    }

    fn written(&self) -> CardWrites {
        self.verb_end.written()
    }

    fn booted(&self) -> Option<Slot> {
        self.verb_end.booted()
    }

    fn job(&self) -> Option<String> {
        self.job.clone()
    }

    fn ends(&mut self) -> Vec<End> {
        self.log.map(SharedLog::ends).unwrap_or_default()
    }

    fn offered(&mut self) -> BTreeMap<String, OfferedVersion> {
        self.log.map(SharedLog::offered).unwrap_or_default()
    }

    fn bundle(&mut self, path: &Path) -> Result<Box<dyn Read>, Error> {
        if path == Path::new("-")
            && let Some(bundle) = self.bundle.take()
        {
            return Ok(Box::new(bundle));
        }
        open(path)
    }

    fn beside(&self, path: &Path) -> Vec<PathBuf> {
        let text = path.to_str().unwrap_or_default();
        if path == Path::new("-") || Scheme::of(text).is_some() || Github::is_meant(text) {
            return Vec::new();
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        let is_other = |found: &PathBuf| {
            found.extension().is_some_and(|extension| extension == "bundle")
                && found.file_name() != path.file_name()
        };
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_other).collect();
        found.sort();
        found.truncate(BESIDE_MAX);
        found
    }
}

/// The most bundles that are looked into for what an image brings along.
const BESIDE_MAX: usize = 64;

/// Open the bundle that the command line names: a file, an address, or standard input.
fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let text = path.to_str().unwrap_or_default();
    if Scheme::of(text).is_some() || Github::is_meant(text) {
        return Ok(Box::new(download(text).map_err(BundleError::Source)?));
    }
    let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        let source = io::Error::new(io::ErrorKind::IsADirectory, "this is a folder, not a bundle");
        return Err(Error::Open { path: path.into(), source });
    }
    Ok(Box::new(file))
}

/// For verbs that only look: a machine with that power.
pub(super) struct Seen {
    pub(super) power: Power,
    /// Where its event log is, until that was read.
    pub(super) events: Option<EventPorts>,
}

impl Context for Seen {
    fn power(&self) -> Power {
        self.power
    }

    fn written(&self) -> CardWrites {
        CardWrites::default()
    }

    fn booted(&self) -> Option<Slot> {
        None
    }

    fn job(&self) -> Option<String> {
        None
    }

    fn ends(&mut self) -> Vec<End> {
        self.events.take().map(fold).unwrap_or_default().ends
    }

    fn offered(&mut self) -> BTreeMap<String, OfferedVersion> {
        self.events.take().map(fold).unwrap_or_default().remembered.offered
    }

    fn bundle(&mut self, path: &Path) -> Result<Box<dyn Read>, Error> {
        let source = io::ErrorKind::Unsupported.into();
        Err(Error::Open { path: path.into(), source })
    }
}

/// A bundle on a web server, from its beginning; a connection that breaks is made again and resumes where it was.
fn download(url: &str) -> Result<Stream<Box<dyn source::Source>>, SourceError> {
    let location = match Github::is_meant(url) {
        true => Location::Web(url.parse::<Github>()?.find()?),
        false => Location::parse(url)?,
    };
    Stream::open(location.open()?, "")
}

/// What follows from the log, as far as it can be read.
fn fold(ports: EventPorts) -> Fold {
    let read = |mut store: Box<dyn EventStore>| Reading::after(&mut *store, u64::MAX);
    match ports.persistent.and_then(read) {
        Ok(reading) => reading.fold,
        Err(e) => {
            log::info!(reason:% = e; "no_dates");
            Fold::default()
        }
    }
}
