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
    text::{printable, shorten},
};
use bistable_boot::Slot;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
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
    /// The proxy that web servers are asked through.
    pub(super) proxy: Option<String>,
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
        open(path, self.proxy.clone())
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
fn open(path: &Path, proxy: Option<String>) -> Result<Box<dyn Read>, Error> {
    if path == Path::new("-") {
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let stdin = stdin.map_err(|source| Error::Open { path: path.into(), source })?;
        return Ok(Box::new(Patient { input: File::from(stdin), silence: SILENCE }));
    }
    let text = path.to_str().unwrap_or_default();
    if Scheme::of(text).is_some() || Github::is_meant(text) {
        return Ok(Box::new(download(text, proxy).map_err(BundleError::Source)?));
    }
    let local = match text.split_once("://") {
        Some((scheme, _)) if !path.exists() => of_scheme(scheme, text)?,
        _ => path.into(),
    };
    let path = local.as_path();
    let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        let source = io::Error::new(io::ErrorKind::IsADirectory, "this is a folder, not a bundle");
        return Err(Error::Open { path: path.into(), source });
    }
    Ok(Box::new(file))
}

/// Standard input, whose writer may stop without closing it. Meanwhile no other process gets at the card.
struct Patient<R> {
    /// Without a buffer: what has been read from it can be waited for.
    input: R,
    /// How long it may be silent.
    silence: Duration,
}

/// How long the writer of a bundle may be silent.
const SILENCE: Duration = Duration::from_secs(60);

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let millis = u16::try_from(self.silence.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        // A signal ends the program by itself; one that doesn't begins the wait again.
        let ready = loop {
            match poll(&mut fds, PollTimeout::from(millis)) {
                Err(Errno::EINTR) => {}
                done => break done?,
            }
        };
        if ready == 0 {
            let text = format!("its writer sent nothing for {} s", self.silence.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.input.read(into)
    }
}

/// The file that an address of another scheme names.
fn of_scheme(scheme: &str, text: &str) -> Result<PathBuf, Error> {
    if let Ok(Location::Folder(file)) = Location::parse(text) {
        return Ok(file);
    }
    // The rest may hold a password.
    let scheme = shorten(&printable(scheme), 32);
    Err(Error::Usage(format!(
        "no bundle can be had by {scheme}://: name a file, - for standard input, or an address that begins with http://, \
         https:// or file:///"
    )))
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
fn download(url: &str, proxy: Option<String>) -> Result<Stream<Box<dyn source::Source>>, SourceError> {
    let location = match Github::is_meant(url) {
        true => Location::Web(url.parse::<Github>()?.find(proxy.clone())?),
        false => Location::parse(url)?,
    };
    Stream::open(location.open(proxy)?, "")
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_writer_that_falls_silent_is_given_up() {
        let (input, mut writer) = io::pipe().unwrap();
        let mut patient = Patient { input, silence: Duration::from_millis(50) };
        writer.write_all(b"bundle").unwrap();
        let mut bytes = [0; 10];
        assert_eq!(patient.read(&mut bytes).unwrap(), 6);
        let e = patient.read(&mut bytes).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        assert!(e.to_string().starts_with("its writer sent nothing for"), "{e}");
        // One that ends is no silent one.
        drop(writer);
        assert_eq!(patient.read(&mut bytes).unwrap(), 0);
    }

    #[test]
    fn schemes_that_are_not_understood_are_named_and_nothing_else_of_the_address() {
        for address in ["ftp://user:secret@host/x.bundle", "s3://secret/x", "file://secret/x", "://secret"] {
            let said = open(Path::new(address), None).err().unwrap().to_string();
            assert!(said.contains("http://, https:// or file:///"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.bundle");
        File::create(&file).unwrap();
        assert!(open(Path::new(&format!("file://{}", file.display())), None).is_ok());
        assert!(matches!(open(&folder.path().join("gone"), None), Err(Error::Open { .. })));
    }
}
