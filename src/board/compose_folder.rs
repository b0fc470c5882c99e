//! The files of Compose projects in folders of a file system.
//!
//! ```text
//! persistent/bistable/compose/PROJECT/compose.yaml             what is committed: the durable name of each component in it
//! persistent/bistable/compose/PROJECT/compose.yaml.<date>      as it was before an update
//! run/bistable/compose/PROJECT/SERVICE.yaml                    what the service runs from in this boot, or in a trial
//! run/bistable/compose/PROJECT/SERVICE.never.yaml              that the engine doesn't start it by itself
//! ```
use super::Meter;
use crate::{
    durable,
    ports::{ComposeFile, Fault, ServiceOf, Stop},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Where projects lie, in the partition and in `/run`.
const BELOW: &str = "bistable/compose";
/// What a project's file may be called; the first one is what it is called in messages.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// What Compose would merge into it.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];
/// Copies of a file that are kept.
const COPIES: usize = 5;

/// Folders of projects.
#[derive(Debug)]
pub struct ComposeFolder {
    persistent: Option<PathBuf>,
    run: PathBuf,
    meter: Meter,
}

impl ComposeFolder {
    /// Of a system whose partition `persistent`, if it is mounted, and `/run` are these folders. Nothing is written any more once that
    /// power is gone.
    pub fn new(persistent: Option<&Path>, run: &Path, meter: Meter) -> ComposeFolder {
        ComposeFolder { persistent: persistent.map(Path::to_owned), run: run.into(), meter }
    }

    /// The folder of a project.
    ///
    /// # Errors
    /// When the partition isn't mounted.
    pub fn project(&self, project: &str) -> Result<PathBuf, Fault> {
        let mounted = self.persistent.as_ref().map(|folder| folder.join(BELOW).join(project));
        mounted.ok_or_else(|| {
            Fault::Unfit("the partition persistent, where Compose projects are, is not mounted".into())
        })
    }

    /// The file that is shown, and the one that says that the engine doesn't start it by itself.
    pub fn run_files(&self, of: ServiceOf<'_>) -> (PathBuf, PathBuf) {
        let folder = self.run.join(BELOW).join(of.project);
        (folder.join(format!("{}.yaml", of.service)), folder.join(format!("{}.never.yaml", of.service)))
    }

    fn powered(&self) -> Result<(), Fault> {
        if self.meter.is_cut() { Err(Fault::Stopping(Stop::PowerLost)) } else { Ok(()) }
    }

    /// The durable file.
    ///
    /// # Errors
    /// When it can't be read, or several could be meant.
    pub fn file(&self, project: &str) -> Result<ComposeFile, Fault> {
        let folder = self.project(project)?;
        let there = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect()
        };
        let (found, overrides) = (there(&NAMES), there(&OVERRIDES));
        match (found.as_slice(), overrides.first()) {
            (_, Some(more)) => Err(Fault::Unfit(format!(
                "{} would change what the project runs: move all settings into one file",
                more.display()
            ))),
            ([], None) => Ok(ComposeFile { path: folder.join("compose.yaml"), text: None }),
            ([path], None) => Ok(ComposeFile { path: path.clone(), text: read(path)? }),
            ([first, second, ..], None) => Err(Fault::Unfit(format!(
                "{} and {} are both there: remove one of them",
                first.display(),
                second.display()
            ))),
        }
    }

    /// Replace it durably.
    ///
    /// # Errors
    /// When it can't be written, or there is none.
    pub fn set_file(&self, project: &str, text: &[u8]) -> Result<(), Fault> {
        self.powered()?;
        let file = self.existing(project)?;
        durable::write(&file.path, text).map_err(failed(&file.path))
    }

    /// Keep a copy of it, durably.
    ///
    /// # Errors
    /// When it can't be written, or there is none.
    pub fn keep_copy(&self, project: &str, date: &str) -> Result<(), Fault> {
        self.powered()?;
        let file = self.existing(project)?;
        let (path, text) = (file.path, file.text.unwrap_or_default());
        let mut copies = copies(&path)?;
        for copy in &copies {
            if read(copy)?.as_ref() == Some(&text) {
                return Ok(());
            }
        }
        let copy = with_end(&path, date);
        durable::write(&copy, &text).map_err(failed(&copy))?;
        copies.push(copy);
        copies.sort();
        let many = copies.len().saturating_sub(COPIES);
        for old in copies.iter().take(many) {
            fs::remove_file(old).map_err(failed(old))?;
        }
        Ok(())
    }

    fn existing(&self, project: &str) -> Result<ComposeFile, Fault> {
        let file = self.file(project)?;
        match file.text {
            Some(_) => Ok(file),
            None => Err(failed(&file.path)(io::ErrorKind::NotFound.into())),
        }
    }

    /// The file that a service runs from in this boot.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn shown(&self, of: ServiceOf<'_>) -> Result<Option<Vec<u8>>, Fault> {
        read(&self.run_files(of).0)
    }

    /// Have a service run from this file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn show(&self, of: ServiceOf<'_>, text: &[u8]) -> Result<(), Fault> {
        self.powered()?;
        let (file, never) = self.run_files(of);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let policy = format!(
            "services:\n  \"{}\":\n    restart: \"no\"\n    deploy: {{restart_policy: {{condition: none}}}}\n",
            of.service
        );
        durable::write(&never, policy.as_bytes()).map_err(failed(&never))?;
        durable::write(&file, text).map_err(failed(&file))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Fault {
    Fault::io(path.display().to_string())
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

/// The copies of a file, the oldest first. Their names end with a date.
fn copies(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let (folder, prefix) = (path.parent().unwrap_or(path), with_end(path, ""));
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_date = |end: &str| end.ends_with('Z') && end.starts_with(|c: char| c.is_ascii_digit());
        if name.strip_prefix(&prefix).is_some_and(is_date) {
            copies.push(entry.path());
        }
    }
    copies.sort();
    Ok(copies)
}

/// A file's bytes; `None` without one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Vec::new();
    let opened = File::open(path);
    let limit = bistable_format::limits::COMPOSE as u64 + 1;
    match opened.and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: ServiceOf<'_> = ServiceOf { project: "hub", service: "web" };

    fn folder() -> (tempfile::TempDir, ComposeFolder, PathBuf) {
        let top = tempfile::tempdir().unwrap();
        let project = top.path().join("persistent/bistable/compose/hub");
        fs::create_dir_all(&project).unwrap();
        let persistent = top.path().join("persistent");
        let folder = ComposeFolder::new(Some(&persistent), &top.path().join("run"), Meter::default());
        (top, folder, project)
    }

    #[test]
    fn one_file_is_the_projects_and_what_could_change_it_is_refused() {
        let (_top, folder, project) = folder();
        let none = folder.file("hub").unwrap();
        assert_eq!((none.path, none.text), (project.join("compose.yaml"), None));
        assert!(folder.set_file("hub", b"x").is_err(), "it is for the product to put it there");
        fs::File::create(project.join("docker-compose.yml")).unwrap();
        folder.set_file("hub", b"one").unwrap();
        assert_eq!(folder.file("hub").unwrap().text, Some(b"one".to_vec()));
        fs::File::create(project.join("compose.yaml")).unwrap();
        assert!(folder.file("hub").unwrap_err().to_string().contains("remove one of them"));
        fs::remove_file(project.join("compose.yaml")).unwrap();
        fs::File::create(project.join("docker-compose.override.yml")).unwrap();
        assert!(folder.file("hub").unwrap_err().to_string().contains("one file"));
        let unmounted = ComposeFolder::new(None, &project, Meter::default());
        assert!(unmounted.file("hub").unwrap_err().to_string().contains("not mounted"));
    }

    #[test]
    fn a_few_copies_are_kept_and_one_that_is_there_is_not_made_again() {
        let (_top, folder, project) = folder();
        fs::File::create(project.join("compose.yaml")).unwrap();
        for number in 0..8 {
            folder.set_file("hub", format!("v{number}").as_bytes()).unwrap();
            folder.keep_copy("hub", &format!("20261130T00000{number}Z")).unwrap();
            folder.keep_copy("hub", &format!("20261130T00010{number}Z")).unwrap();
        }
        let copies = copies(&project.join("compose.yaml")).unwrap();
        let texts: Vec<String> = copies.iter().map(|copy| fs::read_to_string(copy).unwrap()).collect();
        assert_eq!(texts, ["v3", "v4", "v5", "v6", "v7"]);
    }

    #[test]
    fn what_is_shown_lies_in_memory_with_a_file_that_keeps_the_engine_from_starting_it() {
        let (top, folder, _) = folder();
        assert_eq!(folder.shown(OF).unwrap(), None);
        folder.show(OF, b"services: {}").unwrap();
        assert_eq!(folder.shown(OF).unwrap(), Some(b"services: {}".to_vec()));
        let never = fs::read_to_string(top.path().join("run/bistable/compose/hub/web.never.yaml")).unwrap();
        assert!(never.contains("restart: \"no\"") && never.contains("\"web\""), "{never}");
    }
}
